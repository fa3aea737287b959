//! What a system call reads and writes in the memory of the process: the pages are made as they must be, and only then
//! a byte moves. So a call that fails has done nothing, and the kernel never faults.

use abi::syscall::errno::{EFAULT, ENAMETOOLONG};

use super::space::{Bad, Touch};
use super::{Outcome, task};
use crate::arch::mem;
use crate::layout::{PAGE, USER_END};
use crate::memory::address_space::translate;

/// Lets the kernel use `size` bytes from `address` on, as the process itself could.
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

/// Bytes that the process could read.
pub fn bytes(address: u64, size: u64) -> Outcome<&'static [u8]> {
    reach(address, size, false)?;
    if size == 0 {
        return Ok(&[]);
    }
    // SAFETY: every page is there and readable in the address space that is loaded, and stays so until the process
    // leaves the kernel or waits.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) })
}

/// A value that the process could read; `T` is plain data.
pub fn read<T: Copy>(address: u64) -> Outcome<T> {
    reach(address, size_of::<T>() as u64, false)?;
    // SAFETY: as for `bytes`.
    Ok(unsafe { (address as *const T).read_unaligned() })
}

/// Writes a value where the process could.
pub fn write<T: Copy>(address: u64, value: T) -> Outcome<()> {
    reach(address, size_of::<T>() as u64, true)?;
    // SAFETY: every page is there and writable in the address space that is loaded.
    unsafe { (address as *mut T).write_unaligned(value) };
    Ok(())
}

/// Writes a value, unless the address is 0.
pub fn write_if_asked<T: Copy>(address: u64, value: T) -> Outcome<()> {
    if address == 0 { Ok(()) } else { write(address, value) }
}

/// Copies bytes to where the process could write.
pub fn copy_to(address: u64, bytes: &[u8]) -> Outcome<()> {
    reach(address, bytes.len() as u64, true)?;
    // SAFETY: as for `write`; the bytes are the kernel's or a file's, so the two do not overlap.
    unsafe { (address as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

/// A string that ends with a zero byte, without it, of less than `most` bytes.
pub fn string(address: u64, most: u64) -> Outcome<&'static [u8]> {
    let mut size = 0;
    while size < most {
        let at = address.checked_add(size).ok_or(EFAULT)?;
        let here = (PAGE - at % PAGE).min(most - size);
        reach(at, here, false)?;
        // SAFETY: `reach` made all of it readable.
        let found = unsafe { mem::text_size(at as *const u8, here as usize) } as u64;
        size += found;
        if found < here {
            return bytes(address, size);
        }
    }
    Err(ENAMETOOLONG)
}
