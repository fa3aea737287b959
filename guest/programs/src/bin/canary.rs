//! Fills every register with its own pattern, and reports a register that changes across an interrupt or a system call.
//!
//! `canary [SEED] [ROUNDS]`: a round is a spin that only an interrupt can disturb, then a system call. After all
//! rounds it lets the other processes run as often, and looks which x87 operand the CPU reports as the last.

#![no_std]
#![no_main]

use abi::syscall::Call;
use user::print::{Line, Part};
use user::registers::{Across, Difference, OPERANDS, R11, RAX, RCX, Registers, hold, last_operand};
use user::{Args, Hex, program, say};

program!(main);

const SEED: u64 = 1;
const ROUNDS: u64 = 100;

fn main(args: Args) -> i32 {
    let seed = args.number(1, SEED);
    let rounds = args.number(2, ROUNDS);
    let mut held = (0..rounds)
        .filter_map(|round| across_spin(seed ^ round << 32).or_else(|| across_call(!seed ^ round << 32)));
    // In rounds of their own: a process that yields in each round is seldom interrupted by the timer.
    let mut pointed = (0..rounds).filter_map(|_| operand_of_another(seed));
    if let Some(difference) = held.next().or_else(|| pointed.next()) {
        report(&difference);
        return 1;
    }
    say!("canary: no register wrong in ", rounds, " rounds");
    0
}

fn across_spin(seed: u64) -> Option<Difference> {
    let mut wanted = Registers::pattern(seed);
    // SAFETY: a spin makes no system call.
    let found = unsafe { hold(&mut wanted, Across::Spin) };
    wanted.difference(&found)
}

fn across_call(seed: u64) -> Option<Difference> {
    let mut wanted = Registers::pattern(seed);
    wanted.general[RAX] = Call::getpid as u64;
    // SAFETY: getpid writes no memory.
    let found = unsafe { hold(&mut wanted, Across::Syscall) };
    // RAX has the result; the instruction itself overwrites the other two.
    for free in [RAX, RCX, R11] {
        wanted.general[free] = found.general[free];
    }
    wanted.difference(&found)
}

/// The x87 operand pointer may be lost, but it must never be that of another process.
fn operand_of_another(seed: u64) -> Option<Difference> {
    let own = seed % OPERANDS;
    let found = last_operand(own).filter(|&found| found != own)?;
    Some(Difference { name: "x87 operand", number: None, expected: [own, 0], found: [found, 0] })
}

/// Prints which register is wrong, and how.
fn report(difference: &Difference) {
    let mut line = Line::new();
    "canary: register ".append(&mut line);
    difference.name.append(&mut line);
    if let Some(number) = difference.number {
        number.append(&mut line);
    }
    for (what, [low, high]) in [(" wrong: expected ", difference.expected), (" found ", difference.found)] {
        what.append(&mut line);
        if difference.number.is_some() {
            Hex(high).append(&mut line);
            ":".append(&mut line);
        }
        Hex(low).append(&mut line);
    }
    line.end();
}
