//! The state of the machine after the events so far: which process runs, and the state of each process.
//!
//! An event costs about the same however many processes there are. The rules see the machine at each event, so they may
//! look one process up, and ask for the one that waits longest. Only at the end of the trace may they walk all of them.

use std::collections::{BTreeMap, BTreeSet};

use abi::hardware::vector::TIMER;
use abi::record::{Ending, Kind, Policy};

use crate::analysis::count;
use crate::file::{self, Boot, Event, Frame, Origin, What};

/// The most nested traps that are kept. Trapline's kernel has at most two.
const NESTED_MAX: usize = 4;
/// The number of the kernel's own thread.
pub(super) const KERNEL: u16 = 0;

/// A trap that was entered and not returned from yet. Every field holds the record of its step. The optional ones are boxed:
/// a trace may have 65,535 processes with nested traps.
#[derive(Clone, Debug)]
pub(super) struct Trap {
    pub entry: Event,
    pub vector: u8,
    pub frame: Frame,
    pub call: Option<Box<Event>>,
    pub result: Option<Box<Event>>,
    pub tick: Option<Box<Event>>,
    pub redirected: Option<Box<Event>>,
    /// The last event that changed the registers in the frame: a signal handler, the return from one, or another program.
    pub rewritten: Option<Box<Event>>,
    /// Another process ran in the meantime.
    pub switched: bool,
    /// The process asked to sleep. It may be ready again before the switch, if its time is over already.
    pub slept: bool,
}

impl Trap {
    /// A system call, by either of its vectors.
    pub fn is_call(&self) -> bool {
        is_call(self.vector)
    }

    /// An interrupt of a device.
    pub fn is_interrupt(&self) -> bool {
        is_interrupt(self.vector)
    }

    /// An interrupt of the timer: standard input has a vector of its own.
    pub fn is_timer(&self) -> bool {
        self.is_interrupt() && self.vector != abi::ports::INPUT_VECTOR
    }

    /// The records of the trap so far, in their order.
    pub fn events(&self) -> Vec<&Event> {
        let Trap { entry, call, result, tick, redirected, rewritten, .. } = self;
        let more = [call, tick, result, redirected, rewritten];
        std::iter::once(entry).chain(more.into_iter().filter_map(|event| event.as_deref())).collect()
    }
}

/// A vector of the system calls.
pub(super) fn is_call(vector: u8) -> bool {
    vector == abi::record::SYSCALL_VECTOR || vector == abi::syscall::INT_VECTOR
}

/// A vector of a device.
pub(super) fn is_interrupt(vector: u8) -> bool {
    vector >= TIMER && !is_call(vector)
}

/// A vector of an exception.
pub(super) fn is_exception(vector: u8) -> bool {
    vector < TIMER
}

/// An address in the upper half, where the kernel is.
pub(super) fn is_kernel(address: u64) -> bool {
    address >> 63 == 1
}

/// A process, or the kernel's own thread (0).
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub created: Option<Box<Event>>,
    pub filled: Option<Box<Event>>,
    pub ended: Option<Box<Event>>,
    pub freed: Option<Box<Event>>,
    /// It waits for a time or for another process.
    pub sleeping: bool,
    /// The page tables that `exec` gave it.
    pub executed: Option<u64>,
    /// A Linux program, whose pages are mapped when they are first used.
    pub is_linux: bool,
    /// A thread, whose process number is another's.
    pub is_thread: bool,
    /// It was switched to at least once.
    pub ran: bool,
    /// The last switch away from it, while it is away.
    pub saved: Option<Box<Event>>,
    traps: Vec<Trap>,
    /// It is in [`Machine::seen`].
    is_seen: bool,
    /// Its turn in [`Machine::queue`], while it is there.
    queued: Option<u64>,
}

impl Process {
    /// The trap that it is in.
    pub fn trap(&self) -> Option<&Trap> {
        self.traps.last()
    }

    /// A process of the same number that is not created yet.
    fn renewed(&self) -> Process {
        Process { is_seen: self.is_seen, queued: self.queued, ..Process::default() }
    }

    /// Created and not ended.
    pub fn alive(&self) -> bool {
        self.created.is_some() && self.ended.is_none()
    }

    /// It runs, or could run.
    fn ready(&self) -> bool {
        self.alive() && self.filled.is_some() && !self.sleeping
    }

    /// The top of its kernel stack.
    pub fn kernel_stack_top(&self) -> Option<u64> {
        match self.created.as_ref()?.what {
            What::ProcessCreated { kernel_stack_top, .. } => Some(kernel_stack_top),
            _ => None,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub tsc_khz: u64,
    /// The CPU was emulated, so that times are of the emulation.
    pub is_emulated: bool,
    pub policy: Option<Policy>,
    /// The quantum in TSC cycles; 0: none.
    pub quantum: u128,
    /// The process that has the CPU; `None`: records are missing, so it is not known.
    pub current: Option<u16>,
    processes: BTreeMap<u16, Process>,
    /// How many processes were created and have not ended.
    pub alive: u64,
    /// How often the kernel chose a process, or chose to idle. The last turn of each process that ended is not counted:
    /// when many end at once, a ready process waits for all of them, and few are left.
    turns: u64,
    /// The value of `turns` when records were last missing.
    known_since: u64,
    /// Every process that could run, with the value of `turns` when it last had a turn or became ready. The first one
    /// has waited longest.
    queue: BTreeSet<(u64, u16)>,
    /// The processes with records since the last missing ones.
    seen: Vec<u16>,
    pub ticks: u64,
    pub ending: Option<Ending>,
    pub panicked: bool,
    /// Cycles in user mode since the turn began or the last tick, and since the last tick.
    pub user_in_turn: u128,
    pub user_without_tick: u128,
    /// The last guest record, and the last tick.
    pub last: Option<Event>,
    pub last_tick: Option<Event>,
    /// When user mode was entered, while it is.
    in_user: Option<u64>,
    /// No record was missing so far.
    pub whole: bool,
    /// The kinds of record seen so far, by number.
    kinds: [bool; 256],
    /// How many processes were looked up.
    #[cfg(test)]
    pub looked_at: std::cell::Cell<u64>,
}

impl Machine {
    pub fn new(tsc_khz: u64) -> Machine {
        Machine {
            tsc_khz,
            is_emulated: false,
            policy: None,
            quantum: 0,
            current: Some(0),
            processes: BTreeMap::from([(0, Process::default())]),
            alive: 0,
            turns: 0,
            known_since: 0,
            queue: BTreeSet::new(),
            seen: Vec::new(),
            ticks: 0,
            ending: None,
            panicked: false,
            user_in_turn: 0,
            user_without_tick: 0,
            last: None,
            last_tick: None,
            in_user: None,
            whole: true,
            kinds: [false; 256],
            #[cfg(test)]
            looked_at: Default::default(),
        }
    }

    /// The kernel ended the run itself, so all processes must have ended before, except for those in a deadlock.
    pub fn finished(&self) -> bool {
        self.ending == Some(Ending::Exited) && !self.panicked && self.whole
    }

    /// Whether a process waits for ever: it waits, and the run ended because every process waited for another one.
    pub fn is_deadlocked(&self, process: &Process) -> bool {
        process.sleeping && self.records(Kind::Deadlock)
    }

    /// Whether this kernel makes records of this kind.
    pub fn records(&self, kind: Kind) -> bool {
        self.kinds.get(kind as usize) == Some(&true)
    }

    pub fn process(&self, id: u16) -> Option<&Process> {
        self.looks_at(1);
        self.processes.get(&id)
    }

    /// All processes by number. Too slow for each event of a trace of many processes: only for the end.
    pub fn processes(&self) -> impl Iterator<Item = (u16, &Process)> {
        self.processes.iter().map(|(&id, process)| {
            self.looks_at(1);
            (id, process)
        })
    }

    /// The trap that a process is in.
    pub fn trap(&self, id: u16) -> Option<&Trap> {
        self.process(id)?.trap()
    }

    /// The process that could run and has waited longest, while `running` has the CPU: its number, and how many turns
    /// went to others since its own, the next one included.
    pub fn waiting(&self, running: Option<u16>) -> Option<(u16, u64)> {
        let mut queue = self.queue.iter().inspect(|_| self.looks_at(1));
        // A process is in the queue once, so this takes two steps at most.
        let &(since, id) = queue.find(|&&(_, id)| Some(id) != running)?;
        let passed = self.turns.saturating_sub(since.max(self.known_since)).saturating_add(1);
        Some((id, passed))
    }

    fn looks_at(&self, _processes: u64) {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + _processes);
    }

    /// Cycles in user mode up to `tsc`, since it was last entered.
    pub fn user_until(&self, tsc: u64) -> u128 {
        self.in_user.map_or(0, |since| tsc.saturating_sub(since)).into()
    }

    /// Whether records are missing before this one.
    pub fn missed_some(&self, event: &Event) -> bool {
        let next = self.last.map_or(Some(0), |last| last.sequence.checked_add(1));
        next != Some(event.sequence)
    }

    /// Forgets what may have changed in records that are missing.
    pub fn forget(&mut self) {
        self.whole = false;
        self.current = None;
        self.in_user = None;
        (self.user_in_turn, self.user_without_tick) = (0, 0);
        self.known_since = self.turns;
        // The others have not changed since they were last forgotten.
        for id in std::mem::take(&mut self.seen) {
            self.looks_at(1);
            if let Some(process) = self.processes.get_mut(&id) {
                process.is_seen = false;
                process.traps.clear();
                (process.saved, process.sleeping) = (None, false);
                requeue(&mut self.queue, id, process, self.turns);
            }
        }
    }

    /// Updates the state with an event.
    pub fn apply(&mut self, event: &Event) {
        if let Some(is_seen) = self.kinds.get_mut(usize::from(event.what.kind())) {
            *is_seen = true;
        }
        if event.origin == Origin::Host {
            if let What::HostEnd { ending, .. } = event.what {
                self.ending = Some(ending);
            }
            return;
        }
        self.apply_time(event);
        let process = self.processes.entry(event.process).or_default();
        if !std::mem::replace(&mut process.is_seen, true) {
            self.seen.push(event.process);
        }
        let was_alive = process.alive();
        apply_trap(process, event);
        match event.what {
            What::Boot(Boot::Scheduler { policy, quantum_us, .. }) => {
                self.policy = Some(policy);
                self.quantum = u128::from(quantum_us).saturating_mul(self.tsc_khz.into()) / 1000;
            }
            What::ProcessCreated { .. } => {
                *process = Process { created: Some(Box::new(*event)), ..process.renewed() };
            }
            What::LoadFailed { .. } => *process = process.renewed(),
            What::KernelStackFilled { .. } => process.filled = Some(Box::new(*event)),
            What::ContextSaved { .. } => process.saved = Some(Box::new(*event)),
            What::ContextLoaded { .. } => {
                (process.saved, process.ran) = (None, true);
                self.current = Some(event.process);
                count(&mut self.turns);
                // It goes to the end of the queue.
                dequeue(&mut self.queue, event.process, process);
            }
            What::Sleep { .. } | What::Blocked { .. } => process.sleeping = true,
            What::Wake { .. } | What::Woken { .. } => process.sleeping = false,
            What::PageResolved { .. } => process.is_linux = true,
            What::Executed { cr3, .. } => process.executed = Some(cr3),
            What::Cloned { is_thread, .. } => (process.is_thread, process.is_linux) = (is_thread, true),
            What::ProcessExited { .. } | What::ProcessKilled { .. } | What::ProcessSignaled { .. } => {
                if process.ended.is_none() {
                    process.ended = Some(Box::new(*event));
                    self.turns = self.turns.saturating_sub(1);
                }
                process.traps.clear();
            }
            What::ProcessFreed { .. } => process.freed = Some(Box::new(*event)),
            What::Idle {} => count(&mut self.turns),
            What::KernelPanic { .. } => self.panicked = true,
            _ => {}
        }
        let (was_alive, is_alive) = (u64::from(was_alive), u64::from(process.alive()));
        self.alive = self.alive.saturating_add(is_alive).saturating_sub(was_alive);
        requeue(&mut self.queue, event.process, process, self.turns);
        self.last = Some(*event);
    }

    fn apply_time(&mut self, event: &Event) {
        match event.what {
            What::TrapEntry { .. } => {
                let user = self.user_until(event.tsc);
                self.user_in_turn = self.user_in_turn.saturating_add(user);
                self.user_without_tick = self.user_without_tick.saturating_add(user);
                self.in_user = None;
            }
            What::TrapReturn { frame, .. } => self.in_user = (frame.cpl() == 3).then_some(event.tsc),
            What::Tick { .. } => {
                count(&mut self.ticks);
                (self.user_in_turn, self.user_without_tick) = (0, 0);
                self.last_tick = Some(*event);
            }
            What::ContextLoaded { .. } => self.user_in_turn = 0,
            _ => {}
        }
    }
}

/// Puts a process into the queue if it is ready and not there, and takes it out if it is not ready.
fn requeue(queue: &mut BTreeSet<(u64, u16)>, id: u16, process: &mut Process, turns: u64) {
    match (process.ready() && id != KERNEL, process.queued) {
        (true, None) => {
            process.queued = Some(turns);
            queue.insert((turns, id));
        }
        (false, Some(_)) => dequeue(queue, id, process),
        _ => {}
    }
}

fn dequeue(queue: &mut BTreeSet<(u64, u16)>, id: u16, process: &mut Process) {
    if let Some(since) = process.queued.take() {
        queue.remove(&(since, id));
    }
}

fn apply_trap(process: &mut Process, event: &Event) {
    if let Some(file::Trap { vector, frame, .. }) = event.trap() {
        if frame.cpl() == 3 || process.traps.len() == NESTED_MAX {
            process.traps.clear();
        }
        process.traps.push(Trap {
            entry: *event,
            vector,
            frame,
            call: None,
            result: None,
            tick: None,
            redirected: None,
            rewritten: None,
            switched: false,
            slept: false,
        });
        return;
    }
    let Some(trap) = process.traps.last_mut() else { return };
    let step = match event.what {
        What::SystemCall { .. } => &mut trap.call,
        What::SystemCallResult { .. } => &mut trap.result,
        What::Tick { .. } => &mut trap.tick,
        What::FaultRedirected { .. } => &mut trap.redirected,
        What::SignalDelivered { .. }
        | What::SignalReturned { .. }
        | What::SequenceAborted { .. }
        | What::Executed { .. } => &mut trap.rewritten,
        What::ContextSaved { .. } => {
            trap.switched = true;
            return;
        }
        What::Sleep { .. } | What::Blocked { .. } => {
            trap.slept = true;
            return;
        }
        What::TrapReturn { .. } => {
            process.traps.pop();
            return;
        }
        _ => return,
    };
    *step = Some(Box::new(*event));
}
