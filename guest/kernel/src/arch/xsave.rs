//! The instructions that store and load the x87, SSE, AVX and AVX-512 registers, in ring 0 and in user mode.
//!
//! An area for them is laid out as XSAVE does it (SDM vol. 1, 13.4); what FXSAVE stores is the start of that.
//!
//! FNINIT between store and load is for AMD's older processors: they load the pointers to the last x87 instruction and its
//! operand only when an exception is pending (APM, FXRSTOR; CVE-2006-1056), so those of another process are cleared.

use core::arch::{asm, naked_asm};

use super::cpu::rflags;
use super::{gdt, idt};
use crate::layout::{PAGE, selector, vector};

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

/// Stores the registers of the components in the mask, XCR0's bits, and loads them.
macro_rules! exchange {
    ($end:literal) => {
        naked_asm!("mov eax, edx", "mov edx, ecx", "xsave64 [rdi]", "fninit", "xrstor64 [rsi]", $end)
    };
}

/// The same with XSAVE, for the components in the mask.
///
/// # Safety
/// As for [`exchange_fxsave`], but aligned to 64 bytes. CR4.OSXSAVE is 1, and XCR0 has the mask.
#[unsafe(naked)]
pub unsafe extern "C" fn exchange_xsave(store: u64, load: u64, mask: u64, mask_high: u64) {
    exchange!("ret")
}

/// The same for user mode. UD2 brings the CPU back.
#[unsafe(naked)]
unsafe extern "C" fn user_code() {
    exchange!("ud2")
}

/// The bytes of that code, as they go into a page for user mode.
pub fn user_code_bytes() -> [u8; 16] {
    // SAFETY: the function has six instructions of 16 bytes together. The probe tries them.
    unsafe { (user_code as *const [u8; 16]).read() }
}

/// Where user mode has that code.
pub const USER_CODE: u64 = PAGE;

/// Exchanges registers in user mode.
///
/// The gate of #UD leads back here meanwhile, so that no other trap pays for it.
///
/// # Safety
/// The root table that is loaded has [`user_code_bytes`] at [`USER_CODE`], and both areas for user mode.
pub unsafe fn exchange_in_user_mode(store: u64, load: u64, mask: u64) {
    let gate = idt::redirect(vector::INVALID_OPCODE, back_from_user_mode as *const () as u64);
    // SAFETY: the caller's promise; the UD2 at the end of the code comes back.
    unsafe { enter_user_mode(store, load, mask, mask >> 32) };
    idt::restore(vector::INVALID_OPCODE, gate);
}

/// Runs the code in user mode with these arguments, interrupts off. It returns when [`back_from_user_mode`] does.
#[unsafe(naked)]
unsafe extern "C" fn enter_user_mode(store: u64, load: u64, mask: u64, mask_high: u64) {
    naked_asm!(
        "mov [rip + {tss} + {kernel_stack}], rsp", // the CPU pushes the trap frame below what is in use
        "push {user_data}",
        "push 0",
        "push {flags}",
        "push {user_code}",
        "push {code}",
        "iretq",
        tss = sym gdt::TSS,
        kernel_stack = const gdt::KERNEL_STACK,
        user_data = const selector::USER_DATA,
        flags = const rflags::FIXED,
        user_code = const selector::USER_CODE,
        code = const USER_CODE,
    )
}

/// The handler of #UD meanwhile: drops the trap frame and returns for [`enter_user_mode`]. The code in user mode leaves
/// every general register alone but RAX and RDX.
#[unsafe(naked)]
unsafe extern "C" fn back_from_user_mode() {
    naked_asm!(
        "mov rsp, [rip + {tss} + {kernel_stack}]",
        "ret",
        tss = sym gdt::TSS,
        kernel_stack = const gdt::KERNEL_STACK,
    )
}
