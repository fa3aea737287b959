//! The vector registers on a host that runs AVX in user mode whatever CR4 says, and no XSAVE in ring 0: the kernel executes
//! XSAVE and XRSTOR in user mode.
//!
//! The kernel's own root table has code of user mode for this in one page, and behind it an area for each process.

use core::arch::{asm, global_asm, naked_asm};

use abi::program::Access;
use abi::syscall::INT_VECTOR;

use super::{first_word, gate_to};
use crate::arch::cpu::{self, rflags};
use crate::arch::{boot, gdt};
use crate::layout::{PAGE, STACK_FIRST_PROCESS, STACK_SLOTS, USER_START, selector, vector};
use crate::memory::address_space::rights;

/// `syscall`.
pub const SYSCALL: u64 = USER_START;
/// `int 0x80`.
pub const INT: u64 = SYSCALL + 16;
/// An AVX instruction, and XGETBV, which leaves XCR0 in EAX.
pub const AVX: u64 = INT + 16;
/// The UD2 behind them.
pub const AFTER_AVX: u64 = AVX + 9;
/// XSAVE to the area at R8, and XRSTOR from the area at R9, of the components in EAX; then UD2.
const EXCHANGE: u64 = AVX + 16;
/// The first area. Each has an absent page behind it, so that one that is too small is a fault.
const AREAS: u64 = SYSCALL + 2 * PAGE;
const _: () = assert!(AREAS + 2 * PAGE * (STACK_SLOTS - STACK_FIRST_PROCESS) < 512 * PAGE);

global_asm!(
    r#"
    .section .text.user_code, "ax"
    .balign 4096
    .global user_code
user_code:
    syscall
    .balign 16
    int {int}
    .balign 16
    vxorps ymm0, ymm0, ymm0
    xor ecx, ecx
    xgetbv
    ud2
    .balign 16
    xor edx, edx
    xsave64 [r8]
    fninit
    xrstor64 [r9]
    ud2
    .text
    "#,
    int = const INT_VECTOR,
);

/// The address of the area in a slot, in user mode.
pub fn area(slot: u16) -> u64 {
    AREAS + 2 * PAGE * u64::from(slot)
}

unsafe extern "C" {
    /// The kernel's page table for the lowest 2 MiB.
    static mut user_table: [u64; 512];
}

/// Maps the area at this address to a frame.
pub fn map_area(at: u64, frame: u64) {
    set_entry(at, frame | rights(Access::ReadWrite));
}

/// Unmaps it.
pub fn unmap_area(at: u64) {
    set_entry(at, 0);
}

fn set_entry(at: u64, entry: u64) {
    // SAFETY: the table has 512 entries; this one is of a page that only areas use.
    unsafe { (&raw mut user_table).cast::<u64>().add((at / PAGE % 512) as usize).write(entry) }
}

/// The gate of #UD for [`exchange`].
pub fn gate() -> u64 {
    gate_to(vector::INVALID_OPCODE, back_from_user_mode as *const () as u64)
}

/// Stores the registers of the components in the mask, bits of XCR0, in the area at `store`, and loads those in the area at
/// `load`. The kernel's root table is loaded afterwards, and the kernel stack in the TSS is another one.
///
/// During this time the gate of #UD points here, so that other traps need no check for it.
///
/// # Safety
/// Both areas are mapped, and `load` has valid registers; `gate` is [`gate`].
#[inline(always)]
pub unsafe fn exchange(store: u64, load: u64, mask: u32, gate: u64) {
    let gate_before = first_word(vector::INVALID_OPCODE).replace(gate);
    // SAFETY: the caller's promise. At the UD2 the CPU pushes a trap frame below what is in use of this stack, and
    // `back_from_user_mode` returns to the end. The code changes no general register but RDX.
    unsafe {
        cpu::load_root(boot::root());
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
    first_word(vector::INVALID_OPCODE).set(gate_before);
}

/// What IRETQ loads to enter user mode: RIP, CS, RFLAGS, RSP, SS.
static ENTRY: [u64; 5] = [EXCHANGE, selector::USER_CODE as u64, rflags::FIXED, 0, selector::USER_DATA as u64];

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
