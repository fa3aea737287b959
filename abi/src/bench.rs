//! What the guests of `trapline bench` send to the host: for each row a [`Header`] and then its samples, as 64-bit numbers.

/// What a guest measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Row {
    /// A system call that does nothing, by `syscall`.
    NullSyscall,
    /// The same by `int 0x80`.
    NullInterrupt,
    /// The first write to a page of new memory.
    PageFault,
    /// A division by zero, up to the handler in the program.
    Division,
    /// A switch to the next of some processes.
    Switch,
    /// The guest's TSC at the start of a program.
    Launch,
    /// A port write that stops the vCPU until the host's program has seen it.
    PortWrite,
    /// A port write that KVM collects.
    CoalescedWrite,
    /// `cpuid`.
    Cpuid,
    /// `rdmsr` of IA32_APIC_BASE.
    MsrRead,
    /// A write to memory that does not exist, which the host's program sees.
    MmioWrite,
    /// From the time that the one-shot timer is set to, to its handler.
    OneShotLatency,
    /// The same for the TSC-deadline timer.
    DeadlineLatency,
    /// From one interrupt of the periodic timer to the next.
    Period,
    /// How far that is from the period that was set.
    Jitter,
    /// From the time that the one-shot timer is set to, to the instruction after `hlt`.
    HaltWake,
}

impl Row {
    /// Every row, in the order of their numbers.
    pub const ALL: [Row; 16] = [
        Row::NullSyscall,
        Row::NullInterrupt,
        Row::PageFault,
        Row::Division,
        Row::Switch,
        Row::Launch,
        Row::PortWrite,
        Row::CoalescedWrite,
        Row::Cpuid,
        Row::MsrRead,
        Row::MmioWrite,
        Row::OneShotLatency,
        Row::DeadlineLatency,
        Row::Period,
        Row::Jitter,
        Row::HaltWake,
    ];

    /// The row with this number.
    pub fn from_number(number: u64) -> Option<Row> {
        Row::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// What precedes the samples of a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`Row`].
    pub row: u64,
    /// How many samples follow.
    pub count: u64,
    /// Over how many operations each sample is the mean.
    pub each: u64,
    /// What the clock and the loop take, in cycles. It is subtracted from each sample before the division by `each`.
    pub own: u64,
    /// Timer interrupts that did not come.
    pub lost: u64,
}

impl Header {
    /// Its size in numbers.
    pub const WORDS: usize = size_of::<Header>() / 8;
}

/// How many samples most rows have, and the most that a row can have.
pub const SAMPLES: usize = 500;
/// How many samples the rows of timers have.
pub const TIMER_SAMPLES: usize = 100;
/// The port of [`Row::PortWrite`]: no device of the host has it.
pub const PORT: u16 = 0x5F0;
/// The port of [`Row::CoalescedWrite`].
pub const COALESCED_PORT: u16 = 0x5F8;
/// The period of the periodic timer, and the time that the others are set to, in microseconds.
pub const TIMER_US: u64 = 1000;
