//! The records: what the CPU and the kernel did. This file is the reference, and the only place where a record is declared.
//!
//! A record is a head of 16 bytes and up to [`WORDS_MAX`] words of 8, all little-endian, 8-byte aligned:
//!
//! ```text
//!  0        8     9      10       12       16
//!  | TSC    | kind| words| process| detail | word 0 | word 1 | ...
//! ```
//!
//! `process` is 0 for the kernel itself (boot, idle), else the number of the process, from 1. The meaning of `detail`
//! and of the words depends on the kind: the table below declares it. Kinds from [`FIRST_HOST_KIND`] on are written by
//! the host, all others by the guest, and both use one clock, the guest's TSC.
//!
//! The guest appends records to one buffer in its memory, whose first page starts with a [`BufferHead`].
//! Sequence numbers are not stored: the running count in the head numbers the records, and the host proves from it
//! that none is missing.
//!
//! To add a kind of record, add an entry to the table, and to `trace/src/text/words.rs` the sentence that people read.
//! The decoded event, the structs that write it, every export and the table in `docs/trace-format.md` follow from the entry.

#[macro_use]
mod schema;
mod block;

use schema::Bits;

pub use block::{Bytes, Context, Frame, Gate, GateTable, Name};
pub use schema::{Block, Field, Parts, Place, Record, Schema, Style, Word};

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
    /// Bytes of records that wait. It is 0 after the bell: the guest sets it so, or the host with `doorbell=shared`. There the
    /// guest attaches the buffer with [`UNANSWERED`].
    pub used: u32,
    /// Records written since boot, those that wait included.
    pub records: u64,
    /// Records that the guest could not write. It is 0 unless the guest has a bug, and the host reports it.
    pub lost: u64,
}

impl BufferHead {
    /// Its size in bytes.
    pub const SIZE: usize = size_of::<BufferHead>();

    /// That of a buffer with this room, before its first record.
    pub const fn new(capacity: u32, used: u32) -> BufferHead {
        let (magic, version, head_size) = (BUFFER_MAGIC, crate::VERSION, BufferHead::SIZE as u16);
        BufferHead { magic, version, head_size, capacity, used, records: 0, lost: 0 }
    }
}

const _: () = assert!(BufferHead::SIZE == 32);

/// "TRAP" in memory.
pub const BUFFER_MAGIC: u32 = u32::from_le_bytes(*b"TRAP");
/// [`BufferHead::used`] until the host answers the attach, with `doorbell=shared`.
pub const UNANSWERED: u32 = u32::MAX;
/// Size of a record's head in bytes.
pub const HEAD_SIZE: usize = 16;
/// The most words a record has.
pub const WORDS_MAX: usize = 26;
/// The largest record, in bytes.
pub const RECORD_MAX: usize = HEAD_SIZE + 8 * WORDS_MAX;
/// The largest trace buffer that a host accepts, head included, in bytes.
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
    /// Its meaning depends on the kind.
    pub detail: u32,
}

const _: () = assert!(size_of::<Head>() == HEAD_SIZE);

/// The host writes the kinds from here on.
pub const FIRST_HOST_KIND: u8 = 128;

// The table. An entry is
//
//     /// What happened.
//     Kind = NUMBER, "name" {
//         /// What the field says.
//         field: TYPE, STYLE, PLACE;
//     }
//
// TYPE   an integer, `bool`, an enum of this file, or a block: several words with a type of their own (`record/block.rs`).
//        `&'a` before a block means that the writer copies it in one piece from where it lies in memory.
// STYLE  what the bits mean (`Style`): how every program shows the field.
// PLACE  `detail[a..b]` is the bits a to b - 1 of the detail, `word[n]` a word, `words[a..b]` a range of words.
//
// A number is never used twice. 8 was the general registers of a trap, in version 1 of the ABI.
records! {
    /// A step of the boot.
    Boot = 1, "boot", by Step {
        /// The kernel has found its memory.
        Started = 1, "started" {
            /// Physical address where the kernel starts.
            start: u64, address, word[0];
            /// Physical address where it ends.
            end: u64, address, word[1];
            /// Bytes of usable memory.
            usable: u64, number, word[2];
        }
        /// The GDT and the TSS are loaded.
        Segments = 2, "segments" {
            /// Address of the GDT.
            gdt: u64, address, word[0];
            /// Address of the TSS.
            tss: u64, address, word[1];
        }
        /// The trap table is installed, by `lidt`.
        TrapTable = 3, "trap-table" {
            /// Address of the table.
            address: u64, address, word[0];
            /// How many gates are present.
            gates: u64, number, word[1];
        }
        /// The CPU has the address of the system call handler.
        SyscallHandler = 4, "syscall-handler" {
            /// LSTAR: the address of the handler.
            lstar: u64, address, word[0];
            /// STAR: the selectors of both rings.
            star: u64, hex, word[1];
            /// SFMASK: the flags that `syscall` clears.
            sfmask: u64, flags, word[2];
        }
        /// Protection is on.
        Protection = 5, "protection" {
            /// CR0.
            cr0: u64, hex, word[0];
            /// CR4.
            cr4: u64, hex, word[1];
            /// EFER.
            efer: u64, hex, word[2];
        }
        /// The rates of the clocks are known.
        Timer = 6, "timer" {
            /// The rate of the TSC in kHz.
            tsc_khz: u64, number, word[0];
            /// The rate of the LAPIC timer in kHz, as the host or CPUID states it.
            apic_khz: u64, number, word[1];
            /// The rate of the LAPIC timer in kHz, measured against the TSC.
            apic_khz_measured: u64, number, word[2];
            /// The LAPIC is in x2APIC mode.
            x2apic: bool, number, word[3];
        }
        /// The kernel has found out how the traps of user mode arrive on this host.
        Probed = 7, "probed" {
            /// The vector that `syscall` arrives with; [`SYSCALL_VECTOR`] where it works as the manual says.
            syscall: u64, vector, word[0];
            /// The vector that `int 0x80` arrives with; 0x80 where it works as the manual says.
            int80: u64, vector, word[1];
        }
        /// The settings of the scheduler.
        Scheduler = 8, "policy" {
            /// Which process runs next.
            policy: Policy, name(Policy), word[0];
            /// The quantum in microseconds; 0: no timer.
            quantum_us: u64, number, word[1];
            /// The guest rings the doorbell when so many records wait.
            batch: u64, number, word[2];
        }
        /// The boot is done, the first process is next.
        Ready = 9, "ready" {
            /// How many processes there are.
            processes: u64, number, word[0];
        }
    }

    /// Gates of the trap table, as they lie in memory: descriptors of 16 bytes with consecutive vectors.
    Gates<'a> = 2, "gates" {
        /// The vector of the first.
        first: u8, vector, detail[0..8];
        /// The descriptors (SDM vol. 3, 6.14.1), two words each.
        table: &'a GateTable, gates, words[0..24];
    }
    /// An entry in the process list.
    ProcessCreated<'a> = 3, "process-created" {
        /// Address of the process structure.
        structure: u64, address, word[0];
        /// Physical address of its root page table.
        cr3: u64, address, word[1];
        /// The top of its kernel stack.
        kernel_stack_top: u64, address, word[2];
        /// The name of its program.
        program: &'a Name, text, words[3..5];
    }
    /// A segment of the program is in memory.
    SegmentLoaded = 4, "segment-loaded" {
        /// Access rights, as in an ELF program header: 1 execute, 2 write, 4 read.
        flags: u8, hex, detail[0..8];
        /// 1: its pages are copies. 0: the process has the pages of the file itself.
        copied: bool, number, detail[8..9];
        /// Where it starts.
        address: u64, address, word[0];
        /// Its size in memory, in bytes.
        memory: u64, number, word[1];
        /// Its size in the file, in bytes.
        file: u64, number, word[2];
    }
    /// The user stack holds argc and argv.
    StackBuilt = 5, "stack-built" {
        /// The number of arguments.
        argc: u32, number, detail[0..32];
        /// The lowest address of the stack.
        lowest: u64, address, word[0];
        /// The stack pointer that the program starts with.
        rsp: u64, address, word[1];
        /// Address of argv.
        argv: u64, address, word[2];
    }
    /// The kernel stack holds the trap frame that the first return-from-trap restores.
    KernelStackFilled<'a> = 6, "kernel-stack-filled" {
        /// The trap frame.
        frame: &'a Frame, frame, words[0..23];
    }
    /// A trap. The frame is complete: hardware and stub have saved all registers, and if the trap arrived as another one, the
    /// kernel has corrected vector, RIP and RFLAGS.
    TrapEntry<'a> = 7, "trap-entry" {
        /// The vector that the CPU delivered. The frame has the vector of the trap that this one represents.
        arrived: u8, vector, detail[0..8];
        /// The trap frame.
        frame: &'a Frame, frame, words[0..23];
        /// RFLAGS in the handler.
        handler_flags: u64, flags, word[23];
        /// CR2, if it arrived as a page fault; else 0.
        cr2: u64, address, word[24];
        /// RIP as it arrived.
        arrived_rip: u64, address, word[25];
    }
    /// A system call is dispatched. Its arguments are in the frame of the trap: RDI, RSI, RDX, R10, R8, R9.
    SystemCall = 9, "system-call" {
        /// Its number.
        number: u64, call, word[0];
    }
    /// A system call is done, its result is in RAX of the frame.
    SystemCallResult = 10, "system-call-result" {
        /// The low 32 bits of its number.
        number: u32, call, detail[0..32];
        /// What it returned: a value, or minus an error.
        result: i64, signed, word[0];
    }
    /// The timer interrupted.
    Tick = 11, "tick" {
        /// Ticks so far, this one included.
        ticks: u32, number, detail[0..32];
    }
    /// The timer was armed (once for [`Timer::Periodic`]).
    TimerArmed = 12, "timer-armed" {
        /// The mode of the timer.
        timer: Timer, name(Timer), detail[0..32];
        /// The count, or the TSC value for [`Timer::Deadline`].
        value: u64, number, word[0];
        /// The time until it interrupts, in TSC cycles.
        cycles: u64, number, word[1];
    }
    /// A switch stored the registers of the old process in its process structure.
    ContextSaved<'a> = 13, "context-saved" {
        /// Why the old process leaves the CPU.
        reason: Reason, name(Reason), detail[0..32];
        /// Address of the process structure.
        structure: u64, address, word[0];
        /// The registers.
        context: &'a Context, context, words[1..9];
    }
    /// A switch loaded the registers of the new process from its process structure.
    ContextLoaded<'a> = 14, "context-loaded" {
        /// The number of the old process.
        from: u32, number, detail[0..32];
        /// Address of the process structure.
        structure: u64, address, word[0];
        /// The registers.
        context: &'a Context, context, words[1..9];
        /// CR3: physical address of the root page table.
        cr3: u64, address, word[9];
        /// The top of the kernel stack, as it is now in the TSS.
        kernel_stack_top: u64, address, word[10];
    }
    /// Return from trap, by `iretq`.
    TrapReturn<'a> = 15, "trap-return" {
        /// The trap frame with what will be restored. Its vector is the trap's, or [`FIRST_RETURN`].
        frame: &'a Frame, frame, words[0..23];
    }
    /// A process waits.
    Sleep = 16, "sleep" {
        /// The TSC value at which the process is to wake.
        until_tsc: u64, number, word[0];
    }
    /// A process that waited is ready again.
    Wake = 17, "wake" {
        /// The TSC value at which it wanted to wake.
        wanted_tsc: u64, number, word[0];
    }
    /// A process ended by itself.
    ProcessExited = 18, "process-exited" {
        /// Its exit status.
        status: i64, signed, word[0];
    }
    /// The kernel ended a process because of a fault.
    ProcessKilled = 19, "process-killed" {
        /// The vector of the fault.
        vector: u8, vector, detail[0..8];
        /// Its error code.
        error_code: u16, hex, detail[16..32];
        /// The instruction that faulted.
        rip: u64, address, word[0];
        /// CR2 of a page fault; else 0.
        cr2: u64, address, word[1];
    }
    /// The memory of a process is free, and it is off the process list.
    ProcessFreed = 20, "process-freed" {
        /// How many page frames were freed.
        frames: u64, number, word[0];
    }
    /// A program could not be loaded: its entry leaves the process list.
    LoadFailed<'a> = 21, "load-failed" {
        /// Why.
        error: LoadError, name(LoadError), detail[0..32];
        /// The name of the program.
        program: &'a Name, text, words[0..2];
    }
    /// No process can run: the kernel waits with interrupts on.
    Idle = 22, "idle" {}
    /// The kernel panics. Values that are not known are 0.
    KernelPanic = 23, "kernel-panic" {
        /// Why.
        reason: u32, panic, detail[0..32];
        /// RIP of the exception.
        rip: u64, address, word[0];
        /// Its error code, or a value that says more about the reason.
        error_code: u64, hex, word[1];
        /// CR2 of a page fault.
        cr2: u64, address, word[2];
        /// RSP of the exception.
        rsp: u64, address, word[3];
        /// RFLAGS of the exception.
        rflags: u64, flags, word[4];
    }
    /// Policy direct: the program is called, in ring 0.
    Called<'a> = 24, "called" {
        /// The trap frame that the kernel stack was filled with. Only its RIP and RSP are used.
        frame: &'a Frame, frame, words[0..23];
    }
    /// Policy direct: the program returned from its main.
    Returned = 25, "returned" {
        /// The status that it returned.
        status: i64, signed, word[0];
    }
    /// A fault goes to the handler that the process has set ([`crate::syscall::Call::trapline_on_fault`]); its frame is rewritten.
    FaultRedirected = 26, "fault-redirected" {
        /// The vector of the fault.
        vector: u8, vector, detail[0..8];
        /// Its error code.
        error_code: u16, hex, detail[16..32];
        /// The instruction that faulted.
        rip: u64, address, word[0];
        /// CR2 of a page fault; else 0.
        cr2: u64, address, word[1];
        /// The address of the handler.
        handler: u64, address, word[2];
        /// The stack pointer that the handler starts with.
        rsp: u64, address, word[3];
    }
    /// The memory that an argument of a system call points to: the bytes that the call reads, or those that it wrote. It lies
    /// between the [`Kind::SystemCall`] and its [`Kind::SystemCallResult`].
    Data<'a> = 27, "data" {
        /// Which argument, from 0.
        argument: u8, number, detail[0..8];
        /// How many bytes of memory there are.
        size: u32, number, detail[8..32];
        /// The first [`DATA_MAX`] of them at most, padded with zeros.
        bytes: &'a Bytes, bytes, words[0..4];
    }
    /// The kernel mapped a page of a Linux program, or changed what the program may do with it.
    PageResolved = 28, "page-resolved" {
        /// How.
        how: Resolution, name(Resolution), detail[0..8];
        /// 1: the kernel needed it for a system call or a new program. 0: the program touched it.
        by_kernel: bool, number, detail[8..9];
        /// Address of the page.
        page: u64, address, word[0];
        /// Physical address of its page frame.
        frame: u64, address, word[1];
    }
    /// A process waits for something that another process does, or for a time.
    Blocked = 29, "blocked" {
        /// What it waits for.
        wait: Wait, name(Wait), detail[0..8];
        /// Which one: the number of a pipe, the key of a futex, or the number of a process.
        object: u64, hex, word[0];
        /// The TSC value at which it wakes in any case; all ones: never.
        until_tsc: u64, number, word[1];
    }
    /// A process that waited is ready again, because of what another process or a device did.
    Woken = 30, "woken" {
        /// What it waited for.
        wait: Wait, name(Wait), detail[0..8];
        /// The process that woke it; 0: an interrupt of a device.
        by: u16, number, detail[16..32];
        /// Which one, as in [`Kind::Blocked`].
        object: u64, hex, word[0];
    }
    /// A process is a copy of its parent, or a thread of it.
    Cloned = 31, "cloned" {
        /// The parent.
        parent: u16, number, detail[0..16];
        /// 1: a thread of the same group.
        is_thread: bool, number, detail[16..17];
        /// The flags of `clone`.
        flags: u64, hex, word[0];
    }
    /// A process replaced its program by another one (`execve`).
    Executed<'a> = 32, "executed" {
        /// Physical address of its new root page table.
        cr3: u64, address, word[0];
        /// The name of the program.
        program: &'a Name, text, words[1..3];
    }
    /// A signal was sent to a process.
    SignalSent = 33, "signal-sent" {
        /// The signal.
        signal: u32, number, detail[0..8];
        /// 1: the process ignores it, so nothing else happens. 0: it waits for the process.
        is_ignored: bool, number, detail[8..9];
        /// The process that sent it, or the child that it is about; 0: the kernel.
        by: u16, number, detail[16..32];
        /// Why, as `si_code` says.
        code: i64, signed, word[0];
        /// Of a fault: its address. Of a child: its exit status or signal.
        about: u64, hex, word[1];
    }
    /// A signal's handler runs next: the registers are in a frame on the stack of the process.
    SignalDelivered = 34, "signal-delivered" {
        /// The signal.
        signal: u32, number, detail[0..8];
        /// Address of the frame, which is the stack pointer that the handler starts with.
        at: u64, address, word[0];
        /// Address of the handler.
        handler: u64, address, word[1];
        /// The RIP in the frame.
        rip: u64, address, word[2];
        /// The RSP in the frame.
        rsp: u64, address, word[3];
        /// A sum over the registers in the frame.
        sum: u64, hex, word[4];
    }
    /// A handler is done: the registers are again what its frame says.
    SignalReturned = 35, "signal-returned" {
        /// Address of the frame.
        at: u64, address, word[0];
        /// The RIP in the frame.
        rip: u64, address, word[1];
        /// The RSP in the frame.
        rsp: u64, address, word[2];
        /// A sum over the registers in the frame, as in [`Kind::SignalDelivered`]: another sum says that the process changed
        /// them.
        sum: u64, hex, word[3];
    }
    /// A signal ended a process.
    ProcessSignaled = 36, "process-signaled" {
        /// The signal.
        signal: u32, number, detail[0..8];
        /// Why it was sent, as `si_code` says; [`NO_MEMORY`]: there was no memory for what the process needed.
        code: i64, signed, word[0];
        /// The process that sent it; 0: the kernel.
        by: u32, number, word[1];
    }
    /// Page frames, when all processes have ended.
    Memory = 37, "memory" {
        /// How many were free before the first process.
        free_at_start: u64, number, word[0];
        /// How many are free now.
        free_at_end: u64, number, word[1];
    }
    /// Every process waits for another one: none will ever run again.
    Deadlock = 38, "deadlock" {
        /// How many processes wait.
        processes: u64, number, word[0];
    }
    /// A thread lost the CPU, or got a signal, in a restartable sequence (`rseq`): it continues with the sequence's abort
    /// handler.
    SequenceAborted = 39, "sequence-aborted" {
        /// Where it was in the sequence.
        rip: u64, address, word[0];
        /// Address of the abort handler.
        abort: u64, address, word[1];
    }
    /// The clocks of the host at this record's TSC.
    HostClock = 128, "host-clock" {
        /// CLOCK_MONOTONIC, in nanoseconds.
        monotonic_ns: u64, number, word[0];
        /// CLOCK_REALTIME, in nanoseconds.
        realtime_ns: u64, number, word[1];
    }
    /// VM exits of one reason so far.
    HostExits = 129, "host-exits" {
        /// The reason.
        reason: u32, exit, detail[0..32];
        /// How many there were.
        count: u64, number, word[0];
        /// The time in KVM_RUN before them, in nanoseconds.
        guest_ns: u64, number, word[1];
        /// The time that the host took to handle them, in nanoseconds.
        host_ns: u64, number, word[2];
    }
    /// A count of the host, at the end of the run.
    HostCount = 130, "host-count" {
        /// What was counted.
        counter: HostCounter, name(HostCounter), detail[0..32];
        /// How many.
        value: u64, number, word[0];
    }
    /// The run was stopped from outside.
    HostStop = 131, "host-stop" {
        /// By what.
        stop: Stop, name(Stop), detail[0..32];
    }
    /// The end of the run.
    HostEnd = 132, "host-end" {
        /// Trapline's exit code.
        exit_code: u32, number, detail[0..32];
        /// How the run ended.
        ending: Ending, name(Ending), word[0];
        /// The status that the guest wrote to the exit port, KVM's code or the system's error number.
        status: u64, number, word[1];
        /// RIP at the end; 0: not known.
        rip: u64, address, word[2];
    }
}

/// The words of a trap frame, in the order of their addresses (SDM vol. 3, 6.14.2): the stub pushes the general registers and
/// the vector, the CPU the rest. The error code is 0 for a trap that has none.
pub const FRAME: [&str; 22] = [
    "r15",
    "r14",
    "r13",
    "r12",
    "r11",
    "r10",
    "r9",
    "r8",
    "rbp",
    "rdi",
    "rsi",
    "rdx",
    "rcx",
    "rbx",
    "rax",
    "vector",
    "error_code",
    "rip",
    "cs",
    "rflags",
    "rsp",
    "ss",
];

/// The general registers of a trap frame: the first 15 words of [`FRAME`].
pub const REGISTERS: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

/// Where RAX is in [`REGISTERS`]: the number of a system call, then its result.
pub const RAX: usize = 14;
/// Where the arguments of a system call are in [`REGISTERS`]: RDI, RSI, RDX, R10, R8, R9.
pub const ARGUMENTS: [usize; 6] = [9, 10, 11, 5, 7, 6];

/// The words of a context, in the order of their addresses: the registers that a C function must preserve, and where to
/// continue.
pub const CONTEXT: [&str; 8] = ["rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rip"];

/// The most bytes of memory that a [`Kind::Data`] shows.
pub const DATA_MAX: usize = 32;
/// The most gates in a [`Kind::Gates`].
pub const GATES_MAX: usize = 12;

/// Stands for the `syscall` instruction in place of a vector: it has no vector, and no exception has this one.
pub const SYSCALL_VECTOR: u8 = 0xFE;
/// The vector in the frame of the first return of a process, which returns from no trap.
pub const FIRST_RETURN: u64 = 0xFFFF;

impl What {
    #[cold]
    fn unknown(kind: u8, detail: u32, words: &[Word]) -> What {
        let mut all = [0; WORDS_MAX];
        all.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_le_bytes(*word));
        What::Unknown { kind, detail, count: words.len().min(WORDS_MAX) as u8, words: all }
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
    /// Why a process lost the CPU, or left it to another ([`Kind::ContextSaved`]).
    pub enum Reason: u32 {
        /// Its quantum is over.
        Preempted = 0, "preempted";
        /// It called sched_yield.
        Yielded = 1, "yielded";
        /// It sleeps.
        Slept = 2, "slept";
        /// It ended.
        Ended = 3, "ended";
        /// A process became ready while the kernel was idle, or is the first one.
        Idle = 4, "idle";
        /// It waits for another process ([`Kind::Blocked`]).
        Blocked = 5, "blocked";
    }
}

numbered! {
    /// What a process waits for ([`Kind::Blocked`]).
    pub enum Wait: u32 {
        /// Bytes in a pipe, or its last writer to close it.
        PipeEmpty = 0, "a pipe that is empty";
        /// Room in a pipe.
        PipeFull = 1, "a pipe that is full";
        /// The end of a child.
        Child = 2, "a child";
        /// A wake at a futex.
        Futex = 3, "a futex";
        /// Standard input.
        Input = 4, "input";
        /// A time.
        Sleep = 5, "the end of its sleep";
        /// A signal.
        Signal = 6, "a signal";
        /// One of several files, or a time.
        Poll = 7, "one of several files";
        /// A child of vfork, until it runs another program or ends.
        Vfork = 8, "a child of vfork";
        /// The other threads of its group, until all have ended.
        Threads = 9, "its other threads";
        /// A signal stopped it: SIGCONT, or SIGKILL.
        Continue = 10, "SIGCONT";
        /// An eventfd counter above 0, or room for the number that it adds.
        Event = 11, "an eventfd";
    }
}

numbered! {
    /// How a page of a Linux program came ([`Kind::PageResolved`]).
    pub enum Resolution: u32 {
        /// A new frame of zeroes.
        Zeroed = 0, "a frame of zeroes";
        /// The page of the file itself.
        File = 1, "the page of the file";
        /// A copy of the page of a file.
        FileCopied = 2, "a copy of the page of the file";
        /// A copy of a frame that another process shows too.
        Copied = 3, "a copy of a shared frame";
        /// The frame that was shared has no other user any more: it may be written.
        Owned = 4, "the frame itself, no longer shared";
        /// The page was there, and its rights follow the mapping again.
        Allowed = 5, "the frame that was already there";
    }
}

/// In [`Kind::ProcessSignaled`], in place of a code: there was no memory for what the process needed.
pub const NO_MEMORY: i64 = i64::MAX;

numbered! {
    /// Why a program could not be loaded ([`Kind::LoadFailed`]).
    pub enum LoadError: u32 {
        /// It is not an ELF64 file for x86-64, or not a static executable.
        NotElf = 1, "not a static x86-64 ELF executable";
        /// The file is shorter than its headers say.
        CutShort = 2, "the file is cut short";
        /// A segment is not in user space, or overlaps the stack.
        BadAddress = 3, "a segment lies outside user memory";
        /// No memory.
        OutOfMemory = 4, "not enough memory";
        /// The name or the arguments are too long.
        BadArguments = 5, "arguments too long";
        /// The program interpreter or dynamic section asks for a dynamic linker.
        Dynamic = 6, "not statically linked";
        /// The entry point is not in an executable segment.
        BadEntry = 7, "the entry point is not in an executable segment";
        /// Two segments share a page.
        Overlap = 8, "segments overlap";
        /// A segment is writable and executable.
        WritableCode = 9, "a segment is both writable and executable";
    }
}

numbered! {
    /// Why the kernel panicked ([`Kind::KernelPanic`]). Numbers below 256 are vectors of exceptions in kernel mode.
    pub enum Panic: u32 {
        /// An unknown key or a bad value in the command line.
        BadCommandLine = 256, "bad kernel command line";
        /// Not enough memory to boot.
        OutOfMemory = 257, "not enough memory to boot";
        /// The VMM passed no module.
        NoPrograms = 258, "no program was given";
        /// A Rust panic: a bug in the kernel. The error code is the source line.
        Bug = 259, "a bug in the kernel";
        /// System calls arrive in a way that the kernel does not support.
        ProbeFailed = 260, "a system call arrives in a way that this kernel does not support";
        /// The timer's rate could not be found.
        NoTimer = 261, "the timer's frequency is unknown";
        /// The CPU lacks something that the kernel needs.
        BadCpu = 262, "the CPU lacks NX, SYSCALL or an APIC";
        /// No module could be loaded.
        NothingLoaded = 263, "no program could be loaded";
    }
}

numbered! {
    /// What the host counts ([`Kind::HostCount`]).
    pub enum HostCounter: u32 {
        /// Writes to ports that belong to no device.
        UnownedWrites = 1, "unowned-port-writes";
        /// Reads of ports that belong to no device.
        UnownedReads = 2, "unowned-port-reads";
        /// Accesses of a known port in a wrong size.
        BadSize = 3, "wrong-size-accesses";
        /// Accesses of memory that is not there.
        Mmio = 4, "unowned-memory-accesses";
        /// Interrupts that KVM injected (its own count).
        InterruptsInjected = 5, "interrupts-injected";
        /// VM exits that KVM counted. It handles most of them itself.
        KvmExits = 6, "kvm-exits";
        /// Bytes written to the console.
        ConsoleBytes = 7, "console-bytes";
        /// Doorbells rung.
        Doorbells = 8, "doorbells";
        /// Signals that ended a KVM_RUN.
        Kicks = 9, "kicks";
        /// Records that the guest counted and did not write.
        LostByGuest = 10, "records-lost-by-guest";
        /// Bytes in the buffer that were not a whole record.
        Malformed = 11, "malformed-bytes";
        /// Boots of the same run before this one, each ended by a crash or a panic. Recorded at the start, and only if not 0.
        BootsBefore = 12, "boots-before";
        /// Instructions that KVM emulated (its own count): on a host without hardware virtualization, those of ring 0.
        KvmEmulated = 13, "kvm-emulated-instructions";
        /// Bytes that Linux programs wrote to standard output and error.
        StreamBytes = 14, "stream-bytes";
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
        /// KVM could not continue (internal error, failed entry).
        KvmError = 3, "kvm-error";
        /// The host stopped it ([`Kind::HostStop`] says why).
        Stopped = 4, "stopped";
        /// The trace could not be written.
        TraceFailed = 5, "trace-failed";
        /// A VM exit that a guest which keeps this contract never causes.
        Unexpected = 6, "unexpected-exit";
        /// The guest broke the contract (a buffer outside memory, a second attach).
        ContractBroken = 7, "contract-broken";
        /// The guest halted its CPU with interrupts off: nothing can wake it.
        Halted = 8, "halted";
        /// The trace has the size of `--max-trace`, which is the status.
        TraceLimit = 9, "trace-limit";
        /// The guest has printed as many bytes as `--max-output` allows, which is the status.
        OutputLimit = 10, "output-limit";
    }
}
