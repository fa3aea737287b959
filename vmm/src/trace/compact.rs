//! The compact encoding of a chunk: each record as its differences from an earlier one like it.
//!
//! Most of what a record says was said before: the registers of a process that only called `getpid` are those of
//! its last call but for two. So a record names one of [`SLOTS`] slots, which holds the last record that named
//! it, and tells which of its numbers differ and by how much. Which slot a record takes is the encoder's choice
//! alone; a reader follows. Slots start out as zeros in each chunk, so that each chunk decodes without the others.
//!
//! A varint has its length in its first byte, so that reading one takes a load, a count of zeros and two shifts, and
//! no loop. Its limit is no compression beyond that: repeating sequences of records are told again.

use abi::record::{FIRST_HOST_KIND, HEAD_SIZE, WORDS_MAX};

use super::Origin;
use super::format::{record_size, u64_at};

/// How many slots there are: a byte names one.
const SLOTS: usize = 256;
/// A slot's cells: what the head of a record says beside its time, then its words.
const CELLS: usize = 1 + WORDS_MAX;
/// Zeros at the end of a payload, so that a reader may load eight bytes wherever a varint starts.
pub(super) const PADDING: usize = 8;

/// Numbers as their bytes: words are shown as they would lie in a file.
type Cell = [u8; 8];

/// The records of a payload, as they come to be known to an encoder and to a decoder.
#[derive(Clone, Debug)]
struct State {
    /// Their memory is zeros that the system gives when they are first used: most never are.
    slots: Box<[[Cell; CELLS]; SLOTS]>,
    /// A bit for each slot that was used.
    used: [u64; SLOTS / 64],
    tsc: u64,
}

impl Default for State {
    fn default() -> State {
        let slots = vec![[Cell::default(); CELLS]; SLOTS].into_boxed_slice();
        State { slots: slots.try_into().expect("as many as were made"), used: [0; SLOTS / 64], tsc: 0 }
    }
}

impl State {
    fn reset(&mut self) {
        for slot in 0..SLOTS {
            if self.used[slot / 64] >> (slot % 64) & 1 != 0 {
                self.slots[slot] = [Cell::default(); CELLS];
            }
        }
        self.used = [0; SLOTS / 64];
        self.tsc = 0;
    }

    /// A slot, to be changed.
    #[inline]
    fn slot(&mut self, slot: u8) -> &mut [Cell; CELLS] {
        self.used[usize::from(slot / 64)] |= 1 << (slot % 64);
        &mut self.slots[usize::from(slot)]
    }
}

/// Encodes payloads.
#[derive(Debug, Default)]
pub(super) struct Encoder(State);

impl Encoder {
    /// Appends the compact form of a payload of records. False: it has bytes that are no record of `origin`, and what
    /// was appended is of no use.
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

    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let (tsc, head) = (u64_at(record, 0), u64_at(record, 8));
        let slot = slot_of(head);
        let cells = self.0.slot(slot);
        let words = record[HEAD_SIZE..].chunks_exact(8).map(|word| u64_at(word, 0));
        let (mut mask, mut changes, mut changed) = (0, [0; CELLS], 0);
        for (cell, value) in std::iter::once(head.rotate_left(32)).chain(words).enumerate() {
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

/// Records of one kind and one process are alike: 32 kinds of 8 processes have slots of their own.
fn slot_of(head: u64) -> u8 {
    let (kind, process) = (head as u8, (head >> 16) as u8);
    kind.wrapping_add(process.wrapping_mul(32))
}

/// Decodes a payload, each record in two steps, so that the time of the next is known before the record is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoder {
    state: State,
    /// Of the record that was peeked at: its slot, which cells change, and where their changes start.
    slot: u8,
    mask: u64,
    changes: usize,
}

impl Decoder {
    /// Begins a payload.
    pub(super) fn reset(&mut self) {
        self.state.reset();
    }

    /// Looks at the record at the start of `bytes`, which go to the end of the padding. The value is its time; none:
    /// there is no record.
    #[inline]
    pub(super) fn peek(&mut self, bytes: &[u8]) -> Option<u64> {
        self.slot = *bytes.first()?;
        self.changes = 1;
        self.mask = varint(bytes, &mut self.changes)?;
        let change = unzigzag(varint(bytes, &mut self.changes)?);
        self.state.tsc = self.state.tsc.wrapping_add(change);
        (self.mask >> CELLS == 0).then_some(self.state.tsc)
    }

    /// Takes the record that was peeked at. The value is its slot, and its size in `bytes`; none: it is no whole record of
    /// `origin`.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], origin: Origin) -> Option<(u8, usize)> {
        let cells = self.state.slot(self.slot);
        let (mut mask, mut at) = (self.mask, self.changes);
        while mask != 0 {
            let cell = cells.get_mut(mask.trailing_zeros() as usize)?;
            let change = unzigzag(varint(bytes, &mut at)?);
            *cell = u64::from_le_bytes(*cell).wrapping_add(change).to_le_bytes();
            mask &= mask - 1;
        }
        let head = self.head(self.slot);
        let (kind, words) = (head as u8, usize::from((head >> 8) as u8));
        let its_own = (kind >= FIRST_HOST_KIND) == (origin == Origin::Host);
        let whole = kind != 0 && its_own && words <= WORDS_MAX && at + PADDING <= bytes.len();
        whole.then_some((self.slot, at))
    }

    /// What stands behind the time in the head of the record that a slot holds.
    #[inline]
    pub(super) fn head(&self, slot: u8) -> u64 {
        u64::from_le_bytes(self.state.slots[usize::from(slot)][0]).rotate_left(32)
    }

    /// The bytes of the words of the record that a slot holds, and behind them some of others.
    #[inline]
    pub(super) fn words(&self, slot: u8) -> &[u8] {
        self.state.slots[usize::from(slot)][1..].as_flattened()
    }
}

/// Small numbers of either sign become small numbers.
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

/// Reads the varint at `at`, and moves `at` behind it.
#[inline(always)]
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let load = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let low = load(*at)?;
    let length = low.trailing_zeros() + 1;
    if length > 8 {
        let number = load(*at + 1)?;
        *at += 9;
        return Some(number);
    }
    *at += length as usize;
    Some((low << (64 - 8 * length)) >> (64 - 7 * length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::samples::{self, Random};

    #[test]
    fn varints_of_every_length_come_back() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for number in edges.chain([u64::MAX]) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number);
            let length = bytes.len();
            bytes.extend_from_slice(&[0xff; PADDING]);
            let mut at = 0;
            assert_eq!(varint(&bytes, &mut at), Some(number));
            assert_eq!(at, length);
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!((zigzag(1), zigzag(u64::MAX)), (2, 1));
    }

    fn decode(bytes: &[u8], origin: Origin) -> (Vec<u8>, usize) {
        let (mut decoder, mut at, mut out) = (Decoder::default(), 0, Vec::new());
        while let Some(tsc) = decoder.peek(&bytes[at..])
            && let Some((slot, size)) = decoder.take(&bytes[at..], origin)
        {
            at += size;
            let head = decoder.head(slot);
            out.extend_from_slice([tsc, head].map(u64::to_le_bytes).as_flattened());
            out.extend_from_slice(&decoder.words(slot)[..8 * usize::from((head >> 8) as u8)]);
        }
        (out, at)
    }

    #[test]
    fn any_records_come_back() {
        let mut random = Random::new(3);
        let mut samples = samples::every_kind();
        samples.retain(|sample| sample.origin() == Origin::Guest);
        samples.extend((0..1000).map(|_| {
            let tsc = random.next();
            random.sample(tsc)
        }));
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

    #[test]
    fn noise_never_panics() {
        let mut random = Random::new(11);
        for length in (0..400).chain([5000; 200]) {
            let noise: Vec<u8> = (0..length).map(|_| random.next() as u8 & random.next() as u8).collect();
            let (_, at) = decode(&noise, Origin::Guest);
            assert!(at <= noise.len().saturating_sub(PADDING).max(1));
        }
    }

    /// The format is a promise: these bytes must stay readable for ever.
    #[test]
    fn the_bytes_of_two_records() {
        let tick = |tsc: u64, detail: u64| [tsc, detail << 32 | 1 << 16 | 11].map(u64::to_le_bytes).concat();
        let raw = [tick(1000, 0), tick(1003, 1)].concat();
        let mut out = Vec::new();
        assert!(Encoder::default().encode(&raw, Origin::Guest, &mut out));
        // Slot, mask, time, and the head from 0 to 0x1000b00000000; then from there by 1.
        let first = [0x2b, 0x03, 0x42, 0x1f, 0x80, 0, 0, 0, 0, 0x16, 0, 0x02];
        assert_eq!(out, [&first[..], &[0x2b, 0x03, 0x0d, 0x05], &[0; PADDING]].concat());
        assert_eq!(decode(&out, Origin::Guest).0, raw);
    }
}
