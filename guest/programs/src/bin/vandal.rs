//! Attacks the machine itself: in user mode the kernel kills it; without limits (`--policy direct`) it succeeds.
//!
//! `vandal [WHAT]`: `interrupts` (turns them off, and loops), `write` (over the kernel's code), `text` (the same, write
//! protection turned off first: system calls never end), `table` (empties the trap table, then faults), `data` (zeroes the
//! kernel's data, page tables included), `off` (tells the host that all went well, and ends the run), `segment` (returns
//! to a data segment as if it were code, which some hosts accept, and calls the kernel from there).

#![no_std]
#![no_main]

use core::arch::asm;

use abi::syscall::Call;
use user::{Args, STATUS_USAGE, kernel, program, say};

program!(main);

fn main(args: Args) -> i32 {
    let what = args.get(1).unwrap_or("interrupts");
    let attack: unsafe fn() = match what {
        "interrupts" => interrupts,
        "write" => write,
        "text" => text,
        "table" => table,
        "data" => data,
        "off" => off,
        "segment" => segment,
        _ => {
            say!("vandal: no such attack: ", what);
            return STATUS_USAGE;
        }
    };
    say!("vandal: ", what);
    // SAFETY: none, on purpose: in user mode the CPU refuses each attack, in ring 0 it destroys the machine.
    unsafe { attack() };
    say!("vandal: still here");
    1
}

/// A loop without interrupts keeps the CPU for ever.
unsafe fn interrupts() {
    // SAFETY: as `main` says.
    unsafe { asm!("cli", "2: jmp 2b", options(nomem, nostack)) };
}

/// Code is read-only for ring 0 too, as long as CR0.WP says so.
unsafe fn write() {
    // SAFETY: as `main` says.
    unsafe { asm!("mov byte ptr [{0}], 0", in(reg) kernel::TEXT, options(nostack, preserves_flags)) };
}

/// Ring 0 can turn the protection off again. A system call then ends in an endless loop.
unsafe fn text() {
    // SAFETY: as `main` says. CR0.WP is bit 16; the MSR is LSTAR, and EB FE jumps to itself.
    unsafe {
        asm!(
            "mov rax, cr0",
            "btr rax, 16",
            "mov cr0, rax",
            "mov ecx, 0xC0000082",
            "rdmsr",
            "shl rdx, 32",
            "or rax, rdx",
            "mov word ptr [rax], 0xFEEB",
            out("rax") _, out("rcx") _, out("rdx") _, options(nostack)
        );
    }
}

/// A fault without a handler becomes a double fault; without a handler for that it is a triple fault, which resets the CPU.
unsafe fn table() {
    // SAFETY: as `main` says. A table with the limit 0 has no gate.
    unsafe { asm!("push 0", "push 0", "lidt [rsp]", "ud2") };
}

/// The kernel's page tables are data like any other.
unsafe fn data() {
    // SAFETY: as `main` says. Loading CR3 drops the translations that the CPU has kept.
    unsafe {
        asm!("rep stosq", "mov rax, cr3", "mov cr3, rax", "ud2",
            inout("rdi") kernel::DATA => _, inout("rcx") kernel::PAGE / 8 * 6 => _, inout("rax") 0_u64 => _, options(nostack));
    }
}

/// Where the host loads the data segment into CS, this is 32-bit code, unless the kernel takes care: its `syscall` would
/// enter ring 0 at the low half of an address, on the program's stack.
unsafe fn segment() {
    // SAFETY: as `main` says.
    unsafe {
        asm!(
            "mov rcx, rsp",
            "push {code}",
            "push rcx",
            "pushfq",
            "push {data}",
            "lea rcx, [rip + 2f]",
            "push rcx",
            "iretq",
            "2:",
            "syscall",
            code = const kernel::USER_CODE,
            data = const kernel::USER_DATA,
            inout("rax") Call::getpid as u64 => _, out("rcx") _, out("r11") _,
        );
    }
}

/// The host ends the run at any write to the exit port.
unsafe fn off() {
    // SAFETY: as `main` says.
    unsafe {
        asm!("out dx, eax", in("dx") abi::ports::EXIT, in("eax") abi::exit::ALL_WELL, options(nomem, nostack))
    };
}
