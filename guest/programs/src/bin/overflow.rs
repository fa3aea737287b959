//! Calls itself without end: its stack grows into the guard page below it, and the kernel ends the program.

#![no_std]
#![no_main]

use core::hint::black_box;

use user::{Args, program, say};

program!(main);

fn main(_: Args) -> i32 {
    say!("overflow: calls itself for ever");
    say!("overflow: came back from ", deeper(1));
    1
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn deeper(depth: u64) -> u64 {
    // The addition after the call keeps the compiler from turning the recursion into a loop.
    let kept = black_box([depth; 16]);
    deeper(depth + 1) + kept[0]
}
