//! Jumps where it may not (kernel code, nobody's memory, its own data) and writes its own code: each ends in a fault.
//!
//! `jumper [ADDRESS]...`: kernel addresses to jump to beside its own: where the trap stubs are stands in every trace.

#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

use user::fault::{self, Code, attempt};
use user::{Args, Hex, kernel, program, say};

program!(main);

const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;
/// The first address that is neither user memory nor the kernel's half.
const NON_CANONICAL: u64 = 0x0000_8000_0000_0000;
/// Somewhere behind the kernel's first instructions, in the middle of one or not.
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
        ("jumps to no canonical address", jump, NON_CANONICAL, GENERAL_PROTECTION),
        ("jumps to page 0", jump, 0, PAGE_FAULT),
        ("executes data", jump, data, PAGE_FAULT),
        ("executes its stack", jump, &raw const stack as u64, PAGE_FAULT),
        ("writes its code", write, text, PAGE_FAULT),
    ];
    let given = (1..args.len())
        .map(|index| ("jumps where it was told", jump as Code, args.number(index, 0), PAGE_FAULT));
    let surprises = own
        .into_iter()
        .chain(given)
        .filter(|&(what, code, address, vector)| !faults(what, code, address, vector));
    let surprises = surprises.count() as u64;
    say!("jumper: ", surprises, " surprises");
    i32::from(surprises != 0)
}

/// True if the code ends in the fault that it should end in.
fn faults(what: &str, code: Code, address: u64, vector: u64) -> bool {
    // SAFETY: if nothing stops the jump there is nothing to rely on; else the fault comes before anything else.
    match unsafe { attempt(code, address) } {
        Some(fault) => {
            say!("jumper: ", what, ", ", Hex(address), ": ", fault::name(fault.vector));
            fault.vector == vector
        }
        None => {
            say!("jumper: ", what, ", ", Hex(address), ": nobody stopped it");
            false
        }
    }
}

/// RCX is where `syscall` leaves the address to return to. A host on which `syscall` arrives as a jump to the
/// kernel's entry cannot tell the two apart, but by an RCX that no `syscall` leaves.
#[unsafe(naked)]
unsafe extern "C" fn jump(address: u64) {
    naked_asm!("mov rcx, -1", "jmp rdi")
}

unsafe extern "C" fn write(address: u64) {
    // SAFETY: none, on purpose: the page tables say that code is not written. If they do not, nothing is changed.
    unsafe { asm!("add byte ptr [{0}], 0", in(reg) address, options(nostack)) };
}
