//! The functions that the compiler calls for copies, fills and comparisons.
//!
//! Eight bytes at a time: where ring 0 is emulated, every iteration of `rep` costs the same, however wide.

use core::arch::asm;

/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise; DF is 0 in the kernel (`cld` in the stub).
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) size & 7,
            inout("rcx") size >> 3 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, size: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: the caller's promise; DF is 0 in the kernel.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {rest:e}",
            "rep stosb",
            rest = in(reg) size & 7,
            inout("rcx") size >> 3 => _,
            inout("rdi") to => _,
            in("rax") word,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= size {
        // SAFETY: the end of `from` is not overwritten before it is read, going upwards.
        return unsafe { memcpy(to, from, size) };
    }
    // SAFETY: going downwards, the start of `from` is not overwritten before it is read. DF is 0 again behind it.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") size => _, inout("rdi") to.wrapping_add(size).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(size).wrapping_sub(1) => _, options(nostack));
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    for index in 0..size {
        // SAFETY: within both ranges; volatile, or the compiler would make this a call to itself.
        let (a, b) = unsafe { (a.add(index).read_volatile(), b.add(index).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As C's `bcmp`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, size) }
}

/// `core` refers to it. It is never called, because panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
