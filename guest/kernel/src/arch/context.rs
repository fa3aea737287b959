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

    /// Stores what the CPU has in `from`, and loads `to`.
    ///
    /// # Safety
    /// `from` may be written; `to` is [`Segments::NULL`] or was stored by `switch`.
    #[inline(always)]
    pub unsafe fn switch(from: *mut Self, to: *const Self) {
        // SAFETY: the caller's promise.
        unsafe {
            if cpu::has_bases() {
                Self::exchange::<true>(from, to)
            } else {
                Self::exchange::<false>(from, to)
            }
        }
    }

    /// The same. Selectors seldom differ, so they are compared first.
    ///
    /// # Safety
    /// As for `switch` and `read_bases`.
    #[inline(always)]
    unsafe fn exchange<const HAS_BASES: bool>(from: *mut Self, to: *const Self) {
        // SAFETY: the caller's promise. User mode loaded the selectors from the GDT that ring 0 has, and the bases that it has
        // set are canonical.
        unsafe {
            Self::store_selectors(from);
            (*from).bases = Self::read_bases::<HAS_BASES>();
            if (*from).selectors != (*to).selectors {
                let all = (*to).selectors;
                asm!("mov ds, {:e}", "mov es, {:e}", "mov fs, {:e}", "mov gs, {:e}", in(reg) all, in(reg) all >> 16,
                    in(reg) all >> 32, in(reg) all >> 48, options(nostack, preserves_flags));
            }
            // Last, because loading a selector sets the base too.
            Self::write_bases::<HAS_BASES>((*to).bases);
        }
    }

    /// What the CPU has.
    pub fn current() -> Self {
        let mut segments = Self::NULL;
        // SAFETY: the structure may be written.
        unsafe { Self::store_selectors(&raw mut segments) };
        segments.bases = Self::bases();
        segments
    }

    /// # Safety
    /// `to` may be written.
    #[inline(always)]
    unsafe fn store_selectors(to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("mov [{0}], ds", "mov [{0} + 2], es", "mov [{0} + 4], fs", "mov [{0} + 6], gs",
                in(reg) &raw mut (*to).selectors, options(nostack, preserves_flags));
        }
    }

    /// The bases of FS and GS.
    pub fn bases() -> [u64; 2] {
        // SAFETY: that is what was found.
        unsafe { if cpu::has_bases() { Self::read_bases::<true>() } else { Self::read_bases::<false>() } }
    }

    /// Sets the bases of FS and GS, which are canonical.
    pub fn set_bases(bases: [u64; 2]) {
        // SAFETY: that is what was found.
        unsafe {
            if cpu::has_bases() {
                Self::write_bases::<true>(bases)
            } else {
                Self::write_bases::<false>(bases)
            }
        }
    }

    /// Reads the bases by their own instructions, or as MSRs.
    ///
    /// # Safety
    /// `HAS_BASES` is what [`cpu::has_bases`] returns.
    #[inline(always)]
    unsafe fn read_bases<const HAS_BASES: bool>() -> [u64; 2] {
        // SAFETY: CR4 has FSGSBASE if `HAS_BASES`, and every long mode CPU has both MSRs.
        unsafe {
            if !HAS_BASES {
                return [cpu::read_msr(cpu::IA32_FS_BASE), cpu::read_msr(cpu::IA32_GS_BASE)];
            }
            let (fs, gs);
            asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nostack, preserves_flags));
            [fs, gs]
        }
    }

    /// Writes them.
    ///
    /// # Safety
    /// `HAS_BASES` is what [`cpu::has_bases`] returns; the bases are canonical.
    #[inline(always)]
    unsafe fn write_bases<const HAS_BASES: bool>([fs, gs]: [u64; 2]) {
        // SAFETY: the caller's promise; every long mode CPU has both MSRs. The kernel uses neither segment.
        unsafe {
            if HAS_BASES {
                asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nostack, preserves_flags));
            } else {
                cpu::write_msr(cpu::IA32_FS_BASE, fs);
                cpu::write_msr(cpu::IA32_GS_BASE, gs);
            }
        }
    }
}
