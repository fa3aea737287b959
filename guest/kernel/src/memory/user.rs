//! Memory of a process that the kernel reads or writes for it: a pointer is checked against the process's page tables
//! before a byte moves.
//!
//! That process is the one whose address space is loaded. Nothing can change between check and use: there is one CPU, and
//! interrupts are off.

use super::address_space::translate;
use crate::arch::cpu::read_cr;
use crate::layout::{PAGE, USER_END};

/// The bytes from `address` on, if the process itself could read every one of them.
pub fn readable(address: u64, size: u64) -> Option<&'static [u8]> {
    check(address, size, false)?;
    // SAFETY: every page is present and readable in the address space that is loaded, and stays so while this
    // process is in the kernel.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) })
}

/// Writes a value where the process says, if it could write there itself.
pub fn write<T: Copy>(address: u64, value: T) -> Option<()> {
    check(address, size_of::<T>() as u64, true)?;
    // SAFETY: every page is present and writable in the address space that is loaded.
    unsafe { (address as *mut T).write_unaligned(value) };
    Some(())
}

/// Reads a value, if the process could. `T` is plain data.
pub fn read<T: Copy>(address: u64) -> Option<T> {
    check(address, size_of::<T>() as u64, false)?;
    // SAFETY: every page is present and readable in the address space that is loaded.
    Some(unsafe { (address as *const T).read_unaligned() })
}

/// True if the process could write every byte.
pub fn writable(address: u64, size: u64) -> bool {
    check(address, size, true).is_some()
}

/// True if all of it lies below the end of user memory, mapped or not.
pub fn is_below_end(address: u64, size: u64) -> bool {
    address.checked_add(size).is_some_and(|end| end <= USER_END)
}

fn check(address: u64, size: u64, write: bool) -> Option<()> {
    if !is_below_end(address, size) {
        return None;
    }
    let root = read_cr!("cr3");
    let end = address + size;
    let mut page = address & !(PAGE - 1);
    while page < end {
        translate(root, page, write)?;
        page += PAGE;
    }
    Some(())
}
