//! Steps through the records of chunks, in whichever encoding they are.
//!
//! Records are decoded a batch at a time into memory that the next batch takes over: the loop that decodes them has
//! nothing else to keep in mind, and whoever takes them has them as they would lie in a file. A batch is small, so that
//! it stays in the cache next to the CPU, whatever the size of a chunk.

use abi::record::HEAD_SIZE;

use super::Origin;
use super::compact::{Decoder, PADDING, ROOM_FOR_ONE};
use super::format::{self, COMPACT, RAW};

/// The size of a batch in bytes: some hundred records.
const BATCH: usize = 16 << 10;
const _: () = assert!(ROOM_FOR_ONE <= BATCH);

/// What was decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoded {
    /// Bytes of the payload.
    pub(super) read: usize,
    /// Bytes of records.
    pub(super) written: usize,
    /// How many records these are.
    pub(super) records: u32,
    /// There are no more whole records in the payload.
    pub(super) is_all: bool,
}

/// A walk over the records of one origin: [`Walk::start`] with each payload, then [`Walk::peek`] and [`Walk::take`] as
/// long as there are any.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    origin: Origin,
    encoding: u8,
    /// What is left of the payload.
    rest: &'a [u8],
    decoder: Decoder,
    batch: Box<[u8; BATCH]>,
    /// Where the records of the batch start that were not taken, and where they end.
    at: usize,
    end: usize,
    is_over: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(origin: Origin) -> Walk<'a> {
        let batch = vec![0; BATCH].into_boxed_slice().try_into().expect("as many as were made");
        let decoder = Decoder::default();
        Walk { origin, encoding: RAW, rest: &[], decoder, batch, at: 0, end: 0, is_over: true }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn start(&mut self, payload: &'a [u8], encoding: u8) {
        (self.rest, self.encoding) = (payload, encoding);
        (self.at, self.end, self.is_over) = (0, 0, false);
        self.decoder.reset();
    }

    /// Decodes the next batch, whether all of the last was taken or not. The value is how many records it has; 0: there
    /// are no more.
    pub(super) fn next_batch(&mut self) -> u32 {
        if self.is_over {
            return 0;
        }
        let decoded = match self.encoding {
            COMPACT => self.decoder.decode(self.rest, self.origin, &mut self.batch[..]),
            _ => copy(self.rest, self.origin, &mut self.batch[..]),
        };
        self.rest = &self.rest[decoded.read..];
        (self.at, self.end, self.is_over) = (0, decoded.written, decoded.is_all);
        decoded.records
    }

    /// The time of the next record of the batch, if there is one.
    #[inline]
    pub(super) fn peek(&self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.batch.get(self.at..self.end)?.first_chunk()?))
    }

    /// Takes the next record of the batch, if there is one: its time, what stands behind it in its head, and the bytes
    /// of its words.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(u64, u64, &[u8])> {
        let (head, rest) = self.batch.get(self.at..self.end)?.split_first_chunk::<HEAD_SIZE>()?;
        let (tsc, head) = (format::u64_at(head, 0), format::u64_at(head, 8));
        let words = rest.get(..8 * usize::from((head >> 8) as u8))?;
        self.at += HEAD_SIZE + words.len();
        Some((tsc, head, words))
    }

    /// Bytes that are no record and should be one, when there are no more batches.
    pub(super) fn left(&self) -> usize {
        let padding = if self.encoding == COMPACT { PADDING } else { 0 };
        if self.rest.len() == padding { 0 } else { self.rest.len() }
    }
}

/// Copies the whole records at the start of a payload, as many as there is room for.
fn copy(payload: &[u8], origin: Origin, out: &mut [u8]) -> Decoded {
    let mut done = Decoded::default();
    loop {
        let Some(size) = format::record_size(&payload[done.read..], origin) else {
            return Decoded { is_all: true, ..done };
        };
        let end = done.read + size;
        let Some(room) = out.get_mut(done.read..end) else { return done };
        room.copy_from_slice(&payload[done.read..end]);
        done = Decoded { read: end, written: end, records: done.records + 1, is_all: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::compact::Encoder;
    use crate::file::samples::Random;

    #[test]
    fn the_batches_are_the_payload() {
        let mut random = Random::new(5);
        let raw: Vec<u8> = (0..1000).flat_map(|tsc| random.sample(tsc).to_bytes()).collect();
        let mut compact = Vec::new();
        assert!(Encoder::default().encode(&raw, Origin::Guest, &mut compact));
        for (payload, encoding) in [(&raw, RAW), (&compact, COMPACT)] {
            let mut walk = Walk::new(Origin::Guest);
            walk.start(payload, encoding);
            let (mut seen, mut batches) = (Vec::new(), Vec::new());
            while let records @ 1.. = walk.next_batch() {
                batches.push(records);
                while let Some((tsc, head, words)) = walk.take() {
                    seen.extend_from_slice([tsc, head].map(u64::to_le_bytes).as_flattened());
                    seen.extend_from_slice(words);
                }
            }
            assert!(batches.len() > 1);
            assert_eq!((batches.iter().sum(), walk.left()), (1000, 0));
            assert_eq!(seen, raw);
        }
    }

    /// What a decoder has in its slots after it was wrong could make records of nothing.
    #[test]
    fn where_a_payload_ends_it_stays_ended() {
        let (mut host, mut payload) = (Vec::new(), Vec::new());
        format::push_record(&mut host, 0, 0xC0, 0, 0, &[]);
        assert!(Encoder::default().encode(&host, Origin::Host, &mut payload));
        let mut walk = Walk::new(Origin::Guest);
        walk.start(&payload, COMPACT);
        assert_eq!([(); 5].map(|()| walk.next_batch()), [0; 5]);
        assert_eq!(walk.left(), payload.len());
    }
}
