//! Writes a trace file: a copy for each time the bell rings, one write for each chunk.
//!
//! Nothing is ever dropped in silence. When a write fails, the file is cut back to its last whole chunk, and
//! the error, now and at every later call, says how many records are not in it. What is pending is lost only
//! when the whole process is killed: at most [`CHUNK_AGE`] old if records keep coming.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Meta;
use super::format::{self, CHUNK_SIZE, ChunkHead, Content, IndexEntry, Origin, PAYLOAD_MAX, RAW};

/// A chunk is written when it has this many bytes.
const CHUNK_FULL: usize = 64 << 10;
/// A chunk is written when its first record has waited this long.
const CHUNK_AGE: Duration = Duration::from_millis(50);

/// Why a trace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there that nobody said to replace.
    #[error("{} exists already: choose another file, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A FIFO, and nobody has opened its other end.
    #[error("nobody reads from the FIFO {}: start its reader first", path.display())]
    NoReader {
        /// The FIFO.
        path: PathBuf,
    },
    /// The file could not be made.
    #[error("cannot create the trace file {}: {cause}; choose another with --trace", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// More at once than a chunk holds.
    #[error("{bytes} bytes of records at once are more than a trace file takes ({PAYLOAD_MAX})")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// The file could not be written on.
    #[error(
        "cannot write the trace file {}: {cause}; {missing} records are not in it, all before them are readable",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// Records that were given to the writer and are not in the file.
        missing: u64,
    },
}

/// Records of one origin that wait to be a chunk.
#[derive(Debug)]
struct Pending {
    origin: Origin,
    /// Room for the chunk's head, then the records.
    bytes: Vec<u8>,
    records: u64,
    /// The number of the first record.
    first: u64,
    since: Option<Instant>,
}

impl Pending {
    fn new(origin: Origin) -> Pending {
        let mut bytes = Vec::with_capacity(CHUNK_SIZE + 2 * CHUNK_FULL);
        bytes.resize(CHUNK_SIZE, 0);
        Pending { origin, bytes, records: 0, first: 0, since: None }
    }

    /// Records so far, those that wait included.
    fn total(&self) -> u64 {
        self.first.saturating_add(self.records)
    }

    fn is_due(&self) -> bool {
        self.bytes.len() >= CHUNK_SIZE + CHUNK_FULL
            || self.since.is_some_and(|since| since.elapsed() >= CHUNK_AGE)
    }

    fn clear(&mut self) {
        self.bytes.truncate(CHUNK_SIZE);
        self.first = self.total();
        self.records = 0;
        self.since = None;
    }
}

/// A trace file that is being written.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    /// It can be cut back after a failed write.
    regular: bool,
    /// Bytes in the file, all of them whole chunks.
    length: u64,
    guest: Pending,
    host: Pending,
    index: Vec<IndexEntry>,
    /// The system's error number of the write that failed, after which nothing is written any more.
    failed: Option<i32>,
    missing: u64,
}

impl Writer {
    /// Makes the file and writes its head. A file that exists is refused unless `replace`; then it is removed
    /// and a new one made, so that whoever still reads the old one is not disturbed. A device or FIFO is
    /// written to as it is.
    pub fn create(path: &Path, replace: bool, meta: &Meta) -> Result<Writer, WriteError> {
        let (mut file, regular) = open(path, replace)?;
        let head = format::head(meta);
        if let Err(cause) = file.write_all(&head) {
            if regular {
                // Best effort: the error that matters is the one of the write.
                let _ = fs::remove_file(path);
            }
            return Err(WriteError::Create { path: path.into(), cause });
        }
        Ok(Writer {
            file,
            path: path.into(),
            regular,
            length: head.len() as u64,
            guest: Pending::new(Origin::Guest),
            host: Pending::new(Origin::Host),
            index: Vec::new(),
            failed: None,
            missing: 0,
        })
    }

    /// Takes `bytes` bytes of guest records, which `fill` copies from where they are. `records` is how many they
    /// are by the guest's own running count. An error of `fill` is handed back, and nothing is taken.
    pub fn guest_records<E>(
        &mut self,
        bytes: usize,
        records: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, WriteError> {
        self.check(records)?;
        if bytes > PAYLOAD_MAX - CHUNK_FULL {
            return Err(WriteError::TooLarge { bytes });
        }
        let start = self.guest.bytes.len();
        self.guest.bytes.resize(start + bytes, 0);
        if let Err(error) = fill(&mut self.guest.bytes[start..]) {
            self.guest.bytes.truncate(start);
            return Ok(Err(error));
        }
        // A guest may claim any number; what it claims wrongly, the reader sees.
        self.guest.records = self.guest.records.saturating_add(records);
        self.guest.since.get_or_insert_with(Instant::now);
        // Records are multiples of 8. Whatever else a guest hands over must not spoil what it writes later.
        if self.guest.is_due() || !bytes.is_multiple_of(8) {
            self.flush()?;
        }
        Ok(Ok(()))
    }

    /// Takes a record of the host's own. `tsc` is the guest's time.
    pub fn host_record(
        &mut self,
        tsc: u64,
        kind: abi::record::Kind,
        process: u16,
        detail: u32,
        words: &[u64],
    ) -> Result<(), WriteError> {
        self.check(1)?;
        format::push_record(&mut self.host.bytes, tsc, kind as u8, process, detail, words);
        self.host.records += 1;
        self.host.since.get_or_insert_with(Instant::now);
        if self.host.is_due() { self.flush() } else { Ok(()) }
    }

    /// Writes all that waits. The host's goes first: its first record is the start of time, and there is seldom
    /// any, so that this is one write.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.check(0)?;
        self.write(Origin::Host)?;
        self.write(Origin::Guest)
    }

    /// Writes all that waits, then the index and the end mark, and closes the file.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.flush()?;
        let mut chunk = vec![0; CHUNK_SIZE];
        // The index only speeds things up: one that would be too long for a chunk is cut.
        let most = PAYLOAD_MAX / format::INDEX_ENTRY_SIZE;
        self.index.iter().take(most).for_each(|entry| chunk.extend_from_slice(&entry.to_bytes()));
        self.head(Content::Index, chunk.len() - CHUNK_SIZE, 0, 0).seal(&mut chunk);
        chunk.extend_from_slice(&format::end_mark(self.length));
        self.append(&chunk)
    }

    /// Refuses what comes after a failed write, and counts it.
    fn check(&mut self, records: u64) -> Result<(), WriteError> {
        let Some(code) = self.failed else { return Ok(()) };
        self.missing = self.missing.saturating_add(records);
        Err(self.error(io::Error::from_raw_os_error(code)))
    }

    /// Makes a chunk of what waits of one origin, if anything does.
    fn write(&mut self, origin: Origin) -> Result<(), WriteError> {
        let pending = self.pending(origin);
        if pending.bytes.len() == CHUNK_SIZE && pending.records == 0 {
            return Ok(());
        }
        let (first, records) = (pending.first, u32::try_from(pending.records).unwrap_or(u32::MAX));
        let mut bytes = std::mem::take(&mut pending.bytes);
        self.head(Content::Records(origin), bytes.len() - CHUNK_SIZE, first, records).seal(&mut bytes);
        let offset = self.length;
        let written = self.append(&bytes);
        if written.is_ok() {
            let tsc = bytes.get(CHUNK_SIZE..CHUNK_SIZE + 8).map_or(0, |tsc| format::u64_at(tsc, 0));
            self.index.push(IndexEntry { offset, tsc, records, origin });
        }
        let pending = self.pending(origin);
        pending.bytes = bytes;
        pending.clear();
        written
    }

    fn pending(&mut self, origin: Origin) -> &mut Pending {
        match origin {
            Origin::Guest => &mut self.guest,
            Origin::Host => &mut self.host,
        }
    }

    /// The head of the next chunk. The totals count what is in the file once it is written.
    fn head(&self, content: Content, payload: usize, first: u64, records: u32) -> ChunkHead {
        let written = |pending: &Pending| match content {
            Content::Records(origin) if origin == pending.origin => pending.total(),
            _ => pending.first,
        };
        let payload = payload as u32; // at most PAYLOAD_MAX
        ChunkHead {
            content,
            encoding: RAW,
            stored: payload,
            decoded: payload,
            records,
            first,
            guest_total: written(&self.guest),
            host_total: written(&self.host),
        }
    }

    /// Writes bytes that are whole chunks. If that fails, nothing of them stays where the file allows it.
    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let Err(cause) = self.file.write_all(bytes) else {
            self.length += bytes.len() as u64;
            return Ok(());
        };
        if self.regular {
            // Best effort: a reader sees an incomplete chunk for what it is.
            let _ = self.file.set_len(self.length);
        }
        self.failed = Some(cause.raw_os_error().unwrap_or(nix::libc::EIO));
        self.missing = self.guest.records.saturating_add(self.host.records);
        Err(self.error(cause))
    }

    fn error(&self, cause: io::Error) -> WriteError {
        WriteError::Write { path: self.path.clone(), cause, missing: self.missing }
    }
}

impl Drop for Writer {
    /// A run that fails half-way keeps what it saw.
    fn drop(&mut self) {
        // There is nobody to tell; who cares calls `finish`, after which nothing waits.
        let _ = self.flush();
    }
}

/// Opens the file for writing, and says whether it is a regular one.
fn open(path: &Path, replace: bool) -> Result<(File, bool), WriteError> {
    let failed = |cause| WriteError::Create { path: path.into(), cause };
    match fs::metadata(path) {
        Ok(about) if about.is_file() && !replace => return Err(WriteError::Exists { path: path.into() }),
        Ok(about) if about.is_file() => {
            // Through a symbolic link, the file it leads to is replaced and not the link.
            let target = fs::canonicalize(path).map_err(failed)?;
            fs::remove_file(&target).map_err(failed)?;
            return create_new(&target).map(|file| (file, true)).map_err(failed);
        }
        Ok(_) => return open_special(path).map(|file| (file, false)),
        Err(_) => {}
    }
    match create_new(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(WriteError::Exists { path: path.into() })
        }
        Err(error) => Err(failed(error)),
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opens a device or FIFO without waiting for a reader; writes to it then wait as usual.
fn open_special(path: &Path) -> Result<File, WriteError> {
    let opened = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let file = opened.map_err(|cause| match cause.raw_os_error() {
        Some(nix::libc::ENXIO) => WriteError::NoReader { path: path.into() },
        _ => WriteError::Create { path: path.into(), cause },
    })?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))
        .map_err(|cause| WriteError::Create { path: path.into(), cause: cause.into() })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn write(writer: &mut Writer, count: u64) -> Result<(), WriteError> {
        (0..count).try_for_each(|tsc| {
            writer.host_record(tsc, abi::record::Kind::HostClock, 0, 0, &[1, 2])?;
            writer.guest_records(16, 1, |room| {
                room[8] = abi::record::Kind::Tick as u8;
                Ok::<(), std::convert::Infallible>(())
            })?;
            Ok(())
        })
    }

    #[test]
    fn a_failed_write_is_told_at_every_call_and_counts_what_is_missing() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        let mut writer = Writer::create(&path, false, &Meta::default()).expect("a new file");
        write(&mut writer, 2).expect("room");
        writer.flush().expect("room");
        write(&mut writer, 3).expect("room to wait");
        writer.file = File::options().write(true).open("/dev/full").expect("a device that is always full");
        let missing = |result: Result<(), WriteError>| match result {
            Err(WriteError::Write { missing, cause, .. }) => {
                assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
                missing
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(writer.flush()), 6);
        assert_eq!(missing(write(&mut writer, 1)), 7);
        assert_eq!(missing(writer.finish()), 7);
        let trace = Trace::open(&path).expect("what was written before");
        assert_eq!(trace.records().count(), 4);
    }

    #[test]
    fn a_full_chunk_is_written_and_a_young_one_waits() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let mut writer =
            Writer::create(&place.path().join("t.trap"), false, &Meta::default()).expect("a new file");
        let head = writer.length;
        let full = writer.guest_records(CHUNK_FULL, 4096, |_| Ok::<(), std::convert::Infallible>(()));
        assert!(matches!(full, Ok(Ok(()))));
        assert_eq!(writer.length, head + (CHUNK_SIZE + CHUNK_FULL) as u64);
        assert!(matches!(
            writer.guest_records(PAYLOAD_MAX, 1, |_| Ok::<(), std::convert::Infallible>(())),
            Err(WriteError::TooLarge { .. })
        ));
    }
}
