//! Reads a trace file, a damaged one as far as it is whole.
//!
//! Opening walks over every chunk once: its CRC, and whether its records are whole. So all damage is known before the
//! first record is read. Neither this walk nor the iterators keep more of the file in memory than some chunks.

use std::io;
use std::path::{Path, PathBuf};

use abi::record::{HostCounter, Kind};

use super::event;
use super::format::{self, CHUNK_MAGIC, CHUNK_SIZE, COMPACT, ChunkHead, Content, HeadState, Origin, RAW};
use super::mapping::Bytes;
use super::names::printable;
use super::walk::Walk;
use super::{Clock, Event, Meta};

/// The memory of what was read goes back in pieces of this size, in bytes.
const LET_GO_EACH: usize = 4 << 20;
/// How many times its own size a file may make a reader look for chunks behind damage: one that was made to look like
/// the start of a chunk at every byte would else take for ever.
const SEARCHES: usize = 16;

/// Why a file could not be opened as a trace.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be read.
    #[error("cannot read the trace file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is something else.
    #[error("{} is not a trace file of Trapline: name one that `trapline run --trace` wrote", path.display())]
    NotATrace {
        /// The file.
        path: PathBuf,
    },
    /// It ends before its first chunk.
    #[error("{} is cut short inside its head, after {bytes} bytes: there is no record in it", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// A later version wrote it.
    #[error(
        "{} has trace format {version}, this Trapline reads up to {}: use a later Trapline",
        path.display(),
        format::VERSION
    )]
    Later {
        /// The file.
        path: PathBuf,
        /// Its format's version.
        version: u16,
    },
}

/// Something that is not in the file, or not as it was written. Offsets and sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Damage {
    /// What ran is not known.
    #[error("the head is damaged: what ran and the time scale are unknown")]
    Head,
    /// Bytes that are no chunk, between chunks that are.
    #[error("{bytes} bytes at offset {offset} are damaged and were skipped")]
    Unreadable { offset: usize, bytes: usize },
    /// Bytes after the last whole chunk.
    #[error("cut short: the last {bytes} bytes, from offset {offset}, are no whole chunk{}", said(*records))]
    Tail { offset: usize, bytes: usize, records: Option<u32> },
    /// Whole chunks, but no end.
    #[error("the file was not closed: the run was cut off, and what came last may be missing")]
    NotClosed,
    /// Sequence numbers that no chunk has.
    #[error("{records} {} records from number {first} on are missing", origin_name(*origin))]
    Gap { origin: Origin, first: u64, records: u64 },
    /// A chunk that is not in its place: it is there twice, or stands behind one that follows it.
    #[error("the chunk at offset {offset} starts with {} record {first}, expected {expected}", origin_name(*origin))]
    OutOfOrder { offset: usize, origin: Origin, first: u64, expected: u64 },
    /// A chunk of a later version.
    #[error(
        "the chunk at offset {offset} is of a kind that this version does not know: {records} records skipped"
    )]
    UnknownChunk { offset: usize, records: u32 },
    /// The guest handed over bytes that are no records.
    #[error("{bytes} bytes at offset {offset} are no records: the {} wrote them so", origin_name(*origin))]
    Malformed { offset: usize, bytes: usize, origin: Origin },
    /// The guest's count is not the number of records it handed over.
    #[error("the chunk at offset {offset} should have {said} records and has {found}: the guest miscounted")]
    Miscounted { offset: usize, said: u32, found: u32 },
    /// The guest had no room.
    #[error("the guest could not record {records} events")]
    LostByGuest { records: u64 },
    /// The file was made of another one by [`super::recover`].
    #[error("recovered from a damaged file: {what}")]
    Recovered { what: String },
    /// The host found bytes that are no records in the guest's buffer.
    #[error("{bytes} bytes in the guest's buffer were no whole record")]
    MalformedInGuest { bytes: u64 },
}

fn said(records: Option<u32>) -> String {
    records.map_or_else(String::new, |records| format!("; it was to have {records} records"))
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Guest => "guest",
        Origin::Host => "host",
    }
}

/// A chunk of records whose CRC is right. Offsets are in the file.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    origin: Origin,
    encoding: u8,
    /// The number of its first record.
    first: u64,
    /// How many it has, as it says.
    records: u32,
    /// Where its head is.
    at: usize,
    /// Where its payload ends.
    end: usize,
}

/// A trace file, opened.
#[derive(Debug)]
pub struct Trace {
    bytes: Bytes,
    meta: Meta,
    chunks: Vec<Chunk>,
    damage: Vec<Damage>,
    /// Records of guest and host that the run is known to have had.
    totals: [u64; 2],
}

impl Trace {
    /// Opens a trace file. Damage is no error: see [`Trace::damage`].
    pub fn open(path: &Path) -> Result<Trace, OpenError> {
        let bytes = Bytes::of(path).map_err(|cause| OpenError::Read { path: path.into(), cause })?;
        let mut scan = Scan::new(&bytes);
        let (meta, start) = match format::open_head(&bytes) {
            HeadState::Whole(meta, start) => (*meta, start),
            HeadState::Later(version) => return Err(OpenError::Later { path: path.into(), version }),
            HeadState::Cut if scan.find_chunk(0, bytes.len()).is_none() => {
                return Err(OpenError::Cut { path: path.into(), bytes: bytes.len() });
            }
            state => {
                let first = match state {
                    // A large file of another kind should not be searched to its end.
                    HeadState::Missing => scan.find_chunk(0, bytes.len().min(format::FIRST_CHUNK_WITHIN)),
                    _ => scan.find_chunk(0, bytes.len()),
                };
                if first.is_none() && state == HeadState::Missing {
                    return Err(OpenError::NotATrace { path: path.into() });
                }
                scan.damage.push(Damage::Head);
                (Meta::default(), first.unwrap_or(format::HEAD_SIZE))
            }
        };
        scan.damage.extend(meta.recovered.iter().map(|what| Damage::Recovered { what: printable(what) }));
        scan.run(start);
        scan.put_in_order();
        let Scan { chunks, damage, totals, .. } = scan;
        let mut trace = Trace { bytes, meta, chunks, damage, totals };
        trace.note_what_the_host_noted();
        Ok(trace)
    }

    /// What ran.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What is damaged, in the order of the file, and then what is missing. Empty: every record of the run is here.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// All records, those of guest and host merged by their time. Within an origin they keep their order. Each is lent
    /// until the next is asked for: `while let Some(record) = records.next()`.
    pub fn records(&self) -> Records<'_> {
        Records { guest: self.stream(Origin::Guest), host: self.stream(Origin::Host), host_at: 0 }
    }

    /// All records, decoded, in the order of [`Trace::records`].
    pub fn events(&self) -> Events<'_> {
        Events { records: self.records(), clock: self.clock() }
    }

    /// The clock of the trace: 0 at its first record.
    pub fn clock(&self) -> Clock {
        let mut records = self.records();
        let start = records.next().map_or(0, |record| record.tsc);
        Clock::new(start, self.meta.tsc_khz)
    }

    /// How many records of an origin the run is known to have had, those that are missing included.
    pub fn total(&self, origin: Origin) -> u64 {
        self.totals[origin as usize]
    }

    /// The chunks of records, as they are in the file, each origin's in the order of its numbers.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (ChunkHead, &[u8])> {
        let bytes = |chunk: &Chunk| &self.bytes[chunk.at..chunk.end];
        self.chunks.iter().map(bytes).filter_map(|chunk| Some((ChunkHead::peek(chunk)?, chunk)))
    }

    /// The time of the first record of a chunk; 0: it has none.
    pub(super) fn first_tsc(head: &ChunkHead, chunk: &[u8]) -> u64 {
        let Content::Records(origin) = head.content else { return 0 };
        let mut walk = Walk::new(origin);
        walk.start(&chunk[CHUNK_SIZE..], head.encoding);
        walk.next_batch();
        walk.peek().unwrap_or(0)
    }

    fn stream(&self, origin: Origin) -> Stream<'_> {
        Stream {
            bytes: &self.bytes,
            chunks: self.chunks.iter(),
            walk: Walk::new(origin),
            sequence: 0,
            let_go: 0,
        }
    }

    fn note_what_the_host_noted(&mut self) {
        let mut noted = Vec::new();
        let mut host = self.stream(Origin::Host);
        while host.peek().is_some()
            && let Some(record) = host.take()
        {
            let Some(value @ 1..) = record.word(0).filter(|_| record.kind == Kind::HostCount as u8) else {
                continue;
            };
            match HostCounter::try_from(record.detail) {
                Ok(HostCounter::LostByGuest) => noted.push(Damage::LostByGuest { records: value }),
                Ok(HostCounter::Malformed) => noted.push(Damage::MalformedInGuest { bytes: value }),
                _ => {}
            }
        }
        self.damage.extend(noted);
    }
}

/// The walk over a file at its opening.
struct Scan<'a> {
    bytes: &'a Bytes,
    chunks: Vec<Chunk>,
    damage: Vec<Damage>,
    /// The number of the next record of guest and host.
    next: [u64; 2],
    /// How many there were up to here, as the chunks say.
    totals: [u64; 2],
    walks: [Walk<'a>; 2],
    /// Bytes that may still be looked at behind damage.
    searches: usize,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a Bytes) -> Scan<'a> {
        Scan {
            bytes,
            chunks: Vec::new(),
            damage: Vec::new(),
            next: [0; 2],
            totals: [0; 2],
            walks: [Walk::new(Origin::Guest), Walk::new(Origin::Host)],
            searches: bytes.len().saturating_mul(SEARCHES),
        }
    }

    /// Takes everything from `at` on.
    fn run(&mut self, mut at: usize) {
        let (mut index, mut let_go) = (None, 0);
        let bytes = self.bytes;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if index.is_some_and(|index: usize| rest == format::end_mark(index as u64)) {
                return;
            }
            let Some((head, payload)) = ChunkHead::open(rest) else {
                match self.find_chunk(at, bytes.len()) {
                    Some(next) => {
                        self.damage.push(Damage::Unreadable { offset: at, bytes: next - at });
                        at = next;
                        continue;
                    }
                    None => {
                        let records = ChunkHead::peek(rest).map(|head| head.records);
                        self.damage.push(Damage::Tail { offset: at, bytes: rest.len(), records });
                        return;
                    }
                }
            };
            match head.content {
                Content::Records(origin) if matches!(head.encoding, RAW | COMPACT) => {
                    self.take_records(at, &head, payload, origin)
                }
                Content::Index => index = Some(at),
                _ => self.damage.push(Damage::UnknownChunk { offset: at, records: head.records }),
            }
            let [guest, host] = self.totals;
            self.totals = [guest.max(head.guest_total), host.max(head.host_total)];
            at += CHUNK_SIZE + payload.len();
            if at - let_go >= LET_GO_EACH {
                bytes.let_go(let_go..at);
                let_go = at;
            }
        }
        self.damage.push(Damage::NotClosed);
    }

    /// The offset of the first whole chunk that lies between two offsets.
    fn find_chunk(&mut self, from: usize, to: usize) -> Option<usize> {
        let bytes = &self.bytes[..to];
        let windows = bytes[from..].windows(CHUNK_MAGIC.len()).enumerate();
        let starts = windows.filter(|(_, start)| **start == CHUNK_MAGIC).map(|(offset, _)| from + offset);
        for start in starts {
            let size = ChunkHead::peek(&bytes[start..]).map_or(0, |head| CHUNK_SIZE + head.stored as usize);
            self.searches = self.searches.checked_sub(size.min(to - start))?;
            if ChunkHead::open(&bytes[start..]).is_some() {
                return Some(start);
            }
        }
        None
    }

    /// Orders the chunks of each origin by the numbers of their records, leaves out those that are there twice, and tells
    /// which numbers are missing.
    fn put_in_order(&mut self) {
        let numbers = |wanted| {
            let own = self.chunks.iter().filter(move |chunk| chunk.origin == wanted);
            own.map(|chunk| chunk.first)
        };
        if !numbers(Origin::Guest).is_sorted() || !numbers(Origin::Host).is_sorted() {
            self.chunks.sort_by_key(|chunk| chunk.first);
        }
        self.next = [0; 2];
        self.chunks.retain(|chunk| {
            let next = &mut self.next[chunk.origin as usize];
            let is_new = chunk.first >= *next;
            if is_new {
                self.damage.extend(gap(chunk.origin, *next, chunk.first));
                *next = chunk.first.saturating_add(chunk.records.into());
            }
            is_new
        });
        for origin in [Origin::Guest, Origin::Host] {
            let (next, total) = (self.next[origin as usize], &mut self.totals[origin as usize]);
            self.damage.extend(gap(origin, next, *total));
            *total = next.max(*total);
        }
    }

    fn take_records(&mut self, at: usize, head: &ChunkHead, payload: &'a [u8], origin: Origin) {
        let (first, expected) = (head.first, self.next[origin as usize]);
        if first < expected {
            self.damage.push(Damage::OutOfOrder { offset: at, origin, first, expected });
        }
        self.next[origin as usize] = first.saturating_add(u64::from(head.records)).max(expected);
        let (encoding, end) = (head.encoding, at + CHUNK_SIZE + payload.len());
        let walk = &mut self.walks[origin as usize];
        walk.start(payload, encoding);
        let mut found = 0;
        while let records @ 1.. = walk.next_batch() {
            found += records;
        }
        let left = walk.left();
        self.chunks.push(Chunk { origin, encoding, first, records: head.records, at, end });
        if left > 0 {
            self.damage.push(Damage::Malformed { offset: end - left, bytes: left, origin });
        }
        if found != head.records {
            self.damage.push(Damage::Miscounted { offset: at, said: head.records, found });
        }
    }
}

/// Records that are missing from one number up to another, if there are any between them.
fn gap(origin: Origin, first: u64, end: u64) -> Option<Damage> {
    (end > first).then(|| Damage::Gap { origin, first, records: end - first })
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number among those of its origin, from 0.
    pub sequence: u64,
    /// Who wrote it.
    pub origin: Origin,
    /// The guest's time stamp counter.
    pub tsc: u64,
    /// An [`abi::record::Kind`], or one of a later version.
    pub kind: u8,
    /// 0: the kernel; else the process.
    pub process: u16,
    /// As the kind says.
    pub detail: u32,
    words: &'a [u8],
}

impl<'a> Record<'a> {
    /// How many words it has.
    #[inline]
    pub fn word_count(&self) -> usize {
        self.words.len() / 8
    }

    /// One of its words.
    #[inline]
    pub fn word(&self, index: usize) -> Option<u64> {
        (index < self.word_count()).then(|| format::u64_at(self.words, 8 * index))
    }

    /// Its words.
    #[inline]
    pub fn words(&self) -> impl Iterator<Item = u64> + 'a {
        self.words.chunks_exact(8).map(|word| format::u64_at(word, 0))
    }

    /// Its first `N` words, if it has so many.
    #[inline]
    pub fn first_words<const N: usize>(&self) -> Option<[u64; N]> {
        let bytes = self.words.get(..8 * N)?;
        Some(std::array::from_fn(|index| format::u64_at(bytes, 8 * index)))
    }
}

/// The records of one origin.
#[derive(Clone, Debug)]
struct Stream<'a> {
    bytes: &'a Bytes,
    chunks: std::slice::Iter<'a, Chunk>,
    walk: Walk<'a>,
    /// The number of the record that is next.
    sequence: u64,
    /// Up to where the file's memory went back.
    let_go: usize,
}

impl Stream<'_> {
    /// The time of the next record, if there is one. The record taken before is gone.
    fn peek(&mut self) -> Option<u64> {
        if self.walk.peek().is_none() {
            self.next_batch();
        }
        self.walk.peek()
    }

    /// Takes the record that was peeked at.
    #[inline]
    fn take(&mut self) -> Option<Record<'_>> {
        let (sequence, origin) = (self.sequence, self.walk.origin());
        let (tsc, head, words) = self.walk.take()?;
        self.sequence = sequence.wrapping_add(1);
        let (kind, process, detail) = (head as u8, (head >> 16) as u16, (head >> 32) as u32);
        Some(Record { sequence, origin, tsc, kind, process, detail, words })
    }

    /// Goes to the next batch, if there is one.
    fn next_batch(&mut self) {
        let origin = self.walk.origin();
        while self.walk.next_batch() == 0 {
            let Some(chunk) = self.chunks.find(|chunk| chunk.origin == origin) else { return };
            // A chunk that was not in its place is behind what went back already.
            if chunk.at.saturating_sub(self.let_go) >= LET_GO_EACH {
                self.bytes.let_go(self.let_go..chunk.at);
                self.let_go = chunk.at;
            }
            self.walk.start(&self.bytes[chunk.at + CHUNK_SIZE..chunk.end], chunk.encoding);
            self.sequence = chunk.first;
        }
    }
}

/// The records of a trace, by [`Trace::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    guest: Stream<'a>,
    host: Stream<'a>,
    /// While there are records of the guest that are not later than this, they come next.
    host_at: u64,
}

impl<'a> Records<'a> {
    /// The next record. It lies in memory that the one after it takes over, so this is no [`Iterator`]:
    /// `while let Some(record) = records.next()`.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator's items cannot borrow from it")]
    pub fn next(&mut self) -> Option<Record<'_>> {
        match self.guest.walk.peek() {
            Some(tsc) if tsc <= self.host_at => self.guest.take(),
            _ => self.choose().take(),
        }
    }

    /// The stream whose record is next. Most are the guest's and in its batch, so that this is not asked for.
    #[cold]
    fn choose(&mut self) -> &mut Stream<'a> {
        let (guest, host) = (self.guest.peek(), self.host.peek());
        self.host_at = host.unwrap_or(u64::MAX);
        if guest.is_some_and(|guest| guest <= self.host_at) { &mut self.guest } else { &mut self.host }
    }
}

/// The events of a trace, by [`Trace::events`].
#[derive(Clone, Debug)]
pub struct Events<'a> {
    records: Records<'a>,
    clock: Clock,
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let record = self.records.next()?;
        let Record { sequence, origin, tsc, process, .. } = record;
        let nanoseconds = self.clock.nanoseconds(tsc);
        event::decode(&record, |what| Some(Event { sequence, origin, tsc, nanoseconds, process, what }))
    }
}
