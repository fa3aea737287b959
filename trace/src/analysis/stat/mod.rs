//! Where the time of a run went: by system call, by trap, by process, by switch, by tick and by VM exit.
//!
//! One pass over the records, in memory that grows with the number of processes alone. All durations lie between two records, so what it
//! costs to record is in them. Where records are missing nothing is guessed: what was under way is dropped, and the time
//! until the next record that shows what the CPU runs counts as unknown.

mod json;
#[cfg(test)]
mod tests;
mod times;
mod walk;

use std::collections::BTreeMap;

use abi::record::{HostCounter, Kind, Reason};
use abi::syscall::Call;

use super::End;
#[cfg(doc)]
use super::hardware::EXIT_REASONS;
use crate::file::{Clock, Trace};

pub use json::{json, json_of_one};
pub use times::Times;

/// Stands for all numbers that are of no call, in [`Stat::calls`].
pub const UNKNOWN_CALL: u32 = u32::MAX;

/// How many processes have [`Process::traps`], those that trapped first: a distribution takes 124 KiB.
pub const PROCESSES_TIMED: usize = 64;

/// The numbers of a trace. Durations are in TSC cycles, unless they say otherwise: [`Stat::clock`] turns them into
/// nanoseconds.
#[derive(Clone, Debug)]
pub struct Stat {
    /// The clock of the trace.
    pub clock: Clock,
    /// Events in all, and those of the guest.
    pub events: u64,
    /// Those of them that the guest recorded.
    pub guest_events: u64,
    /// Events by the number of their kind.
    pub kinds: [u64; 256],
    /// From the first event to the last, in nanoseconds; 0 if the rate of the TSC is unknown.
    pub nanoseconds: u64,
    /// Who had the CPU.
    pub shares: Shares,
    /// System calls by number; [`UNKNOWN_CALL`] for those that are of no call.
    pub calls: BTreeMap<u32, Traps>,
    /// All traps by vector: exceptions, interrupts, and system calls by both of their vectors.
    pub traps: BTreeMap<u8, Traps>,
    /// The processes by number.
    pub processes: BTreeMap<u16, Process>,
    /// Switches.
    pub switches: Switches,
    /// The timer.
    pub ticks: Ticks,
    /// VM exits by KVM's number of their reason, as far as the host program saw them; [`EXIT_REASONS`] for the last one
    /// whose number KVM does not have.
    pub exits: BTreeMap<u32, Exits>,
    /// What else the host counted.
    pub counters: BTreeMap<HostCounter, u64>,
}

/// Who had the CPU, in cycles. Together they are the time from the guest's first record to its last, or to the moment
/// the host stopped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// The kernel, until it was ready to start the first process.
    pub boot: u64,
    /// Programs, in user mode (under policy direct: in ring 0).
    pub programs: u64,
    /// The kernel, for the process that ran.
    pub kernel: u64,
    /// Neither process: between storing the registers of the old one and having loaded those of the new.
    pub switching: u64,
    /// The scheduler's own loop, which looks for a process to run.
    pub scheduler: u64,
    /// The CPU waited for an interrupt.
    pub idle: u64,
    /// Records are missing, so it is not known.
    pub unknown: u64,
}

/// The traps of one kind.
#[derive(Clone, Debug, Default)]
pub struct Traps {
    /// How many came in.
    pub count: u64,
    /// Calls that returned an error, and faults that ended their process.
    pub errors: u64,
    /// Time in the kernel, from the trap to the return, or to the last switch away; without the time switched out.
    /// Traps that the trace does not show whole are left out.
    pub kernel: Times,
    /// While in such a trap: time ready to run and not running.
    pub ready: u64,
    /// While in such a trap: time asleep.
    pub asleep: u64,
}

/// The numbers of a process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its name; empty if its creation is not in the trace.
    pub name: String,
    /// How it ended.
    pub end: End,
    /// System calls that it made.
    pub calls: u64,
    /// Those of them that returned an error.
    pub errors: u64,
    /// Faults, those that it handled itself included.
    pub faults: u64,
    /// Timer interrupts while it ran.
    pub ticks: u64,
    /// Times it was switched to.
    pub turns: u64,
    /// Time in user mode.
    pub user: u64,
    /// Time in the kernel on its behalf: its traps, and the rest of each switch to it.
    pub kernel: u64,
    /// Time ready to run and not running.
    pub ready: u64,
    /// Time asleep.
    pub asleep: u64,
    /// Time in the kernel of each of its traps. None: no trap of it is whole, or [`PROCESSES_TIMED`] others have one.
    pub traps: Option<Box<Times>>,
}

/// What switches cost, and how long processes waited for them.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// How many.
    pub count: u64,
    /// From process to process, by [`Reason`]: from the trap of the old one to the return into the new one, that is all
    /// that lies between two instructions of user mode.
    pub whole: BTreeMap<Reason, Times>,
    /// From the record of what was stored to the record of what was loaded. Both are written right after the switch, so
    /// this is what recording it costs, and part of `whole`.
    pub save_to_load: Times,
    /// From ready to running.
    pub wait: Times,
}

/// The timer's interrupts.
#[derive(Clone, Debug, Default)]
pub struct Ticks {
    /// How many.
    pub count: u64,
    /// What the kernel last asked of the timer: cycles until it interrupts. 0: nothing.
    pub asked: u64,
    /// From one tick to the next, whichever process ran.
    pub period: Times,
    /// How far a tick was from when it was due: the time asked for after the timer was armed, or after the last tick
    /// where the timer reloads itself. Early or late alike.
    pub jitter: Times,
}

/// VM exits of one reason. Times are in nanoseconds of the host's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// How many.
    pub count: u64,
    /// In the guest (KVM included), before them.
    pub guest_ns: u64,
    /// In the host program, on them.
    pub host_ns: u64,
}

impl Stat {
    /// The numbers of a trace.
    pub fn of(trace: &Trace) -> Stat {
        let mut walk = walk::Walk::new(trace.clock());
        let mut records = trace.records();
        while let Some(record) = records.next() {
            walk.add(&record);
        }
        walk.finish()
    }

    /// An empty one.
    pub(crate) fn new(clock: Clock) -> Stat {
        Stat {
            clock,
            events: 0,
            guest_events: 0,
            kinds: [0; 256],
            nanoseconds: 0,
            shares: Shares::default(),
            calls: BTreeMap::new(),
            traps: BTreeMap::new(),
            processes: BTreeMap::new(),
            switches: Switches::default(),
            ticks: Ticks::default(),
            exits: BTreeMap::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Events of a kind.
    pub fn count_of(&self, kind: Kind) -> u64 {
        self.kinds.get(usize::from(kind as u8)).copied().unwrap_or(0)
    }
}

/// The name of a key of [`Stat::calls`].
pub fn call_name(number: u32) -> &'static str {
    Call::from_number(number.into()).map_or("unknown", Call::name)
}

impl Shares {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        let Shares { boot, programs, kernel, switching, scheduler, idle, unknown } = *self;
        [
            ("programs", programs),
            ("kernel", kernel),
            ("switching", switching),
            ("scheduler", scheduler),
            ("idle", idle),
            ("boot", boot),
            ("unknown", unknown),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.named().into_iter().fold(0, |sum, (_, cycles)| sum.saturating_add(cycles))
    }
}
