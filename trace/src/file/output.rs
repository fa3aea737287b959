//! The file that a trace is written to: whole chunks, one after the other, and the index at its end.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use abi::record::RECORD_MAX;

use super::format::{self, CHUNK_SIZE, ChunkHead, Content, IndexEntry, Origin, PAYLOAD_MAX, RAW};
use super::{Meta, WriteError};

/// The size of the end of a file whose last records had no room: a chunk of one record that says why, an index without
/// entries, and the end mark. This much room is reserved after the last chunk.
const END_ROOM: usize = CHUNK_SIZE + RECORD_MAX + CHUNK_SIZE + format::END_SIZE;

/// What a trace is written to, such as a [`File`].
pub trait Target: Write + fmt::Debug + Send {
    /// Called once in the thread that writes, before it handles a record.
    ///
    /// # Errors
    /// The thread may not write; the run ends as after a failed write.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Cuts off everything after the first `length` bytes. The next write continues there.
    ///
    /// # Errors
    /// It cannot be cut, for example because it is a pipe. Then what was written stays.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Reserves room for `bytes` bytes after the first `length`, if the file system can.
    ///
    /// # Errors
    /// There is no room.
    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<()> {
        let _ = (length, bytes);
        Ok(())
    }
}

impl Target for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}

/// A file of whole chunks.
#[derive(Debug)]
pub(super) struct Output {
    target: Box<dyn Target>,
    /// After a failed write it was cut back, so that it can go on.
    is_whole: bool,
    /// Bytes in the file, all of them whole chunks.
    length: u64,
    index: Vec<IndexEntry>,
    /// Bytes to keep behind the last chunk.
    room: usize,
}

impl Output {
    /// Writes the head. `path` is the target's name for messages.
    pub(super) fn new(target: Box<dyn Target>, path: &Path, meta: &Meta) -> Result<Output, WriteError> {
        let index = Vec::new();
        let mut output = Output { target, is_whole: true, length: 0, index, room: END_ROOM };
        let head = output.append(&format::head(meta));
        head.map_err(|cause| WriteError::Create { path: path.into(), cause })?;
        Ok(output)
    }

    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.length
    }

    /// Tells the target that the thread that writes begins.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.target.begin()
    }

    /// Whether more can be written after a failed write.
    pub(super) fn can_go_on(&self) -> bool {
        self.is_whole
    }

    /// Writes a chunk of records, sealed; `tsc` is the time of its first.
    pub(super) fn chunk(&mut self, origin: Origin, records: u32, tsc: u64, chunk: &[u8]) -> io::Result<()> {
        let entry = IndexEntry { offset: self.length, tsc, records, origin };
        self.append(chunk)?;
        self.index.push(entry);
        Ok(())
    }

    /// Releases the reserved room, for the end of the file.
    pub(super) fn use_room(&mut self) {
        self.room = 0;
    }

    /// Writes the index, with the number of records of the whole run, and the end mark. Where there is no room for the
    /// entries of the index, which only speed up reading, it writes none.
    pub(super) fn close(&mut self, guest_total: u64, host_total: u64) -> io::Result<()> {
        self.use_room();
        let end = self.end(guest_total, host_total);
        let mut closed = self.append(&end);
        if closed.is_err() && self.can_go_on() {
            self.index.clear();
            let end = self.end(guest_total, host_total);
            closed = self.append(&end);
        }
        // Releases the reserved room. The file is whole without that.
        let _ = self.target.cut(self.length);
        closed
    }

    /// The index and the end mark.
    fn end(&self, guest_total: u64, host_total: u64) -> Vec<u8> {
        let mut chunk = vec![0; CHUNK_SIZE];
        // The index only speeds up reading, so one that is too long for a chunk is cut.
        let most = PAYLOAD_MAX / format::INDEX_ENTRY_SIZE;
        self.index.iter().take(most).for_each(|entry| chunk.extend_from_slice(&entry.to_bytes()));
        let payload = chunk.len().saturating_sub(CHUNK_SIZE) as u32; // at most PAYLOAD_MAX
        ChunkHead {
            content: Content::Index,
            encoding: RAW,
            stored: payload,
            decoded: payload,
            records: 0,
            first: 0,
            guest_total,
            host_total,
        }
        .seal(&mut chunk);
        chunk.extend_from_slice(&format::end_mark(self.length));
        chunk
    }

    /// Writes bytes that are whole chunks, and reserves room after them. If that fails, all of them are cut off, where the
    /// target allows it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.room > 0 {
            self.target.reserve(self.length, bytes.len().saturating_add(self.room) as u64)?;
        }
        let written = self.target.write_all(bytes);
        if written.is_ok() {
            self.length = self.length.saturating_add(bytes.len() as u64);
        } else {
            // Best effort: a reader reports an incomplete chunk.
            self.is_whole = self.target.cut(self.length).is_ok();
        }
        written
    }
}

/// The name of a trace file. The file gets it as the last step that can fail, and is removed if it does not get it.
#[derive(Debug)]
pub struct Name {
    path: PathBuf,
    unnamed: Option<Unnamed>,
}

/// A file with a temporary name.
#[derive(Debug)]
struct Unnamed {
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
}

impl Name {
    /// The name of what is there already, such as a device.
    pub fn taken(path: &Path) -> Name {
        Name { path: path.into(), unnamed: None }
    }

    /// The name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. Unless it may replace what has that name, the name is taken first, by creating it, so that
    /// of several runs at once only one gets it.
    pub(super) fn publish(mut self) -> Result<(), WriteError> {
        let Some(Unnamed { temporary, target, replace }) = &self.unnamed else { return Ok(()) };
        let name = || {
            if !replace {
                create_new(target)?;
            }
            fs::rename(temporary, target).inspect_err(|_| {
                if !replace {
                    // Best effort: the name was taken for nothing.
                    let _ = fs::remove_file(target);
                }
            })
        };
        name().map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists { path: self.path.clone() },
            _ => WriteError::Create { path: self.path.clone(), cause },
        })?;
        self.unnamed = None;
        Ok(())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(unnamed) = &self.unnamed {
            // Best effort: the error that matters is the one that kept the file from its name.
            let _ = fs::remove_file(&unnamed.temporary);
        }
    }
}

/// Creates the file of a trace under a temporary name, so that a file that it replaces is unchanged until the new one gets
/// its name. A file that exists is refused unless `replace`. A device and the like is opened as it is.
///
/// # Errors
/// The file exists, or cannot be created.
pub fn create_file(path: &Path, replace: bool) -> Result<(File, Name), WriteError> {
    let failed = |cause| WriteError::Create { path: path.into(), cause };
    let target = match fs::metadata(path) {
        Ok(about) if about.is_file() && !replace => return Err(WriteError::Exists { path: path.into() }),
        // Through a symbolic link, the file it leads to is replaced and not the link.
        Ok(about) if about.is_file() => fs::canonicalize(path).map_err(failed)?,
        Ok(_) => {
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            return Ok((file, Name::taken(path)));
        }
        // A symbolic link to nothing counts as a file that exists, and is refused or replaced itself.
        Err(_) => path.into(),
    };
    let (file, temporary) = create_beside(&target).map_err(failed)?;
    let unnamed = Some(Unnamed { temporary, target, replace });
    Ok((file, Name { path: path.into(), unnamed }))
}

/// Creates a file in the folder of `target`, so that only a rename is left to do.
fn create_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let process = std::process::id();
    let mut number = 0_u64;
    loop {
        let temporary = target.with_file_name(format!(".trapline-{process}-{number}.partial"));
        match create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.wrapping_add(1),
            created => return Ok((created?, temporary)),
        }
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
