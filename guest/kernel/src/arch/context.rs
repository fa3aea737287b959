//! The context switch: the registers that software saves for a process. Its trap frame stays on its kernel stack.

use core::arch::{asm, naked_asm};

use abi::record;

use super::cpu;

/// The registers that a C function must preserve, and the address to continue at. That is enough, because a process loses
/// the CPU inside a call of a function, the switch.
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

const _: () = assert!(size_of::<Context>() == size_of::<record::Context>());

impl Context {
    /// The registers as the words that records show.
    #[inline(always)]
    pub fn words(&self) -> &record::Context {
        // SAFETY: a context is as many words and nothing else.
        unsafe { &*(&raw const *self).cast() }
    }

    /// Nothing saved yet.
    pub const EMPTY: Self = Self { rbx: 0, rbp: 0, r12: 0, r13: 0, r14: 0, r15: 0, rsp: 0, rip: 0 };
}

/// Stores the caller's registers in `from`, loads those of `to`, and returns to the caller of the `switch` that stored `to`.
///
/// # Safety
/// `to` was stored by `switch`, or built with a matching RIP and RSP; its stack is mapped.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut Context, to: *const Context) {
    naked_asm!(
        "mov [rdi], rbx",
        "mov [rdi + 8], rbp",
        "mov [rdi + 16], r12",
        "mov [rdi + 24], r13",
        "mov [rdi + 32], r14",
        "mov [rdi + 40], r15",
        "pop qword ptr [rdi + 56]", // the return address
        "mov [rdi + 48], rsp",
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

/// DS, ES, FS and GS, and the bases of the last two. The kernel uses none of them (64-bit code has no bases but those
/// two: SDM vol. 3, 3.4.4), so a trap leaves them as they are, and only the switch exchanges them.
///
/// The limit: kvm_pvm runs user mode on the host's own GDT and keeps ring 0's selectors apart from ring 3's. There the kernel
/// reads null selectors, and those that it loads have no effect, so a program can see another's selectors.
/// The bases are switched there too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Segments {
    /// 16 bits each, DS lowest.
    selectors: u64,
    /// Of FS and GS.
    pub bases: [u64; 2],
}

impl Segments {
    /// As the first return to user mode leaves them: null selectors, bases 0.
    pub const NULL: Self = Self { selectors: 0, bases: [0; 2] };

    /// Stores what the CPU has in `from`, and loads `to`. Selectors seldom differ, so they are compared first.
    ///
    /// # Safety
    /// `from` may be written; `to` is [`Segments::NULL`] or was stored by `switch`.
    #[inline(always)]
    pub unsafe fn switch(from: *mut Self, to: *const Self) {
        // SAFETY: the caller's promise for the memory. User mode loaded the selectors from the GDT that ring 0 has, and the
        // bases that it has set are canonical.
        unsafe {
            Self::store(from);
            if (*from).selectors != (*to).selectors {
                let all = (*to).selectors;
                asm!("mov ds, {:e}", "mov es, {:e}", "mov fs, {:e}", "mov gs, {:e}", in(reg) all, in(reg) all >> 16,
                    in(reg) all >> 32, in(reg) all >> 48, options(nostack, preserves_flags));
            }
            // Last, because loading a selector sets the base too.
            Self::set_bases((*to).bases);
        }
    }

    /// Stores the values in the CPU.
    ///
    /// # Safety
    /// `to` may be written.
    #[inline(always)]
    pub unsafe fn store(to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("mov [{0}], ds", "mov [{0} + 2], es", "mov [{0} + 4], fs", "mov [{0} + 6], gs",
                in(reg) &raw mut (*to).selectors, options(nostack, preserves_flags));
            (*to).bases = Self::bases();
        }
    }

    /// The bases of FS and GS.
    #[inline(always)]
    pub fn bases() -> [u64; 2] {
        if !cpu::has_bases() {
            // SAFETY: every long mode CPU has both registers.
            return unsafe { [cpu::read_msr(cpu::IA32_FS_BASE), cpu::read_msr(cpu::IA32_GS_BASE)] };
        }
        let (fs, gs);
        // SAFETY: CR4 has FSGSBASE.
        unsafe {
            asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nostack, preserves_flags))
        }
        [fs, gs]
    }

    /// Sets the bases of FS and GS, which are canonical.
    #[inline(always)]
    pub fn set_bases([fs, gs]: [u64; 2]) {
        // SAFETY: every long mode CPU has the registers, and CR4 has FSGSBASE where it is used. The kernel uses neither segment.
        unsafe {
            if cpu::has_bases() {
                asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nostack, preserves_flags));
            } else {
                cpu::write_msr(cpu::IA32_FS_BASE, fs);
                cpu::write_msr(cpu::IA32_GS_BASE, gs);
            }
        }
    }
}
