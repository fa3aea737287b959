//! Which of the vector registers the host lets programs use, and turning them on.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use super::user_mode;
use crate::arch::cpu::{CR4_OSXSAVE, read_cr};
use crate::fpu::{Method, X87_AND_SSE};

/// Components of XCR0 (SDM vol. 1, 13.1).
const AVX: u32 = 1 << 2;
/// Masks, upper halves of ZMM0 to ZMM15, ZMM16 to ZMM31.
const AVX_512: u32 = 0b111 << 5;
/// AMX's tiles. They need a permission that a VMM does not ask its host for (Linux, `arch/x86/xstate.rst`), and are #NM
/// without it. They alone would not fit into a page.
const TILES: u32 = 0b11 << 17;

/// For a host that runs AVX in user mode whatever CR4 says, with this XCR0, and does not run XSAVE in ring 0.
pub fn in_user_mode(xcr0: u32) -> Method {
    user_mode::turn_on();
    Method::InUserMode { mask: xcr0 & !TILES }
}

/// For a host that honours CR4.OSXSAVE: turns on what the CPU has of AVX and AVX-512.
pub fn in_ring_0() -> Method {
    const XSAVE: u32 = 1 << 26;
    if __cpuid_count(1, 0).ecx & XSAVE == 0 {
        return Method::Fxsave;
    }
    let leaf = __cpuid_count(0xD, 0);
    let mut mask = leaf.eax & (X87_AND_SSE | AVX | AVX_512);
    if mask & AVX_512 != AVX_512 {
        mask &= !AVX_512; // XSETBV takes all of it or nothing (SDM vol. 1, 13.3)
    }
    // SAFETY: CPUID has XSAVE and the components.
    if mask & AVX != 0 && unsafe { enable(mask) } { Method::Xsave { mask } } else { Method::Fxsave }
}

/// Sets CR4.OSXSAVE and XCR0, so that user mode may use these components of the state. False: the host did not keep XCR0
/// (QEMU 7.2's emulated SVM does not report XSETBV to KVM), and nothing has changed.
///
/// # Safety
/// CPUID has XSAVE and the components.
unsafe fn enable(mask: u32) -> bool {
    let cr4 = read_cr!("cr4");
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise. No code of the kernel uses what they turn on.
    unsafe {
        asm!("mov cr4, {}", "xsetbv", in(reg) cr4 | u64::from(CR4_OSXSAVE), in("ecx") 0, in("eax") mask,
            in("edx") 0, options(nostack, preserves_flags));
        __cpuid(0); // causes a VM exit, after which XCR0 has the host's value
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nostack, preserves_flags));
        let kept = (low, high) == (mask, 0);
        if !kept {
            asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags));
        }
        kept
    }
}
