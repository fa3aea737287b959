//! The records of a trace one after the other: each origin's chunk by chunk, and both merged by their time.

use super::clock::Clock;
use super::walk::Walk;
use super::{Event, Origin, format};

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number among those of its origin, from 0.
    pub sequence: u64,
    /// Who wrote it.
    pub origin: Origin,
    /// The guest's time stamp counter.
    pub tsc: u64,
    /// An [`abi::record::Kind`], or a kind of a later version.
    pub kind: u8,
    /// 0: the kernel; else the process.
    pub process: u16,
    /// As the kind says.
    pub detail: u32,
    pub(super) words: &'a [u8],
}

impl<'a> Record<'a> {
    /// `head` is what stands behind the time in its head.
    #[inline]
    pub(super) fn new(sequence: u64, origin: Origin, tsc: u64, head: u64, words: &'a [u8]) -> Record<'a> {
        let (kind, process, detail) = (head as u8, (head >> 16) as u16, (head >> 32) as u32);
        Record { sequence, origin, tsc, kind, process, detail, words }
    }

    /// How many words it has.
    #[inline]
    pub fn word_count(&self) -> usize {
        self.words.len() / 8
    }

    /// One of its words.
    #[inline]
    pub fn word(&self, index: usize) -> Option<u64> {
        self.words.as_chunks().0.get(index).map(|word| u64::from_le_bytes(*word))
    }

    /// Its words.
    #[inline]
    pub fn words(&self) -> impl Iterator<Item = u64> + 'a {
        self.words.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }
}

/// Where the chunks of one origin come from.
pub(super) trait Supply {
    /// Puts the next chunk, its head included, in the place of the last one's bytes. The value is the number of its first
    /// record, and its encoding. None: there is no more.
    fn next(&mut self, origin: Origin, chunk: &mut Vec<u8>) -> Option<(u64, u8)>;
}

/// The records of one origin.
#[derive(Clone, Debug)]
pub(super) struct Stream<S> {
    pub(super) supply: S,
    /// The chunk that they are in.
    chunk: Vec<u8>,
    walk: Walk,
    /// The number of the record that is next.
    sequence: u64,
}

impl<S: Supply> Stream<S> {
    pub(super) fn new(origin: Origin, supply: S) -> Stream<S> {
        Stream { supply, chunk: Vec::new(), walk: Walk::new(origin), sequence: 0 }
    }

    /// The time of the next record, if there is one. The record taken before is gone.
    pub(super) fn peek(&mut self) -> Option<u64> {
        if self.walk.peek().is_none() {
            self.next_batch();
        }
        self.walk.peek()
    }

    /// Takes the record that was peeked at.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Record<'_>> {
        let (sequence, origin) = (self.sequence, self.walk.origin());
        let (tsc, head, words) = self.walk.take()?;
        self.sequence = sequence.wrapping_add(1);
        Some(Record::new(sequence, origin, tsc, head, words))
    }

    /// Goes to the next batch, if there is one.
    fn next_batch(&mut self) {
        while self.walk.next_batch(format::payload(&self.chunk)) == 0 {
            let Some((first, encoding)) = self.supply.next(self.walk.origin(), &mut self.chunk) else {
                return;
            };
            self.walk.start(encoding);
            self.sequence = first;
        }
    }
}

/// The records of both origins, merged by their time.
#[derive(Clone, Debug)]
pub(super) struct Merge<S> {
    pub(super) guest: Stream<S>,
    pub(super) host: Stream<S>,
    /// While there are records of the guest that are not later than this, they come next.
    host_at: u64,
}

impl<S: Supply> Merge<S> {
    pub(super) fn new(guest: S, host: S) -> Merge<S> {
        let (guest, host) = (Stream::new(Origin::Guest, guest), Stream::new(Origin::Host, host));
        Merge { guest, host, host_at: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<Record<'_>> {
        match self.guest.walk.peek() {
            Some(tsc) if tsc <= self.host_at => self.guest.take(),
            _ => self.choose().take(),
        }
    }

    /// The stream whose record is next. Most records are the guest's and in its batch, and do not come here.
    #[cold]
    fn choose(&mut self) -> &mut Stream<S> {
        let (guest, host) = (self.guest.peek(), self.host.peek());
        self.host_at = host.unwrap_or(u64::MAX);
        if guest.is_some_and(|guest| guest <= self.host_at) { &mut self.guest } else { &mut self.host }
    }

    /// Takes note that there may be more records of the host than there were.
    pub(super) fn has_more(&mut self) {
        self.host_at = 0;
    }
}

/// A record as an event; it is never `None`, which saves a copy of each event in an iterator.
#[inline(always)]
pub(crate) fn decode(record: &Record<'_>, clock: &Clock) -> Option<Event> {
    let Record { sequence, origin, tsc, process, .. } = *record;
    let nanoseconds = clock.nanoseconds(tsc);
    Some(Event { sequence, origin, tsc, nanoseconds, process, what: record.what() })
}
