//! Writes a trace file. The thread of the guest only copies the records; another thread does everything else.
//!
//! The guest stops only while its records are copied to [`Waiting`]. A second thread takes the records from there,
//! a chunk at a time, encodes them and writes them. When [`WAITING_MOST`] bytes wait, the guest waits for that thread.
//! When a write takes longer than [`STALL`], as with a pipe that has no reader, the run ends with an error.
//!
//! No record is lost without an error. When a write fails, the file is cut back to its last whole chunk. The error, now
//! and at every later call, says how many records are not in the file. The file says so too, and why: room for that is kept
//! behind its last chunk, where the file system can do so. When the whole process is killed, the records of the last
//! [`CHUNK_AGE`] are lost, and those that the system has not yet written to the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abi::record::{Ending, Kind};
use same_file::Handle;

use super::Meta;
use super::compact::Encoder;
use super::format::{self, CHUNK_SIZE, COMPACT, ChunkHead, Content, Origin, PAYLOAD_MAX, RAW};
use super::live::{Live, Watcher};
use super::output::{Name, Output, Target, create_file};

/// A chunk is written when this many bytes of records wait.
const CHUNK_FULL: usize = 256 << 10;
/// A chunk is written when its first record has waited this long.
const CHUNK_AGE: Duration = Duration::from_millis(50);
/// The guest waits when this many bytes of its records do.
const WAITING_MOST: usize = 4 << 20;
/// How long a write may take before it counts as failed.
const STALL: Duration = if cfg!(test) { Duration::from_secs(2) } else { Duration::from_secs(10) };
/// [`STALL`] is divided into so many waits. While this process is stopped, as by Ctrl-Z, at most one of them expires.
const STALL_PARTS: u32 = 10;
const STALL_PART: Duration = Duration::from_millis(STALL.as_millis() as u64 / STALL_PARTS as u64);
/// The exit code of a run whose trace could not be written, for the record of its end.
const TRAPLINE_FAILED: u32 = 1;
/// The number for an error without a number of the system: EIO on every Unix.
const INPUT_OUTPUT_ERROR: i32 = 5;

/// Why a trace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file of this name exists, and may not be replaced.
    #[error("{} already exists: choose another file, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A FIFO whose other end is not open.
    #[error("the FIFO {} has no reader: start its reader first", path.display())]
    NoReader {
        /// The FIFO.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("cannot create the trace file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// More bytes at once than may wait.
    #[error("{bytes} bytes of records are more than the writer accepts at once ({WAITING_MOST})")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// A write failed.
    #[error(
        "cannot write the trace file {}; {missing} records are missing from it, and all earlier records are readable",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
        /// Records that were given to the writer and are not in the file.
        missing: u64,
    },
    /// The file is no longer at its path.
    #[error(
        "the trace file {} was moved, removed or replaced while Trapline wrote it: the file there now is not the trace of \
         this run",
        path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

/// Records of one origin that wait to be a chunk.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    records: u64,
}

/// Why writing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// A write failed with this error number.
    Write(i32),
    /// A write took longer than [`STALL`].
    Stalled,
}

/// A request to the thread, besides writing chunks that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Request {
    #[default]
    None,
    /// Write all that waits.
    Flush,
    /// Write all that waits, then the end of the file.
    Finish,
    /// Stop.
    Quit,
}

/// The state that both threads share.
#[derive(Debug, Default)]
struct Waiting {
    guest: Pending,
    host: Pending,
    request: Request,
    /// The thread has taken records that are not yet in the file.
    busy: bool,
    /// Records of guest and host that were passed to the writer, accepted or not. A guest may claim any number.
    given: [u64; 2],
    /// Records of both in the file.
    written: [u64; 2],
    /// The size of the file, and of the records that the thread has taken since.
    size: u64,
    /// Grows with each write.
    progress: u64,
    failed: Option<Failure>,
}

impl Waiting {
    fn of(&mut self, origin: Origin) -> &mut Pending {
        match origin {
            Origin::Guest => &mut self.guest,
            Origin::Host => &mut self.host,
        }
    }

    /// Counts records that were passed to the writer, and refuses them after a failure.
    fn count(&mut self, path: &Path, origin: Origin, records: u64) -> Result<(), WriteError> {
        let given = origin.of(self.given.each_mut());
        *given = given.saturating_add(records);
        self.check(path)?;
        // Where a guest claims a wrong number, the reader reports it.
        let pending = self.of(origin);
        pending.records = pending.records.saturating_add(records);
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), WriteError> {
        let cause = match self.failed {
            None => return Ok(()),
            Some(Failure::Write(code)) => io::Error::from_raw_os_error(code),
            Some(Failure::Stalled) => {
                io::Error::new(io::ErrorKind::TimedOut, format!("it accepted no data for {STALL:?}"))
            }
        };
        let sum = |[guest, host]: [u64; 2]| guest.saturating_add(host);
        let missing = sum(self.given).saturating_sub(sum(self.written));
        Err(WriteError::Write { path: path.into(), cause, missing })
    }

    fn is_due(&self) -> bool {
        self.request != Request::None || self.guest.bytes.len().max(self.host.bytes.len()) >= CHUNK_FULL
    }

    fn is_settled(&self) -> bool {
        self.request == Request::None && !self.busy
    }
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// The thread has something to do.
    work: Condvar,
    /// The thread did something.
    done: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `enough` returns true, or writing has failed.
    fn wait<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        enough: impl Fn(&mut Waiting) -> bool,
    ) -> MutexGuard<'a, Waiting> {
        let mut stall = StallTimer::new(waiting.progress);
        while waiting.failed.is_none() && !enough(&mut waiting) {
            let (now, time) =
                self.done.wait_timeout(waiting, STALL_PART).unwrap_or_else(PoisonError::into_inner);
            waiting = now;
            if time.timed_out() && stall.has_stalled(waiting.progress) && !enough(&mut waiting) {
                waiting.failed.get_or_insert(Failure::Stalled);
            }
        }
        waiting
    }
}

/// Counts waits without progress; after [`STALL_PARTS`] of them the file has stalled.
#[derive(Debug)]
struct StallTimer {
    progress: u64,
    left: u32,
}

impl StallTimer {
    fn new(progress: u64) -> StallTimer {
        StallTimer { progress, left: STALL_PARTS }
    }

    /// Counts one more wait. True: the file has stalled.
    fn has_stalled(&mut self, progress: u64) -> bool {
        if self.progress != progress {
            *self = StallTimer::new(progress);
        }
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}

/// A trace file that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// The file at `path` when it was created. None: `path` is not a regular file.
    place: Option<Handle>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    live: Option<Live>,
}

impl Writer {
    /// Creates a file as [`create_file`] does, and writes its head. After an error no new file is left, and one that was to
    /// be replaced is as it was.
    ///
    /// # Errors
    /// The file exists, cannot be created, or has no room for the head.
    pub fn create(path: &Path, replace: bool, meta: &Meta) -> Result<Writer, WriteError> {
        let (file, name) = create_file(path, replace)?;
        Writer::new(Box::new(file), name, meta)
    }

    /// Writes the head of a trace, and then names the file. The thread that writes inherits the caller's signal
    /// mask.
    ///
    /// # Errors
    /// The head cannot be written, or the name is taken.
    pub fn new(target: Box<dyn Target>, name: Name, meta: &Meta) -> Result<Writer, WriteError> {
        let path = name.path().to_path_buf();
        let output = Output::new(target, &path, meta)?;
        let shared = Arc::new(Shared::default());
        let writer_thread = WriterThread::new(output, shared.clone());
        let thread = thread::Builder::new().name("trace".into()).spawn(move || writer_thread.work());
        let thread = thread.map_err(|cause| WriteError::Create { path: path.clone(), cause })?;
        let mut writer = Writer { path, place: None, shared, thread: Some(thread), live: None };
        // The last step that can fail.
        name.publish()?;
        if writer.path.is_file() {
            writer.place = Handle::from_path(&writer.path).ok();
        }
        Ok(writer)
    }

    /// Lets `watcher` see the events of the records that come from now on, in the calling thread, until the writer ends.
    pub fn watch(&mut self, meta: &Meta, watcher: Watcher) {
        self.live = Some(Live::new(meta, watcher));
    }

    /// Takes `bytes` bytes of guest records, which `fill` copies from where they are. `records` is how many they
    /// are by the guest's own running count. An error of `fill` is returned, and nothing is taken.
    pub fn guest_records<E>(
        &mut self,
        bytes: usize,
        records: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, WriteError> {
        if bytes > WAITING_MOST {
            return Err(WriteError::TooLarge { bytes });
        }
        let mut waiting = self.room(Origin::Guest, bytes);
        let mut seen = Vec::new();
        if waiting.failed.is_none() {
            let before = waiting.guest.bytes.len();
            waiting.guest.bytes.resize(before.saturating_add(bytes), 0);
            let room = waiting.guest.bytes.get_mut(before..).unwrap_or_default();
            if let Err(error) = fill(room) {
                waiting.guest.bytes.truncate(before);
                return Ok(Err(error));
            }
            if self.live.is_some() {
                seen.extend_from_slice(room);
            }
        }
        self.taken(waiting, Origin::Guest, records)?;
        if let Some(live) = &mut self.live {
            live.take(Origin::Guest, &seen);
        }
        // The size of a record is a multiple of 8. Bytes that are not records must not spoil the records after them.
        if bytes.is_multiple_of(8) { Ok(Ok(())) } else { self.flush().map(Ok) }
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
        let mut record = Vec::new();
        format::push_record(&mut record, tsc, kind as u8, process, detail, words);
        let mut waiting = self.room(Origin::Host, record.len());
        waiting.host.bytes.extend_from_slice(&record);
        self.taken(waiting, Origin::Host, 1)?;
        if let Some(live) = &mut self.live {
            live.take(Origin::Host, &record);
        }
        Ok(())
    }

    /// The size of the file when all that waits is written, at most.
    pub fn size(&self) -> u64 {
        let waiting = self.shared.lock();
        let waits = waiting.guest.bytes.len().saturating_add(waiting.host.bytes.len());
        waiting.size.saturating_add(waits as u64)
    }

    /// Writes all that waits.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.request(Request::Flush)
    }

    /// Writes all that waits, then the index and the end mark. The file must still be at its path.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.end(Request::Finish)?;
        match &self.place {
            Some(place) if Handle::from_path(&self.path).ok().as_ref() != Some(place) => {
                Err(WriteError::Gone { path: self.path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Waits until there is room for so many bytes more.
    fn room(&self, origin: Origin, bytes: usize) -> MutexGuard<'_, Waiting> {
        let fits =
            |waiting: &mut Waiting| waiting.of(origin).bytes.len().saturating_add(bytes) <= WAITING_MOST;
        let mut waiting = self.shared.lock();
        if !fits(&mut waiting) {
            waiting = self.shared.wait(waiting, fits);
        }
        waiting
    }

    /// Counts what was taken, and wakes the thread when that makes a chunk.
    fn taken(
        &self,
        mut waiting: MutexGuard<'_, Waiting>,
        origin: Origin,
        records: u64,
    ) -> Result<(), WriteError> {
        waiting.count(&self.path, origin, records)?;
        let due = waiting.is_due();
        drop(waiting);
        if due {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Asks the thread for something, and waits until it is done.
    fn request(&self, request: Request) -> Result<(), WriteError> {
        let mut waiting = self.shared.lock();
        waiting.request = request;
        self.shared.work.notify_one();
        self.shared.wait(waiting, |waiting| waiting.is_settled()).check(&self.path)
    }

    /// Ends the thread with a last request, unless it has ended.
    fn end(&mut self, request: Request) -> Result<(), WriteError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let result = self.request(request);
        if result.is_err() {
            // The thread may have taken the request before the write failed, and wait for another.
            let _ = self.request(Request::Quit);
        }
        // A thread that hangs in a write cannot be joined; it ends with the process.
        if self.shared.lock().failed != Some(Failure::Stalled) {
            // It does not panic. If it did, the file would be as whole as after a kill.
            let _ = thread.join();
        }
        result
    }
}

impl Drop for Writer {
    /// A run that fails keeps the records so far.
    fn drop(&mut self) {
        // `drop` cannot return an error; `finish` does.
        let _ = self.end(Request::Quit);
    }
}

/// The thread that writes: the file, and the chunk that it makes.
struct WriterThread {
    shared: Arc<Shared>,
    output: Output,
    encoder: Encoder,
    /// The records that it took. Each exchange with [`Waiting`] swaps buffers, so the run allocates no others.
    guest: Pending,
    host: Pending,
    /// Records written of guest and host: the numbers of the next.
    next: [u64; 2],
    chunk: Vec<u8>,
    /// The time of the first record in the chunk that was made last.
    tsc: u64,
}

impl WriterThread {
    fn new(output: Output, shared: Arc<Shared>) -> WriterThread {
        WriterThread {
            shared,
            output,
            encoder: Encoder::default(),
            guest: Pending::default(),
            host: Pending::default(),
            next: [0; 2],
            chunk: Vec::new(),
            tsc: 0,
        }
    }

    /// Writes what is due, until a write fails or the thread is asked to end.
    fn work(mut self) {
        let shared = self.shared.clone();
        let mut begun = Some(self.output.begin());
        let mut waiting = shared.lock();
        loop {
            if !waiting.is_due() {
                waiting =
                    shared.work.wait_timeout(waiting, CHUNK_AGE).unwrap_or_else(PoisonError::into_inner).0;
            }
            let request = std::mem::take(&mut waiting.request);
            std::mem::swap(&mut waiting.guest, &mut self.guest);
            std::mem::swap(&mut waiting.host, &mut self.host);
            waiting.busy = true;
            let taken = self.guest.bytes.len().saturating_add(self.host.bytes.len());
            waiting.size = waiting.size.saturating_add(taken as u64);
            drop(waiting);

            let result = begun.take().unwrap_or(Ok(())).and_then(|()| self.write(request));

            waiting = shared.lock();
            waiting.busy = false;
            waiting.progress = waiting.progress.wrapping_add(1);
            waiting.written = self.next;
            waiting.size = self.output.size();
            if let Err(error) = &result {
                let code = error.raw_os_error().unwrap_or(INPUT_OUTPUT_ERROR);
                waiting.failed.get_or_insert(Failure::Write(code));
            }
            shared.done.notify_all();
            match waiting.failed {
                Some(Failure::Write(code)) => return self.record_failure(waiting, code),
                Some(Failure::Stalled) => return,
                None if matches!(request, Request::Finish | Request::Quit) => return,
                None => {}
            }
        }
    }

    /// After a failed write: waits until no more records come, and writes to the file how many are missing, and why.
    fn record_failure(&mut self, mut waiting: MutexGuard<'_, Waiting>, code: i32) {
        let shared = self.shared.clone();
        while !matches!(waiting.request, Request::Finish | Request::Quit) {
            waiting = shared.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !self.output.can_go_on() {
            return;
        }
        self.next = waiting.given;
        drop(waiting);
        let words = [Ending::TraceFailed as u64, code as u64, 0];
        self.host = Pending { bytes: Vec::new(), records: 1 };
        format::push_record(&mut self.host.bytes, self.tsc, Kind::HostEnd as u8, 0, TRAPLINE_FAILED, &words);
        self.output.use_room();
        // This may fail too, where no room could be kept. A reader then sees that the file was not closed.
        let _ = self.write_chunk(Origin::Host).and_then(|()| self.output.close(self.next[0], self.next[1]));
    }

    /// Writes the records that were taken. The host's go first: its first record is the start of the trace's time.
    fn write(&mut self, request: Request) -> io::Result<()> {
        self.write_chunk(Origin::Host)?;
        self.write_chunk(Origin::Guest)?;
        if request == Request::Finish { self.output.close(self.next[0], self.next[1]) } else { Ok(()) }
    }

    /// Makes a chunk of the records of one origin, if there are any, and writes it.
    fn write_chunk(&mut self, origin: Origin) -> io::Result<()> {
        let pending = match origin {
            Origin::Guest => &mut self.guest,
            Origin::Host => &mut self.host,
        };
        if pending.bytes.is_empty() && pending.records == 0 {
            return Ok(());
        }
        self.chunk.clear();
        self.chunk.resize(CHUNK_SIZE, 0);
        let whole = self.encoder.encode(&pending.bytes, origin, &mut self.chunk);
        let compact = whole && self.chunk.len() < pending.bytes.len().saturating_add(CHUNK_SIZE);
        if !compact {
            self.chunk.truncate(CHUNK_SIZE);
            self.chunk.extend_from_slice(&pending.bytes);
        }
        let records = u32::try_from(pending.records).unwrap_or(u32::MAX);
        let (first, mut next) = (origin.of(self.next), self.next);
        *origin.of(next.each_mut()) = first.saturating_add(pending.records);
        ChunkHead {
            content: Content::Records(origin),
            encoding: if compact { COMPACT } else { RAW },
            stored: self.chunk.len().saturating_sub(CHUNK_SIZE) as u32, // no longer than raw
            decoded: pending.bytes.len() as u32,                        // at most WAITING_MOST
            records,
            first,
            guest_total: next[0],
            host_total: next[1],
        }
        .seal(&mut self.chunk);
        self.tsc = pending.bytes.first_chunk().map_or(0, |tsc| u64::from_le_bytes(*tsc));
        pending.bytes.clear();
        pending.records = 0;
        self.output.chunk(origin, records, self.tsc, &self.chunk)?;
        self.next = next;
        Ok(())
    }
}

const _: () = assert!(WAITING_MOST <= PAYLOAD_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Trace;
    use std::convert::Infallible;
    use std::fs::File;
    use std::io::Write;

    /// A target that writes the head to a file, and everything else to something that cannot be cut.
    #[derive(Debug)]
    struct Stuck<W> {
        head: Option<File>,
        rest: W,
    }

    impl<W: Write> Write for Stuck<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.head.take() {
                Some(mut file) => file.write_all(bytes).map(|()| bytes.len()),
                None => self.rest.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<W: Write + std::fmt::Debug + Send> Target for Stuck<W> {
        fn cut(&mut self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn write(writer: &mut Writer, count: u64) -> Result<(), WriteError> {
        (0..count).try_for_each(|tsc| {
            writer.host_record(tsc, abi::record::Kind::HostClock, 0, 0, &[1, 2])?;
            writer.guest_records(16, 1, |room| {
                room[8] = abi::record::Kind::Tick as u8;
                Ok::<(), Infallible>(())
            })?;
            Ok(())
        })
    }

    #[test]
    fn a_failed_write_is_reported_at_every_call_and_counts_what_is_missing() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        let (file, name) = create_file(&path, false).expect("a new file");
        let target = Stuck { head: Some(file), rest: File::options().write(true).open("/dev/full").unwrap() };
        let mut writer = Writer::new(Box::new(target), name, &Meta::default()).expect("room for a head");
        let missing = |result: Result<(), WriteError>| match result {
            Err(WriteError::Write { missing, cause, .. }) => {
                assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
                missing
            }
            other => panic!("{other:?}"),
        };
        let _ = write(&mut writer, 1);
        let first = missing(writer.flush());
        assert!((1..=2).contains(&first));
        assert_eq!(missing(writer.flush()), first);
        assert_eq!(missing(writer.guest_records(16, 3, |_| Ok::<(), Infallible>(())).map(drop)), first + 3);
        assert_eq!(missing(writer.finish()), first + 3);
        assert_eq!(Trace::open(&path).expect("what was written before").events().count(), 0);
    }

    #[test]
    fn a_pipe_without_a_reader_ends_the_run() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        let (_reader, pipe) = std::io::pipe().expect("a pipe");
        let (file, name) = create_file(&path, false).expect("a new file");
        let target = Stuck { head: Some(file), rest: pipe };
        let mut writer = Writer::new(Box::new(target), name, &Meta::default()).expect("room for a head");
        let noise = |room: &mut [u8]| {
            room.fill(0xff);
            Ok::<(), Infallible>(())
        };
        let error = (0..20).find_map(|_| writer.guest_records(1 << 20, 9, noise).err()).expect("no room");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("it accepted no data for 2s"), "{cause}");
        assert!(error.to_string().contains("records"), "{error}");
    }

    /// A process that was stopped for long wakes up with one wait that timed out, and did nothing in that time.
    #[test]
    fn one_long_wait_is_no_stall() {
        let mut stall = StallTimer::new(0);
        let waits = |stall: &mut StallTimer, progress| (1..).find(|_| stall.has_stalled(progress));
        assert_eq!(waits(&mut stall, 0), Some(STALL_PARTS));
        let mut stall = StallTimer::new(0);
        assert!(!stall.has_stalled(0));
        assert_eq!(waits(&mut stall, 1), Some(STALL_PARTS), "progress starts it anew");
    }

    #[test]
    fn more_than_ever_fits_is_refused() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let mut writer =
            Writer::create(&place.path().join("t.trap"), false, &Meta::default()).expect("a new file");
        let too_large = writer.guest_records(WAITING_MOST + 8, 1, |_| Ok::<(), Infallible>(()));
        assert!(matches!(too_large, Err(WriteError::TooLarge { .. })));
    }
}
