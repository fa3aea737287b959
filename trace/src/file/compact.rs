//! The compact encoding of a chunk: each record as its differences from an earlier one like it.
//!
//! Most numbers of a record are those of an earlier one: between two calls of `getpid`, only two registers of a process
//! change. So a record names one of [`SLOTS`] slots, which holds the last record with this slot, and says which of its
//! numbers differ and by how much. The encoder alone chooses the slot. All slots are zero at the start of each chunk, so
//! that each chunk decodes without the others.
//!
//! A varint has its length in its first byte, so that reading one takes a load, a count of zeros and two shifts, and
//! no loop. Its limit: it does not compress repeated sequences of records.

use abi::record::{HEAD_SIZE, Kind, WORDS_MAX};

use super::Origin;
use super::format::{head_size, record_size, u64_at};
use super::walk::Decoded;

/// How many slots there are: a byte names one.
const SLOTS: usize = 256;
/// A slot's cells: the head of a record without its time, then its words.
const CELLS: usize = 1 + WORDS_MAX;
/// Zeros at the end of a payload, so that a reader may load eight bytes wherever a varint starts.
pub(super) const PADDING: usize = 8;

/// The longest record in a payload: a slot, and varints of nine bytes.
const LONGEST: usize = 1 + 9 * (2 + CELLS);
/// The part of a payload that a record is decoded from. The bounds are checked once for all of it, not at each varint.
const WINDOW: usize = LONGEST + PADDING;
/// Room that the decoder needs for a record: a time, and a place for each cell of a slot.
pub(super) const ROOM_FOR_ONE: usize = 8 * (1 + CELLS);

/// Numbers as their bytes: words are shown as they would lie in a file.
type Cell = [u8; 8];

/// The records of a payload, as they come to be known to an encoder and to a decoder.
#[derive(Clone, Debug)]
struct State {
    /// The system allocates their memory, filled with zeros, when a slot is first used. Most slots never are.
    slots: Box<[[Cell; CELLS]; SLOTS]>,
    /// Which slots were used.
    used: [bool; SLOTS],
    tsc: u64,
}

impl Default for State {
    fn default() -> State {
        let slots = vec![[Cell::default(); CELLS]; SLOTS].into_boxed_slice();
        State { slots: slots.try_into().expect("as many as were made"), used: [false; SLOTS], tsc: 0 }
    }
}

impl State {
    fn reset(&mut self) {
        for (slot, used) in self.slots.iter_mut().zip(&mut self.used) {
            if std::mem::take(used) {
                *slot = [Cell::default(); CELLS];
            }
        }
        self.tsc = 0;
    }

    /// A slot, to be changed.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a slot for each value of a byte")]
    fn slot(&mut self, slot: u8) -> &mut [Cell; CELLS] {
        self.used[usize::from(slot)] = true;
        &mut self.slots[usize::from(slot)]
    }
}

/// Encodes payloads.
#[derive(Debug, Default)]
pub(super) struct Encoder(State);

impl Encoder {
    /// Appends the compact form of a payload of records. Returns false if it has bytes that are not a record of `origin`; the
    /// appended bytes are then invalid.
    pub(super) fn encode(&mut self, payload: &[u8], origin: Origin, out: &mut Vec<u8>) -> bool {
        self.0.reset();
        let mut rest = payload;
        while !rest.is_empty() {
            let Some(size) = record_size(rest, origin) else { return false };
            let (record, others) = rest.split_at(size);
            self.record(record, out);
            rest = others;
        }
        out.extend_from_slice(&[0; PADDING]);
        true
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a record has a head, and no more words than there are cells"
    )]
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let (tsc, head) = (u64_at(record, 0), u64_at(record, 8));
        let slot = slot_of(head);
        let cells = self.0.slot(slot);
        let words = record[HEAD_SIZE..].chunks_exact(8).map(|word| u64_at(word, 0));
        let (mut mask, mut changes, mut changed) = (0, [0; CELLS], 0);
        for (cell, value) in std::iter::once(cell_of(head)).chain(words).enumerate() {
            let before = u64::from_le_bytes(cells[cell]);
            if before != value {
                mask |= 1 << cell;
                changes[changed] = zigzag(value.wrapping_sub(before));
                changed += 1;
                cells[cell] = value.to_le_bytes();
            }
        }
        out.push(slot);
        push_varint(out, mask);
        push_varint(out, zigzag(tsc.wrapping_sub(self.0.tsc)));
        changes[..changed].iter().for_each(|&change| push_varint(out, change));
        self.0.tsc = tsc;
    }
}

/// The first cell: the head of a record behind its time, with what changes more often further down, as small changes take
/// less room: kind and number of words, then the detail, then the process.
#[inline(always)]
fn cell_of(head: u64) -> u64 {
    head & 0xFFFF | head >> 32 << 16 | (head >> 16 & 0xFFFF) << 48
}

/// The opposite of [`cell_of`].
#[inline(always)]
fn head_of(cell: u64) -> u64 {
    cell & 0xFFFF | cell >> 48 << 16 | cell >> 16 << 32
}

/// Records of one kind and one process are alike: 32 kinds of 8 processes have slots of their own. All kinds that start with a
/// trap frame are alike too.
fn slot_of(head: u64) -> u8 {
    const ENTRY: u8 = Kind::TrapEntry as u8;
    const LIKE_ENTRY: [u8; 3] = [Kind::TrapReturn as u8, Kind::KernelStackFilled as u8, Kind::Called as u8];
    let (kind, process) = (head as u8, (head >> 16) as u8);
    let kind = if LIKE_ENTRY.contains(&kind) { ENTRY } else { kind };
    kind.wrapping_add(process.wrapping_mul(32))
}

/// Decodes payloads.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoder(State);

impl Decoder {
    /// Begins a payload.
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }

    /// Decodes the records of `origin` at the start of `bytes`, which go to the end of the padding, as many as there is
    /// room for. It is to go on behind what was read, unless that was all.
    pub(super) fn decode(&mut self, bytes: &[u8], origin: Origin, out: &mut [u8]) -> Decoded {
        let done = self.records(bytes, bytes.len(), origin, out);
        let rest = bytes.get(done.read..).unwrap_or_default();
        if done.is_all || rest.len() >= WINDOW {
            return done;
        }
        // The last records are decoded from a copy with zeros behind it, so that each has a whole window.
        let mut copy = [0; 2 * WINDOW];
        copy.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let more = self.records(&copy, rest.len(), origin, out.get_mut(done.written..).unwrap_or_default());
        // No more than the lengths of `bytes` and `out`.
        Decoded {
            read: done.read.wrapping_add(more.read),
            written: done.written.wrapping_add(more.written),
            records: done.records.wrapping_add(more.records),
            is_all: more.is_all,
        }
    }

    /// Decodes the records in the first `length` bytes, as long as a whole window is left and there is room.
    fn records(&mut self, bytes: &[u8], length: usize, origin: Origin, out: &mut [u8]) -> Decoded {
        let mut done = Decoded::default();
        while let Some(room) = out.get_mut(done.written..).and_then(|room| room.first_chunk_mut())
            && let Some(window) = bytes.get(done.read..).and_then(|rest| rest.first_chunk())
        {
            let left = length.saturating_sub(PADDING).saturating_sub(done.read);
            if left == 0 {
                return Decoded { is_all: true, ..done };
            }
            let (size, head) = self.record(window, room);
            let Some(written) = head_size(head, origin).filter(|_| size <= left) else {
                return Decoded { is_all: true, ..done };
            };
            // No more than the lengths of `bytes` and `out`.
            done.read = done.read.wrapping_add(size);
            done.written = done.written.wrapping_add(written);
            done.records = done.records.wrapping_add(1);
        }
        done
    }

    /// Decodes a record. The value is its size in the window, and what stands behind the time in its head.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a mask has no bit behind the last cell, as is tested, and there is a place for each cell"
    )]
    fn record(&mut self, window: &[u8; WINDOW], out: &mut [u8; ROOM_FOR_ONE]) -> (usize, u64) {
        let (slot, mut varints) = Varints::behind_slot(window);
        let mut mask = varints.next();
        self.0.tsc = self.0.tsc.wrapping_add(unzigzag(varints.next()));
        let out = out.as_chunks_mut().0;
        out[0] = self.0.tsc.to_le_bytes();
        // First all cells, whether they change or not: in halves, as a copy of this size in one would be a call.
        let cells = self.0.slot(slot);
        let (low, high) = out[1..].split_at_mut(CELLS / 2);
        low.copy_from_slice(&cells[..CELLS / 2]);
        high.copy_from_slice(&cells[CELLS / 2..]);
        if mask >> CELLS != 0 {
            return (varints.at(), 0);
        }
        while mask != 0 {
            let cell = mask.trailing_zeros() as usize;
            let value = u64::from_le_bytes(cells[cell]).wrapping_add(unzigzag(varints.next()));
            cells[cell] = value.to_le_bytes();
            out[1 + cell] = value.to_le_bytes();
            mask &= mask - 1;
        }
        let head = head_of(u64::from_le_bytes(cells[0]));
        out[1] = head.to_le_bytes();
        (varints.at(), head)
    }
}

/// Numbers near 0 of either sign become small unsigned numbers.
#[inline]
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64) >> 63) as u64
}

#[inline]
fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// The most bits in a varint of eight bytes; longer numbers take nine.
const VARINT_BITS: u32 = 56;

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a number has 1 to 64 bits, and one of up to 56 takes at most eight bytes"
)]
fn push_varint(out: &mut Vec<u8>, number: u64) {
    let bits = (u64::BITS - number.leading_zeros()).max(1);
    if bits > VARINT_BITS {
        out.push(0);
        out.extend_from_slice(&number.to_le_bytes());
        return;
    }
    let bytes = bits.div_ceil(7);
    let marked = (number << 1 | 1) << (bytes - 1);
    out.extend_from_slice(&marked.to_le_bytes()[..bytes as usize]);
}

/// The bits of the number in a varint of so many bytes, less one.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
const OWN_BITS: [u64; 8] = {
    let mut own = [0; 8];
    let mut length = 0;
    while length < 8 {
        own[length] = (1 << (7 * (length + 1))) - 1;
        length += 1;
    }
    own
};

/// The varints of a record, one after the other. Where one starts is known only when the length of the last is, and all
/// of decoding waits for that: so they are shifted out of a word, which takes less long than to load each.
struct Varints<'a> {
    window: &'a [u8; WINDOW],
    /// What was loaded and not yet taken, how many bytes that is, and where it ends.
    word: u64,
    loaded: u32,
    end: usize,
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a window has room for the longest record and eight bytes behind it, so no load is beyond its end"
)]
impl<'a> Varints<'a> {
    /// The first byte of a record, and the varints behind it.
    #[inline(always)]
    fn behind_slot(window: &'a [u8; WINDOW]) -> (u8, Varints<'a>) {
        let mut varints = Varints { window, word: 0, loaded: 0, end: 0 };
        varints.load(0);
        let slot = varints.word as u8;
        (varints.word, varints.loaded) = (varints.word >> 8, 7);
        (slot, varints)
    }

    /// Where the next starts.
    #[inline(always)]
    fn at(&self) -> usize {
        self.end - self.loaded as usize
    }

    #[inline(always)]
    fn load(&mut self, at: usize) {
        let bytes = self.window[at..at + 8].try_into().expect("eight bytes");
        (self.word, self.loaded, self.end) = (u64::from_le_bytes(bytes), 8, at + 8);
    }

    #[inline(always)]
    fn next(&mut self) -> u64 {
        let mut more = self.word.trailing_zeros();
        if more >= self.loaded {
            self.load(self.at());
            more = self.word.trailing_zeros();
            if more >= 8 {
                self.load(self.at() + 1);
                self.loaded = 0;
                return self.word;
            }
        }
        let number = (self.word >> 1 >> more) & OWN_BITS[more as usize & 7];
        self.word = self.word >> 8 >> ((8 * more) & 63);
        self.loaded -= 1 + more;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::samples::{self, any_sample, cases};
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn varints_of_every_length_come_back() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for number in edges.chain([u64::MAX]) {
            let mut bytes = vec![7];
            (0..3).for_each(|_| push_varint(&mut bytes, number));
            let length = bytes.len();
            bytes.resize(WINDOW, 0xff);
            let (slot, mut varints) = Varints::behind_slot(bytes.first_chunk().unwrap());
            assert_eq!((slot, [(); 3].map(|()| varints.next())), (7, [number; 3]));
            assert_eq!(varints.at(), length);
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!((zigzag(1), zigzag(u64::MAX)), (2, 1));
    }

    fn decode(bytes: &[u8], origin: Origin) -> (Vec<u8>, usize) {
        let (mut decoder, mut at, mut out) = (Decoder::default(), 0, Vec::new());
        loop {
            let mut batch = [0; 2 * ROOM_FOR_ONE];
            let done = decoder.decode(&bytes[at..], origin, &mut batch);
            at += done.read;
            out.extend_from_slice(&batch[..done.written]);
            if done.is_all {
                return (out, at);
            }
        }
    }

    proptest! {
        #![proptest_config(cases(32))]

        #[test]
        fn any_records_come_back(any_samples in vec(any_sample(), 0..300)) {
            come_back(any_samples);
        }

        #[test]
        fn noise_never_panics(noise in vec(prop_oneof![any::<u8>(), 0..8_u8], 0..5000)) {
            let (_, at) = decode(&noise, Origin::Guest);
            prop_assert!(at <= noise.len().saturating_sub(PADDING).max(1));
        }
    }

    fn come_back(any_samples: Vec<samples::Sample>) {
        let mut samples = samples::every_kind();
        samples.retain(|sample| sample.origin() == Origin::Guest);
        samples.extend(any_samples);
        let raw: Vec<u8> = samples.iter().flat_map(|sample| sample.to_bytes()).collect();
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        for _ in 0..2 {
            out.clear();
            assert!(encoder.encode(&raw, Origin::Guest, &mut out));
            assert_eq!(decode(&out, Origin::Guest), (raw.clone(), out.len() - PADDING));
        }
        assert!(!encoder.encode(&raw, Origin::Host, &mut Vec::new()));
        assert!(!encoder.encode(&raw[..raw.len() - 8], Origin::Guest, &mut Vec::new()));
    }

    /// Later versions must read these bytes too.
    #[test]
    fn the_bytes_of_two_records() {
        let tick = |tsc: u64, detail: u64| [tsc, detail << 32 | 1 << 16 | 11].map(u64::to_le_bytes).concat();
        let raw = [tick(1000, 0), tick(1003, 1)].concat();
        let mut out = Vec::new();
        assert!(Encoder::default().encode(&raw, Origin::Guest, &mut out));
        // Slot, mask, time, and the head from 0 to 0x1_0000_0000_000b; then from there by 0x1_0000.
        let first = [0x2b, 0x03, 0x42, 0x1f, 0x80, 0x16, 0, 0, 0, 0, 0, 0x02];
        assert_eq!(out, [&first[..], &[0x2b, 0x03, 0x0d, 0x04, 0, 0x10], &[0; PADDING]].concat());
        assert_eq!(decode(&out, Origin::Guest).0, raw);
    }
}
