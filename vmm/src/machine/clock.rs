//! One clock for guest and host: the guest's TSC, computed from the host's.
//!
//! The guest's TSC is the host's plus an offset that KVM set when it created the vCPU. The offset is measured once; then the
//! guest's time costs one `rdtsc` and one addition. Limit: both must run at the same rate. They do unless a VMM asks KVM to
//! scale the TSC, which Trapline does not.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Turns the host's TSC into the guest's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: u64,
    khz: u64,
}

impl Clock {
    /// From one reading of the guest's TSC, taken between two of the host's.
    pub fn new(before: u64, guest: u64, after: u64, khz: u64) -> Self {
        let host = before + after.wrapping_sub(before) / 2;
        Clock { offset: guest.wrapping_sub(host), khz }
    }

    /// The guest's TSC, now.
    pub fn now(&self) -> u64 {
        self.guest_tsc(host_tsc())
    }

    /// The guest's TSC when the host's had this value.
    pub fn guest_tsc(&self, host: u64) -> u64 {
        host.wrapping_add(self.offset)
    }

    /// Cycles as nanoseconds.
    pub fn nanoseconds(&self, cycles: u64) -> u64 {
        (u128::from(cycles) * 1_000_000 / u128::from(self.khz.max(1))) as u64
    }
}

/// The host's time stamp counter.
pub fn host_tsc() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC, and Linux lets user mode run it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The rate of the host's TSC in kHz, measured against CLOCK_MONOTONIC in 10 ms: true to some 10 ppm.
pub fn host_khz() -> u64 {
    let now = || (host_tsc(), host_ns(ClockId::CLOCK_MONOTONIC));
    let (start_tsc, start_ns) = now();
    std::thread::sleep(Duration::from_millis(10));
    let (end_tsc, end_ns) = now();
    let cycles = u128::from(end_tsc.saturating_sub(start_tsc)) * 1_000_000;
    (cycles / u128::from(end_ns.saturating_sub(start_ns)).max(1)) as u64
}

/// A clock of the host in nanoseconds; 0 if it has none.
pub fn host_ns(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_may_be_negative() {
        let clock = Clock::new(1_000, 10, 1_002, 1_000_000);
        assert_eq!(1_001_u64.wrapping_add(clock.offset), 10);
    }

    #[test]
    fn cycles_become_nanoseconds_without_overflow() {
        let clock = Clock::new(0, 0, 0, 2_000_000);
        assert_eq!(clock.nanoseconds(2_000), 1_000);
        assert_eq!(clock.nanoseconds(u64::MAX), u64::MAX / 2);
    }
}
