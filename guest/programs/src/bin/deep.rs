//! Exits inside nested function calls: `exit` is a trap and not a return, so no caller continues.
//!
//! `deep [DEPTH] [STATUS]`

#![no_std]
#![no_main]

use core::hint::black_box;

use user::syscall::exit_group;
use user::{Args, program, say};

program!(main);

const DEPTH: u64 = 100;

fn main(args: Args) -> i32 {
    descend(args.number(1, DEPTH), args.number(1, DEPTH), args.number(2, 0) as i32);
    say!("deep: came back up");
    1
}

fn descend(left: u64, depth: u64, status: i32) -> u64 {
    if left == 0 {
        say!("deep: ends ", depth, " calls below main");
        exit_group(status)
    }
    black_box(descend(left - 1, depth, status)) + left
}
