//! The timer of the local APIC: when its interrupts arrive, and how soon `hlt` ends (SDM vol. 3, chapter 11).
//!
//! Only in x2APIC mode. Where CPUID does not have it, nothing is measured.

use core::arch::x86_64::__cpuid;
use core::arch::{asm, naked_asm};
use core::ptr::{read_volatile, write_volatile};

use abi::bench::{Row, TIMER_SAMPLES, TIMER_US};
use abi::boot::{Key, Options};

use crate::samples::Samples;
use crate::{IA32_APIC_BASE, now, read_msr, send, write_msr};

const APIC_BASE_ON: u64 = 1 << 11 | 1 << 10;
const END_OF_INTERRUPT: u32 = 0x80B;
const SPURIOUS_VECTOR: u32 = 0x80F;
const TIMER_ENTRY: u32 = 0x832;
const INITIAL_COUNT: u32 = 0x838;
const DIVIDE: u32 = 0x83E;
const TSC_DEADLINE: u32 = 0x6E0;
const SOFTWARE_ENABLE: u64 = 1 << 8 | SPURIOUS as u64;
const DIVIDE_BY_1: u64 = 0b1011;
const ONE_SHOT: u64 = 0;
const PERIODIC: u64 = 1 << 17;
const DEADLINE: u64 = 2 << 17;

const VECTOR: u8 = 0x20;
const SPURIOUS: u8 = 0xFF;
/// An interrupt that takes longer than this number of periods counts as lost.
const PERIODS_MAX: u64 = 10;

/// The TSC at the handler's last interrupt; 0: none came since it was cleared.
static mut ARRIVED: u64 = 0;

/// The rates of the clocks.
#[derive(Clone, Copy)]
struct Rates {
    /// Cycles of the TSC in the period.
    cycles: u64,
    /// Counts of the timer in the period.
    counts: u64,
}

/// Measures each mode that the CPU has.
pub fn measure(options: &Options) {
    let features = __cpuid(1).ecx;
    if features & 1 << 21 == 0 {
        return;
    }
    let of = |khz: u64| khz * TIMER_US / 1000;
    let rates = Rates { cycles: of(options.get(Key::TscKhz)), counts: of(options.get(Key::ApicKhz)) };
    load_idt();
    // SAFETY: x2APIC exists, and nothing else uses the local APIC.
    unsafe {
        write_msr(IA32_APIC_BASE, read_msr(IA32_APIC_BASE) | APIC_BASE_ON);
        write_msr(SPURIOUS_VECTOR, SOFTWARE_ENABLE);
        write_msr(DIVIDE, DIVIDE_BY_1);
    }
    one_by_one(Row::OneShotLatency, rates, spin);
    if features & 1 << 24 != 0 {
        one_by_one(Row::DeadlineLatency, rates, spin);
    }
    periodic(rates);
    one_by_one(Row::HaltWake, rates, halt);
}

/// Sets the timer again and again, and measures from the time that it is set to, to its end.
fn one_by_one(row: Row, rates: Rates, wait: fn(u64) -> Option<u64>) {
    let is_deadline = row == Row::DeadlineLatency;
    set_mode(if is_deadline { DEADLINE } else { ONE_SHOT });
    let mut samples = Samples::new(row, 1, 0);
    for _ in 0..TIMER_SAMPLES {
        clear();
        let due = now() + rates.cycles;
        // SAFETY: the register exists in this mode.
        unsafe {
            if is_deadline { write_msr(TSC_DEADLINE, due) } else { write_msr(INITIAL_COUNT, rates.counts) }
        }
        match wait(due + PERIODS_MAX * rates.cycles) {
            Some(end) => samples.push(end.saturating_sub(due)),
            None => samples.lose(1),
        }
    }
    send(&samples);
}

/// The times between the interrupts of a periodic timer.
fn periodic(rates: Rates) {
    set_mode(PERIODIC);
    let mut periods = Samples::new(Row::Period, 1, 0);
    let mut jitter = Samples::new(Row::Jitter, 1, 0);
    clear();
    // SAFETY: the register exists.
    unsafe { write_msr(INITIAL_COUNT, rates.counts) };
    let wait = || spin(now() + PERIODS_MAX * rates.cycles);
    let mut last = wait();
    for _ in 0..TIMER_SAMPLES {
        clear();
        let next = wait();
        if let (Some(last), Some(next)) = (last, next) {
            periods.push(next - last);
            jitter.push((next - last).abs_diff(rates.cycles));
            // Nearest whole number of periods: one of them came.
            periods.lose(
                (next - last + rates.cycles / 2).checked_div(rates.cycles).unwrap_or(1).saturating_sub(1),
            );
        } else {
            periods.lose(1);
        }
        last = next;
    }
    // SAFETY: as above; 0 stops the timer.
    unsafe { write_msr(INITIAL_COUNT, 0) };
    clear();
    send(&periods);
    send(&jitter);
}

fn set_mode(mode: u64) {
    // SAFETY: the register exists, and the handler of the vector is loaded.
    unsafe { write_msr(TIMER_ENTRY, mode | u64::from(VECTOR)) };
}

/// Ends the interrupt that came, and forgets it.
fn clear() {
    // SAFETY: interrupts are off, so the handler does not run; the register exists.
    unsafe {
        write_volatile(&raw mut ARRIVED, 0);
        write_msr(END_OF_INTERRUPT, 0);
    }
}

/// When the next interrupt arrived, with the CPU at work. None: not until the TSC is `until`.
fn spin(until: u64) -> Option<u64> {
    // SAFETY: the handler returns to here with all registers as they were.
    unsafe { asm!("sti") };
    while arrived() == 0 && now() < until {}
    // SAFETY: it only masks interrupts.
    unsafe { asm!("cli") };
    Some(arrived()).filter(|arrived| *arrived > 0)
}

/// When the CPU continued after it had halted until the next interrupt.
fn halt(_until: u64) -> Option<u64> {
    // SAFETY: as for `spin`. No interrupt comes between `sti` and `hlt` (SDM vol. 2, STI).
    unsafe { asm!("sti", "hlt", "cli") };
    Some(now())
}

fn arrived() -> u64 {
    // SAFETY: the handler runs between instructions of this CPU, and writes the whole number at once.
    unsafe { read_volatile(&raw const ARRIVED) }
}

/// Stores the time.
#[unsafe(naked)]
extern "C" fn handler() {
    naked_asm!(
        "push rax",
        "push rdx",
        "rdtsc",
        "shl rdx, 32",
        "or rax, rdx",
        "mov [{arrived}], rax",
        "pop rdx",
        "pop rax",
        "iretq",
        arrived = sym ARRIVED,
    )
}

/// A spurious interrupt needs no answer (SDM vol. 3, 11.9).
#[unsafe(naked)]
extern "C" fn ignore() {
    naked_asm!("iretq")
}

/// A trap table with the two interrupts; an exception ends the guest by a triple fault.
fn load_idt() {
    static mut IDT: [[u64; 2]; 256] = [[0; 2]; 256];
    for (vector, handler) in [(VECTOR, handler as *const () as u64), (SPURIOUS, ignore as *const () as u64)] {
        // An interrupt gate in the code segment 8 (SDM vol. 3, 6.14.1).
        let gate = handler & 0xFFFF | 8 << 16 | 0x8E00 << 32 | (handler >> 16 & 0xFFFF) << 48;
        // SAFETY: interrupts are off, and one CPU uses the table.
        unsafe { IDT[vector as usize] = [gate, handler >> 32] };
    }
    let pointer: [u16; 5] = {
        let address = &raw const IDT as u64;
        [4095, address as u16, (address >> 16) as u16, (address >> 32) as u16, (address >> 48) as u16]
    };
    // SAFETY: the table is complete for the interrupts that come.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
}
