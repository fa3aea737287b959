//! Jumps to forbidden places (kernel code, unmapped memory, its own data) and writes to its own code: each attempt ends in a fault.
//!
//! `jumper [ADDRESS]...`: more kernel addresses to jump to. Every trace has those of the trap stubs.

#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

use user::fault::{self, Code, attempt};
use user::{Args, Hex, kernel, program, say};

program!(main);

const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;
/// The first non-canonical address.
const NON_CANONICAL: u64 = 0x0000_8000_0000_0000;
/// An address in the kernel's code, perhaps in the middle of an instruction.
const INSIDE: u64 = 0x1235;
/// `ret`, as data.
static mut DATA: u8 = 0xC3;

fn main(args: Args) -> i32 {
    let data = &raw mut DATA as u64;
    let stack = 0xC3_u8;
    let text = main as *const () as u64;
    let own: [(&str, Code, u64, u64); 8] = [
        ("jumps to the kernel's code", jump, kernel::TEXT, PAGE_FAULT),
        ("jumps into the kernel's code", jump, kernel::TEXT + INSIDE, PAGE_FAULT),
        ("jumps to the kernel's data", jump, kernel::DATA, PAGE_FAULT),
        ("jumps to a non-canonical address", jump, NON_CANONICAL, GENERAL_PROTECTION),
        ("jumps to page 0", jump, 0, PAGE_FAULT),
        ("executes data", jump, data, PAGE_FAULT),
        ("executes its stack", jump, &raw const stack as u64, PAGE_FAULT),
        ("writes its code", write, text, PAGE_FAULT),
    ];
    let given = (1..args.len())
        .map(|index| ("jumps to the given address", jump as Code, args.number(index, 0), PAGE_FAULT));
    let surprises = own
        .into_iter()
        .chain(given)
        .filter(|&(what, code, address, vector)| !faults(what, code, address, vector));
    let surprises = surprises.count() as u64;
    say!("jumper: ", surprises, " unexpected results");
    i32::from(surprises != 0)
}

/// True if the code ends in the fault that it should end in.
fn faults(what: &str, code: Code, address: u64, vector: u64) -> bool {
    // SAFETY: the jump faults before it executes anything. If it does not, the test has failed already.
    match unsafe { attempt(code, address) } {
        Some(fault) => {
            say!("jumper: ", what, ", ", Hex(address), ": ", fault::name(fault.vector));
            fault.vector == vector
        }
        None => {
            say!("jumper: ", what, ", ", Hex(address), ": nothing stopped it");
            false
        }
    }
}

/// `syscall` stores the address to return to in RCX. On a host where `syscall` arrives as a page fault at the kernel's entry,
/// a jump to that entry looks the same, unless RCX has a value that `syscall` cannot store.
#[unsafe(naked)]
unsafe extern "C" fn jump(address: u64) {
    naked_asm!("mov rcx, -1", "jmp rdi")
}

unsafe extern "C" fn write(address: u64) {
    // SAFETY: none, on purpose: the page tables must refuse the write. If they do not, it changes nothing.
    unsafe { asm!("add byte ptr [{0}], 0", in(reg) address, options(nostack)) };
}
