//! The timer: it interrupts processes so that the kernel gets the CPU back, and it measures time.

use abi::record::emit::{Tick, TimerArmed, boot};
use abi::record::{Panic, Policy, Timer};

use crate::arch::{apic, cpu};
use crate::cell::Local;
use crate::clock::Clock;
use crate::options::Options;
use crate::panic::panic;
use crate::trace::{self, Emit};

/// How turns end.
#[derive(Clone, Copy)]
struct Turns {
    /// The timer ends no turn.
    cooperative: bool,
    mode: Timer,
    quantum_us: u64,
}

static CLOCK: Local<Clock> = Local::new(Clock { tsc_khz: 1, apic_khz: 1, start: 0, epoch_ns: 0 });
static TURNS: Local<Turns> = Local::new(Turns { cooperative: true, mode: Timer::Periodic, quantum_us: 0 });
static TICKS: Local<u32> = Local::new(0);
/// TSC of the tick that is being handled, while a periodic timer is masked; else 0.
static TICK: Local<u64> = Local::new(0);

/// LAPIC counts for a measurement against a known TSC: about 50 us.
const MEASURE_PER_SECOND: u64 = 20_000;
/// The LAPIC's rate where neither command line nor CPUID has it: QEMU's and KVM's.
const APIC_KHZ_UNKNOWN: u64 = 1_000_000;

/// Turns the LAPIC on and finds the rates: from the command line, else from CPUID, else by measuring the TSC against the
/// LAPIC, for 10 ms.
pub fn initialize(options: &Options) {
    let x2apic = apic::enable();
    let (tsc_told, apic_told) = hypervisor_rates();
    let apic_khz = first_known([options.apic_khz, apic_told, APIC_KHZ_UNKNOWN]);
    let known = first_known([options.tsc_khz, tsc_told, 0]);
    let enough_cycles = known * 1000 / MEASURE_PER_SECOND;
    let enough_counts = (apic_khz * 10) as u32;
    let (counts, cycles) =
        apic::measure(
            |counts, cycles| if known > 0 { cycles >= enough_cycles } else { counts >= enough_counts },
        );
    let tsc_khz = if known > 0 { known } else { (cycles * apic_khz).checked_div(counts).unwrap_or(0) };
    if tsc_khz == 0 {
        panic(Panic::NoTimer, counts);
    }
    let measured = (counts * tsc_khz).checked_div(cycles).unwrap_or(0);
    CLOCK.set(Clock { tsc_khz, apic_khz, start: cpu::tsc(), epoch_ns: options.epoch_ns });
    boot::Timer { tsc_khz, apic_khz, apic_khz_measured: measured, x2apic }.emit();
}

fn first_known(rates: [u64; 3]) -> u64 {
    rates.into_iter().find(|&rate| rate > 0).unwrap_or(0)
}

/// TSC and LAPIC rates in kHz from the hypervisor's leaf 0x4000_0010, which VMware began and KVM's VMMs follow.
fn hypervisor_rates() -> (u64, u64) {
    use core::arch::x86_64::__cpuid;
    const HYPERVISOR: u32 = 1 << 31;
    const LEAF: u32 = 0x4000_0010;
    if __cpuid(1).ecx & HYPERVISOR == 0 || __cpuid(0x4000_0000).eax < LEAF {
        return (0, 0);
    }
    let rates = __cpuid(LEAF);
    (rates.eax.into(), rates.ebx.into())
}

/// Programs the timer for the policy. The first turn starts with [`new_turn`].
pub fn start(options: &Options) {
    let cooperative = options.policy != Policy::RoundRobin;
    let mode = if options.timer == Timer::Deadline && !apic::has_deadline() {
        Timer::OneShot
    } else {
        options.timer
    };
    TURNS.set(Turns { cooperative, mode, quantum_us: options.quantum_us });
    if cooperative {
        // Only to wake sleepers when no other process runs.
        apic::set_mode(Timer::OneShot);
    } else {
        apic::set_mode(mode);
        if mode == Timer::Periodic {
            arm(quantum());
        }
    }
}

/// The timer interrupted: counts and records the tick, and ends the interrupt. Whether a process loses the CPU for it is
/// for the caller to decide.
pub fn tick() {
    let ticks = TICKS.get() + 1;
    TICKS.set(ticks);
    if runs_by_itself() {
        TICK.set(cpu::tsc());
        // A period that ends in the kernel would interrupt the next process before its first instruction.
        apic::mask_periodic();
    }
    Tick { ticks }.emit();
    trace::ring();
    // Before any switch: until then the LAPIC delivers no other interrupt of this priority (SDM vol. 3, 10.8.5).
    apic::end_of_interrupt();
}

/// True if the timer ticks without being armed again.
fn runs_by_itself() -> bool {
    let turns = TURNS.get();
    !turns.cooperative && turns.mode == Timer::Periodic
}

/// A process gets the CPU: its quantum begins.
pub fn new_turn() {
    let turns = TURNS.get();
    if turns.cooperative {
        return;
    }
    if turns.mode != Timer::Periodic {
        arm(quantum());
    } else if TICK.get() != 0 {
        after_tick();
    }
}

/// Unmasks the periodic timer after a tick. Where the kernel is slow and the quantum short, the next tick could come before
/// the process runs at all; then a new period begins. The way into the kernel and out of it take about as long as the
/// handler between them, so twice the time of the handler must be left.
fn after_tick() {
    let clock = CLOCK.get();
    let spent = cpu::tsc() - TICK.get();
    if clock.cycles_of_counts(apic::remaining_count().into()) < 2 * spent {
        arm(quantum());
    }
    apic::set_mode(Timer::Periodic);
    TICK.set(0);
}

/// The quantum in cycles of the TSC.
fn quantum() -> u64 {
    CLOCK.get().cycles_of_us(TURNS.get().quantum_us)
}

/// No process can run until the TSC reaches `wake`: programs an interrupt for that time.
pub fn arm_for_idle(wake: u64) {
    if runs_by_itself() {
        apic::set_mode(Timer::Periodic);
    } else {
        arm(wake.saturating_sub(cpu::tsc()).max(1));
    }
}

/// Lets the timer interrupt in `cycles` of the TSC.
fn arm(cycles: u64) {
    let (clock, turns) = (CLOCK.get(), TURNS.get());
    let mode = if turns.cooperative { Timer::OneShot } else { turns.mode };
    let value = if mode == Timer::Deadline {
        let deadline = cpu::tsc().saturating_add(cycles);
        apic::set_deadline(deadline);
        deadline
    } else {
        let count = clock.apic_counts(cycles).clamp(1, u32::MAX.into());
        apic::set_count(count as u32);
        count
    };
    TimerArmed { timer: mode, value, cycles }.emit();
}

/// Nanoseconds since boot.
pub fn monotonic_ns() -> u64 {
    CLOCK.get().monotonic_ns(cpu::tsc())
}

/// Nanoseconds since 1970; since boot, where the VMM does not say when that was.
pub fn realtime_ns() -> u64 {
    CLOCK.get().realtime_ns(cpu::tsc())
}

/// Nanoseconds in so many cycles of the TSC.
pub fn ns_of_cycles(cycles: u64) -> u64 {
    CLOCK.get().ns_of_cycles(cycles)
}

/// Cycles of the TSC in so many nanoseconds.
pub fn cycles_of_ns(ns: u64) -> u64 {
    CLOCK.get().cycles_of_ns(ns)
}

/// The TSC when `ns` nanoseconds will have passed.
pub fn after_ns(ns: u64) -> u64 {
    cpu::tsc().saturating_add(CLOCK.get().cycles_of_ns(ns))
}
