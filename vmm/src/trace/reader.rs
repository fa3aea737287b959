//! Reads a trace file, a damaged one as far as it is whole.
//!
//! Opening looks at every chunk once: its CRC, and where its records lie. So all damage is known before the
//! first record is read, and iterating needs no check, no allocation and no copy.

use std::io;
use std::path::{Path, PathBuf};

use abi::record::{HostCounter, Kind};

use super::format::{self, CHUNK_MAGIC, ChunkHead, Content, HeadState, Origin, RAW};
use super::mapping::Bytes;
use super::{Clock, Event, Meta, What};

/// How far into a file the end of its first chunk can be.
const FIRST_CHUNK_WITHIN: usize =
    format::HEAD_SIZE + format::JSON_MAX + format::CHUNK_SIZE + format::PAYLOAD_MAX;

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
    /// Sequence numbers that an earlier chunk has.
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

/// A chunk whose CRC is right: where its whole records lie in the file.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    origin: Origin,
    first: u64,
    start: usize,
    end: usize,
}

/// A trace file, opened.
#[derive(Debug)]
pub struct Trace {
    bytes: Bytes,
    meta: Meta,
    chunks: Vec<Chunk>,
    damage: Vec<Damage>,
}

impl Trace {
    /// Opens a trace file. Damage is no error: see [`Trace::damage`].
    pub fn open(path: &Path) -> Result<Trace, OpenError> {
        let bytes = Bytes::of(path).map_err(|cause| OpenError::Read { path: path.into(), cause })?;
        let mut scan = Scan::new(&bytes);
        let (meta, start) = match format::open_head(&bytes) {
            HeadState::Whole(meta, start) => (*meta, start),
            HeadState::Later(version) => return Err(OpenError::Later { path: path.into(), version }),
            HeadState::Cut if scan.find_first_chunk().is_none() => {
                return Err(OpenError::Cut { path: path.into(), bytes: bytes.len() });
            }
            state => {
                let first = scan.find_first_chunk();
                if first.is_none() && state == HeadState::Missing {
                    return Err(OpenError::NotATrace { path: path.into() });
                }
                scan.damage.push(Damage::Head);
                (Meta::default(), first.unwrap_or(bytes.len()))
            }
        };
        scan.run(start);
        let Scan { chunks, damage, .. } = scan;
        let mut trace = Trace { bytes, meta, chunks, damage };
        trace.note_what_the_host_noted();
        Ok(trace)
    }

    /// What ran.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What is missing, in the order of the file. Empty: every record of the run is here.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// All records, those of guest and host merged by their time. Within an origin they keep their order.
    pub fn records(&self) -> Records<'_> {
        Records { guest: self.stream(Origin::Guest), host: self.stream(Origin::Host) }
    }

    /// All records, decoded, in the order of [`Trace::records`].
    pub fn events(&self) -> Events<'_> {
        Events { records: self.records(), clock: self.clock() }
    }

    /// The clock of the trace: 0 at its first record.
    pub fn clock(&self) -> Clock {
        let start = self.records().next().map_or(0, |record| record.tsc);
        Clock::new(start, self.meta.tsc_khz)
    }

    fn stream(&self, origin: Origin) -> Stream<'_> {
        let mut stream = Stream {
            bytes: &self.bytes,
            chunks: self.chunks.iter(),
            origin,
            rest: &[],
            sequence: 0,
            next: None,
        };
        stream.advance();
        stream
    }

    fn note_what_the_host_noted(&mut self) {
        let mut noted = Vec::new();
        let mut host = self.stream(Origin::Host);
        while let Some(record) = host.take() {
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
    bytes: &'a [u8],
    chunks: Vec<Chunk>,
    damage: Vec<Damage>,
    /// The next sequence number of guest and host.
    next: [u64; 2],
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8]) -> Scan<'a> {
        Scan { bytes, chunks: Vec::new(), damage: Vec::new(), next: [0; 2] }
    }

    /// Takes everything from `at` on.
    fn run(&mut self, mut at: usize) {
        let mut index = None;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if index.is_some_and(|index: usize| rest == format::end_mark(index as u64)) {
                return;
            }
            let Some((head, payload)) = ChunkHead::open(rest) else {
                match find_chunk(self.bytes, at) {
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
                Content::Records(origin) if head.encoding == RAW => {
                    self.take_records(at, &head, payload, origin)
                }
                Content::Index => {
                    self.expect(at, Origin::Guest, head.guest_total);
                    self.expect(at, Origin::Host, head.host_total);
                    index = Some(at);
                }
                _ => self.damage.push(Damage::UnknownChunk { offset: at, records: head.records }),
            }
            at += format::CHUNK_SIZE + payload.len();
        }
        self.damage.push(Damage::NotClosed);
    }

    /// The offset of the first whole chunk, for a file whose head does not tell it.
    fn find_first_chunk(&self) -> Option<usize> {
        // A large file of another kind should not be searched to its end.
        find_chunk(&self.bytes[..self.bytes.len().min(FIRST_CHUNK_WITHIN)], 0)
    }

    /// Compares the number of the next record with the one expected.
    fn expect(&mut self, offset: usize, origin: Origin, first: u64) {
        let expected = self.next[origin as usize];
        if first > expected {
            self.damage.push(Damage::Gap { origin, first: expected, records: first - expected });
        } else if first < expected {
            self.damage.push(Damage::OutOfOrder { offset, origin, first, expected });
        }
    }

    fn take_records(&mut self, at: usize, head: &ChunkHead, payload: &[u8], origin: Origin) {
        self.expect(at, origin, head.first);
        self.next[origin as usize] = head.first.saturating_add(u64::from(head.records));
        let (mut size, mut found) = (0, 0);
        while let Some(record) = format::record_size(&payload[size..], origin) {
            size += record;
            found += 1;
        }
        let start = at + format::CHUNK_SIZE;
        self.chunks.push(Chunk { origin, first: head.first, start, end: start + size });
        if size < payload.len() {
            self.damage.push(Damage::Malformed { offset: start + size, bytes: payload.len() - size, origin });
        }
        if found != head.records {
            self.damage.push(Damage::Miscounted { offset: at, said: head.records, found });
        }
    }
}

/// The offset of the first whole chunk at or behind `at`.
fn find_chunk(bytes: &[u8], at: usize) -> Option<usize> {
    let windows = bytes[at..].windows(CHUNK_MAGIC.len()).enumerate();
    let mut starts = windows.filter(|(_, start)| **start == CHUNK_MAGIC).map(|(offset, _)| at + offset);
    starts.find(|&start| ChunkHead::open(&bytes[start..]).is_some())
}

/// A record, as it lies in the file.
#[derive(Clone, Copy, Debug)]
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
    /// A record of bytes that [`format::record_size`] found whole.
    #[inline]
    fn new(bytes: &'a [u8], sequence: u64, origin: Origin) -> Record<'a> {
        let (head, words) = bytes.split_at(abi::record::HEAD_SIZE);
        Record {
            sequence,
            origin,
            tsc: format::u64_at(head, 0),
            kind: head[8],
            process: format::u16_at(head, 10),
            detail: format::u32_at(head, 12),
            words,
        }
    }

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
    bytes: &'a [u8],
    chunks: std::slice::Iter<'a, Chunk>,
    origin: Origin,
    /// What is left of the chunk.
    rest: &'a [u8],
    /// The number of the record at the start of `rest`.
    sequence: u64,
    next: Option<Record<'a>>,
}

impl<'a> Stream<'a> {
    #[inline]
    fn take(&mut self) -> Option<Record<'a>> {
        let record = self.next;
        self.advance();
        record
    }

    #[inline]
    fn advance(&mut self) {
        while self.rest.is_empty() {
            let Some(chunk) = self.chunks.next() else {
                self.next = None;
                return;
            };
            if chunk.origin == self.origin {
                self.rest = &self.bytes[chunk.start..chunk.end];
                self.sequence = chunk.first;
            }
        }
        let size = abi::record::HEAD_SIZE + 8 * usize::from(self.rest[9]);
        let (record, rest) = self.rest.split_at(size);
        self.next = Some(Record::new(record, self.sequence, self.origin));
        self.sequence = self.sequence.wrapping_add(1);
        self.rest = rest;
    }
}

/// The records of a trace, by [`Trace::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    guest: Stream<'a>,
    host: Stream<'a>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        match (&self.guest.next, &self.host.next) {
            (Some(guest), Some(host)) if host.tsc < guest.tsc => self.host.take(),
            (Some(_), _) => self.guest.take(),
            _ => self.host.take(),
        }
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
        Some(Event {
            sequence: record.sequence,
            origin: record.origin,
            tsc: record.tsc,
            nanoseconds: self.clock.nanoseconds(record.tsc),
            process: record.process,
            what: What::decode(&record),
        })
    }
}
