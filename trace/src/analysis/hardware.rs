//! Numbers of the CPU and of KVM in words. Sections are those of Intel's SDM, volume 3.

use std::fmt;

use abi::hardware::vector::PAGE_FAULT;
use abi::syscall::signals;

/// Mnemonic and name of an exception (table 7-1). None: a vector without one.
pub fn exception(vector: u8) -> Option<(&'static str, &'static str)> {
    Some(match vector {
        0 => ("#DE", "divide error"),
        1 => ("#DB", "debug exception"),
        2 => ("NMI", "non-maskable interrupt"),
        3 => ("#BP", "breakpoint"),
        4 => ("#OF", "overflow"),
        5 => ("#BR", "bound range exceeded"),
        6 => ("#UD", "invalid opcode"),
        7 => ("#NM", "no math coprocessor"),
        8 => ("#DF", "double fault"),
        10 => ("#TS", "invalid TSS"),
        11 => ("#NP", "segment not present"),
        12 => ("#SS", "stack segment fault"),
        13 => ("#GP", "general protection"),
        14 => ("#PF", "page fault"),
        16 => ("#MF", "x87 floating-point error"),
        17 => ("#AC", "alignment check"),
        18 => ("#MC", "machine check"),
        19 => ("#XM", "SIMD floating-point exception"),
        20 => ("#VE", "virtualization exception"),
        21 => ("#CP", "control protection"),
        _ => return None,
    })
}

/// A vector in a word: the mnemonic of an exception, else its name.
pub fn short_name(vector: u8) -> String {
    exception(vector).map_or_else(|| vector_name(vector), |(mnemonic, _)| mnemonic.into())
}

/// The name of any vector: an exception, a system call, or an interrupt.
pub fn vector_name(vector: u8) -> String {
    match (vector, exception(vector)) {
        (_, Some((mnemonic, name))) => format!("{mnemonic} {name}"),
        (abi::record::SYSCALL_VECTOR, _) => "syscall".into(),
        (abi::syscall::INT_VECTOR, _) => "int 0x80".into(),
        (0..32, _) => format!("exception {vector}"),
        _ => format!("interrupt {vector:#x}"),
    }
}

/// What a page fault's error code says (section 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault(
    /// The error code.
    pub u16,
);

impl PageFault {
    /// What was tried: `read`, `write` or `execute`.
    pub fn access(self) -> &'static str {
        match (self.0 & 1 << 4 != 0, self.0 & 1 << 1 != 0) {
            (true, _) => "execute",
            (false, true) => "write",
            (false, false) => "read",
        }
    }

    /// Why it failed.
    pub fn why(self) -> &'static str {
        match (self.0 & 1 << 3 != 0, self.0 & 1 != 0) {
            (true, _) => "reserved bit set",
            (false, true) => "not allowed",
            (false, false) => "not present",
        }
    }

    /// The mode the access was made in.
    pub fn mode(self) -> &'static str {
        if self.0 & 1 << 2 != 0 { "user" } else { "kernel" }
    }
}

impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.access(), self.why(), self.mode())
    }
}

/// A fault in words: `#PF page fault: write to 0xdead000 (not present)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The exception's vector.
    pub vector: u8,
    /// Its error code, 0 if it has none.
    pub error_code: u16,
    /// CR2, of a page fault.
    pub cr2: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vector_name(self.vector))?;
        if self.vector == PAGE_FAULT {
            let code = PageFault(self.error_code);
            let verb = match code.access() {
                "read" => "read from",
                "write" => "write to",
                _ => "execute at",
            };
            let whose = if code.mode() == "user" { "" } else { ", by the kernel" };
            return write!(f, ": {verb} {:#x} ({}{whose})", self.cr2, code.why());
        }
        if self.error_code != 0 && matches!(self.vector, 8 | 10..=13 | 17 | 21) {
            return write!(f, ": {}", SelectorError(self.error_code));
        }
        Ok(())
    }
}

/// An error code that names a selector (section 7.13).
struct SelectorError(u16);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = match (self.0 & 2 != 0, self.0 & 4 != 0) {
            (true, _) => return write!(f, "gate {:#x} of the trap table", self.0 >> 3),
            (false, true) => "LDT",
            (false, false) => "GDT",
        };
        write!(f, "selector {:#x} of the {table}", self.0 & !7)
    }
}

/// The flags of RFLAGS by bit, low to high (volume 1, section 3.4.3).
const FLAGS: [(u32, &str); 13] = [
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
    (14, "NT"),
    (16, "RF"),
    (18, "AC"),
    (21, "ID"),
];

/// RFLAGS as the names of the flags that are set, `-` for none: `IF,ZF`.
pub fn flags(rflags: u64) -> String {
    const LEVELS: [&str; 4] = ["", "IOPL1", "IOPL2", "IOPL3"];
    let flags = FLAGS.iter().filter(|(bit, _)| rflags >> bit & 1 != 0).map(|(_, name)| *name);
    let level = LEVELS.get((rflags >> 12 & 3) as usize).filter(|level| !level.is_empty());
    let mut set = String::new();
    for name in flags.chain(level.copied()) {
        set.push_str(if set.is_empty() { "" } else { "," });
        set.push_str(name);
    }
    if set.is_empty() { "-".into() } else { set }
}

/// KVM's reasons for an exit are below this number; Linux 6.18 has 42 of them.
pub const EXIT_REASONS: u32 = 64;

/// A KVM_EXIT_* in words; [`EXIT_REASONS`] stands for all numbers that KVM does not have.
pub fn exit_reason(reason: u32) -> Option<&'static str> {
    Some(match reason {
        0 => "unknown",
        1 => "exception",
        2 => "port",
        3 => "hypercall",
        4 => "debug",
        5 => "hlt",
        6 => "memory (MMIO)",
        7 => "interrupt window",
        8 => "shutdown",
        9 => "failed entry",
        10 => "signal",
        16 => "NMI",
        17 => "internal error",
        24 => "system event",
        29 => "MSR read",
        30 => "MSR write",
        EXIT_REASONS => "not one of KVM's",
        _ => return None,
    })
}

/// The name of a signal, as strace prints it.
pub fn signal_name(signal: u32) -> String {
    match signal {
        signals::REAL_TIME => "SIGRTMIN".into(),
        33..=64 => format!("SIGRT_{}", signal.saturating_sub(signals::REAL_TIME)),
        _ => signals::name(signal).map_or_else(|| format!("signal {signal}"), Into::into),
    }
}

/// The signal that Linux sends a process for an exception. A page fault may also be a SIGBUS: the vector does not show which.
pub fn signal_of_vector(vector: u8) -> u32 {
    match vector {
        0 | 16 | 19 => signals::SIGFPE,
        1 | 3 => signals::SIGTRAP,
        6 => signals::SIGILL,
        12 | 17 => signals::SIGBUS,
        _ => signals::SIGSEGV,
    }
}

/// The number of a signal that is named.
pub fn signal_number(name: &str) -> Option<u32> {
    (1..).zip(signals::NAMES).find_map(|(number, own)| (*own == name).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_in_words() {
        let fault = |vector, error_code, cr2| Fault { vector, error_code, cr2 }.to_string();
        assert_eq!(fault(0, 0, 0), "#DE divide error");
        assert_eq!(fault(14, 6, 0xdead000), "#PF page fault: write to 0xdead000 (not present)");
        assert_eq!(fault(14, 5, 0x10), "#PF page fault: read from 0x10 (not allowed)");
        assert_eq!(fault(14, 0x15, 0x10), "#PF page fault: execute at 0x10 (not allowed)");
        assert_eq!(fault(14, 9, 0x10), "#PF page fault: read from 0x10 (reserved bit set, by the kernel)");
        assert_eq!(fault(13, 0, 0), "#GP general protection");
        assert_eq!(fault(13, 0x402, 0), "#GP general protection: gate 0x80 of the trap table");
        assert_eq!(fault(13, 0x28, 0), "#GP general protection: selector 0x28 of the GDT");
        assert_eq!(fault(11, 0x2c, 0), "#NP segment not present: selector 0x28 of the LDT");
    }

    #[test]
    fn every_vector_has_a_name() {
        assert!((0..=255).all(|vector| !vector_name(vector).is_empty()));
        assert_eq!(vector_name(0xFE), "syscall");
        assert_eq!(vector_name(0x80), "int 0x80");
        assert_eq!(vector_name(0x20), "interrupt 0x20");
    }

    #[test]
    fn flags_in_letters() {
        assert_eq!(flags(0x2), "-");
        assert_eq!(flags(0x246), "PF,ZF,IF");
        assert_eq!(flags(0x3202), "IF,IOPL3");
    }
}
