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
}

impl Output {
    /// Makes the file and writes its head. A file that exists is refused unless `replace`; then it is removed
    /// and a new one made, so that whoever still reads the old one is not disturbed. A device or FIFO is
    /// written to as it is.
    pub(super) fn create(path: &Path, replace: bool, meta: &Meta) -> Result<Output, WriteError> {
        let (file, regular) = open(path, replace)?;
        let mut output =
            Output { file, path: path.into(), regular, length: 0, index: Vec::new(), room: END_ROOM };
        output.append(&format::head(meta)).map_err(|cause| {
            output.remove();
            WriteError::Create { path: path.into(), cause }
        })?;
        Ok(output)
    }

    /// Whether more can be written after a failed write.
    pub(super) fn can_go_on(&self) -> bool {
        self.regular
    }

    /// Removes a file that is of no use.
    pub(super) fn remove(&self) {
        if self.regular {
            // Best effort: the error that matters is the one of the write.
            let _ = fs::remove_file(&self.path);
        }
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
