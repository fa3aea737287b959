//! The file that a trace is written to: whole chunks, one behind the other, and the index at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl};

use super::format::{self, CHUNK_SIZE, ChunkHead, Content, IndexEntry, Origin, PAYLOAD_MAX, RAW};
use super::{Meta, WriteError};

/// A file of whole chunks.
/// What an end without an index takes. A file that grows has so much room behind its last chunk.
const END_ROOM: usize = CHUNK_SIZE + format::END_SIZE;

/// A file of whole chunks.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// It can be cut back after a failed write.
    pub(super) regular: bool,
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
        if let Err(cause) = output.append(&format::head(meta)) {
            if regular {
                // Best effort: the error that matters is the one of the write.
                let _ = fs::remove_file(path);
            }
            return Err(WriteError::Create { path: path.into(), cause });
        }
        Ok(output)
    }

    /// Writes a chunk of records, sealed; `tsc` is the time of its first.
    pub(super) fn chunk(&mut self, origin: Origin, records: u32, tsc: u64, chunk: &[u8]) -> io::Result<()> {
        let entry = IndexEntry { offset: self.length, tsc, records, origin };
        self.append(chunk)?;
        self.index.push(entry);
        Ok(())
    }

    /// Writes the index, with the number of records of the whole run, and the end mark.
    pub(super) fn close(&mut self, totals: [u64; 2]) -> io::Result<()> {
        // The index only speeds things up: one that would be too long for a chunk is cut.
        self.end(totals, PAYLOAD_MAX / format::INDEX_ENTRY_SIZE, 0)
    }

    /// Has a file that takes no more records say how many the run had, and the number of the error that kept them out.
    pub(super) fn give_up(&mut self, totals: [u64; 2], failure: u32) {
        // What was begun in a pipe cannot be taken back, so what follows it would not be read as an end.
        if self.regular {
            // Where no room could be kept for it, the missing end says that something is missing.
            let _ = self.end(totals, 0, failure);
        }
    }

    /// Writes an index of at most so many entries, and the end mark, and gives back the room that was kept.
    fn end(&mut self, totals: [u64; 2], entries: usize, failure: u32) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_SIZE];
        self.index.iter().take(entries).for_each(|entry| chunk.extend_from_slice(&entry.to_bytes()));
        let payload = (chunk.len() - CHUNK_SIZE) as u32; // at most PAYLOAD_MAX
        let [guest_total, host_total] = totals;
        ChunkHead {
            content: Content::Index,
            encoding: RAW,
            stored: payload,
            decoded: payload,
            records: 0,
            first: 0,
            guest_total,
            host_total,
            failure,
        }
        .seal(&mut chunk);
        chunk.extend_from_slice(&format::end_mark(self.length));
        self.write(&chunk)?;
        if self.regular { self.file.set_len(self.length) } else { Ok(()) }
    }

    /// Writes bytes that are whole chunks, and keeps room for an end behind them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.regular {
            keep_room(&self.file, self.length, bytes.len() + END_ROOM)?;
        }
        self.write(bytes)
    }

    /// Writes bytes. If that fails, nothing of them stays where the file allows it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        if written.is_ok() {
            self.length += bytes.len() as u64;
        } else if self.regular {
            // Best effort: a reader sees an incomplete chunk for what it is.
            let _ =
                self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        }
        written
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Damage, Trace};

    #[test]
    fn a_file_that_takes_no_more_says_how_much_is_missing_and_why() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        let mut output = Output::create(&path, false, &Meta::default()).expect("a new file");
        output.give_up([7, 1], Errno::EDQUOT as u32);
        let trace = Trace::open(&path).expect("a whole file");
        let gap = |origin, records| Damage::Gap { origin, first: 0, records };
        let all =
            [Damage::NotWritten { error: Errno::EDQUOT as i32 }, gap(Origin::Guest, 7), gap(Origin::Host, 1)];
        assert_eq!(trace.damage(), all);
        let said: Vec<String> = trace.damage().iter().map(ToString::to_string).collect();
        assert!(said[0].contains("quota") && said[1].contains("7 guest records"), "{said:?}");
    }
}
