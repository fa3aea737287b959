//! Measures what traps cost a program, and writes the samples to standard output: `bench-program ROW [COUNT [PROCESSES]]`.
//!
//! For [`Row::Switch`] the first process measures and the others, with 0 processes, yield as often. For [`Row::PageFault`] it
//! must run as a Linux program, which can ask for memory.

#![no_std]
#![no_main]

mod samples;

use core::arch::{asm, naked_asm};

use abi::bench::{Row, SAMPLES};
use abi::syscall::Call;
use user::fault::attempt;
use user::syscall::{STDOUT, getpid, getpid_by_interrupt, sched_yield, write_from};
use user::{Args, program};

use crate::samples::{Samples, own};

program!(main);

/// Yields before the first sample: then every process has run.
const WARM_UP: u64 = 2;
const PAGE: u64 = 4096;
/// Memory for page faults: as many pages as there are operations, if a sample has up to 8.
const REGION: u64 = 9 * SAMPLES as u64 * PAGE;

fn main(args: Args) -> i32 {
    let start = now();
    let count = args.number(2, SAMPLES as u64);
    let samples = match Row::from_number(args.number(1, u64::MAX)) {
        Some(row @ Row::NullSyscall) => Samples::measure(row, count as usize, || _ = getpid(), || ()),
        Some(row @ Row::NullInterrupt) => {
            Samples::measure(row, count as usize, || _ = getpid_by_interrupt(), || ())
        }
        Some(Row::PageFault) => page_faults(count),
        Some(Row::Division) => divisions(count),
        Some(Row::Switch) => match args.number(3, 0) {
            0 => {
                // Some more, so that the others are there until the first has measured.
                (0..count + 2 * WARM_UP).for_each(|_| sched_yield());
                return 0;
            }
            processes => switches(count, processes),
        },
        Some(row @ Row::Launch) => {
            let mut samples = Samples::new(row, 1, 0);
            samples.push(start);
            samples
        }
        _ => return user::STATUS_USAGE,
    };
    send(samples.bytes())
}

/// The TSC, read after everything before it and before everything after it (SDM vol. 2, RDTSC).
#[inline(always)]
fn now() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: it only reads the counter.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", out("rax") low, out("rdx") high, options(nostack, preserves_flags))
    }
    high << 32 | low
}

/// The first write to each page of new memory.
fn page_faults(count: u64) -> Samples {
    let mut next = map(REGION);
    let touch = || {
        // SAFETY: the page is one of the region, which only this function uses.
        unsafe { (next as *mut u8).write_volatile(1) }
        next += PAGE;
    };
    Samples::measure(Row::PageFault, count as usize, touch, || ())
}

/// Asks Linux for memory.
fn map(size: u64) -> u64 {
    /// PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS.
    const ACCESS: (u64, u64) = (3, 0x22);
    let address;
    // SAFETY: the call only adds memory.
    unsafe {
        asm!("syscall", inlateout("rax") Call::mmap as u64 => address, in("rdi") 0, in("rsi") size,
             in("rdx") ACCESS.0, in("r10") ACCESS.1, in("r8") -1_i64, in("r9") 0,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    address
}

/// From the division to the handler's first instructions.
fn divisions(count: u64) -> Samples {
    let mut samples = Samples::new(Row::Division, 1, own(1));
    for _ in 0..count {
        let mut start = 0_u64;
        // SAFETY: `divide` keeps to the C ABI and writes only `start`.
        let fault = unsafe { attempt(divide, &raw mut start as u64) };
        let end = now();
        // SAFETY: `divide` wrote it, which the compiler cannot see.
        let start = unsafe { (&raw const start).read_volatile() };
        if fault.is_some() {
            samples.take(end - start);
        }
    }
    samples
}

/// Stores the time and divides by zero.
#[unsafe(naked)]
unsafe extern "C" fn divide(start: u64) {
    naked_asm!(
        "lfence",
        "rdtsc",
        "lfence",
        "mov [rdi], eax",
        "mov [rdi + 4], edx",
        "xor ecx, ecx",
        "div ecx",
        "ret"
    )
}

/// The time in which each of the processes has run once.
fn switches(count: u64, processes: u64) -> Samples {
    (0..WARM_UP).for_each(|_| sched_yield());
    let mut samples = Samples::new(Row::Switch, processes, own(1));
    for _ in 0..count {
        let start = now();
        sched_yield();
        samples.take(now() - start);
    }
    samples
}

/// Writes all bytes; the exit status is 1 if the kernel refuses.
fn send(mut bytes: &[u8]) -> i32 {
    while !bytes.is_empty() {
        match write_from(STDOUT, bytes.as_ptr() as u64, bytes.len() as u64) {
            Ok(written) => bytes = bytes.get(written as usize..).unwrap_or_default(),
            Err(_) => return 1,
        }
    }
    0
}
