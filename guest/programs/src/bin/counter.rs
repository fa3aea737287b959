//! Computes a sum and makes many system calls, by `syscall` and `int 0x80`: the sum is right only if no trap or switch changed its registers.
//!
//! `counter [STEPS]`: a step is 100,000 additions and one system call.

#![no_std]
#![no_main]

use core::hint::black_box;

use user::syscall::{getpid, getpid_by_interrupt};
use user::{Args, program, say};

program!(main);

const STEPS: u64 = 200;
const ADDITIONS: u64 = 100_000;

fn main(args: Args) -> i32 {
    let steps = args.number(1, STEPS);
    let process = getpid();
    let mut sum = 0u64;
    for step in 0..steps {
        for number in step * ADDITIONS + 1..=(step + 1) * ADDITIONS {
            // Without `black_box` the compiler would compute the sum by a formula.
            sum = black_box(sum.wrapping_add(number));
        }
        let number = if step % 2 == 0 { getpid_by_interrupt() } else { getpid() };
        if number != process {
            say!("counter: process ", process, " at step ", step, ": getpid returned ", number as i64);
            return 1;
        }
    }
    let last = steps * ADDITIONS;
    // By the formula.
    let right = sum == (u128::from(last) * (u128::from(last) + 1) / 2) as u64;
    say!("counter: 1 + ... + ", last, " = ", sum, if right { ", right" } else { ", WRONG" });
    i32::from(!right)
}
