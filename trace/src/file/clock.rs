//! From the guest's time stamp counter to nanoseconds.

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

    /// Nanoseconds in a number of TSC cycles.
    #[inline]
    pub fn span(&self, cycles: u64) -> u64 {
        let nanoseconds = (u128::from(cycles) * u128::from(self.scale)) >> FRACTION_BITS;
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
    fn an_hour_is_exact_to_a_nanosecond() {
        for khz in [800_000, 2_445_407, 2_596_122, 5_999_999] {
            let hour = Clock::new(0, khz).nanoseconds(khz * 1000 * 3600);
            assert!(hour.abs_diff(3_600_000_000_000) <= 1, "{hour} at {khz} kHz");
        }
    }
}
