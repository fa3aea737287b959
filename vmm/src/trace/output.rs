//! The file that a trace is written to: whole chunks, one behind the other, and the index at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::format::{self, CHUNK_SIZE, ChunkHead, Content, IndexEntry, Origin, PAYLOAD_MAX, RAW};
use super::{Meta, WriteError};

/// A file of whole chunks.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// After a failed write it can be cut back, and go on.
    regular: bool,
    /// Bytes in the file, all of them whole chunks.
    length: u64,
    index: Vec<IndexEntry>,
}

impl Output {
    /// Makes the file and writes its head. A file that exists is refused unless `replace`; then it is removed
    /// and a new one made, so that whoever still reads the old one is not disturbed. A device or FIFO is
    /// written to as it is.
    pub(super) fn create(path: &Path, replace: bool, meta: &Meta) -> Result<Output, WriteError> {
        let (file, regular) = open(path, replace)?;
        let mut output = Output { file, path: path.into(), regular, length: 0, index: Vec::new() };
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

    /// Writes the index, with the number of records of the whole run, and the end mark. Where there is no room for the
    /// entries of the index, which only speed things up, it goes without.
    pub(super) fn close(&mut self, guest_total: u64, host_total: u64) -> io::Result<()> {
        let end = self.end(guest_total, host_total);
        let closed = self.append(&end);
        if closed.is_ok() || !self.can_go_on() {
            return closed;
        }
        self.index.clear();
        let end = self.end(guest_total, host_total);
        self.append(&end)
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

    /// Writes bytes that are whole chunks. If that fails, nothing of them stays where the file allows it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
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
