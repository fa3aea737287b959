//! Computes, and traps often by both doors; its sum is right only if nobody spoiled its registers or memory.
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
            // The compiler knows the sum without adding; it must not see that this is all we do.
            sum = black_box(sum.wrapping_add(number));
        }
        let told = if step % 2 == 0 { getpid_by_interrupt() } else { getpid() };
        if told != process {
            say!("counter: process ", process, " was told at step ", step, " that it is ", told as i64);
            return 1;
        }
    }
    let last = steps * ADDITIONS;
    // As young Gauss added.
    let right = sum == (u128::from(last) * (u128::from(last) + 1) / 2) as u64;
    say!("counter: 1 + ... + ", last, " = ", sum, if right { ", right" } else { ", WRONG" });
    i32::from(!right)
}
