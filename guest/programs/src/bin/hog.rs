//! Never makes a system call: only the timer can take the CPU from it.
//!
//! `hog [MILLIONS]`: ends after so many million turns of its loop; without a number it never does.

#![no_std]
#![no_main]

use core::hint::black_box;

use user::{Args, program};

program!(main);

fn main(args: Args) -> i32 {
    let mut turns = args.number(1, u64::MAX).saturating_mul(1_000_000);
    while turns != 0 {
        // Keeps the compiler from removing the loop.
        turns = black_box(turns - 1);
    }
    0
}
