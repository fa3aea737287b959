//! The records: what the CPU and the kernel did, one fixed layout a kind.
//!
//! A record is a head of 16 bytes and up to [`WORDS_MAX`] words of 8, all little-endian, 8-byte aligned:
//!
//! ```text
//!  0        8     9      10       12       16
//!  | TSC    | kind| words| process| detail | word 0 | word 1 | ...
//! ```
//!
//! `process` is 0 for the kernel itself (boot, idle), else the number of the process, from 1. What `detail`
//! and the words mean stands at each [`Kind`]. Kinds below [`FIRST_HOST_KIND`] are the guest's, the others are
//! the host's own and use the same clock, the guest's TSC.
//!
//! The guest appends records to one buffer in its memory, whose first page starts with a [`BufferHead`].
//! Sequence numbers are not stored: the running count in the head numbers them, and the host proves from it
//! that none is missing.

/// The head of the trace buffer; records follow it directly, [`BufferHead::SIZE`] bytes in.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferHead {
    /// [`BUFFER_MAGIC`].
    pub magic: u32,
    /// [`crate::VERSION`] of the guest.
    pub version: u16,
    /// Size of the head in bytes: where the records start.
    pub head_size: u16,
    /// Room for records behind the head, in bytes, a multiple of 8.
    pub capacity: u32,
    /// Bytes of records that wait. The guest sets it to 0 after the bell.
    pub used: u32,
    /// Records written since boot, those that wait included.
    pub records: u64,
    /// Records that the guest could not write. Not 0 means a fault of the guest, and is reported.
    pub lost: u64,
}

impl BufferHead {
    /// Its size in bytes.
    pub const SIZE: usize = size_of::<BufferHead>();
}

const _: () = assert!(BufferHead::SIZE == 32);

/// "TRAP" in memory.
pub const BUFFER_MAGIC: u32 = u32::from_le_bytes(*b"TRAP");
/// Size of a record's head in bytes.
pub const HEAD_SIZE: usize = 16;
/// The most words a record has.
pub const WORDS_MAX: usize = 20;
/// The largest record, in bytes.
pub const RECORD_MAX: usize = HEAD_SIZE + 8 * WORDS_MAX;
/// The largest trace buffer that a host takes, head included, in bytes.
pub const BUFFER_MAX: usize = 1 << 20;

/// The head of a record, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The guest's time stamp counter.
    pub tsc: u64,
    /// A [`Kind`].
    pub kind: u8,
    /// How many words follow.
    pub words: u8,
    /// 0: the kernel; else a process.
    pub process: u16,
    /// As the kind says.
    pub detail: u32,
}

const _: () = assert!(size_of::<Head>() == HEAD_SIZE);

/// Kinds from here on are written by the host.
pub const FIRST_HOST_KIND: u8 = 128;

macro_rules! numbered {
    ($(#[$meta:meta])* $vis:vis enum $name:ident: $repr:ident { $($(#[$doc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        $vis enum $name { $($(#[$doc])* $variant = $value,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// Its name in text and JSON.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl TryFrom<$repr> for $name {
            type Error = $repr;
            #[inline]
            fn try_from(value: $repr) -> Result<Self, $repr> {
                match value { $($value => Ok($name::$variant),)* other => Err(other) }
            }
        }
    };
}

numbered! {
    /// What a record tells. "Selectors and flags" is one word: CS in bits 0..16, SS in 16..32, RFLAGS in 32..64.
    pub enum Kind: u8 {
        /// A step of the boot. detail: [`Step`], which says what the words are.
        Boot = 1, "boot";
        /// A gate of the trap table. detail: vector | type and DPL byte of the gate << 8 | IST << 16;
        /// words: handler address.
        Gate = 2, "gate";
        /// An entry in the process list. words: address of the process structure, page table root (CR3),
        /// top of its kernel stack, then its name in 2 words of bytes, zero padded.
        ProcessCreated = 3, "process-created";
        /// A segment of the program is in memory. detail: ELF flags (1 X, 2 W, 4 R) | 0x100 when it was copied
        /// rather than mapped where the module lies; words: address, size in memory, size in the file.
        SegmentLoaded = 4, "segment-loaded";
        /// The user stack with argv. detail: argc; words: lowest address, stack pointer, address of argv.
        StackBuilt = 5, "stack-built";
        /// The kernel stack was filled with what the first return-from-trap will restore.
        /// words: address of the frame, RIP, RSP, selectors and flags.
        KernelStackFilled = 6, "kernel-stack-filled";
        /// A trap came in. detail: vector | vector it arrived as << 8 | error code << 16 ([`SYSCALL_VECTOR`]
        /// stands for the `syscall` instruction, which has none; where it arrived as a fault, it is the fault's).
        /// words: address on the kernel stack of the frame (its RIP), RIP, RSP, selectors and flags; then CR2 for a
        /// page fault; then, where arrived and vector differ, RIP and CR2 as they arrived.
        TrapEntry = 7, "trap-entry";
        /// The general registers beside the frame, as the stub stored them: words in the order of [`REGISTERS`].
        /// detail: in bits 0..8, 0 at entry (follows its [`Kind::TrapEntry`]), 1 at return (precedes its [`Kind::TrapReturn`]);
        /// at entry, RFLAGS as the handler finds them (their low 24 bits) << 8.
        Registers = 8, "registers";
        /// A system call is dispatched. detail: its number (low 32 bits); words: RDI, RSI, RDX, R10, R8, R9 and the
        /// number in full.
        SystemCall = 9, "system-call";
        /// It is done, its result is in the frame. detail: its number; words: result.
        SystemCallResult = 10, "system-call-result";
        /// The timer interrupted. detail: ticks so far; words: none.
        Tick = 11, "tick";
        /// The timer was armed (once for [`Timer::Periodic`]). detail: [`Timer`]; words: count or deadline, and the time
        /// until it interrupts, in TSC cycles.
        TimerArmed = 12, "timer-armed";
        /// What a switch stored in the old process's structure. detail: [`Reason`]; words: address of the
        /// structure, then RBX, RBP, R12 to R15, RSP, RIP.
        ContextSaved = 13, "context-saved";
        /// What it loaded from the new one's. detail: the process it came from; words as for
        /// [`Kind::ContextSaved`], then CR3 and the top of the kernel stack now in the TSS.
        ContextLoaded = 14, "context-loaded";
        /// Return from trap, by `iretq`. detail: vector of the trap returned from, or [`FIRST_RETURN`];
        /// words: address of the frame, RIP, RSP, selectors and flags, RAX.
        TrapReturn = 15, "trap-return";
        /// A process waits. words: TSC at which it wants to wake.
        Sleep = 16, "sleep";
        /// It is ready again. words: TSC at which it wanted to.
        Wake = 17, "wake";
        /// A process ended by itself. words: its status.
        ProcessExited = 18, "process-exited";
        /// A process was ended. detail: vector | error code << 16; words: RIP, CR2 (0 unless a page fault).
        ProcessKilled = 19, "process-killed";
        /// Its memory is free and it is off the list. words: frames freed.
        ProcessFreed = 20, "process-freed";
        /// A program could not be loaded: its entry leaves the list again. detail: [`LoadError`].
        /// words: its name, 2 words.
        LoadFailed = 21, "load-failed";
        /// Nobody can run: the kernel waits with interrupts on.
        Idle = 22, "idle";
        /// The kernel gives up. detail: [`Panic`]; words: RIP, error code, CR2, RSP, RFLAGS (0 where unknown).
        KernelPanic = 23, "kernel-panic";
        /// Policy direct: the program is called, in ring 0. words: RIP, RSP, selectors and flags.
        Called = 24, "called";
        /// Policy direct: it returned from its main. words: status.
        Returned = 25, "returned";
        /// A fault goes to the handler that the process asked for ([`crate::syscall::Call::trapline_on_fault`]); its frame is
        /// rewritten. detail: vector | error code << 16; words: RIP of the fault, CR2 (0 unless a page fault), RIP of the
        /// handler, RSP it starts with.
        FaultRedirected = 26, "fault-redirected";
        /// What a pointer that was handed to the kernel leads to, once it is checked: the bytes that a call reads, or those that
        /// it wrote. Lies between its [`Kind::SystemCall`] and [`Kind::SystemCallResult`]. detail: number of the argument,
        /// from 0 | size in bytes << 8 (of 24 bits); words: the first [`DATA_MAX`] bytes, zero padded.
        Data = 27, "data";
        /// Host: a pair of clocks. words: CLOCK_MONOTONIC and CLOCK_REALTIME in ns at this record's TSC.
        HostClock = 128, "host-clock";
        /// Host: VM exits so far of one reason. detail: KVM_EXIT_*; words: how many, ns in KVM_RUN before them,
        /// ns spent on them by the host.
        HostExits = 129, "host-exits";
        /// Host: a counter at the end. detail: [`HostCounter`]; words: value.
        HostCount = 130, "host-count";
        /// Host: the run was stopped from outside. detail: [`Stop`].
        HostStop = 131, "host-stop";
        /// Host: the end. detail: Trapline's exit code; words: [`Ending`], its status or KVM's code, RIP at the end
        /// (0 where unknown).
        HostEnd = 132, "host-end";
    }
}

/// The order of the general registers in [`Kind::Registers`]: the order in memory of the trap frame.
pub const REGISTERS: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

/// The most bytes of memory that a [`Kind::Data`] shows.
pub const DATA_MAX: usize = 32;

/// Stands for the `syscall` instruction where a vector is told: it has no vector, and no exception has this one.
pub const SYSCALL_VECTOR: u8 = 0xFE;
/// In [`Kind::TrapReturn`]: the first entry of a process, which returns from no trap.
pub const FIRST_RETURN: u32 = 0xFFFF;

numbered! {
    /// A step of the boot ([`Kind::Boot`]).
    pub enum Step: u32 {
        /// words: physical start and end of the kernel, bytes of usable memory.
        Started = 1, "started";
        /// The GDT and TSS are loaded. words: GDT address, TSS address.
        Segments = 2, "segments";
        /// The trap table is installed: `lidt`. words: its address, number of gates present.
        TrapTable = 3, "trap-table";
        /// The CPU was told of the system call handler. words: LSTAR, STAR, SFMASK.
        SyscallHandler = 4, "syscall-handler";
        /// Protection is on. words: CR0, CR4, EFER.
        Protection = 5, "protection";
        /// The timer's rates. words: TSC kHz, LAPIC kHz as told, LAPIC kHz as measured against the TSC, 1 for x2APIC.
        Timer = 6, "timer";
        /// How the traps of user mode arrive here. words: what `syscall` arrives as, what `int 0x80` arrives as (vectors;
        /// [`SYSCALL_VECTOR`] and 0x80 where the CPU does as the manual says).
        Probed = 7, "probed";
        /// The policy. words: [`Policy`], quantum in us (0: no timer), batch.
        Policy = 8, "policy";
        /// Boot is done, the first process is next. words: processes.
        Ready = 9, "ready";
    }
}

numbered! {
    /// Who runs next.
    pub enum Policy: u64 {
        /// Round robin with a quantum.
        RoundRobin = 0, "rr";
        /// No timer.
        Cooperative = 1, "cooperative";
        /// No limits.
        Direct = 2, "direct";
    }
}

numbered! {
    /// How the timer is programmed.
    pub enum Timer: u32 {
        /// Reloads itself.
        Periodic = 0, "periodic";
        /// A count, once.
        OneShot = 1, "oneshot";
        /// A TSC value, once.
        Deadline = 2, "deadline";
    }
}

numbered! {
    /// Why the CPU was taken from a process, or given up ([`Kind::ContextSaved`]).
    pub enum Reason: u32 {
        /// Its quantum is over.
        Preempted = 0, "preempted";
        /// It called sched_yield.
        Yielded = 1, "yielded";
        /// It sleeps.
        Slept = 2, "slept";
        /// It ended.
        Ended = 3, "ended";
        /// The kernel had nobody to run and now has, or starts the first.
        Idle = 4, "idle";
    }
}

numbered! {
    /// Why a program could not be loaded ([`Kind::LoadFailed`]).
    pub enum LoadError: u32 {
        /// No ELF64 file for x86-64, or not a static executable.
        NotElf = 1, "not a static x86-64 ELF executable";
        /// The file is shorter than its headers say.
        CutShort = 2, "cut short";
        /// A segment is not in user space, or overlaps the stack.
        BadAddress = 3, "a segment lies outside user memory";
        /// No memory.
        OutOfMemory = 4, "not enough memory";
        /// The name or the arguments are too long.
        BadArguments = 5, "arguments too long";
        /// The program interpreter or dynamic section asks for a dynamic linker.
        Dynamic = 6, "not statically linked";
        /// The entry point is in no executable segment.
        BadEntry = 7, "the entry point is in no executable segment";
        /// Two segments share a page.
        Overlap = 8, "segments overlap";
        /// A segment is writable and executable.
        WritableCode = 9, "a segment is both writable and executable";
    }
}

numbered! {
    /// Why the kernel gave up ([`Kind::KernelPanic`]). Below 256: the vector of an exception from kernel mode.
    pub enum Panic: u32 {
        /// An unknown key or a bad value in the command line.
        BadCommandLine = 256, "bad kernel command line";
        /// Not enough memory to boot.
        OutOfMemory = 257, "not enough memory to boot";
        /// The VMM gave no module.
        NoPrograms = 258, "no program was given";
        /// A Rust panic: a fault of the kernel's own. The error code is the source line.
        Bug = 259, "a bug in the kernel";
        /// The trap probe got an answer that it does not know.
        ProbeFailed = 260, "a system call does not arrive in any known way";
        /// The timer's rate could not be found.
        NoTimer = 261, "the timer's rate is not known";
        /// The CPU lacks something that the kernel needs.
        BadCpu = 262, "the CPU lacks NX, SYSCALL or an APIC";
        /// No module could be loaded.
        NothingLoaded = 263, "no program could be loaded";
    }
}

numbered! {
    /// What the host counts ([`Kind::HostCount`]).
    pub enum HostCounter: u32 {
        /// Writes to ports that nobody owns.
        UnownedWrites = 1, "unowned-port-writes";
        /// Reads of ports that nobody owns.
        UnownedReads = 2, "unowned-port-reads";
        /// Accesses of a known port in a size that the contract does not know.
        BadSize = 3, "wrong-size-accesses";
        /// Accesses of memory that is not there.
        Mmio = 4, "unowned-memory-accesses";
        /// Interrupts that KVM injected (its own count).
        InterruptsInjected = 5, "interrupts-injected";
        /// VM exits that KVM counted, most of them never seen by the host program.
        KvmExits = 6, "kvm-exits";
        /// Bytes written to the console.
        ConsoleBytes = 7, "console-bytes";
        /// Doorbells rung.
        Doorbells = 8, "doorbells";
        /// Signals that ended a KVM_RUN.
        Kicks = 9, "kicks";
        /// Records that the guest says it could not write, or counted and did not write.
        LostByGuest = 10, "records-lost-by-guest";
        /// Bytes in the buffer that were no whole record.
        Malformed = 11, "malformed-bytes";
        /// Boots of the same run before this one, each ended by a crash or a panic. Told at the start, and only if not 0.
        BootsBefore = 12, "boots-before";
    }
}

numbered! {
    /// What stopped a run from outside ([`Kind::HostStop`]).
    pub enum Stop: u32 {
        /// `--timeout` ran out.
        TimeOut = 1, "time-out";
        /// SIGINT, SIGTERM or SIGHUP.
        Interrupted = 2, "interrupted";
    }
}

numbered! {
    /// How a run ended ([`Kind::HostEnd`]).
    pub enum Ending: u64 {
        /// The guest wrote its status to the exit port.
        Exited = 1, "exited";
        /// Triple fault.
        TripleFault = 2, "triple-fault";
        /// KVM could not go on (internal error, failed entry).
        KvmError = 3, "kvm-error";
        /// The host stopped it ([`Kind::HostStop`] says why).
        Stopped = 4, "stopped";
        /// The trace could not be written any more.
        TraceFailed = 5, "trace-failed";
        /// An exit that a guest of this contract never makes.
        Unexpected = 6, "unexpected-exit";
        /// The guest broke the contract (a buffer outside memory, a second attach).
        ContractBroken = 7, "contract-broken";
    }
}
