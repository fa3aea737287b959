//! Records as typed events: one variant for each [`Kind`].
//!
//! Decoding cannot fail. A record of a kind that this version does not know, or that lacks words, stays as
//! [`What::Unknown`]; words beyond those known are a later version's and are ignored.

use abi::record::{
    DATA_MAX, Ending, HostCounter, Kind, LoadError, Panic, Policy, REGISTERS, Reason, Step, Stop, Timer,
    WORDS_MAX,
};

use super::{Origin, Record};

/// Page fault: the one exception with an address in CR2.
const PAGE_FAULT: u8 = 14;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number among those of its origin, from 0.
    pub sequence: u64,
    /// Who recorded it.
    pub origin: Origin,
    /// The guest's time stamp counter.
    pub tsc: u64,
    /// Nanoseconds since the first record of the trace; 0 for all if the rate of the TSC is unknown.
    pub nanoseconds: u64,
    /// 0: the kernel; else the process, from 1.
    pub process: u16,
    /// What it was.
    pub what: What,
}

/// What the hardware pushes at a trap and `iretq` pops (without the error code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Where it lies on the kernel stack.
    pub address: u64,
    /// The instruction to go on with.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The code segment.
    pub cs: u16,
    /// The stack segment.
    pub ss: u16,
    /// The flags, of which the upper 32 bits are reserved.
    pub rflags: u32,
}

impl Frame {
    fn from_words([address, rip, rsp, selectors]: [u64; 4]) -> Frame {
        let (cs, ss, rflags) = (selectors as u16, (selectors >> 16) as u16, (selectors >> 32) as u32);
        Frame { address, rip, rsp, cs, ss, rflags }
    }

    /// The privilege level: the low two bits of CS.
    pub fn cpl(&self) -> u16 {
        self.cs & 3
    }
}

/// The names of [`Context::registers`].
pub const CONTEXT_REGISTERS: [&str; 8] = ["rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rip"];

/// What a switch keeps in a process's structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The address of the structure.
    pub structure: u64,
    /// The registers, in the order of [`CONTEXT_REGISTERS`].
    pub registers: [u64; 8],
}

impl Context {
    fn from_words(words: &[u64; 9]) -> Context {
        let [structure, registers @ ..] = *words;
        Context { structure, registers }
    }
}

/// A step of the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "abi::record::Step says what each field is")]
pub enum Boot {
    /// [`Step::Started`]
    Started { start: u64, end: u64, usable: u64 },
    /// [`Step::Segments`]
    Segments { gdt: u64, tss: u64 },
    /// [`Step::TrapTable`]
    TrapTable { address: u64, gates: u64 },
    /// [`Step::SyscallHandler`]
    SyscallHandler { lstar: u64, star: u64, sfmask: u64 },
    /// [`Step::Protection`]
    Protection { cr0: u64, cr4: u64, efer: u64 },
    /// [`Step::Timer`]
    Timer { tsc_khz: u64, apic_khz: u64, apic_khz_measured: u64, x2apic: bool },
    /// [`Step::Probed`]
    Probed { syscall: u64, int80: u64 },
    /// [`Step::Policy`]
    Policy { policy: Policy, quantum_us: u64, batch: u64 },
    /// [`Step::Ready`]
    Ready { processes: u64 },
}

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "abi::record::Kind says what each field is")]
pub enum What {
    /// [`Kind::Boot`]
    Boot(Boot),
    /// [`Kind::Gate`]; `kind` is the gate's type and DPL byte.
    Gate { vector: u8, kind: u8, ist: u8, handler: u64 },
    /// [`Kind::ProcessCreated`]
    ProcessCreated { structure: u64, cr3: u64, kernel_stack_top: u64, name: [u8; 16] },
    /// [`Kind::SegmentLoaded`]
    SegmentLoaded { address: u64, memory: u64, file: u64, flags: u8, copied: bool },
    /// [`Kind::StackBuilt`]
    StackBuilt { argc: u32, lowest: u64, rsp: u64, argv: u64 },
    /// [`Kind::KernelStackFilled`]
    KernelStackFilled(Frame),
    /// [`Kind::TrapEntry`]; `as_arrived` is RIP and CR2 where the trap arrived as another one.
    TrapEntry {
        vector: u8,
        arrived: u8,
        error_code: u16,
        frame: Frame,
        cr2: Option<u64>,
        as_arrived: Option<(u64, u64)>,
    },
    /// [`Kind::Registers`], in the order of [`REGISTERS`]; `handler_flags` are 0 at return, and where nobody noted them.
    Registers { at_return: bool, handler_flags: u32, values: [u64; REGISTERS.len()] },
    /// [`Kind::SystemCall`]
    SystemCall { number: u64, arguments: [u64; 6] },
    /// [`Kind::SystemCallResult`]; `number` is the low 32 bits of the call's.
    SystemCallResult { number: u32, result: i64 },
    /// [`Kind::Tick`]
    Tick { ticks: u32 },
    /// [`Kind::TimerArmed`]; `value` is the count or deadline, `cycles` the time until it interrupts.
    TimerArmed { timer: Timer, value: u64, cycles: u64 },
    /// [`Kind::ContextSaved`]
    ContextSaved { reason: Reason, context: Context },
    /// [`Kind::ContextLoaded`]
    ContextLoaded { from: u32, context: Context, cr3: u64, kernel_stack_top: u64 },
    /// [`Kind::TrapReturn`]; no vector: the first return, from no trap.
    TrapReturn { vector: Option<u8>, frame: Frame, rax: u64 },
    /// [`Kind::Sleep`]
    Sleep { until_tsc: u64 },
    /// [`Kind::Wake`]
    Wake { wanted_tsc: u64 },
    /// [`Kind::ProcessExited`]
    ProcessExited { status: i64 },
    /// [`Kind::ProcessKilled`]
    ProcessKilled { vector: u8, error_code: u16, rip: u64, cr2: u64 },
    /// [`Kind::ProcessFreed`]
    ProcessFreed { frames: u64 },
    /// [`Kind::LoadFailed`]
    LoadFailed { error: LoadError, name: [u8; 16] },
    /// [`Kind::Idle`]
    Idle,
    /// [`Kind::KernelPanic`]; `reason` is an exception's vector where it is no [`Panic`].
    KernelPanic { reason: u32, rip: u64, error_code: u64, cr2: u64, rsp: u64, rflags: u64 },
    /// [`Kind::Called`]; a call has no frame on the kernel stack, so its address is 0.
    Called(Frame),
    /// [`Kind::Returned`]
    Returned { status: i64 },
    /// [`Kind::FaultRedirected`]
    FaultRedirected { vector: u8, error_code: u16, rip: u64, cr2: u64, handler: u64, rsp: u64 },
    /// [`Kind::Data`]; `shown` bytes are in `bytes`, of `size` that the call was given.
    Data { argument: u8, size: u32, shown: u8, bytes: [u8; DATA_MAX] },
    /// [`Kind::HostClock`]
    HostClock { monotonic_ns: u64, realtime_ns: u64 },
    /// [`Kind::HostExits`]
    HostExits { reason: u32, count: u64, guest_ns: u64, host_ns: u64 },
    /// [`Kind::HostCount`]
    HostCount { counter: HostCounter, value: u64 },
    /// [`Kind::HostStop`]
    HostStop(Stop),
    /// [`Kind::HostEnd`]
    HostEnd { exit_code: u32, ending: Ending, status: u64, rip: u64 },
    /// A record of a later version, or one that lacks words.
    Unknown { kind: u8, detail: u32, count: u8, words: [u64; WORDS_MAX] },
}

impl What {
    /// Decodes a record.
    #[inline]
    pub fn decode(record: &Record<'_>) -> What {
        decode(record, |what| what)
    }

    /// The number of its kind: a [`Kind`], but for [`What::Unknown`].
    pub fn kind(&self) -> u8 {
        let kind = match self {
            What::Boot(_) => Kind::Boot,
            What::Gate { .. } => Kind::Gate,
            What::ProcessCreated { .. } => Kind::ProcessCreated,
            What::SegmentLoaded { .. } => Kind::SegmentLoaded,
            What::StackBuilt { .. } => Kind::StackBuilt,
            What::KernelStackFilled(_) => Kind::KernelStackFilled,
            What::TrapEntry { .. } => Kind::TrapEntry,
            What::Registers { .. } => Kind::Registers,
            What::SystemCall { .. } => Kind::SystemCall,
            What::SystemCallResult { .. } => Kind::SystemCallResult,
            What::Tick { .. } => Kind::Tick,
            What::TimerArmed { .. } => Kind::TimerArmed,
            What::ContextSaved { .. } => Kind::ContextSaved,
            What::ContextLoaded { .. } => Kind::ContextLoaded,
            What::TrapReturn { .. } => Kind::TrapReturn,
            What::Sleep { .. } => Kind::Sleep,
            What::Wake { .. } => Kind::Wake,
            What::ProcessExited { .. } => Kind::ProcessExited,
            What::ProcessKilled { .. } => Kind::ProcessKilled,
            What::ProcessFreed { .. } => Kind::ProcessFreed,
            What::LoadFailed { .. } => Kind::LoadFailed,
            What::Idle => Kind::Idle,
            What::KernelPanic { .. } => Kind::KernelPanic,
            What::Called(_) => Kind::Called,
            What::Returned { .. } => Kind::Returned,
            What::FaultRedirected { .. } => Kind::FaultRedirected,
            What::Data { .. } => Kind::Data,
            What::HostClock { .. } => Kind::HostClock,
            What::HostExits { .. } => Kind::HostExits,
            What::HostCount { .. } => Kind::HostCount,
            What::HostStop(_) => Kind::HostStop,
            What::HostEnd { .. } => Kind::HostEnd,
            What::Unknown { kind, .. } => return *kind,
        };
        kind as u8
    }

    /// Which panic a kernel panic was, unless it was an exception.
    pub fn panic_reason(reason: u32) -> Option<Panic> {
        Panic::try_from(reason).ok()
    }
}

/// What `make` makes of the event of a record. It is made where it is wanted: an event is too large to be handed about
/// for each record. Only the kinds that come with every trap and switch are worth a place in the loops of readers.
#[inline(always)]
pub(super) fn decode<T>(record: &Record<'_>, make: impl Fn(What) -> T) -> T {
    const TRAP_ENTRY: u8 = Kind::TrapEntry as u8;
    const REGISTERS: u8 = Kind::Registers as u8;
    const SYSTEM_CALL: u8 = Kind::SystemCall as u8;
    const SYSTEM_CALL_RESULT: u8 = Kind::SystemCallResult as u8;
    const TICK: u8 = Kind::Tick as u8;
    const CONTEXT_SAVED: u8 = Kind::ContextSaved as u8;
    const CONTEXT_LOADED: u8 = Kind::ContextLoaded as u8;
    const TRAP_RETURN: u8 = Kind::TrapReturn as u8;
    let detail = record.detail;
    match record.kind {
        TRAP_ENTRY if let Some(what) = trap_entry(record) => make(what),
        REGISTERS if let Some(values) = record.first_words() => {
            make(What::Registers { at_return: detail as u8 == 1, handler_flags: detail >> 8, values })
        }
        CONTEXT_SAVED if let (Some(words), Ok(reason)) = (record.first_words(), Reason::try_from(detail)) => {
            make(What::ContextSaved { reason, context: Context::from_words(&words) })
        }
        CONTEXT_LOADED if let Some([context @ .., cr3, kernel_stack_top]) = record.first_words::<11>() => {
            let context = Context::from_words(&context);
            make(What::ContextLoaded { from: detail, context, cr3, kernel_stack_top })
        }
        SYSTEM_CALL if let Some([a, b, c, d, e, f, number]) = record.first_words() => {
            make(What::SystemCall { number, arguments: [a, b, c, d, e, f] })
        }
        SYSTEM_CALL_RESULT if let Some([result]) = record.first_words() => {
            make(What::SystemCallResult { number: detail, result: result as i64 })
        }
        TICK => make(What::Tick { ticks: detail }),
        TRAP_RETURN if let Some([frame @ .., rax]) = record.first_words::<5>() => {
            let vector = (detail != abi::record::FIRST_RETURN).then_some(detail as u8);
            make(What::TrapReturn { vector, frame: Frame::from_words(frame), rax })
        }
        _ => make(rare(record)),
    }
}

#[cold]
fn rare(record: &Record<'_>) -> What {
    Kind::try_from(record.kind).ok().and_then(|kind| known(kind, record)).unwrap_or_else(|| unknown(record))
}

fn unknown(record: &Record<'_>) -> What {
    let mut words = [0; WORDS_MAX];
    words.iter_mut().zip(record.words()).for_each(|(to, from)| *to = from);
    What::Unknown { kind: record.kind, detail: record.detail, count: record.word_count() as u8, words }
}

/// The event of a record whose kind is known; none if it lacks words or holds a value that nobody knows.
fn known(kind: Kind, record: &Record<'_>) -> Option<What> {
    match kind as u8 {
        abi::record::FIRST_HOST_KIND.. => of_host(kind, record),
        _ => of_kernel(kind, record).or_else(|| of_process(kind, record)),
    }
}

/// What the kernel did, and the CPU for it.
fn of_kernel(kind: Kind, record: &Record<'_>) -> Option<What> {
    let detail = record.detail;
    Some(match kind {
        Kind::Boot => What::Boot(boot(record)?),
        Kind::Gate => {
            let [handler] = record.first_words()?;
            What::Gate { vector: detail as u8, kind: (detail >> 8) as u8, ist: (detail >> 16) as u8, handler }
        }
        Kind::TimerArmed => {
            let [value, cycles] = record.first_words()?;
            What::TimerArmed { timer: Timer::try_from(detail).ok()?, value, cycles }
        }
        Kind::Called => {
            let [rip, rsp, selectors_and_flags] = record.first_words()?;
            What::Called(Frame::from_words([0, rip, rsp, selectors_and_flags]))
        }
        Kind::Data => data(record)?,
        Kind::Returned => {
            let [status] = record.first_words()?;
            What::Returned { status: status as i64 }
        }
        Kind::FaultRedirected => {
            let [rip, cr2, handler, rsp] = record.first_words()?;
            let (vector, error_code) = (detail as u8, (detail >> 16) as u16);
            What::FaultRedirected { vector, error_code, rip, cr2, handler, rsp }
        }
        Kind::Idle => What::Idle,
        Kind::KernelPanic => {
            let [rip, error_code, cr2, rsp, rflags] = record.first_words()?;
            What::KernelPanic { reason: detail, rip, error_code, cr2, rsp, rflags }
        }
        _ => return None,
    })
}

#[inline]
fn trap_entry(record: &Record<'_>) -> Option<What> {
    let (vector, arrived) = (record.detail as u8, (record.detail >> 8) as u8);
    let error_code = (record.detail >> 16) as u16;
    let frame = Frame::from_words(record.first_words()?);
    let (cr2, next) = if vector == PAGE_FAULT { (Some(record.word(4)?), 5) } else { (None, 4) };
    let as_arrived =
        if vector == arrived { None } else { Some((record.word(next)?, record.word(next + 1)?)) };
    Some(What::TrapEntry { vector, arrived, error_code, frame, cr2, as_arrived })
}

fn data(record: &Record<'_>) -> Option<What> {
    let size = record.detail >> 8;
    let shown = (size as usize).min(DATA_MAX);
    if 8 * record.word_count() < shown {
        return None;
    }
    let mut bytes = [0; DATA_MAX];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(record.words()) {
        *to = word.to_le_bytes();
    }
    Some(What::Data { argument: record.detail as u8, size, shown: shown as u8, bytes })
}

fn boot(record: &Record<'_>) -> Option<Boot> {
    Some(match Step::try_from(record.detail).ok()? {
        Step::Started => {
            let [start, end, usable] = record.first_words()?;
            Boot::Started { start, end, usable }
        }
        Step::Segments => {
            let [gdt, tss] = record.first_words()?;
            Boot::Segments { gdt, tss }
        }
        Step::TrapTable => {
            let [address, gates] = record.first_words()?;
            Boot::TrapTable { address, gates }
        }
        Step::SyscallHandler => {
            let [lstar, star, sfmask] = record.first_words()?;
            Boot::SyscallHandler { lstar, star, sfmask }
        }
        Step::Protection => {
            let [cr0, cr4, efer] = record.first_words()?;
            Boot::Protection { cr0, cr4, efer }
        }
        Step::Timer => {
            let [tsc_khz, apic_khz, apic_khz_measured, x2apic] = record.first_words()?;
            Boot::Timer { tsc_khz, apic_khz, apic_khz_measured, x2apic: x2apic != 0 }
        }
        Step::Probed => {
            let [syscall, int80] = record.first_words()?;
            Boot::Probed { syscall, int80 }
        }
        Step::Policy => {
            let [policy, quantum_us, batch] = record.first_words()?;
            Boot::Policy { policy: Policy::try_from(policy).ok()?, quantum_us, batch }
        }
        Step::Ready => {
            let [processes] = record.first_words()?;
            Boot::Ready { processes }
        }
    })
}

/// What became of a process.
fn of_process(kind: Kind, record: &Record<'_>) -> Option<What> {
    let detail = record.detail;
    Some(match kind {
        Kind::ProcessCreated => {
            let [structure, cr3, kernel_stack_top, name @ ..] = record.first_words::<5>()?;
            What::ProcessCreated { structure, cr3, kernel_stack_top, name: name_bytes(name) }
        }
        Kind::SegmentLoaded => {
            let [address, memory, file] = record.first_words()?;
            What::SegmentLoaded { address, memory, file, flags: detail as u8, copied: detail & 0x100 != 0 }
        }
        Kind::StackBuilt => {
            let [lowest, rsp, argv] = record.first_words()?;
            What::StackBuilt { argc: detail, lowest, rsp, argv }
        }
        Kind::KernelStackFilled => What::KernelStackFilled(Frame::from_words(record.first_words()?)),
        Kind::Sleep => {
            let [until_tsc] = record.first_words()?;
            What::Sleep { until_tsc }
        }
        Kind::Wake => {
            let [wanted_tsc] = record.first_words()?;
            What::Wake { wanted_tsc }
        }
        Kind::ProcessExited => {
            let [status] = record.first_words()?;
            What::ProcessExited { status: status as i64 }
        }
        Kind::ProcessKilled => {
            let [rip, cr2] = record.first_words()?;
            What::ProcessKilled { vector: detail as u8, error_code: (detail >> 16) as u16, rip, cr2 }
        }
        Kind::ProcessFreed => {
            let [frames] = record.first_words()?;
            What::ProcessFreed { frames }
        }
        Kind::LoadFailed => {
            let name = name_bytes(record.first_words()?);
            What::LoadFailed { error: LoadError::try_from(detail).ok()?, name }
        }
        _ => return None,
    })
}

/// What the host did.
fn of_host(kind: Kind, record: &Record<'_>) -> Option<What> {
    let detail = record.detail;
    Some(match kind {
        Kind::HostClock => {
            let [monotonic_ns, realtime_ns] = record.first_words()?;
            What::HostClock { monotonic_ns, realtime_ns }
        }
        Kind::HostExits => {
            let [count, guest_ns, host_ns] = record.first_words()?;
            What::HostExits { reason: detail, count, guest_ns, host_ns }
        }
        Kind::HostCount => {
            let [value] = record.first_words()?;
            What::HostCount { counter: HostCounter::try_from(detail).ok()?, value }
        }
        Kind::HostStop => What::HostStop(Stop::try_from(detail).ok()?),
        Kind::HostEnd => {
            let [ending, status, rip] = record.first_words()?;
            What::HostEnd { exit_code: detail, ending: Ending::try_from(ending).ok()?, status, rip }
        }
        _ => return None,
    })
}

fn name_bytes([low, high]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}
