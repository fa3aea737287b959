//! Reads a file for the guest: a kernel or a program. Its size is checked before it is read, and reading it never blocks.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::machine::layout::{MEMORY_MAX_MIB, MIB};

/// The most that is read, in bytes: all the memory that a guest can have.
const FILE_MAX: u64 = MEMORY_MAX_MIB * MIB;

/// The bytes of a regular file. A device, such as `/dev/zero`, or a FIFO is refused.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: without it, opening a FIFO waits for a writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if about.len() > FILE_MAX {
        let reason = format!("it has {} bytes, but a guest has at most {FILE_MAX}", about.len());
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    file.take(about.len()).read_to_end(&mut bytes)?;
    Ok(bytes)
}
