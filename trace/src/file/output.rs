//! The file that a trace is written to: whole chunks, one behind the other, and the index at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use abi::record::RECORD_MAX;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl};

use super::format::{self, CHUNK_SIZE, ChunkHead, Content, IndexEntry, Origin, PAYLOAD_MAX, RAW};
use super::{Meta, WriteError};

/// What the end of a file takes whose last records have no room: a chunk of one record that says why, an index without
/// entries, and the end mark. So much room is kept behind the last chunk.
const END_ROOM: usize = CHUNK_SIZE + RECORD_MAX + CHUNK_SIZE + format::END_SIZE;

/// A file of whole chunks.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// After a failed write it can be cut back, and go on.
    pub(super) regular: bool,
    /// Bytes in the file, all of them whole chunks.
    length: u64,
    index: Vec<IndexEntry>,
    /// Bytes to keep behind the last chunk.
    room: usize,
    /// What is to be done for the file to get its name.
    unnamed: Option<Unnamed>,
}

impl Output {
    /// Makes the file under a name that does not stay, and writes its head. [`Output::publish`] gives it its own name: until
    /// then it leaves no trace of itself, and a file that it replaces is as it was. A file that exists is refused unless
    /// `replace`. A device or FIFO is written to as it is.
    pub(super) fn create(path: &Path, replace: bool, meta: &Meta) -> Result<Output, WriteError> {
        let (file, unnamed) = open(path, replace)?;
        let regular = unnamed.is_some();
        let mut output = Output {
            file,
            path: path.into(),
            regular,
            length: 0,
            index: Vec::new(),
            room: END_ROOM,
            unnamed,
        };
        output
            .append(&format::head(meta))
            .map_err(|cause| WriteError::Create { path: path.into(), cause })?;
        Ok(output)
    }

    /// Gives the file its own name.
    pub(super) fn publish(&mut self) -> Result<(), WriteError> {
        self.naming().map_or(Ok(()), |unnamed| unnamed.publish(&self.path))
    }

    /// What is to be done for the file to get its name, for a caller that does it itself.
    pub(super) fn naming(&mut self) -> Option<Unnamed> {
        self.unnamed.take()
    }

    /// Whether more can be written after a failed write.
    pub(super) fn can_go_on(&self) -> bool {
        self.regular
    }

    /// Writes a chunk of records, sealed; `tsc` is the time of its first.
    pub(super) fn chunk(&mut self, origin: Origin, records: u32, tsc: u64, chunk: &[u8]) -> io::Result<()> {
        let entry = IndexEntry { offset: self.length, tsc, records, origin };
        self.append(chunk)?;
        self.index.push(entry);
        Ok(())
    }

    /// Has the room that was kept be used by what is written from now on: the end.
    pub(super) fn use_room(&mut self) {
        self.room = 0;
    }

    /// Writes the index, with the number of records of the whole run, and the end mark. Where there is no room for the
    /// entries of the index, which only speed things up, it goes without.
    pub(super) fn close(&mut self, guest_total: u64, host_total: u64) -> io::Result<()> {
        self.use_room();
        let end = self.end(guest_total, host_total);
        let mut closed = self.append(&end);
        if closed.is_err() && self.can_go_on() {
            self.index.clear();
            let end = self.end(guest_total, host_total);
            closed = self.append(&end);
        }
        if self.regular {
            // Gives back the room that was kept. The file is whole without that.
            let _ = self.file.set_len(self.length);
        }
        closed
    }

    /// The index and the end mark.
    fn end(&self, guest_total: u64, host_total: u64) -> Vec<u8> {
        let mut chunk = vec![0; CHUNK_SIZE];
        // The index only speeds things up: one that would be too long for a chunk is cut.
        let most = PAYLOAD_MAX / format::INDEX_ENTRY_SIZE;
        self.index.iter().take(most).for_each(|entry| chunk.extend_from_slice(&entry.to_bytes()));
        let payload = (chunk.len() - CHUNK_SIZE) as u32; // at most PAYLOAD_MAX
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

    /// Writes bytes that are whole chunks, and keeps room behind them. If that fails, nothing of them stays where the file
    /// allows it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.regular && self.room > 0 {
            keep_room(&self.file, self.length, bytes.len() + self.room)?;
        }
        let written = self.file.write_all(bytes);
        if written.is_ok() {
            self.length += bytes.len() as u64;
        } else if self.regular {
            // Best effort: a reader sees an incomplete chunk for what it is.
            self.regular = self.cut_back().is_ok();
        }
        written
    }

    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }
}

/// Has the file system set room aside behind the first `length` bytes of a file, if it is one that can.
fn keep_room(file: &File, length: u64, bytes: usize) -> io::Result<()> {
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, length.cast_signed(), bytes as i64) {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file that has not got its name yet. It is removed if it never does.
#[derive(Debug)]
pub(super) struct Unnamed {
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
    published: bool,
}

impl Unnamed {
    /// Makes a file beside `target`, where nothing but a change of name is left to do.
    fn beside(target: &Path, replace: bool) -> io::Result<(File, Unnamed)> {
        let process = std::process::id();
        let mut number = 0_u64;
        loop {
            let temporary = target.with_file_name(format!(".trapline-{process}-{number}.partial"));
            number += 1;
            match create_new(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    let target = target.into();
                    return Ok((file, Unnamed { temporary, target, replace, published: false }));
                }
            }
        }
    }

    /// Gives the file its name. Unless it may replace what has that name, the name is taken first, by creating it, so that
    /// of several runs at once only one gets it. `path` is the name for messages.
    pub(super) fn publish(mut self, path: &Path) -> Result<(), WriteError> {
        let name = || {
            if !self.replace {
                create_new(&self.target)?;
            }
            fs::rename(&self.temporary, &self.target).inspect_err(|_| {
                if !self.replace {
                    // Best effort: the name was taken for nothing.
                    let _ = fs::remove_file(&self.target);
                }
            })
        };
        let named = name();
        self.published = named.is_ok();
        named.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists { path: path.into() },
            _ => WriteError::Create { path: path.into(), cause },
        })
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: the error that matters is the one that kept the file from its name.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Opens the file for writing. A regular one comes with what is left to do for its name.
fn open(path: &Path, replace: bool) -> Result<(File, Option<Unnamed>), WriteError> {
    let target = match fs::metadata(path) {
        Ok(about) if about.is_file() && !replace => return Err(WriteError::Exists { path: path.into() }),
        // Through a symbolic link, the file it leads to is replaced and not the link.
        Ok(about) if about.is_file() => fs::canonicalize(path),
        Ok(_) => return open_special(path).map(|file| (file, None)),
        // A link that leads nowhere is a name that is taken: it is refused or replaced itself.
        Err(_) => Ok(path.into()),
    };
    let (file, unnamed) = target
        .and_then(|target| Unnamed::beside(&target, replace))
        .map_err(|cause| WriteError::Create { path: path.into(), cause })?;
    Ok((file, Some(unnamed)))
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
