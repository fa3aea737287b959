//! The local APIC and its timer (SDM vol. 3, chapter 11): x2APIC where CPUID has it, else xAPIC.

use abi::record::Timer;

use super::cpu::{read_msr, write_msr};
use crate::cell::Local;
use crate::layout::{LAPIC, vector};

const IA32_APIC_BASE: u32 = 0x1B;
const APIC_BASE_X2APIC: u64 = 1 << 10;
const APIC_BASE_ENABLE: u64 = 1 << 11;
/// x2APIC register N is this MSR plus N.
const X2APIC_MSR: u32 = 0x800;
const IA32_TSC_DEADLINE: u32 = 0x6E0;

/// Registers by their x2APIC number; in xAPIC mode they lie 16 bytes apart.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Register {
    EndOfInterrupt = 0x0B,
    SpuriousVector = 0x0F,
    TimerEntry = 0x32,
    Lint0Entry = 0x35,
    InitialCount = 0x38,
    CurrentCount = 0x39,
    DivideConfiguration = 0x3E,
}

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const DIVIDE_BY_1: u32 = 0b1011;
const MODE_PERIODIC: u32 = 1 << 17;
const MODE_DEADLINE: u32 = 2 << 17;

static X2APIC: Local<bool> = Local::new(false);

fn write(register: Register, value: u32) {
    // SAFETY: the register exists in the mode that `enable` chose; the page at LAPIC is mapped uncached.
    unsafe {
        if X2APIC.get() {
            write_msr(X2APIC_MSR + register as u32, value.into());
        } else {
            ((LAPIC + 16 * register as u64) as *mut u32).write_volatile(value);
        }
    }
}

fn read(register: Register) -> u32 {
    // SAFETY: as for `write`.
    unsafe {
        if X2APIC.get() {
            read_msr(X2APIC_MSR + register as u32) as u32
        } else {
            ((LAPIC + 16 * register as u64) as *const u32).read_volatile()
        }
    }
}

/// Turns the LAPIC on, timer and legacy interrupts masked. Returns true in x2APIC mode.
pub fn enable() -> bool {
    let x2apic = core::arch::x86_64::__cpuid(1).ecx & 1 << 21 != 0;
    // SAFETY: every long mode CPU has the register; x2APIC is set only where CPUID has it.
    unsafe {
        let base = read_msr(IA32_APIC_BASE) | APIC_BASE_ENABLE;
        write_msr(IA32_APIC_BASE, if x2apic { base | APIC_BASE_X2APIC } else { base });
    }
    X2APIC.set(x2apic);
    write(Register::SpuriousVector, SOFTWARE_ENABLE | u32::from(vector::SPURIOUS));
    write(Register::Lint0Entry, MASKED); // no legacy PIC
    write(Register::DivideConfiguration, DIVIDE_BY_1);
    write(Register::TimerEntry, MASKED);
    x2apic
}

/// True if CPUID has the TSC-deadline mode.
pub fn has_deadline() -> bool {
    core::arch::x86_64::__cpuid(1).ecx & 1 << 24 != 0
}

/// Sets how the timer counts, and unmasks it.
pub fn set_mode(mode: Timer) {
    let mode = match mode {
        Timer::Periodic => MODE_PERIODIC,
        Timer::OneShot => 0,
        Timer::Deadline => MODE_DEADLINE,
    };
    write(Register::TimerEntry, mode | u32::from(vector::TIMER));
    // A write to memory, as the xAPIC's registers are, may still be under way when a later WRMSR sets the deadline, which is
    // then lost (SDM vol. 3, 10.5.4.1). The manual uses MFENCE. CPUID completes writes too (8.3), and hosts that emulate ring 0
    // have it but not MFENCE.
    if mode == MODE_DEADLINE && !X2APIC.get() {
        core::arch::x86_64::__cpuid(0);
    }
}

/// Masks the periodic timer, which continues to count, until [`set_mode`].
pub fn mask_periodic() {
    write(Register::TimerEntry, MODE_PERIODIC | MASKED | u32::from(vector::TIMER));
}

/// Starts to count down from `count`; the timer interrupts at 0.
pub fn set_count(count: u32) {
    write(Register::InitialCount, count);
}

/// The counts left until the timer interrupts.
pub fn remaining_count() -> u32 {
    read(Register::CurrentCount)
}

/// Interrupts when the TSC reaches `tsc`.
pub fn set_deadline(tsc: u64) {
    // SAFETY: only called in deadline mode, which CPUID has.
    unsafe { write_msr(IA32_TSC_DEADLINE, tsc) }
}

/// Ends the interrupt, so that the next one can be delivered.
#[inline(always)]
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}
