//! Reads a trace file. Of a damaged one it reads the whole chunks.
//!
//! Opening a file that was closed reads its head and its index, and nothing else: a chunk is read, and its CRC verified,
//! when its records are. A file without an index, or with one that does not name every chunk, is walked over once at its
//! opening. Neither that nor the iterators keep more of the file in memory than some chunks.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::format::{self, COMPACT, ChunkHead, Content, HeadState, Origin, RAW};
use super::names::printable;
use super::records::{self, Merge, Record, Supply};
use super::scan::{Chunk, Scan, Table};
use super::source::{self, ReadAt, Window};
use super::{Clock, Damage, Event, Meta, index};

/// How many bytes at the start of a file, and before the part that is asked for, [`Trace::events_near`] reads too.
const LEAD: u64 = 1 << 20;

/// Why a file could not be opened as a trace.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be read.
    #[error("cannot read the trace file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The file is not a trace.
    #[error("{} is not a trace file of Trapline: name one that `trapline run --trace` wrote", path.display())]
    NotATrace {
        /// The file.
        path: PathBuf,
    },
    /// It ends before its first chunk.
    #[error("{} is cut short inside its head, after {bytes} bytes, so it has no records", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It has another version of the format.
    #[error(
        "{} has version {version} of the trace format, but this Trapline reads version {}: read it with the Trapline that \
         wrote it, or record the run again",
        path.display(),
        format::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format's version.
        version: u16,
    },
}

/// Why a file that was opened could not be read to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// It is shorter than it was when it was opened, or the system could not read it.
    #[error("the trace file {} was cut short while Trapline read it, or its disk failed: try again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: Arc<io::Error>,
    },
    /// A chunk changed while it was read.
    #[error("the trace file {} changed at offset {offset} while Trapline read it: try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Where the chunk is.
        offset: u64,
    },
}

/// A part of a trace, for [`Trace::events_near`]. The default is all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Numbers of the guest's events.
    pub events: Range<u64>,
    /// Nanoseconds since the start.
    pub nanoseconds: Range<u64>,
}

impl Default for Part {
    fn default() -> Part {
        Part { events: 0..u64::MAX, nanoseconds: 0..u64::MAX }
    }
}

/// A trace file, opened.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    source: Arc<dyn ReadAt>,
    size: u64,
    meta: Meta,
    /// Where the head ends.
    start: u64,
    /// What is wrong with the head.
    head: Vec<Damage>,
    /// What the index says; empty for a file that was walked over when it was opened.
    index: Table,
    scanned: OnceLock<Scanned>,
    failed: OnceLock<ReadError>,
    /// The time of the first record.
    first_tsc: OnceLock<u64>,
}

/// What a walk over all chunks finds.
#[derive(Debug)]
struct Scanned {
    table: Table,
    damage: Vec<Damage>,
}

impl Trace {
    /// Opens a trace file. Damage is not an error: see [`Trace::damage`].
    ///
    /// # Errors
    /// The file cannot be read, or it is not a trace that this version can read.
    pub fn open(path: &Path) -> Result<Trace, OpenError> {
        let source = source::open(path).map_err(|cause| OpenError::Read { path: path.into(), cause })?;
        Trace::over(source, path.into())
    }

    /// Opens a trace that is not a file, such as a `Vec<u8>`. Errors call it by `name`.
    ///
    /// # Errors
    /// As for [`Trace::open`].
    pub fn from_source(source: impl ReadAt + 'static, name: impl Into<PathBuf>) -> Result<Trace, OpenError> {
        Trace::over(Arc::new(source), name.into())
    }

    /// Reads a trace to its end into memory, for example from standard input. Errors call it by `name`. A trace of more than
    /// 1 GiB is refused.
    ///
    /// # Errors
    /// As for [`Trace::open`].
    pub fn from_reader(reader: impl io::Read, name: impl Into<PathBuf>) -> Result<Trace, OpenError> {
        let path = name.into();
        match source::read_all(reader) {
            Ok(bytes) => Trace::over(Arc::new(bytes), path),
            Err(cause) => Err(OpenError::Read { path, cause }),
        }
    }

    fn over(source: Arc<dyn ReadAt>, path: PathBuf) -> Result<Trace, OpenError> {
        let failed = |cause| OpenError::Read { path: path.clone(), cause };
        let size = source.size().map_err(failed)?;
        let mut window = Window::new(source.clone(), size);
        let Head { meta, start, damage } = open_head(&mut window, &path)?;
        let index = index::read(&mut window, start).map_err(failed)?;
        let is_indexed = index.is_some() && !damage.contains(&Damage::Head);
        let trace = Trace {
            path,
            source,
            size,
            meta,
            start,
            head: damage,
            index: index.unwrap_or_default(),
            scanned: OnceLock::new(),
            failed: OnceLock::new(),
            first_tsc: OnceLock::new(),
        };
        if !is_indexed {
            trace.scanned();
        }
        match trace.failed.get() {
            Some(ReadError::Read { path, cause }) => {
                let cause = io::Error::new(cause.kind(), cause.clone());
                Err(OpenError::Read { path: path.clone(), cause })
            }
            _ => Ok(trace),
        }
    }

    /// What ran.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What is damaged, in the order of the file, and then what is missing. Empty: every record of the run is here. The
    /// first call reads the whole file, unless it was read at its opening.
    pub fn damage(&self) -> &[Damage] {
        &self.scanned().damage
    }

    /// The damage that is known without reading more of the file: that of the head alone, as long as no chunk that was
    /// read was damaged, and all of it otherwise.
    pub fn damage_so_far(&self) -> &[Damage] {
        self.scanned.get().map_or(&self.head, |scanned| &scanned.damage)
    }

    /// Whether everything that was asked for so far could be read. Iterators end where the file can no longer be read:
    /// ask when they have ended, before their events are taken for all there are.
    ///
    /// # Errors
    /// The file was cut or changed while it was read, or the system could not read it.
    pub fn intact(&self) -> Result<(), ReadError> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// All records, those of guest and host merged by their time. Within an origin they keep their order. Each is lent
    /// until the next is asked for: `while let Some(record) = records.next()`.
    pub fn records(&self) -> Records<'_> {
        self.records_of(None)
    }

    /// All records, decoded, in the order of [`Trace::records`].
    pub fn events(&self) -> Events<'_> {
        Events { records: self.records(), clock: self.clock() }
    }

    /// The events of a part of the trace, and some that are not in it: those of the first chunks, which name the
    /// processes, and some before the part, which show what its first events change. Little else of the file is read, so
    /// this starts as fast in a long trace as in a short one.
    pub fn events_near(&self, part: &Part) -> Events<'_> {
        let clock = self.clock();
        Events { records: self.records_of(self.wanted(part, &clock)), clock }
    }

    /// The clock of the trace: 0 at its first record.
    pub fn clock(&self) -> Clock {
        let start = self.first_tsc.get_or_init(|| self.records().next().map_or(0, |record| record.tsc));
        Clock::new(*start, self.meta.tsc_khz)
    }

    /// How many records of an origin the run is known to have had, those that are missing included.
    pub fn total(&self, origin: Origin) -> u64 {
        let [guest, host] = self.table().totals;
        match origin {
            Origin::Guest => guest,
            Origin::Host => host,
        }
    }

    /// Hands out the chunks of records, as they are in the file, each origin's in the order of its numbers.
    #[cfg(feature = "write")]
    pub(super) fn each_chunk(&self, mut take: impl FnMut(&Chunk, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut chunks = self.table().chunks.iter();
        chunks.try_for_each(|chunk| match self.read(chunk, &mut bytes) {
            Some(_) => take(chunk, &bytes),
            None => {
                self.changed(chunk);
                self.intact().map_err(io::Error::other)
            }
        })
    }

    fn table(&self) -> &Table {
        self.scanned.get().map_or(&self.index, |scanned| &scanned.table)
    }

    fn scanned(&self) -> &Scanned {
        self.scanned.get_or_init(|| {
            let mut window = Window::new(self.source.clone(), self.size);
            let mut scan = Scan::new(self.start);
            scan.damage.clone_from(&self.head);
            if let Err(cause) = scan.run(&mut window) {
                self.fail(ReadError::Read { path: self.path.clone(), cause: Arc::new(cause) });
            }
            let table = scan.table();
            Scanned { table, damage: scan.damage }
        })
    }

    fn records_of(&self, wanted: Option<Wanted>) -> Records<'_> {
        let is_indexed = self.scanned.get().is_none();
        let supply = FromFile { trace: self, chunks: &self.table().chunks, is_indexed, wanted };
        Records(Merge::new(supply.clone(), supply))
    }

    /// Which chunks must be read for a part. None: all of them.
    fn wanted(&self, part: &Part, clock: &Clock) -> Option<Wanted> {
        let table = self.table();
        if *part == Part::default() || !index::is_in_time(table) {
            return None;
        }
        let Range { start, end } = part.nanoseconds;
        let (from, to) = (clock.tsc(start).unwrap_or(0), clock.tsc(end).unwrap_or(u64::MAX));
        let guest: Vec<&Chunk> = table.chunks.iter().filter(|chunk| chunk.origin == Origin::Guest).collect();
        let starts_before = |chunk: &&Chunk| chunk.tsc < from || chunk.first <= part.events.start;
        let first = guest.get(guest.partition_point(starts_before).saturating_sub(1));
        let lead = first.map_or(0, |first| first.at.saturating_sub(LEAD));
        let first = guest.iter().find(|chunk| chunk.at >= lead);
        let behind = guest.iter().find(|chunk| chunk.tsc > to || chunk.first >= part.events.end);
        Some(Wanted {
            before: self.start.saturating_add(LEAD),
            guest: first.map_or(0, |chunk| chunk.first)..behind.map_or(u64::MAX, |chunk| chunk.first),
            from: first.map_or(from, |chunk| chunk.tsc.min(from)),
            to: behind.map_or(to, |chunk| chunk.tsc.min(to)),
        })
    }

    /// Reads a chunk. `None` if it is damaged.
    fn read(&self, chunk: &Chunk, bytes: &mut Vec<u8>) -> Option<ChunkHead> {
        bytes.resize(chunk.size, 0);
        if let Err(cause) = source::read_exact_at(&*self.source, bytes, chunk.at) {
            self.fail(ReadError::Read { path: self.path.clone(), cause: Arc::new(cause) });
            return None;
        }
        let is_it = |head: &ChunkHead| {
            head.content == Content::Records(chunk.origin)
                && matches!(head.encoding, RAW | COMPACT)
                && head.size() == Some(chunk.size)
                && (head.first, head.records) == (chunk.first, chunk.records)
        };
        ChunkHead::open(bytes).map(|(head, _)| head).filter(is_it)
    }

    /// Remembers that a chunk was whole.
    fn changed(&self, chunk: &Chunk) {
        self.fail(ReadError::Changed { path: self.path.clone(), offset: chunk.at });
    }

    /// Keeps the first error.
    fn fail(&self, error: ReadError) {
        self.failed.get_or_init(|| error);
    }
}

/// What the head of a file says.
pub(super) struct Head {
    pub(super) meta: Meta,
    /// Where the first chunk is.
    pub(super) start: u64,
    pub(super) damage: Vec<Damage>,
}

/// Opens the head of a file, or finds the first chunk behind one that is damaged.
pub(super) fn open_head(window: &mut Window, path: &Path) -> Result<Head, OpenError> {
    let failed = |cause| OpenError::Read { path: path.into(), cause };
    let size = window.size();
    let head = window.get(0, format::HEAD_SIZE).map_err(failed)?;
    let length = format::head_size_of(head).unwrap_or(format::HEAD_SIZE);
    let (meta, start, mut damage) = match format::open_head(window.get(0, length).map_err(failed)?) {
        HeadState::Whole(meta, start) => (*meta, start as u64, Vec::new()),
        HeadState::Version(version) => return Err(OpenError::Version { path: path.into(), version }),
        state => {
            let is_missing = state == HeadState::Missing;
            // A large file of another kind is not searched to its end.
            let end = if is_missing { size.min(format::FIRST_CHUNK_WITHIN as u64) } else { size };
            let first = Scan::new(0).find_chunk(window, 0, end).map_err(failed)?.ok();
            match (first, state) {
                (None, HeadState::Missing) => return Err(OpenError::NotATrace { path: path.into() }),
                (None, HeadState::Cut) => return Err(OpenError::Cut { path: path.into(), bytes: size }),
                _ => {}
            }
            (Meta::default(), first.unwrap_or(format::HEAD_SIZE as u64), vec![Damage::Head])
        }
    };
    damage.extend(meta.recovered.iter().map(|what| Damage::Recovered { what: printable(what) }));
    Ok(Head { meta, start, damage })
}

/// Which chunks are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    /// All before this offset.
    before: u64,
    /// Those of the guest, by the numbers of their first records.
    guest: Range<u64>,
    /// Those of the host, by the times of their records.
    from: u64,
    to: u64,
}

impl Wanted {
    /// Whether a chunk is wanted that others follow.
    fn has(&self, chunk: &Chunk, others: &[Chunk]) -> bool {
        let is_near = match chunk.origin {
            Origin::Guest => self.guest.contains(&chunk.first),
            // It ends when the next begins.
            Origin::Host => {
                let next = others.iter().find(|next| next.origin == Origin::Host);
                chunk.tsc <= self.to && next.is_none_or(|next| next.tsc >= self.from)
            }
        };
        is_near || chunk.at < self.before
    }
}

/// The chunks of a file.
#[derive(Clone, Debug)]
struct FromFile<'a> {
    trace: &'a Trace,
    /// The chunks that are left to read.
    chunks: &'a [Chunk],
    /// They are what the index says, and not what a walk over the file has found.
    is_indexed: bool,
    /// None: all.
    wanted: Option<Wanted>,
}

impl Supply for FromFile<'_> {
    fn next(&mut self, origin: Origin, bytes: &mut Vec<u8>) -> Option<(u64, u8)> {
        while let Some((chunk, rest)) = self.chunks.split_first() {
            self.chunks = rest;
            if chunk.origin != origin || self.trace.failed.get().is_some() {
                continue;
            }
            let is_wanted = self.wanted.as_ref().is_none_or(|wanted| wanted.has(chunk, rest));
            if !is_wanted {
                continue;
            }
            match self.trace.read(chunk, bytes) {
                Some(head) => return Some((chunk.first, head.encoding)),
                // The file is not what its index says. What is there instead, a walk over all of it finds.
                None if self.is_indexed => {
                    self.chunks = self.trace.scanned().table.from(chunk.origin, chunk.first);
                    self.is_indexed = false;
                }
                None => self.trace.changed(chunk),
            }
        }
        None
    }
}

/// The records of a trace, by [`Trace::records`].
#[derive(Clone, Debug)]
pub struct Records<'a>(Merge<FromFile<'a>>);

impl Records<'_> {
    /// The next record. It lies in memory that the one after it takes over, so this is no [`Iterator`]:
    /// `while let Some(record) = records.next()`.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator's items cannot borrow from it")]
    pub fn next(&mut self) -> Option<Record<'_>> {
        self.0.next()
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
        records::decode(&record, &self.clock)
    }
}
