//! The kernel's command line: see `abi::boot`.

use abi::boot;
use abi::record::{Policy, Timer};

use crate::arch::text::cut;

/// What the command line says, or its defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub policy: Policy,
    pub quantum_us: u64,
    pub timer: Timer,
    pub batch: u64,
    /// 0: the command line does not say.
    pub tsc_khz: u64,
    /// 0: the command line does not say.
    pub apic_khz: u64,
    pub epoch_ns: u64,
    /// Memory that was never used is zero.
    pub zeroed: bool,
    /// The host answers the doorbell in shared memory.
    pub is_shared: bool,
}

impl Options {
    /// Reads the command line. None: an unknown key or a bad value.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut options = Self {
            policy: Policy::RoundRobin,
            quantum_us: boot::QUANTUM_US_DEFAULT,
            timer: Timer::Periodic,
            batch: boot::BATCH_DEFAULT,
            tsc_khz: 0,
            apic_khz: 0,
            epoch_ns: 0,
            zeroed: false,
            is_shared: false,
        };
        let mut rest = line;
        while !rest.is_empty() {
            let (word, behind) = cut(rest, b' ');
            let (key, value) = cut(word, b'=');
            rest = behind;
            if word.is_empty() {
                continue;
            } else if key == boot::POLICY.as_bytes() {
                options.policy = policy(value)?;
            } else if key == boot::QUANTUM_US.as_bytes() {
                options.quantum_us = within(value, boot::QUANTUM_US_MIN, boot::QUANTUM_US_MAX)?;
            } else if key == boot::TIMER.as_bytes() {
                options.timer = timer(value)?;
            } else if key == boot::BATCH.as_bytes() {
                options.batch = within(value, 1, boot::BATCH_MAX)?;
            } else if key == boot::TSC_KHZ.as_bytes() {
                options.tsc_khz = within(value, 1, u32::MAX.into())?;
            } else if key == boot::APIC_KHZ.as_bytes() {
                options.apic_khz = within(value, 1, u32::MAX.into())?;
            } else if key == boot::EPOCH_NS.as_bytes() {
                options.epoch_ns = within(value, 0, u64::MAX)?;
            } else if key == boot::ZEROED.as_bytes() {
                options.zeroed = within(value, 0, 1)? == 1;
            } else if key == boot::DOORBELL.as_bytes() {
                options.is_shared = is_shared(value)?;
            } else {
                return None;
            }
        }
        Some(options)
    }
}

fn policy(value: &[u8]) -> Option<Policy> {
    Policy::ALL.iter().copied().find(|policy| policy.name().as_bytes() == value)
}

fn timer(value: &[u8]) -> Option<Timer> {
    Timer::ALL.iter().copied().find(|timer| timer.name().as_bytes() == value)
}

fn is_shared(doorbell: &[u8]) -> Option<bool> {
    let is_shared = doorbell == boot::SHARED.as_bytes();
    (is_shared || doorbell == boot::BY_PORT.as_bytes()).then_some(is_shared)
}

fn within(value: &[u8], least: u64, most: u64) -> Option<u64> {
    let mut number = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    (!value.is_empty() && (least..=most).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_has_the_defaults() {
        let options = Options::parse(b"").unwrap();
        assert_eq!((options.policy, options.timer), (Policy::RoundRobin, Timer::Periodic));
        assert_eq!((options.quantum_us, options.batch), (boot::QUANTUM_US_DEFAULT, boot::BATCH_DEFAULT));
        assert_eq!(Options::parse(b"   "), Some(options));
    }

    #[test]
    fn each_key_sets_its_own_option() {
        let line =
            b"policy=direct quantum_us=200 timer=deadline batch=1 tsc_khz=2 apic_khz=3 epoch_ns=4 zeroed=1 \
            doorbell=shared";
        let expected = Options {
            policy: Policy::Direct,
            quantum_us: 200,
            timer: Timer::Deadline,
            batch: 1,
            tsc_khz: 2,
            apic_khz: 3,
            epoch_ns: 4,
            zeroed: true,
            is_shared: true,
        };
        assert_eq!(Options::parse(line), Some(expected));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let lines = [
            "quantum",
            "quantum_us=",
            "quantum_us=x",
            "quantum_us=-1",
            "quantum_us=199",
            "quantum_us=4000001",
            "epoch_ns=18446744073709551616",
            "batch=0",
            "zeroed=2",
            "doorbell=bell",
            "policy=fair",
            "timer=",
            "Policy=rr",
            "=1",
        ];
        for line in lines {
            assert_eq!(Options::parse(line.as_bytes()), None, "{line}");
        }
    }
}
