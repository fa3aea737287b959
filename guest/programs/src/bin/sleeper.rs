//! Sleeps without using the CPU: meanwhile other processes run, or the CPU is idle.

#![no_std]
#![no_main]

use user::syscall::{CLOCK_MONOTONIC, Errno, Timespec, clock_gettime, nanosleep};
use user::{Args, program, say};

program!(main);

const NAP: Timespec = Timespec { seconds: 0, nanoseconds: 5_000_000 };
const NAPS: i64 = 2;

fn main(_: Args) -> i32 {
    match sleep() {
        Ok(slept) if slept >= NAPS * NAP.as_nanoseconds() => {
            say!("sleeper: slept at least as long as it asked for");
            0
        }
        Ok(slept) => {
            say!("sleeper: woken too early, after ", slept, " ns");
            1
        }
        Err(Errno(error)) => {
            say!("sleeper: a call failed with ", error);
            1
        }
    }
}

/// Sleeps and returns how long that took, in nanoseconds.
fn sleep() -> Result<i64, Errno> {
    let before = clock_gettime(CLOCK_MONOTONIC)?;
    for _ in 0..NAPS {
        nanosleep(NAP)?;
    }
    Ok(clock_gettime(CLOCK_MONOTONIC)?.as_nanoseconds() - before.as_nanoseconds())
}
