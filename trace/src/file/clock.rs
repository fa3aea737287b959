//! From the guest's time stamp counter to nanoseconds.

use std::num::NonZeroU64;

/// Fraction bits of [`Clock::scale`], as many as fit: an error below a nanosecond in an hour at any real rate.
const FRACTION_BITS: u32 = 44;

/// Turns TSC values into nanoseconds since the start of the trace, with a multiplication and a shift: a
/// division for each event would cost more than all else that a reader does.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    scale: u64,
}

impl Clock {
    /// A clock that is 0 at `start` and ticks with `tsc_khz`. With a rate of 0, which means unknown, it stands
    /// still.
    pub fn new(start: u64, tsc_khz: u64) -> Clock {
        let scale = (1_000_000u64 << FRACTION_BITS).checked_div(tsc_khz).unwrap_or(0);
        Clock { start, scale }
    }

    /// Nanoseconds from the start to `tsc`; 0 for what was before.
    #[inline]
    pub fn nanoseconds(&self, tsc: u64) -> u64 {
        self.span(tsc.saturating_sub(self.start))
    }

    /// The first TSC value that is `nanoseconds` after the start. `None` if the rate is unknown.
    pub(super) fn tsc(&self, nanoseconds: u64) -> Option<u64> {
        let scale = NonZeroU64::new(self.scale)?;
        let cycles = (u128::from(nanoseconds) << FRACTION_BITS).div_ceil(scale.get().into());
        Some(self.start.saturating_add(u64::try_from(cycles).unwrap_or(u64::MAX)))
    }

    /// Nanoseconds in a number of TSC cycles.
    #[inline]
    pub fn span(&self, cycles: u64) -> u64 {
        let nanoseconds = u128::from(cycles).wrapping_mul(self.scale.into()) >> FRACTION_BITS; // of two 64-bit numbers
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_become_nanoseconds() {
        let clock = Clock::new(1000, 2_000_000);
        assert_eq!(clock.nanoseconds(1000), 0);
        assert_eq!(clock.nanoseconds(3000), 1000);
        assert_eq!(clock.nanoseconds(0), 0);
        assert_eq!(Clock::new(0, 0).nanoseconds(u64::MAX), 0);
        assert_eq!(Clock::new(0, 1).nanoseconds(u64::MAX), u64::MAX);
    }

    #[test]
    fn nanoseconds_become_the_first_cycle_of_theirs() {
        for khz in [1, 999_983, 2_445_407] {
            let clock = Clock::new(1000, khz);
            for nanoseconds in [0, 1, 7, 1_000_003, 123_456_789_012] {
                let tsc = clock.tsc(nanoseconds).unwrap();
                assert!(clock.nanoseconds(tsc) >= nanoseconds);
                assert!(tsc == 1000 || clock.nanoseconds(tsc - 1) < nanoseconds);
            }
        }
        assert_eq!(Clock::new(0, 0).tsc(5), None);
    }

    #[test]
    fn an_hour_is_exact_to_a_nanosecond() {
        for khz in [800_000, 2_445_407, 2_596_122, 5_999_999] {
            let hour = Clock::new(0, khz).nanoseconds(khz * 1000 * 3600);
            assert!(hour.abs_diff(3_600_000_000_000) <= 1, "{hour} at {khz} kHz");
        }
    }
}
