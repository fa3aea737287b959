//! Conversions between the TSC, the LAPIC timer's counts and nanoseconds.
//!
//! This is only arithmetic; the caller reads the clocks.

use core::arch::asm;

/// The rates of the clocks, and their values at boot.
#[derive(Clone, Copy)]
pub struct Clock {
    pub tsc_khz: u64,
    pub apic_khz: u64,
    /// TSC at boot.
    pub start: u64,
    /// CLOCK_REALTIME at boot, in nanoseconds since 1970.
    pub epoch_ns: u64,
}

const NS_PER_MS: u64 = 1_000_000;

impl Clock {
    /// Counts of the LAPIC timer in so many cycles of the TSC.
    pub fn apic_counts(&self, cycles: u64) -> u64 {
        scale(cycles, self.apic_khz, self.tsc_khz)
    }

    /// Cycles of the TSC in so many microseconds.
    pub fn cycles_of_us(&self, us: u64) -> u64 {
        scale(us, self.tsc_khz, 1000)
    }

    /// Cycles of the TSC in so many nanoseconds.
    pub fn cycles_of_ns(&self, ns: u64) -> u64 {
        scale(ns, self.tsc_khz, NS_PER_MS)
    }

    /// Nanoseconds in so many cycles of the TSC.
    pub fn ns_of_cycles(&self, cycles: u64) -> u64 {
        scale(cycles, NS_PER_MS, self.tsc_khz)
    }

    /// Nanoseconds from boot to this value of the TSC.
    pub fn monotonic_ns(&self, tsc: u64) -> u64 {
        self.ns_of_cycles(tsc.saturating_sub(self.start))
    }

    /// Nanoseconds from 1970 to this value of the TSC; from boot, where the VMM does not say when that was.
    pub fn realtime_ns(&self, tsc: u64) -> u64 {
        self.epoch_ns.saturating_add(self.monotonic_ns(tsc))
    }
}

/// `value * by / over`, or `u64::MAX` where that is larger. `over` is not 0.
fn scale(value: u64, by: u64, over: u64) -> u64 {
    let product = u128::from(value) * u128::from(by);
    let (high, low) = ((product >> 64) as u64, product as u64);
    if high >= over {
        return u64::MAX;
    }
    let quotient;
    // SAFETY: DIV faults where the quotient needs more than 64 bits. It does not, as `high` is below `over`.
    unsafe {
        asm!("div {}", in(reg) over, inout("rax") low => quotient, inout("rdx") high => _, options(pure, nomem, nostack))
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { tsc_khz: 2_100_000, apic_khz: 1_000_000, start: 500, epoch_ns: 7 };

    #[test]
    fn each_unit_becomes_the_other() {
        assert_eq!(CLOCK.apic_counts(2_100), 1_000);
        assert_eq!(CLOCK.cycles_of_us(10), 21_000);
        assert_eq!(CLOCK.cycles_of_ns(10), 21);
        assert_eq!(CLOCK.ns_of_cycles(21), 10);
        assert_eq!(CLOCK.monotonic_ns(500 + 2_100), 1_000);
        assert_eq!(CLOCK.realtime_ns(500 + 2_100), 1_007);
    }

    #[test]
    fn scaling_is_exact_up_to_the_largest_rates() {
        let rates = [1, 3, 1_000_000, 2_999_999_999, u64::from(u32::MAX)];
        for value in [0, 1, 999, u64::from(u32::MAX), 1 << 52, u64::MAX - 1, u64::MAX] {
            for (by, over) in rates.iter().flat_map(|&by| rates.map(|over| (by, over))) {
                let exact = u128::from(value) * u128::from(by) / u128::from(over);
                let expected = u64::try_from(exact).unwrap_or(u64::MAX);
                assert_eq!(scale(value, by, over), expected, "{value} * {by} / {over}");
            }
        }
    }

    #[test]
    fn no_time_is_before_boot_or_after_the_last() {
        assert_eq!(CLOCK.monotonic_ns(0), 0);
        let late = Clock { epoch_ns: u64::MAX, ..CLOCK };
        assert_eq!(late.realtime_ns(u64::MAX), u64::MAX);
    }
}
