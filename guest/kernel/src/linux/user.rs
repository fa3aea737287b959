//! Access of system calls to the memory of the process. All pages are made accessible before the first byte is copied. So
//! a call that fails has changed nothing, and the kernel never faults. A long transfer does so for each of its parts.

use abi::syscall::data;
use abi::syscall::errno::{EFAULT, ENAMETOOLONG};

use super::space::{Bad, Touch};
use super::{Outcome, task};
use crate::hosts::emulated;
use crate::layout::{PAGE, USER_END};
use crate::memory::address_space::translate;
use crate::{scheduler, trace};

/// Makes `size` bytes from `address` on accessible to the kernel, if the process itself may access them.
pub fn reach(address: u64, size: u64, write: bool) -> Outcome<()> {
    if size == 0 {
        return Ok(());
    }
    let end = address.checked_add(size).filter(|&end| end <= USER_END).ok_or(EFAULT)?;
    let space = task::space();
    let mut page = address & !(PAGE - 1);
    while page < end {
        if translate(space.root(), page, write).is_none() {
            let touch = if write { Touch::Write } else { Touch::Read };
            match space.touch(page, touch, true) {
                Err(Bad::OutOfMemory) => super::signal::out_of_memory(),
                other => other.map_err(|_| EFAULT)?,
            }
        }
        page += PAGE;
    }
    Ok(())
}

/// Bytes that the process may read.
pub fn bytes(address: u64, size: u64) -> Outcome<&'static [u8]> {
    reach(address, size, false)?;
    if size == 0 {
        return Ok(&[]);
    }
    // SAFETY: every page is present and readable in the address space that is loaded, and stays so until the process
    // leaves the kernel or waits.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) })
}

/// Reads a value that the process may read; `T` is plain data.
pub fn read<T: Copy>(address: u64) -> Outcome<T> {
    reach(address, size_of::<T>() as u64, false)?;
    // SAFETY: as for `bytes`.
    Ok(unsafe { (address as *const T).read_unaligned() })
}

/// Writes a value to memory that the process may write.
pub fn write<T: Copy>(address: u64, value: T) -> Outcome<()> {
    reach(address, size_of::<T>() as u64, true)?;
    // SAFETY: every page is present and writable in the address space that is loaded.
    unsafe { (address as *mut T).write_unaligned(value) };
    Ok(())
}

/// Writes a value, unless the address is 0.
pub fn write_if_asked<T: Copy>(address: u64, value: T) -> Outcome<()> {
    if address == 0 { Ok(()) } else { write(address, value) }
}

/// Copies bytes to memory that the process may write.
pub fn copy_to(address: u64, bytes: &[u8]) -> Outcome<()> {
    reach(address, bytes.len() as u64, true)?;
    // SAFETY: as for `write`; the bytes belong to the kernel or a file, so the two do not overlap.
    unsafe { (address as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

/// A string in the process, without the zero byte at its end, of fewer than `most` bytes.
pub fn string(address: u64, most: u64) -> Outcome<&'static [u8]> {
    let mut size = 0;
    while size < most {
        let at = address.checked_add(size).ok_or(EFAULT)?;
        let here = (PAGE - at % PAGE).min(most - size);
        let found = emulated::size_before(bytes(at, here)?, 0) as u64;
        size += found;
        if found < here {
            return bytes(address, size);
        }
        if here == PAGE {
            // A scan of a page takes milliseconds on a host that emulates ring 0.
            scheduler::pause();
        }
    }
    Err(ENAMETOOLONG)
}

/// The memory of the current process, for the records of what its calls point to.
pub struct Memory;

impl data::Memory for Memory {
    fn bytes(&self, address: u64, size: u64) -> Option<&'static [u8]> {
        bytes(address, size).ok()
    }

    fn text_size(&self, bytes: &[u8]) -> usize {
        emulated::size_before(bytes, 0)
    }

    fn record(&self, argument: u8, size: u64, beginning: &[u8]) {
        trace::data(argument, size, beginning);
    }
}
