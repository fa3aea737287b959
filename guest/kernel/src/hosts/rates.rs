//! The rates of the clocks: from the command line, else from CPUID, else measured. Trapline's own host always states both.

use core::arch::x86_64::__cpuid;

use abi::boot::{Key, Options};
use abi::record::Panic;

use crate::arch::{apic, cpu};
use crate::panic::panic;

/// The rates of the clocks in kHz.
pub struct Rates {
    pub tsc: u64,
    /// Of the LAPIC timer.
    pub apic: u64,
    /// Of the LAPIC timer, measured against the TSC: it shows whether the stated rate is true.
    pub apic_measured: u64,
}

/// A measurement against a known TSC takes a second divided by this: 10 us.
const MEASURE_PER_SECOND: u64 = 100_000;
/// The LAPIC's rate where neither command line nor CPUID has it: QEMU's and KVM's.
const APIC_KHZ_UNKNOWN: u64 = 1_000_000;

/// Finds the rates. Where the TSC's is not known, it is measured against the LAPIC, for 10 ms.
pub fn find(options: &Options) -> Rates {
    let (mut known, mut apic) = (options.get(Key::TscKhz), options.get(Key::ApicKhz));
    if known == 0 || apic == 0 {
        let (tsc_given, apic_given) = of_hypervisor();
        known = if known > 0 { known } else { tsc_given };
        apic = [apic, apic_given, APIC_KHZ_UNKNOWN].into_iter().find(|&rate| rate > 0).unwrap_or(0);
    }
    let enough_cycles = known * 1000 / MEASURE_PER_SECOND;
    let enough_counts = (apic * 10) as u32;
    let (counts, cycles) =
        measure(|counts, cycles| if known > 0 { cycles >= enough_cycles } else { counts >= enough_counts });
    let tsc = if known > 0 { known } else { (cycles * apic).checked_div(counts).unwrap_or(0) };
    if tsc == 0 {
        panic(Panic::NoTimer, counts);
    }
    Rates { tsc, apic, apic_measured: (counts * tsc).checked_div(cycles).unwrap_or(0) }
}

/// TSC and LAPIC rates from the hypervisor's leaf 0x4000_0010, which VMware began and KVM's VMMs follow.
fn of_hypervisor() -> (u64, u64) {
    const HYPERVISOR: u32 = 1 << 31;
    const LEAF: u32 = 0x4000_0010;
    if __cpuid(1).ecx & HYPERVISOR == 0 || __cpuid(0x4000_0000).eax < LEAF {
        return (0, 0);
    }
    let rates = __cpuid(LEAF);
    (rates.eax.into(), rates.ebx.into())
}

/// Lets the timer count, masked, until `is_enough` returns true for its counts and the TSC cycles so far; returns both.
fn measure(is_enough: impl Fn(u32, u64) -> bool) -> (u64, u64) {
    apic::set_count(u32::MAX);
    let start = cpu::tsc();
    loop {
        let counted = u32::MAX - apic::remaining_count();
        let cycles = cpu::tsc() - start;
        if is_enough(counted, cycles) {
            apic::set_count(0);
            return (counted.into(), cycles);
        }
    }
}
