//! The instructions that store and load the x87, SSE, AVX and AVX-512 registers, in ring 0 and in user mode.
//!
//! An area for them is laid out as XSAVE does it (SDM vol. 1, 13.4); what FXSAVE stores is the start of that.
//!
//! FNINIT between store and load is for AMD's older processors: they load the pointers to the last x87 instruction and its
//! operand only when an exception is pending (APM, FXRSTOR; CVE-2006-1056), so those of another process are cleared.

use core::arch::{asm, naked_asm};

use super::cpu::rflags;
use super::{gdt, idt};
use crate::layout::{selector, user_code, vector};

/// Stores the x87 and SSE registers in the area at `store` and loads those in the area at `load`.
///
/// # Safety
/// `store` may be written; `load` holds valid registers. Both are aligned to 16 bytes.
#[inline(always)]
pub unsafe fn exchange_fxsave(store: u64, load: u64) {
    // SAFETY: the caller's promise. The kernel is compiled without these registers.
    unsafe {
        asm!("fxsave64 [{}]", "fninit", "fxrstor64 [{}]", in(reg) store, in(reg) load,
            options(nostack, preserves_flags));
    }
}

/// Stores the registers of the components in the mask, bits of XCR0, and loads them.
///
/// # Safety
/// As for [`exchange_fxsave`], but aligned to 64 bytes. CR4.OSXSAVE is 1, and XCR0 has the mask.
#[inline(always)]
pub unsafe fn exchange_xsave(store: u64, load: u64, mask: u32) {
    // SAFETY: as for `exchange_fxsave`.
    unsafe {
        asm!("xsave64 [{}]", "fninit", "xrstor64 [{}]", in(reg) store, in(reg) load, in("eax") mask, in("edx") 0,
            options(nostack, preserves_flags));
    }
}

/// The gate of #UD for [`exchange_in_user_mode`].
pub fn gate() -> u64 {
    idt::gate_to(vector::INVALID_OPCODE, back_from_user_mode as *const () as u64)
}

/// Exchanges registers in user mode, interrupts off.
///
/// During this time the gate of #UD points here, so that other traps need no check for it.
///
/// # Safety
/// The kernel's root table is loaded and has both areas; `gate` is [`gate`].
#[inline(always)]
pub unsafe fn exchange_in_user_mode(store: u64, load: u64, mask: u32, gate: u64) {
    let before = idt::redirect(vector::INVALID_OPCODE, gate);
    // SAFETY: the caller's promise. At the UD2 the CPU pushes a trap frame below what is in use of this stack, and
    // `back_from_user_mode` returns to the end. The code changes no general register but RDX.
    unsafe {
        asm!(
            "lea rdx, [rip + 2f]",
            "push rdx",
            "mov [rip + {tss} + {kernel_stack}], rsp",
            "mov rsp, offset {entry}",
            "iretq",
            "2:",
            tss = sym gdt::TSS,
            kernel_stack = const gdt::KERNEL_STACK,
            entry = sym ENTRY,
            in("r8") store,
            in("r9") load,
            in("eax") mask,
            out("rdx") _,
        );
    }
    idt::redirect(vector::INVALID_OPCODE, before);
}

/// What IRETQ loads to enter user mode: RIP, CS, RFLAGS, RSP, SS.
static ENTRY: [u64; 5] =
    [user_code::EXCHANGE, selector::USER_CODE as u64, rflags::FIXED, 0, selector::USER_DATA as u64];

/// The handler of #UD during this time: it drops the trap frame.
#[unsafe(naked)]
unsafe extern "C" fn back_from_user_mode() {
    naked_asm!(
        "mov rsp, [rip + {tss} + {kernel_stack}]",
        "ret",
        tss = sym gdt::TSS,
        kernel_stack = const gdt::KERNEL_STACK,
    )
}
