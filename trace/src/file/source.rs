//! The bytes of a trace, read at any offset.
//!
//! A file is read by positioned reads and never mapped. So a file that is cut or changed while it is read causes an
//! error, and no signal.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::format::{CHUNK_MAGIC, FIRST_CHUNK_WITHIN, HEAD_MAGIC};

/// How many bytes are read ahead, at least.
const BLOCK: usize = 256 << 10;

/// Bytes that can be read at any offset. A file and a `Vec<u8>` are two; a program can read a trace from anything else
/// by implementing it.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// How many bytes there are now.
    ///
    /// # Errors
    /// Those of the system that holds the bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads bytes from `offset` on, and returns how many: 0 only at the end, or if `bytes` is empty.
    ///
    /// # Errors
    /// Those of the system that holds the bytes. `ErrorKind::Interrupted` means: try again.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        rest.read(bytes)
    }
}

#[cfg(any(unix, windows))]
impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(self, bytes, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(self, bytes, offset);
    }
}

impl ReadAt for Arc<dyn ReadAt> {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(bytes, offset)
    }
}

/// The bytes of a file. What cannot be read at any offset, such as a pipe, is read into memory.
///
/// # Errors
/// The file cannot be opened or read.
pub fn open(path: &Path) -> io::Result<Arc<dyn ReadAt>> {
    let file = File::open(path)?;
    #[cfg(any(unix, windows))]
    if file.metadata().is_ok_and(|about| about.is_file() && about.len() > 0) {
        return Ok(Arc::new(file));
    }
    Ok(Arc::new(read_all(file)?))
}

/// The most bytes of a pipe or a device that are read into memory, because it may never end.
const MEMORY_MAX: u64 = 1 << 30;

/// Reads a pipe or a device to its end, unless it never ends and has no trace in it.
pub(super) fn read_all(file: impl Read) -> io::Result<Vec<u8>> {
    read_most(file, MEMORY_MAX)
}

/// Reads at most so many bytes; an error if there are more.
fn read_most(mut file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut file).take(FIRST_CHUNK_WITHIN as u64).read_to_end(&mut bytes)?;
    let has_chunk = || memchr::memmem::find(&bytes, &CHUNK_MAGIC).is_some();
    if bytes.starts_with(&HEAD_MAGIC) || has_chunk() {
        file.take(most.saturating_add(1).saturating_sub(bytes.len() as u64)).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > most {
        let message = format!(
            "it is not a file, and has more than the {most} bytes that are read into memory; save it as a file"
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Fills `bytes` from `offset` on.
pub(super) fn read_exact_at(source: &dyn ReadAt, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match source.read_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = bytes.get_mut(count..).unwrap_or_default();
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A part of the bytes in memory, for a reader that goes through them from the front to the back: each byte is read once.
#[derive(Debug)]
pub(super) struct Window {
    source: Arc<dyn ReadAt>,
    /// How many bytes the source has, as far as this reader goes.
    size: u64,
    /// The offset of the first byte in memory.
    start: u64,
    bytes: Vec<u8>,
    /// Bytes from this offset on stay in memory.
    keep: u64,
}

impl Window {
    pub(super) fn new(source: Arc<dyn ReadAt>, size: u64) -> Window {
        Window { source, size, start: 0, bytes: Vec::new(), keep: u64::MAX }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `offset` on, `length` of them, fewer only at the end.
    pub(super) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(rest);
        if offset < self.start || offset > self.end() {
            self.bytes.clear();
            self.start = offset;
        }
        if offset.saturating_add(length as u64) > self.end() {
            self.read_on(offset, length)?;
        }
        let from = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(self.bytes.get(from..from.saturating_add(length)).unwrap_or_default())
    }

    /// Reads what follows the bytes in memory, up to `length` bytes from `offset` on or some more.
    fn read_on(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let done = offset.min(self.keep).saturating_sub(self.start);
        let done = usize::try_from(done).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..done);
        self.start = self.start.saturating_add(done as u64);
        let (end, had) = (self.end(), self.bytes.len());
        let wanted =
            offset.saturating_add(length as u64).max(end.saturating_add(BLOCK as u64)).min(self.size);
        let more = usize::try_from(wanted.saturating_sub(end)).map_err(io::Error::other)?;
        self.bytes.resize(had.saturating_add(more), 0);
        let read = read_exact_at(&*self.source, self.bytes.get_mut(had..).unwrap_or_default(), end);
        if read.is_err() {
            self.bytes.truncate(had);
        }
        read
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Keeps the bytes from this offset on in memory.
    pub(super) fn keep_from(&mut self, offset: u64) {
        self.keep = offset;
    }

    /// Updates the size of the source. Bytes in memory are read again if the source got shorter.
    pub(super) fn grow(&mut self) -> io::Result<()> {
        self.size = self.source.size()?;
        if self.size < self.end() {
            self.forget();
        }
        Ok(())
    }

    /// Discards the bytes in memory, so that they are read again.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_what_is_there() {
        let bytes: Vec<u8> = (0..3 * BLOCK).map(|at| (at % 251) as u8).collect();
        let size = bytes.len();
        let mut window = Window::new(Arc::new(bytes.clone()), size as u64);
        for (at, length) in [(0, 10), (5, BLOCK), (BLOCK - 1, 2 * BLOCK), (7, 3), (size - 4, 100), (size, 1)]
        {
            let end = (at + length).min(size);
            assert_eq!(window.get(at as u64, length).unwrap(), &bytes[at..end], "{length} bytes at {at}");
        }
        assert_eq!(window.get(u64::MAX, usize::MAX).unwrap(), b"");
    }

    #[test]
    fn a_trace_that_never_ends_is_refused() {
        const MOST: u64 = 20 << 20;
        const { assert!(MOST > FIRST_CHUNK_WITHIN as u64) };
        let endless = || HEAD_MAGIC.as_slice().chain(io::repeat(0));
        assert_eq!(read_most(endless(), MOST).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_most(endless().take(MOST), MOST).unwrap().len() as u64, MOST);
    }

    #[test]
    fn bytes_that_are_gone_are_an_error() {
        let mut window = Window::new(Arc::new(vec![1; 10]), 20);
        assert_eq!(window.get(0, 10).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
