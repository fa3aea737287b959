//! Reads a trace file while it is being written, each byte once.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{CHUNK_MAGIC, CHUNK_SIZE, ChunkHead, END_MAGIC, END_SIZE, PAYLOAD_MAX};
use super::reader::{Head, ReadError, open_head};
use super::records::{self, Merge, Supply};
use super::scan::{Scan, Step};
use super::source::{self, ReadAt, Window};
use super::{Clock, Damage, Event, Meta, OpenError, Origin, damage};

/// What [`Follow::look`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There may be new events: read them, and look again.
    Some,
    /// Nothing yet: look again after a while.
    None,
    /// The file was closed. The events that are left are the last.
    Over,
}

/// A trace file that may still grow. [`Follow::look`] reads on, and then the iterator returns what is new. An event of the
/// host is not returned before one of the guest that follows it, as until then earlier ones of the guest may still come.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    meta: Meta,
    window: Window,
    scan: Scan,
    records: Merge<Queue>,
    clock: Option<Clock>,
    is_over: bool,
    /// Where bytes start that are not a chunk, and how far they were searched for one.
    broken: Option<u64>,
    searched: u64,
    /// The size of the file when what is in memory was last read again.
    read_again: u64,
}

/// Chunks of one origin that were read and not yet taken: the number of the first record, the encoding, and the bytes.
#[derive(Debug, Default)]
struct Queue(VecDeque<(u64, u8, Vec<u8>)>);

impl Supply for Queue {
    fn next(&mut self, _: Origin, chunk: &mut Vec<u8>) -> Option<(u64, u8)> {
        let (first, encoding, bytes) = self.0.pop_front()?;
        *chunk = bytes;
        Some((first, encoding))
    }
}

impl Follow {
    /// Opens a trace file.
    ///
    /// # Errors
    /// As for [`super::Trace::open`].
    pub fn open(path: &Path) -> Result<Follow, OpenError> {
        let source = source::open(path).map_err(|cause| OpenError::Read { path: path.into(), cause })?;
        Follow::over(source, path.into())
    }

    /// Opens a trace that is not a file. Errors call it by `name`.
    ///
    /// # Errors
    /// As for [`super::Trace::open`].
    pub fn from_source(source: impl ReadAt + 'static, name: impl Into<PathBuf>) -> Result<Follow, OpenError> {
        Follow::over(Arc::new(source), name.into())
    }

    fn over(source: Arc<dyn ReadAt>, path: PathBuf) -> Result<Follow, OpenError> {
        let size = source.size().map_err(|cause| OpenError::Read { path: path.clone(), cause })?;
        let mut window = Window::new(source, size);
        let Head { meta, start, damage } = open_head(&mut window, &path)?;
        let mut scan = Scan::new(start);
        scan.damage = damage;
        let records = Merge::new(Queue::default(), Queue::default());
        let (clock, is_over, broken, searched, read_again) = (None, false, None, 0, 0);
        Ok(Follow { path, meta, window, scan, records, clock, is_over, broken, searched, read_again })
    }

    /// What ran.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What is damaged. What is missing is known when the file was closed.
    pub fn damage(&self) -> &[Damage] {
        &self.scan.damage
    }

    /// Reads at most one more chunk.
    ///
    /// # Errors
    /// The file cannot be read, or was cut.
    pub fn look(&mut self) -> Result<News, ReadError> {
        let looked = self.try_look();
        looked.map_err(|cause| ReadError::Read { path: self.path.clone(), cause: Arc::new(cause) })
    }

    fn try_look(&mut self) -> io::Result<News> {
        if self.is_over {
            return Ok(News::Over);
        }
        self.window.grow()?;
        if self.window.size() < self.scan.at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.window.keep_from(self.scan.at);
        let from = self.scan.at;
        match self.scan.step(&mut self.window)? {
            Step::Records { origin, first, encoding, chunk } => {
                let stream = match origin {
                    Origin::Guest => &mut self.records.guest,
                    Origin::Host => &mut self.records.host,
                };
                stream.supply.0.push_back((first, encoding, chunk.to_vec()));
                self.records.has_more();
            }
            Step::Other => {}
            Step::End => {
                self.is_over = true;
                self.scan.table();
                return Ok(News::Over);
            }
            Step::Broken(head) => return self.broken(head),
        }
        if let Some(broken) = self.broken.take() {
            let bytes = from.saturating_sub(broken);
            damage::add(&mut self.scan.damage, [Damage::Unreadable { offset: broken, bytes }]);
        }
        Ok(News::Some)
    }

    /// These bytes are not a chunk, or not one yet.
    fn broken(&mut self, head: Option<ChunkHead>) -> io::Result<News> {
        let (at, size) = (self.scan.at, self.window.size());
        let most = CHUNK_SIZE.saturating_add(PAYLOAD_MAX);
        let rest = self.window.get(at, most)?;
        let starts_like_one = rest.iter().zip(&CHUNK_MAGIC).all(|(byte, of_magic)| byte == of_magic);
        let needs = head.map_or(Some(CHUNK_SIZE), |head| head.size()).unwrap_or(0);
        let may_be_one = starts_like_one && rest.len() < needs;
        let may_be_end = self.scan.is_behind_index() && rest.len() < END_SIZE;
        let may_be_whole = may_be_one || may_be_end;
        // The writer cuts off a chunk that it could not write, and writes the end of the file in its place.
        if self.read_again != size && (rest.ends_with(&END_MAGIC) || !may_be_whole) {
            self.read_again = size;
            self.window.forget();
            return Ok(News::Some);
        }
        let from = self.searched.max(at.saturating_add(1));
        match self.scan.find_chunk(&mut self.window, from, size)? {
            Ok(next) => {
                self.broken.get_or_insert(at);
                self.scan.at = next;
                return Ok(News::Some);
            }
            Err(searched) => self.searched = searched,
        }
        if !may_be_whole {
            self.broken.get_or_insert(at);
            self.scan.at = self.searched;
        }
        Ok(News::None)
    }
}

impl Iterator for Follow {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if !self.is_over && self.records.guest.peek().is_none() {
            return None;
        }
        let record = self.records.next()?;
        let clock = self.clock.get_or_insert_with(|| Clock::new(record.tsc, self.meta.tsc_khz));
        records::decode(&record, clock)
    }
}
