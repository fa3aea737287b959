//! A kernel that only measures: what the instructions of ring 0 cost that leave the guest, and when timers interrupt.
//!
//! Trapline's kernel stays free of this code, because no other run needs it. This kernel has no processes, and all of its memory
//! is writable and executable. It prints the samples and ends.

#![no_std]
#![no_main]

mod boot;
#[allow(dead_code, reason = "the kernel of `guest/kernel` uses more of it")]
#[path = "../../kernel/src/arch/mem.rs"]
mod mem;
mod samples;
mod timers;

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::panic::PanicInfo;

use abi::bench::{COALESCED_PORT, PORT, Row, SAMPLES};
use abi::boot::Prepared;
use abi::exit::{ALL_WELL, KERNEL_PANIC};
use abi::ports::{EXIT, OUTPUT, Output, TO_CONSOLE};

use crate::samples::Samples;

/// An address that is not in guest memory, and not the local APIC's.
const NO_MEMORY: u64 = 0xD000_0000;
/// Interrupts on or off, the base address: the register that every CPU with a local APIC has.
const IA32_APIC_BASE: u32 = 0x1B;
/// Size of `hvm_start_info`; the options lie behind it.
const START_INFO: u64 = 56;
/// The most bytes that the host takes at once.
const OUTPUT_MAX: usize = 4096;

/// `boot` calls this in long mode, with the physical address of `hvm_start_info`.
#[unsafe(no_mangle)]
extern "C" fn bench_main(start_info: u64) -> ! {
    exits();
    // SAFETY: the host of `trapline bench` puts the options there.
    let prepared = unsafe { ((start_info + START_INFO) as *const Prepared).read_unaligned() };
    timers::measure(&prepared.options);
    end(ALL_WELL)
}

/// Instructions that leave the guest.
fn exits() {
    let none = || ();
    send(&Samples::measure(Row::PortWrite, SAMPLES, || out32(PORT, 0), none));
    // A write to the other port lets the host empty the ring of collected writes.
    let empty = || out32(PORT, 0);
    send(&Samples::measure(Row::CoalescedWrite, SAMPLES, || out32(COALESCED_PORT, 0), empty));
    send(&Samples::measure(Row::Cpuid, SAMPLES, || _ = __cpuid(0), none));
    // SAFETY: the register exists.
    send(&Samples::measure(Row::MsrRead, SAMPLES, || _ = unsafe { read_msr(IA32_APIC_BASE) }, none));
    // SAFETY: the page is mapped, and there is no memory that the write could change.
    let write = || unsafe { (NO_MEMORY as *mut u32).write_volatile(0) };
    send(&Samples::measure(Row::MmioWrite, SAMPLES, write, none));
}

/// The TSC. The instructions measured here are serializing or leave the guest, so it needs no fence.
#[inline(always)]
fn now() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: it only reads the counter.
    unsafe { asm!("rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags)) }
    high << 32 | low
}

/// Prints the samples, from where they lie.
fn send(samples: &Samples) {
    for part in samples.bytes().chunks(OUTPUT_MAX) {
        let output = Output { address: part.as_ptr() as u64, size: part.len() as u32, stream: TO_CONSOLE };
        out32(OUTPUT, &raw const output as u32);
    }
}

fn end(status: u32) -> ! {
    loop {
        out32(EXIT, status);
    }
}

#[inline(always)]
fn out32(port: u16, value: u32) {
    // SAFETY: the host reads memory at most, which is valid.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) }
}

/// # Safety
/// The register exists.
#[inline(always)]
unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// # Safety
/// The register exists, and nothing relies on its old value.
unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    end(KERNEL_PANIC)
}
