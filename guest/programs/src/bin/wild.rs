//! Follows a wild pointer: the page is not mapped, the CPU traps, and the kernel ends the program.
//!
//! `wild [ADDRESS]`: writes a byte there.

#![no_std]
#![no_main]

use core::arch::asm;

use user::{Args, Hex, program, say};

program!(main);

/// An address that is not mapped.
const NOWHERE: u64 = 0xDEAD_0000;

fn main(args: Args) -> i32 {
    let address = args.number(1, NOWHERE);
    say!("wild: writing to ", Hex(address));
    // SAFETY: none, on purpose: the page tables must refuse the write. If they do not, the program reports it and ends.
    unsafe { asm!("mov byte ptr [{0}], 1", in(reg) address, options(nostack, preserves_flags)) };
    say!("wild: nothing stopped it");
    1
}
