//! A whole file in memory: mapped where it can be, read where it cannot (a pipe).
//!
//! A mapped file that somebody cuts while it is read ends this process with SIGBUS, which the `trapline` command turns into
//! an error. The writer makes a new file instead
//! of cutting one that it replaces, and cuts its own only by what a failed write left behind the last whole chunk.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::path::Path;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

use super::format::{CHUNK_MAGIC, FIRST_CHUNK_WITHIN, HEAD_MAGIC};

/// Size of a page on x86-64.
const PAGE: usize = 4096;

/// The bytes of a file.
#[derive(Debug)]
pub(super) enum Bytes {
    /// Pages of the file itself.
    Mapped(Mapping),
    /// A copy.
    Read(Vec<u8>),
}

impl Bytes {
    /// All that the file holds now.
    pub(super) fn of(path: &Path) -> io::Result<Bytes> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        let size = usize::try_from(about.len()).map_err(io::Error::other)?;
        if let (true, Some(size)) = (about.is_file(), NonZeroUsize::new(size)) {
            return Ok(Bytes::Mapped(Mapping::new(&file, size)?));
        }
        read(&mut file).map(Bytes::Read)
    }

    /// Gives back the memory of bytes that were read and will not soon be again. They can still be read.
    pub(super) fn let_go(&self, range: Range<usize>) {
        if let Bytes::Mapped(mapping) = self {
            mapping.let_go(range);
        }
    }
}

/// Reads a pipe or a device to its end, but not one that never ends and has no trace in it.
fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FIRST_CHUNK_WITHIN as u64).read_to_end(&mut bytes)?;
    let has_chunk = || bytes.windows(CHUNK_MAGIC.len()).any(|window| window == CHUNK_MAGIC);
    if bytes.starts_with(&HEAD_MAGIC) || has_chunk() {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(mapping) => mapping.bytes(),
            Bytes::Read(bytes) => bytes,
        }
    }
}

/// A read-only mapping, undone on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    size: NonZeroUsize,
}

// SAFETY: the mapping is read-only and owned by this value alone, so any thread may read or drop it.
unsafe impl Send for Mapping {}
// SAFETY: as above; nothing is ever written through it.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File, size: NonZeroUsize) -> io::Result<Mapping> {
        // SAFETY: no address is asked for, so no mapping that exists is touched.
        let start = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0) }?;
        Ok(Mapping { start: start.cast(), size })
    }

    /// Lets go of the whole pages in a range.
    fn let_go(&self, range: Range<usize>) {
        let start = range.start.next_multiple_of(PAGE);
        let end = range.end.min(self.size.get()) / PAGE * PAGE;
        if start < end {
            // SAFETY: `start < end <= size`, so it is inside the mapping.
            let address = unsafe { self.start.add(start) }.cast();
            // SAFETY: the mapping is of a file and is never written, so the pages come back as they were.
            let advised = unsafe { madvise(address, end - start, MmapAdvise::MADV_DONTNEED) };
            debug_assert!(advised.is_ok());
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: `start` and `size` are a live mapping until drop. The writer only appends to a trace file, so
        // the bytes of whole chunks do not change.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size.get()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and no reference into it outlives the value.
        let undone = unsafe { munmap(self.start.cast(), self.size.get()) };
        debug_assert!(undone.is_ok());
    }
}
