//! Tries to turn off interrupts, which is a privileged instruction: the CPU refuses it, and the kernel ends the program.

#![no_std]
#![no_main]

use core::arch::asm;

use user::{Args, program, say};

program!(main);

fn main(_: Args) -> i32 {
    say!("rogue: turning interrupts off");
    // SAFETY: it changes a flag that no code here depends on; in user mode it traps (SDM volume 2, CLI).
    unsafe { asm!("cli", options(nomem, nostack)) };
    say!("rogue: nothing stopped it");
    1
}
