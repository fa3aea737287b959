//! The simplest program: it asks the kernel to write a line, and ends.

#![no_std]
#![no_main]

use user::{Args, program, say};

program!(main);

fn main(_: Args) -> i32 {
    say!("hello: a program in user mode, and this line took a trap");
    0
}
