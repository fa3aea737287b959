//! Divides by zero: the CPU cannot complete the instruction and traps, and the kernel ends the program.

#![no_std]
#![no_main]

use core::arch::asm;

use user::{Args, program, say};

program!(main);

fn main(_: Args) -> i32 {
    say!("divider: 1 / 0 is ...");
    let quotient: u64;
    // SAFETY: changes no memory. It is assembly, because Rust checks the divisor and would not reach the trap.
    unsafe {
        asm!("div {0}", in(reg) 0u64, inout("rax") 1u64 => quotient, inout("rdx") 0u64 => _, options(nostack))
    };
    say!("divider: ... ", quotient, "?");
    1
}
