//! What a host passes to the kernel at boot: the options, and each program's command line.
//!
//! The kernel's command line has words `key=value` with blanks between: [`KEYS`] has the keys. An unknown key or a bad value
//! stops the boot with a message on the console and [`crate::record::Panic::BadCommandLine`].
//!
//! A host that uses this crate also passes the options as numbers, in [`Prepared`]. The kernel then does not read the
//! text, which would take more than a thousand instructions: each is slow on a host that emulates ring 0.

use crate::record::{Policy, Timer};

/// A key of the command line, by its place in [`KEYS`] and in [`Options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The scheduling policy: a [`Policy`].
    Policy,
    /// The quantum in microseconds. The timer ends a turn after it.
    QuantumUs,
    /// How the timer is programmed: a [`Timer`].
    Timer,
    /// Ring the doorbell when so many records wait.
    Batch,
    /// The guest's TSC rate in kHz, as the host measured it. 0: the kernel uses the rate in CPUID, or measures.
    TscKhz,
    /// The LAPIC timer's input rate in kHz (before its divider), from the host. 0: as for the TSC.
    ApicKhz,
    /// CLOCK_REALTIME at boot, in nanoseconds since 1970.
    EpochNs,
    /// 1: all memory that the host did not fill is zero, so the kernel need not clear page frames. The default is 0, because
    /// firmware that ran earlier may have written to memory.
    Zeroed,
    /// How the guest rings the doorbell and gets its answer: [`BY_PORT`], [`SHARED`] or [`STREAM`]. See [`crate::ports`].
    Doorbell,
    /// How far the stack of a Linux program may grow, in MiB.
    StackMib,
}

/// What the command line can say for a key.
#[derive(Debug)]
pub struct Rule {
    /// The key.
    pub name: &'static str,
    /// What its value can be.
    pub values: Values,
    /// The number where the command line does not have the key.
    pub default: u64,
}

/// The values of a key.
#[derive(Debug)]
pub enum Values {
    /// One of these names, each for a number.
    Names(&'static [(u64, &'static str)]),
    /// A number from the first to the second.
    Numbers(u64, u64),
}

/// The shortest quantum: KVM's own shortest period of a LAPIC timer is 200 us.
pub const QUANTUM_US_MIN: u64 = 200;
/// The longest quantum, four seconds: a LAPIC counts 32 bits, at 1 GHz under KVM.
pub const QUANTUM_US_MAX: u64 = 4_000_000;
/// The default quantum.
pub const QUANTUM_US_DEFAULT: u64 = 10_000;
/// Larger batches would change nothing: the buffer is full before.
pub const BATCH_MAX: u64 = 65_536;
/// The default batch.
pub const BATCH_DEFAULT: u64 = 1024;
/// The default limit on the stack of a Linux program, which is Linux's own. The limit cannot be lower.
pub const STACK_MIB_DEFAULT: u64 = 8;
/// The highest limit on the stack of a Linux program.
pub const STACK_MIB_MAX: u64 = 1024;
/// [`Key::Doorbell`]: by an access of a port, for which the virtual CPU stops until the host has answered.
pub const BY_PORT: u64 = 0;
/// [`Key::Doorbell`]: by a byte at a port, which the host reads later. The guest waits for the answer in memory that it shares
/// with the host.
pub const SHARED: u64 = 1;
/// [`Key::Doorbell`]: no host answers. The records themselves go to the port, for an emulator that keeps them in a file.
pub const STREAM: u64 = 2;

/// Every key, in the order of [`Key`].
#[rustfmt::skip]
pub static KEYS: [Rule; 10] = [
    Rule { name: "policy", values: Values::Names(Policy::NAMES), default: Policy::RoundRobin as u64 },
    Rule { name: "quantum_us", values: Values::Numbers(QUANTUM_US_MIN, QUANTUM_US_MAX), default: QUANTUM_US_DEFAULT },
    Rule { name: "timer", values: Values::Names(Timer::NAMES), default: Timer::Periodic as u64 },
    Rule { name: "batch", values: Values::Numbers(1, BATCH_MAX), default: BATCH_DEFAULT },
    Rule { name: "tsc_khz", values: Values::Numbers(1, u32::MAX as u64), default: 0 },
    Rule { name: "apic_khz", values: Values::Numbers(1, u32::MAX as u64), default: 0 },
    Rule { name: "epoch_ns", values: Values::Numbers(0, u64::MAX), default: 0 },
    Rule { name: "zeroed", values: Values::Numbers(0, 1), default: 0 },
    Rule { name: "doorbell", values: Values::Names(&[(BY_PORT, "port"), (SHARED, "shared"), (STREAM, "stream")]), default: BY_PORT },
    Rule { name: "stack_mib", values: Values::Numbers(STACK_MIB_DEFAULT, STACK_MIB_MAX), default: STACK_MIB_DEFAULT },
];

/// The options: a number for each [`Key`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options([u64; KEYS.len()]);

/// The options as numbers. A host may put this directly behind the 56 bytes of `hvm_start_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// [`PREPARED_MAGIC`].
    pub magic: u64,
    /// The options.
    pub options: Options,
}

/// "TRAPOPT2" in memory. The digit is the version of [`KEYS`].
pub const PREPARED_MAGIC: u64 = u64::from_le_bytes(*b"TRAPOPT2");

impl Options {
    /// The options of an empty command line.
    pub const DEFAULT: Options = {
        let mut numbers = [0; KEYS.len()];
        let mut index = 0;
        while index < numbers.len() {
            numbers[index] = KEYS[index].default;
            index += 1;
        }
        Options(numbers)
    };

    /// Reads a command line. `None`: it has an unknown key or a bad value.
    pub fn parse(line: &[u8]) -> Option<Options> {
        let mut options = Options::DEFAULT;
        for word in line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()) {
            let end = word.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&word[..end], &word[end + 1..]);
            let index = KEYS.iter().position(|rule| rule.name.as_bytes() == key)?;
            options.0[index] = KEYS[index].values.parse(value)?;
        }
        Some(options)
    }

    /// The number for a key.
    #[inline(always)]
    pub const fn get(&self, key: Key) -> u64 {
        self.0[key as usize]
    }

    /// The same options with another number for a key.
    pub const fn with(mut self, key: Key, number: u64) -> Options {
        self.0[key as usize] = number;
        self
    }

    /// The rule of each key, with its number.
    pub fn all(&self) -> impl Iterator<Item = (&'static Rule, u64)> {
        KEYS.iter().zip(self.0)
    }
}

impl Values {
    fn parse(&self, value: &[u8]) -> Option<u64> {
        match *self {
            Values::Names(names) => {
                names.iter().find(|(_, name)| name.as_bytes() == value).map(|&(number, _)| number)
            }
            Values::Numbers(least, most) => {
                let number = value.iter().try_fold(0_u64, |number, digit| {
                    let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
                    number.checked_mul(10)?.checked_add(digit.into())
                })?;
                (!value.is_empty() && (least..=most).contains(&number)).then_some(number)
            }
        }
    }
}

/// The most modules, and so processes, of one boot.
pub const PROCESSES_MAX: usize = 64;
/// The longest command line of a module: the program's name and arguments, in bytes.
pub const MODULE_COMMAND_LINE_MAX: usize = 1024;

/// The byte between the words of a module's command line, if it is also the first byte of the line. See [`words`].
pub const SEPARATOR: u8 = 0x1F;

/// The words of a module's command line: the program's name and its arguments. Blanks separate them. In a line that starts
/// with [`SEPARATOR`], that byte separates them instead, so that a word can have blanks or be empty.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    words_by(line, |line, end| line.iter().position(|&byte| byte == end).unwrap_or(line.len()))
}

/// The same, where `size` returns how many bytes of a line come before the first that is `end`.
#[inline(always)]
pub fn words_by(line: &[u8], size: impl Fn(&[u8], u8) -> usize) -> impl Iterator<Item = &[u8]> {
    let (separator, line) = match line {
        [SEPARATOR, rest @ ..] => (SEPARATOR, rest),
        _ => (b' ', line),
    };
    let mut rest = Some(line);
    let words = core::iter::from_fn(move || {
        let line = rest?;
        let (word, behind) = line.split_at_checked(size(line, separator)).unwrap_or((line, &[]));
        rest = behind.get(1..);
        Some(word)
    });
    words.filter(move |word| separator == SEPARATOR || !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are(line: &[u8], expected: &[&[u8]]) {
        assert!(words(line).eq(expected.iter().copied()), "{line:?}");
    }

    #[test]
    fn an_empty_line_has_the_defaults() {
        let options = Options::parse(b"").unwrap();
        assert_eq!(options.get(Key::QuantumUs), QUANTUM_US_DEFAULT);
        assert_eq!((options.get(Key::Batch), options.get(Key::TscKhz)), (BATCH_DEFAULT, 0));
        assert_eq!(Options::parse(b"   "), Some(Options::DEFAULT));
    }

    #[test]
    fn each_key_sets_its_own_option() {
        let line =
            b"policy=direct quantum_us=200 timer=deadline batch=1 tsc_khz=2 apic_khz=3 epoch_ns=4 zeroed=1 \
            doorbell=shared stack_mib=9";
        let numbers = [Policy::Direct as u64, 200, Timer::Deadline as u64, 1, 2, 3, 4, 1, SHARED, 9];
        assert_eq!(Options::parse(line), Some(Options(numbers)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let lines = [
            "quantum",
            "quantum_us=",
            "quantum_us=x",
            "quantum_us=-1",
            "quantum_us=+300",
            "quantum_us=199",
            "quantum_us=4000001",
            "epoch_ns=18446744073709551616",
            "batch=0",
            "zeroed=2",
            "doorbell=bell",
            "stack_mib=7",
            "stack_mib=1025",
            "policy=fair",
            "timer=",
            "Policy=rr",
            "=1",
        ];
        for line in lines {
            assert_eq!(Options::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn words_are_separated_by_blanks_or_by_the_separator() {
        are(b"counter 10", &[b"counter", b"10"]);
        are(b"  a   b ", &[b"a", b"b"]);
        are(b"", &[]);
        are(b"\x1Fmy prog\x1F\x1Fa b", &[b"my prog", b"", b"a b"]);
    }
}
