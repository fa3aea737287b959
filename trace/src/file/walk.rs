//! Steps through the records of chunks, in whichever encoding they are.
//!
//! Records are decoded in batches, into memory that the next batch overwrites. So the loop that decodes them does nothing
//! else, and its callers get records as they would be in a file without compression. A batch is small, so that it stays in
//! the first-level cache, whatever the size of a chunk.

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

/// A walk over the records of one origin: [`Walk::start`] for each payload, [`Walk::next_batch`] with that payload, then
/// [`Walk::peek`] and [`Walk::take`] as long as there are any.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    origin: Origin,
    encoding: u8,
    /// How much of the payload was decoded.
    read: usize,
    decoder: Decoder,
    batch: Box<[u8; BATCH]>,
    /// Where the records of the batch start that were not taken, and where they end.
    at: usize,
    end: usize,
    is_over: bool,
}

impl Walk {
    pub(super) fn new(origin: Origin) -> Walk {
        let batch = vec![0; BATCH].into_boxed_slice().try_into().expect("as many as were made");
        let decoder = Decoder::default();
        Walk { origin, encoding: RAW, read: 0, decoder, batch, at: 0, end: 0, is_over: true }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Begins a payload.
    pub(super) fn start(&mut self, encoding: u8) {
        (self.read, self.encoding) = (0, encoding);
        (self.at, self.end, self.is_over) = (0, 0, false);
        self.decoder.reset();
    }

    /// Decodes the next batch of the payload, whether all of the last was taken or not. The value is how many records it
    /// has; 0: there are no more.
    pub(super) fn next_batch(&mut self, payload: &[u8]) -> u32 {
        if self.is_over {
            return 0;
        }
        let rest = payload.get(self.read..).unwrap_or_default();
        let decoded = match self.encoding {
            COMPACT => self.decoder.decode(rest, self.origin, &mut self.batch[..]),
            _ => copy(rest, self.origin, &mut self.batch[..]),
        };
        self.read = self.read.saturating_add(decoded.read);
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
        let words = rest.get(..8_usize.wrapping_mul(usize::from((head >> 8) as u8)))?;
        self.at = self.at.wrapping_add(HEAD_SIZE).wrapping_add(words.len());
        Some((tsc, head, words))
    }

    /// When there are no more batches: how many bytes at the end of the payload are not a record.
    pub(super) fn left(&self, payload: &[u8]) -> usize {
        let padding = if self.encoding == COMPACT { PADDING } else { 0 };
        let left = payload.len().saturating_sub(self.read);
        if left == padding { 0 } else { left }
    }
}

/// Copies the whole records at the start of a payload, as many as there is room for.
fn copy(payload: &[u8], origin: Origin, out: &mut [u8]) -> Decoded {
    let mut done = Decoded::default();
    loop {
        let rest = payload.get(done.read..).unwrap_or_default();
        let record = format::record_size(rest, origin).and_then(|size| rest.get(..size));
        let Some(record) = record else { return Decoded { is_all: true, ..done } };
        let end = done.read.saturating_add(record.len());
        let Some(room) = out.get_mut(done.read..end) else { return done };
        room.copy_from_slice(record);
        done = Decoded { read: end, written: end, records: done.records.saturating_add(1), is_all: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::compact::Encoder;
    use crate::file::samples::{Sample, any_sample, cases};
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(cases(8))]

        #[test]
        fn the_batches_are_the_payload(samples in vec(any_sample(), 1000)) {
            are_the_payload(&samples);
        }
    }

    fn are_the_payload(samples: &[Sample]) {
        let raw: Vec<u8> = samples.iter().flat_map(Sample::to_bytes).collect();
        let mut compact = Vec::new();
        assert!(Encoder::default().encode(&raw, Origin::Guest, &mut compact));
        for (payload, encoding) in [(&raw, RAW), (&compact, COMPACT)] {
            let mut walk = Walk::new(Origin::Guest);
            walk.start(encoding);
            let (mut seen, mut batches) = (Vec::new(), Vec::new());
            while let records @ 1.. = walk.next_batch(payload) {
                batches.push(records);
                while let Some((tsc, head, words)) = walk.take() {
                    seen.extend_from_slice([tsc, head].map(u64::to_le_bytes).as_flattened());
                    seen.extend_from_slice(words);
                }
            }
            assert!(batches.len() > 1);
            assert_eq!((batches.iter().sum(), walk.left(payload)), (1000, 0));
            assert_eq!(seen, raw);
        }
    }

    /// After an error, the slots of the decoder are wrong, and could produce records that do not exist.
    #[test]
    fn where_a_payload_ends_it_stays_ended() {
        let (mut host, mut payload) = (Vec::new(), Vec::new());
        format::push_record(&mut host, 0, 0xC0, 0, 0, &[]);
        assert!(Encoder::default().encode(&host, Origin::Host, &mut payload));
        let mut walk = Walk::new(Origin::Guest);
        walk.start(COMPACT);
        assert_eq!([(); 5].map(|()| walk.next_batch(&payload)), [0; 5]);
        assert_eq!(walk.left(&payload), payload.len());
    }
}
