//! From the PVH entry to Rust in long mode, with the first 4 GiB mapped at their physical addresses.

use core::arch::global_asm;

global_asm!(
    r#"
    // The note by which a VMM finds the entry: XEN_ELFNOTE_PHYS32_ENTRY.
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad pvh_start

    .text
    .code32
    .global pvh_start
pvh_start:
    cld
    mov esi, ebx
    mov eax, offset bench_pml4
    mov cr3, eax
    mov eax, 0x20               // CR4.PAE
    mov cr4, eax
    mov ecx, 0xC0000080         // IA32_EFER
    mov eax, 0x100              // LME
    xor edx, edx
    wrmsr
    mov eax, 0x80000031         // CR0: PG, NE, ET, PE
    mov cr0, eax
    lgdt [bench_gdt_pointer]
    ljmp 8, offset bench_long

    .code64
bench_long:
    mov rsp, offset bench_stack_top
    xor eax, eax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov edi, esi
    xor ebp, ebp
    call bench_main

    .section .rodata
    .balign 8
bench_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
bench_gdt_pointer:
    .word 15
    .long bench_gdt

    // P 1, W 2, PS 0x80.
    .data
    .balign 4096
bench_pml4:
    .quad bench_pdpt + 3
    .fill 511, 8, 0
bench_pdpt:
    .quad bench_pd + 3, bench_pd + 0x1003, bench_pd + 0x2003, bench_pd + 0x3003
    .fill 508, 8, 0
bench_pd:
    .set bench_address, 0x83
    .rept 2048
    .quad bench_address
    .set bench_address, bench_address + 0x200000
    .endr

    .bss
    .balign 16
    .skip 0x10000
bench_stack_top:
    .text
    "#
);
