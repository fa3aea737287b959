//! The timer: it interrupts processes so that the kernel gets the CPU back, and it measures time.

use abi::boot::{Key, Options};
use abi::record::emit::{Tick, TimerArmed, boot};
use abi::record::{Policy, Timer};

use crate::arch::{apic, cpu};
use crate::cell::Local;
use crate::clock::Clock;
use crate::hosts::rates;
use crate::process::KERNEL;
use crate::trace::{self, Emit};

static CLOCK: Local<Clock> = Local::new(Clock { tsc_khz: 1, apic_khz: 1, start: 0, epoch_ns: 0 });
/// How the timer ends turns; `None`: it ends none.
static MODE: Local<Option<Timer>> = Local::new(None);
/// In cycles of the TSC.
static QUANTUM: Local<u64> = Local::new(0);
static BEGIN: Local<Begin> = Local::new(Begin::Nothing);
static TICKS: Local<u32> = Local::new(0);

/// What is to do where a turn begins.
#[derive(Clone, Copy, PartialEq)]
enum Begin {
    /// Nothing: the timer is periodic, or ends no turn.
    Nothing,
    /// The timer is periodic, and its period so short that one may end while the kernel handles a tick. That would interrupt
    /// the next process before its first instruction, so the timer is masked from the tick to the next turn.
    Unmask,
    /// The timer interrupts once.
    Arm,
}

/// The periods that are short: where ring 0 is emulated, a tick with a switch takes a third of a millisecond.
const SHORT_US: u64 = 2_000;

/// Turns the LAPIC on and finds the rates of the clocks.
pub fn initialize(options: &Options) {
    let x2apic = apic::enable();
    let rates = rates::find(options);
    let (tsc_khz, apic_khz) = (rates.tsc, rates.apic);
    CLOCK.set(Clock { tsc_khz, apic_khz, start: cpu::tsc(), epoch_ns: options.get(Key::EpochNs) });
    boot::Timer { tsc_khz, apic_khz, apic_khz_measured: rates.apic_measured, x2apic }.emit();
}

/// Programs the timer for the policy. The first turn starts with [`new_turn`].
pub fn start(policy: Policy, options: &Options) {
    if policy != Policy::RoundRobin {
        // Only to wake sleepers when no other process runs.
        return apic::set_mode(Timer::OneShot);
    }
    let mode = match Timer::try_from(options.get(Key::Timer) as u32) {
        Ok(Timer::Deadline) if !apic::has_deadline() => Timer::OneShot,
        mode => mode.unwrap_or(Timer::Periodic),
    };
    let quantum_us = options.get(Key::QuantumUs);
    MODE.set(Some(mode));
    QUANTUM.set(clock().cycles_of_us(quantum_us));
    apic::set_mode(mode);
    if mode == Timer::Periodic {
        arm(mode, QUANTUM.get());
    }
    BEGIN.set(match mode {
        Timer::Periodic if quantum_us < SHORT_US => Begin::Unmask,
        Timer::Periodic => Begin::Nothing,
        _ => Begin::Arm,
    });
}

/// True if the timer ends turns.
pub fn ends_turns() -> bool {
    MODE.get().is_some()
}

/// Counts a tick and returns the record of it.
#[inline(always)]
pub fn tick() -> Tick {
    let ticks = TICKS.get() + 1;
    TICKS.set(ticks);
    Tick { ticks }
}

/// Ends the timer's interrupt. Before any switch: until then the LAPIC delivers no other interrupt of this priority (SDM
/// vol. 3, 10.8.5).
#[inline(always)]
pub fn end_of_interrupt() {
    if BEGIN.get() == Begin::Unmask {
        apic::mask_periodic();
    }
    apic::end_of_interrupt();
}

/// A process gets the CPU, and its quantum begins; nothing, if it is the kernel.
#[inline(always)]
pub fn new_turn() {
    if BEGIN.get() != Begin::Nothing {
        begin();
    }
}

#[inline(never)]
fn begin() {
    match MODE.get() {
        _ if trace::current() == KERNEL => {}
        Some(Timer::Periodic) => unmask(),
        Some(mode) => arm(mode, QUANTUM.get()),
        None => {}
    }
}

/// Unmasks the periodic timer. Where too little of the period is left, a new one begins: the handler of the tick took the
/// rest, and the ways into the kernel and out of it take as long again.
fn unmask() {
    let quantum = QUANTUM.get();
    if u64::from(apic::remaining_count()) * 3 < counts(quantum) * 2 {
        arm(Timer::Periodic, quantum);
    }
    apic::set_mode(Timer::Periodic);
}

/// No process can run until the TSC reaches `wake`: programs an interrupt for that time.
pub fn arm_for_idle(wake: u64) {
    match MODE.get() {
        Some(Timer::Periodic) => apic::set_mode(Timer::Periodic),
        mode => arm(mode.unwrap_or(Timer::OneShot), wake.saturating_sub(cpu::tsc()).max(1)),
    }
}

/// Counts of the LAPIC timer in so many cycles of the TSC: as many as its register holds, and at least 1.
fn counts(cycles: u64) -> u64 {
    clock().apic_counts(cycles).clamp(1, u32::MAX.into())
}

/// Lets the timer interrupt after so many cycles of the TSC.
fn arm(timer: Timer, cycles: u64) {
    let value = if timer == Timer::Deadline {
        let deadline = cpu::tsc().saturating_add(cycles);
        apic::set_deadline(deadline);
        deadline
    } else {
        let counts = counts(cycles);
        apic::set_count(counts as u32);
        counts
    };
    TimerArmed { timer, value, cycles }.emit();
}

/// Nanoseconds since boot.
pub fn monotonic_ns() -> u64 {
    clock().monotonic_ns(cpu::tsc())
}

/// Nanoseconds since 1970; since boot, where the VMM does not say when that was.
pub fn realtime_ns() -> u64 {
    clock().realtime_ns(cpu::tsc())
}

/// The rates of the clocks.
pub fn clock() -> Clock {
    CLOCK.get()
}

/// The TSC when `ns` nanoseconds will have passed.
pub fn after_ns(ns: u64) -> u64 {
    cpu::tsc().saturating_add(clock().cycles_of_ns(ns))
}
