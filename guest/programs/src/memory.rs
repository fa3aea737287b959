//! The functions that the compiler and `core` call without being asked to. Elsewhere a C library has them.
//!
//! Most are one repeated instruction, because the compiler could turn a loop into a call of the same function.

use core::arch::asm;

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    // SAFETY: the caller says that both ranges are `size` bytes and its own; DF is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") size => _,
             options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= size {
        // SAFETY: as for memcpy; `to` does not start inside `from`, so each byte is read before it is overwritten.
        return unsafe { memcpy(to, from, size) };
    }
    // SAFETY: as for memcpy; from the end down, as the ranges overlap, and DF is clear again after it.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rdi") to.add(size).wrapping_sub(1) => _,
             inout("rsi") from.add(size).wrapping_sub(1) => _, inout("rcx") size => _, options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, size: usize) -> *mut u8 {
    // SAFETY: the caller says that the range is `size` bytes and its own; DF is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, in("al") byte as u8, inout("rcx") size => _,
             options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, size: usize) -> i32 {
    for index in 0..size {
        // SAFETY: the caller says that both ranges are `size` bytes.
        let (left, right) = unsafe { (*left.add(index), *right.add(index)) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, size: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let left: usize;
    // SAFETY: the caller says that a zero byte ends the text; DF is clear by the ABI.
    unsafe {
        asm!("repne scasb", in("al") 0u8, inout("rcx") usize::MAX => left, inout("rdi") text => _,
             options(nostack, readonly));
    }
    // Counted down from -1, the zero byte included.
    usize::MAX - left - 1
}
