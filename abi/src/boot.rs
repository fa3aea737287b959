//! The kernel's command line: words of `key=value`, each at most once. An unknown key or a bad value
//! stops the boot with a message on the console and [`crate::record::Panic::BadCommandLine`].

/// The scheduling policy: [`ROUND_ROBIN`], [`COOPERATIVE`] or [`DIRECT`].
pub const POLICY: &str = "policy";
/// Each process runs for a quantum; the timer ends it.
pub const ROUND_ROBIN: &str = "rr";
/// No timer: the kernel waits for system calls and faults.
pub const COOPERATIVE: &str = "cooperative";
/// No limits: the program is called in ring 0.
pub const DIRECT: &str = "direct";

/// The quantum in microseconds, [`QUANTUM_US_MIN`]`..=`[`QUANTUM_US_MAX`].
pub const QUANTUM_US: &str = "quantum_us";
/// The shortest quantum: KVM's own shortest period of a LAPIC timer is 200 us.
pub const QUANTUM_US_MIN: u64 = 200;
/// The longest quantum, four seconds: a LAPIC counts 32 bits, at 1 GHz under KVM.
pub const QUANTUM_US_MAX: u64 = 4_000_000;
/// The default quantum.
pub const QUANTUM_US_DEFAULT: u64 = 10_000;

/// How the timer is programmed: [`PERIODIC`], [`ONE_SHOT`] or [`DEADLINE`].
pub const TIMER: &str = "timer";
/// The LAPIC reloads its count by itself.
pub const PERIODIC: &str = "periodic";
/// The kernel writes a new count at every tick.
pub const ONE_SHOT: &str = "oneshot";
/// The kernel writes the TSC value at which to interrupt (IA32_TSC_DEADLINE).
pub const DEADLINE: &str = "deadline";

/// Ring the doorbell when this many records wait, `1..=`[`BATCH_MAX`].
pub const BATCH: &str = "batch";
/// Larger batches would change nothing: the buffer is full before.
pub const BATCH_MAX: u64 = 65_536;
/// The default batch.
pub const BATCH_DEFAULT: u64 = 1024;

/// The guest's TSC rate in kHz, as the host knows it. Without it the kernel uses the rate in CPUID.
pub const TSC_KHZ: &str = "tsc_khz";
/// The LAPIC timer's input rate in kHz (before its divider), as the host knows it.
pub const APIC_KHZ: &str = "apic_khz";
/// CLOCK_REALTIME at boot, in nanoseconds since 1970.
pub const EPOCH_NS: &str = "epoch_ns";

/// 1: all memory that the host did not fill is zero, so the kernel need not clear page frames. The default is 0, because
/// firmware that ran earlier may have written to memory.
pub const ZEROED: &str = "zeroed";

/// How the guest rings the doorbell and gets its answer: [`BY_PORT`] (the default) or [`SHARED`]. See [`crate::ports`].
pub const DOORBELL: &str = "doorbell";
/// By an access of a port, for which the virtual CPU stops until the host has answered.
pub const BY_PORT: &str = "port";
/// By a byte at a port, which the host reads later. The guest waits for the answer in memory that it shares with the host.
pub const SHARED: &str = "shared";

/// The most modules, and so processes, of one boot.
pub const PROCESSES_MAX: usize = 64;
/// The longest command line of a module: the program's name and arguments, in bytes.
pub const MODULE_COMMAND_LINE_MAX: usize = 1024;

/// The byte between the words of a module's command line, if it is also the first byte of the line. See [`words`].
pub const SEPARATOR: u8 = 0x1F;

/// The words of a module's command line: the program's name and its arguments. Blanks separate them. In a line that starts
/// with [`SEPARATOR`], that byte separates them instead, so that a word can have blanks or be empty.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (separator, line) = match line {
        [SEPARATOR, rest @ ..] => (SEPARATOR, rest),
        _ => (b' ', line),
    };
    let words = line.split(move |&byte| byte == separator);
    words.filter(move |word| separator == SEPARATOR || !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::words;

    fn are(line: &[u8], expected: &[&[u8]]) {
        assert!(words(line).eq(expected.iter().copied()), "{line:?}");
    }

    #[test]
    fn words_are_separated_by_blanks_or_by_the_separator() {
        are(b"counter 10", &[b"counter", b"10"]);
        are(b"  a   b ", &[b"a", b"b"]);
        are(b"", &[]);
        are(b"\x1Fmy prog\x1F\x1Fa b", &[b"my prog", b"", b"a b"]);
    }
}
