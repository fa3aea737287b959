//! Tries to read the kernel and other processes, directly and through system calls: each attempt is refused.
//!
//! Run two of them, and each finds its own secret at the address where the other has one too.

#![no_std]
#![no_main]

use core::arch::asm;
use core::cell::UnsafeCell;

use abi::syscall::errno::EFAULT;
use user::fault::{self, Code, attempt};
use user::syscall::{Errno, STDOUT, getpid, sched_yield, write_from};
use user::{Args, Hex, kernel, program, say};

program!(main);

/// An offset in physical memory where a program's file is likely to lie, because files are loaded first.
const SOMEWHERE: u64 = 16 << 20;
/// How often the other processes may run, and change the secret if they can.
const TURNS: u64 = 4;

struct Secret(UnsafeCell<u64>);

// SAFETY: a process is one thread.
unsafe impl Sync for Secret {}

static SECRET: Secret = Secret(UnsafeCell::new(0));

fn main(_: Args) -> i32 {
    let process = getpid();
    let own_stack = kernel::kernel_stack(process) - 8;
    let others_stack = kernel::kernel_stack(process + 1) - 8;
    let wanted = [
        ("the kernel's code", kernel::TEXT),
        ("the kernel's constants", kernel::CONSTANTS),
        ("the kernel's data", kernel::DATA),
        ("its own kernel stack", own_stack),
        ("the next process's kernel stack", others_stack),
        ("physical memory", kernel::DIRECT_MAP),
        ("a process's memory", kernel::DIRECT_MAP + SOMEWHERE),
        ("the timer's registers", kernel::LAPIC),
    ];
    let got = wanted.into_iter().filter(|&(what, address)| !refused(what, address)).count() as u64;
    let kept = keeps_its_secret(process);
    say!("thief: ", wanted.len() as u64, " places tried in three ways, ", got, " with success");
    i32::from(got != 0 || !kept)
}

/// Tries a place by reading, by writing, and by `write`, which would have the kernel read it.
fn refused(what: &str, address: u64) -> bool {
    let read = faults(load, address);
    let written = faults(store, address);
    let written_out = write_from(STDOUT, address, 8) != Err(Errno(-EFAULT));
    match (read, written) {
        (Some(vector), Some(_)) if !written_out => {
            say!("thief: ", what, " at ", Hex(address), ": refused, ", fault::name(vector));
            true
        }
        _ => {
            say!("thief: ", what, " at ", Hex(address), ": NOT REFUSED");
            false
        }
    }
}

fn faults(code: Code, address: u64) -> Option<u64> {
    // SAFETY: both keep to the C ABI. A write that succeeds changes nothing.
    unsafe { attempt(code, address) }.map(|fault| fault.vector)
}

unsafe extern "C" fn load(address: u64) {
    // SAFETY: none, on purpose: the page tables must refuse it.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) address => _, options(nostack, readonly, preserves_flags)) };
}

unsafe extern "C" fn store(address: u64) {
    // SAFETY: as for `load`. It adds 0, so that a success would change nothing.
    unsafe { asm!("add byte ptr [{0}], 0", in(reg) address, options(nostack)) };
}

/// Every thief has its secret at this address. The address is the same in all of them, the memory is not.
fn keeps_its_secret(process: u64) -> bool {
    let secret = SECRET.0.get();
    // SAFETY: a static of this program. Volatile, because another process might change it.
    unsafe { secret.write_volatile(process) };
    for _ in 0..TURNS {
        sched_yield();
    }
    // SAFETY: as above.
    let found = unsafe { secret.read_volatile() };
    say!("thief: at ", Hex(secret as u64), " process ", process, " finds ", found);
    found == process
}
