//! Yields the CPU again and again, by the system call `sched_yield`.
//!
//! `polite [TIMES]`

#![no_std]
#![no_main]

use user::syscall::{getpid, sched_yield};
use user::{Args, program, say};

program!(main);

const TIMES: u64 = 8;

fn main(args: Args) -> i32 {
    let times = args.number(1, TIMES);
    let process = getpid();
    for _ in 0..times {
        sched_yield();
    }
    say!("polite: process ", process, " let the others go first ", times, " times");
    0
}
