//! The switch: what software saves of a process, beside the trap frame that waits on its kernel stack.

use core::arch::{asm, naked_asm};

/// The registers that a C function must leave as they were, and where to go on: enough, because a process
/// gives up the CPU by calling a function.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Context {
    pub rbx: u64,
    pub rbp: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rsp: u64,
    pub rip: u64,
}

impl Context {
    /// Nothing saved yet.
    pub const EMPTY: Self = Self { rbx: 0, rbp: 0, r12: 0, r13: 0, r14: 0, r15: 0, rsp: 0, rip: 0 };
}

/// Stores the registers of the one who calls in `from`, loads those of `to`, and returns to whoever called
/// `switch` there.
///
/// # Safety
/// `to` was stored by `switch`, or built so that its RIP and RSP make sense together; its stack is mapped.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut Context, to: *const Context) {
    naked_asm!(
        "mov [rdi], rbx",
        "mov [rdi + 8], rbp",
        "mov [rdi + 16], r12",
        "mov [rdi + 24], r13",
        "mov [rdi + 32], r14",
        "mov [rdi + 40], r15",
        "pop rax", // where to go on: behind the call
        "mov [rdi + 48], rsp",
        "mov [rdi + 56], rax",
        "mov rbx, [rsi]",
        "mov rbp, [rsi + 8]",
        "mov r12, [rsi + 16]",
        "mov r13, [rsi + 24]",
        "mov r14, [rsi + 32]",
        "mov r15, [rsi + 40]",
        "mov rsp, [rsi + 48]",
        "jmp [rsi + 56]",
    )
}

/// The x87, MMX and XMM registers, as `fxsave64` lays them out (SDM vol. 1, 10.5).
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct FpuState([u64; 64]);

impl FpuState {
    /// Nothing saved yet.
    pub const EMPTY: Self = Self([0; 64]);

    /// As after reset: all exceptions masked, registers 0.
    pub const INITIAL: Self = {
        let mut words = [0; 64];
        words[0] = 0x037F; // FCW
        words[3] = 0x1F80; // MXCSR
        Self(words)
    };

    /// Stores what the CPU has.
    ///
    /// # Safety
    /// `to` may be written.
    #[inline(always)]
    pub unsafe fn save(to: *mut Self) {
        // SAFETY: the caller's promise; the type is aligned to 16.
        unsafe { asm!("fxsave64 [{}]", in(reg) to, options(nostack, preserves_flags)) }
    }

    /// Loads it into the CPU. The kernel is built without SSE, so nothing of its own is lost.
    ///
    /// # Safety
    /// `from` holds [`FpuState::INITIAL`] or what `save` stored.
    #[inline(always)]
    pub unsafe fn load(from: *const Self) {
        // SAFETY: the caller's promise; the type is aligned to 16.
        unsafe { asm!("fxrstor64 [{}]", in(reg) from, options(nostack, preserves_flags)) }
    }
}
