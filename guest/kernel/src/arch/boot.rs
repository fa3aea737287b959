//! From the PVH entry to Rust: page tables, long mode, the jump to the upper half.
//!
//! PVH (Xen's x86/HVM direct boot ABI) starts the kernel in 32-bit protected mode, paging off, flat segments, EBX the
//! physical address of `hvm_start_info`. The page tables are written by the assembler, so that boot spends
//! no instruction on them: [`crate::layout`] has the picture.

use core::arch::global_asm;

use abi::exit::KERNEL_PANIC;
use abi::ports::EXIT;

use super::cpu::{
    CR0_ET, CR0_MP, CR0_NE, CR0_PE, CR0_PG, CR0_WP, CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE, EFER_LME, EFER_NXE,
    EFER_SCE, IA32_EFER,
};
use crate::layout::{KERNEL_BASE, PAGE, STACK_SLOT, STACK_SLOTS, selector};

/// CPUID 0x8000_0001 EDX: SYSCALL, NX, long mode.
const NEEDED: u32 = 1 << 11 | 1 << 20 | 1 << 29;

global_asm!(
    r#"
    // The note by which a VMM finds the entry: XEN_ELFNOTE_PHYS32_ENTRY.
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad pvh_start - {base}

    .section .text.boot, "ax"
    .code32
    .global pvh_start
pvh_start:
    cld
    mov esi, ebx
    mov eax, 0x80000001
    cpuid
    and edx, {needed}
    cmp edx, {needed}
    jne 2f
    mov eax, offset kernel_pml4 - {base}
    mov cr3, eax
    mov eax, {cr4}
    mov cr4, eax
    mov ecx, {ia32_efer}
    mov eax, {efer}
    xor edx, edx
    wrmsr
    mov eax, {cr0}
    mov cr0, eax
    lgdt [boot_gdt_pointer - {base}]
    ljmp {code}, offset long_start - {base}
2:  mov dx, {exit}
    mov eax, {panic}
    out dx, eax
    jmp 2b

    .code64
long_start:
    movabs rax, offset upper_start
    jmp rax
upper_start:
    mov rsp, offset boot_stack_top
    xor eax, eax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov edi, esi
    xor ebp, ebp
    call kernel_main

    // The GDT for the jump to 64-bit code; `gdt` loads the real one.
    .section .rodata.boot, "a"
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
boot_gdt_pointer:
    .word 15
    .long boot_gdt - {base}

    // Page tables. P 1, W 2, PWT|PCD 0x18, PS 0x80, NX bit 63.
    .section .data.tables, "aw"
    .balign 4096
    .global kernel_pml4
kernel_pml4:
    .quad user_pdpt - {base} + 7
    .fill 255, 8, 0
    .quad direct_pdpt - {base} + 3      // 256: DIRECT_MAP
    .fill 254, 8, 0
    .quad upper_pdpt - {base} + 3       // 511

    // The lower half, for code that the kernel runs in user mode.
user_pdpt:
    .quad user_pd - {base} + 7
    .fill 511, 8, 0
user_pd:
    .quad user_table - {base} + 7
    .quad 0x200000 + 0x81               // text and constants where they are in physical memory, for the
    .quad 0x8000000000400000 + 0x81     // jump to the upper half
    .fill 509, 8, 0
    .global user_table
user_table:
    .quad 0
    .quad user_code - {base} + 5        // `hosts::user_mode` has the code
    .fill 510, 8, 0                     // its areas

direct_pdpt:
    .quad direct_pd - {base} + 3
    .fill 511, 8, 0
upper_pdpt:
    .fill 510, 8, 0
    .quad upper_pd - {base} + 3         // KERNEL_BASE
    .quad top_pd - {base} + 3           // STACKS, LAPIC

upper_pd:
    .quad 0
    .quad 0x200000 + 0x81               // text: read, execute
    .quad 0x8000000000400000 + 0x81     // constants: read
    .quad 0x8000000000600000 + 0x83     // data: read, write
    .fill 508, 8, 0
top_pd:
    .quad stack_table - {base} + 3
    .quad stack_table + 0x1000 - {base} + 3
    .fill 501, 8, 0
    .quad 0x80000000FEE00000 + 0x9B     // LAPIC, uncached
    .fill 8, 8, 0

direct_pd:
    .quad 0x8000000000000000 + 0x83
    .quad 0x8000000000200000 + 0x81     // text and constants are read-only by this way too
    .quad 0x8000000000400000 + 0x81
    .set address, 0x8000000000600000
    .rept 509
    .quad address + 0x83
    .set address, address + 0x200000
    .endr

    // Kernel stacks: the first three slots are mapped here, those of processes at run time.
    .global stack_table
stack_table:
    .set number, 0
    .rept 3
    .quad 0, 0
    .quad first_stacks + number * 0x2000 - {base} + 0x8000000000000003
    .quad first_stacks + number * 0x2000 + 0x1000 - {base} + 0x8000000000000003
    .set number, number + 1
    .endr
    .fill 512 + 500, 8, 0

    .set boot_stack_top, {stack_top}
    .section .bss.stacks, "aw", @nobits
    .balign 4096
first_stacks:
    .skip 3 * 0x2000
    .text
    "#,
    base = const KERNEL_BASE,
    needed = const NEEDED,
    cr4 = const CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
    ia32_efer = const IA32_EFER,
    efer = const EFER_LME | EFER_NXE | EFER_SCE,
    cr0 = const CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
    code = const selector::KERNEL_CODE,
    exit = const EXIT,
    panic = const KERNEL_PANIC,
    stack_top = const crate::layout::stack_top(crate::layout::STACK_BOOT),
);

unsafe extern "C" {
    /// The kernel's root page table.
    static mut kernel_pml4: [u64; 512];
    /// The two page tables of [`crate::layout::STACKS`], one after the other.
    static mut stack_table: [u64; STACK_TABLE_ENTRIES];
    /// The first byte after the kernel.
    static kernel_end: u8;
}

/// Virtual address of the kernel's root page table.
pub fn root_table() -> *mut u64 {
    (&raw mut kernel_pml4).cast()
}

/// Physical address of the kernel's root page table.
#[inline(always)]
pub fn root() -> u64 {
    root_table() as u64 - KERNEL_BASE
}

/// Entries of the page tables of the kernel stacks.
const STACK_TABLE_ENTRIES: usize = 1024;
const _: () = assert!(STACK_SLOTS * STACK_SLOT == STACK_TABLE_ENTRIES as u64 * PAGE);

/// Virtual address of the page tables of the kernel stacks.
pub fn stacks_table() -> *mut u64 {
    (&raw mut stack_table).cast()
}

/// Physical address of the kernel's end.
pub fn image_end() -> u64 {
    &raw const kernel_end as u64 - KERNEL_BASE
}
