//! What the kernel does in user mode, on a host that runs AVX there whatever CR4 says, and emulates ring 0 without XSAVE: it
//! exchanges the vector registers by XSAVE and XRSTOR, and copies frames, which the emulation takes seven times as long for.
//!
//! The kernel's own root table has code of user mode for this in one page, and behind it an area for each process.

use core::arch::{asm, global_asm};

use abi::syscall::INT_VECTOR;

use super::{first_word, gate_to};
use crate::arch::cpu::{self, read_cr, rflags};
use crate::arch::{boot, gdt};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE, STACK_FIRST_PROCESS, STACK_SLOTS, USER_START, selector, vector};
use crate::memory::physical;

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
/// Copies EAX words from R9 to R8; then UD2.
const COPY: u64 = EXCHANGE + 16;
/// Where the frame to copy is mapped, and the frame for the copy.
const FROM: u64 = SYSCALL + PAGE;
const TO: u64 = 511 * PAGE;
/// The first area. Each has an absent page behind it, so that one that is too small is a fault.
const AREAS: u64 = SYSCALL + 2 * PAGE;
const _: () = assert!(AREAS + 2 * PAGE * (STACK_SLOTS - STACK_FIRST_PROCESS) < TO);

/// Bits of the entry of a page of user mode: present, user, not executable; and writable (SDM vol. 3, 4.5).
const READ: u64 = 1 << 63 | 1 << 2 | 1;
const WRITE: u64 = 1 << 1;

/// The gate of #UD while the code runs; 0: this host is not one of those.
static GATE: Local<u64> = Local::new(0);

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
    .balign 16
2:  mov rdx, [r9]
    mov [r8], rdx
    add r9, 8
    add r8, 8
    dec eax
    jnz 2b
    ud2

    .text
    // Enters user mode with the `Entry` at RCX. The CPU pushes the next trap frame below the address of the caller.
enter_user_mode:
    mov [rip + {tss} + {kernel_stack}], rsp
    mov rsp, rcx
    iretq
    // The handler of #UD during this time: it drops the trap frame, and returns to the caller of `enter_user_mode`.
back_from_user_mode:
    mov rsp, [rip + {tss} + {kernel_stack}]
    ret
    "#,
    int = const INT_VECTOR,
    tss = sym gdt::TSS,
    kernel_stack = const gdt::KERNEL_STACK,
);

/// The address of the area in a slot, in user mode.
pub fn area(slot: u16) -> u64 {
    AREAS + 2 * PAGE * u64::from(slot)
}

unsafe extern "C" {
    /// The kernel's page table for the lowest 2 MiB.
    static mut user_table: [u64; 512];
    fn enter_user_mode();
    fn back_from_user_mode();
}

/// Maps the area at this address to a frame.
pub fn map_area(at: u64, frame: u64) {
    set_entry(at, frame | READ | WRITE);
}

/// Unmaps it.
pub fn unmap_area(at: u64) {
    set_entry(at, 0);
}

fn set_entry(at: u64, entry: u64) {
    // SAFETY: the table has 512 entries; this one is of a page that only areas use.
    unsafe { (&raw mut user_table).cast::<u64>().add((at / PAGE % 512) as usize).write(entry) }
}

/// This host is one of those: from now on the code is used.
pub fn turn_on() {
    GATE.set(gate_to(vector::INVALID_OPCODE, back_from_user_mode as *const () as u64));
}

/// Stores the registers of the components in the mask, bits of XCR0, in the area at `store`, and loads those in the area at
/// `load`. The kernel's root table is loaded afterwards, and the kernel stack in the TSS is another one.
///
/// # Safety
/// Both areas are mapped, and `load` has valid registers; [`turn_on`] was called.
#[inline(always)]
pub unsafe fn exchange(store: u64, load: u64, mask: u32) {
    static ENTRY: Entry = entry(EXCHANGE);
    // SAFETY: the caller's promise.
    unsafe { execute(&ENTRY, store, load, mask) }
}

/// Fills the frame at `to` with zeros, by copying some.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn clear(to: u64) {
    #[repr(align(4096))]
    struct Page(Local<[u64; PAGE as usize / 8]>);
    static ZEROS: Page = Page(Local::new([0; PAGE as usize / 8]));
    // SAFETY: the caller's promise.
    unsafe { copy(ZEROS.0.pointer() as u64 - KERNEL_BASE, to) }
}

/// Copies the frame at `from` to the frame at `to` (physical addresses): in user mode, or on other hosts as ever.
///
/// # Safety
/// The direct map shows both, and no code uses the frame at `to`.
pub unsafe fn copy(from: u64, to: u64) {
    static ENTRY: Entry = entry(COPY);
    let root = read_cr!("cr3");
    // SAFETY: the caller's promise. The root table and the kernel stack in the TSS are as before afterwards. Loading the root
    // table drops what the CPU has of the two pages.
    unsafe {
        if GATE.get() == 0 {
            return physical::<u8>(to).copy_from_nonoverlapping(physical::<u8>(from), PAGE as usize);
        }
        set_entry(FROM, from | READ);
        set_entry(TO, to | READ | WRITE);
        let stack = gdt::TSS.pointer().wrapping_byte_add(gdt::KERNEL_STACK).cast::<u64>().read_unaligned();
        execute(&ENTRY, TO, FROM, (PAGE / 8) as u32);
        cpu::load_root(root);
        gdt::set_kernel_stack(stack);
    }
}

/// Executes code in user mode with these values in R8, R9 and EAX, up to its UD2. The kernel's root table is loaded
/// afterwards, and the kernel stack in the TSS is another one.
///
/// During this time the gate of #UD points here, so that other traps need no check for it.
///
/// # Safety
/// The memory that the code uses is mapped, and [`turn_on`] was called.
#[inline(always)]
unsafe fn execute(entry: &'static Entry, r8: u64, r9: u64, eax: u32) {
    let gate_before = first_word(vector::INVALID_OPCODE).replace(GATE.get());
    // SAFETY: the caller's promise. At the UD2 the CPU pushes a trap frame below what is in use of this stack, and
    // `back_from_user_mode` returns from the call. The code changes no other general register than RDX.
    unsafe {
        cpu::load_root(boot::root());
        asm!(
            "call {}",
            sym enter_user_mode,
            in("rcx") entry,
            inout("r8") r8 => _,
            inout("r9") r9 => _,
            inout("eax") eax => _,
            out("rdx") _,
        );
    }
    first_word(vector::INVALID_OPCODE).set(gate_before);
}

/// What IRETQ loads to enter user mode: RIP, CS, RFLAGS, RSP, SS.
type Entry = [u64; 5];

const fn entry(rip: u64) -> Entry {
    [rip, selector::USER_CODE as u64, rflags::FIXED, 0, selector::USER_DATA as u64]
}
