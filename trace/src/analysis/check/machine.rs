//! What the events so far make of the machine: who runs, and for each process where it stands.

use std::collections::BTreeMap;

use abi::record::{Ending, Kind, Policy};

use crate::file::{Boot, Event, Frame, Origin, What};

/// Nested traps that are kept; a kernel of ours has at most two.
const NESTED_MAX: usize = 4;
/// The interrupt flag in RFLAGS.
pub(super) const IF: u32 = 1 << 9;
/// The first vector that is no exception.
const FIRST_INTERRUPT: u8 = 32;

/// A trap that was entered and not returned from yet. Every field holds the record of its step.
#[derive(Clone, Debug)]
pub(super) struct Trap {
    pub entry: Event,
    pub vector: u8,
    pub frame: Frame,
    pub registers: Option<Event>,
    pub call: Option<Event>,
    pub result: Option<Event>,
    pub tick: Option<Event>,
    pub redirected: Option<Event>,
    pub restored: Option<Event>,
    /// The CPU was given to another process meanwhile.
    pub switched: bool,
    /// The process asked to sleep. It may be awake again before the switch: a time that is over wakes at once.
    pub slept: bool,
}

impl Trap {
    /// By one of the doors of the system calls.
    pub fn is_call(&self) -> bool {
        is_call(self.vector)
    }

    /// By a device.
    pub fn is_interrupt(&self) -> bool {
        is_interrupt(self.vector)
    }

    /// The records of the trap so far, in their order.
    pub fn events(&self) -> Vec<&Event> {
        let Trap { entry, registers, call, result, tick, redirected, restored, .. } = self;
        let more = [registers, call, tick, result, redirected, restored];
        std::iter::once(entry).chain(more.into_iter().flatten()).collect()
    }
}

/// A vector of the system calls.
pub(super) fn is_call(vector: u8) -> bool {
    vector == abi::record::SYSCALL_VECTOR || vector == abi::syscall::INT_VECTOR
}

/// A vector of a device.
pub(super) fn is_interrupt(vector: u8) -> bool {
    vector >= FIRST_INTERRUPT && !is_call(vector)
}

/// A vector of an exception.
pub(super) fn is_exception(vector: u8) -> bool {
    vector < FIRST_INTERRUPT
}

/// An address in the upper half, where the kernel is.
pub(super) fn is_kernel(address: u64) -> bool {
    address >> 63 == 1
}

/// A process, or the kernel's own thread (0).
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub created: Option<Event>,
    pub filled: Option<Event>,
    pub ended: Option<Event>,
    pub freed: Option<Event>,
    pub sleeping: bool,
    /// It was switched to at least once.
    pub ran: bool,
    /// The last switch away from it, while it is away.
    pub saved: Option<Event>,
    pub traps: Vec<Trap>,
}

impl Process {
    /// The trap that it is in.
    pub fn trap(&self) -> Option<&Trap> {
        self.traps.last()
    }

    /// Created and not ended.
    pub fn alive(&self) -> bool {
        self.created.is_some() && self.ended.is_none()
    }

    /// It could run.
    pub fn ready(&self) -> bool {
        self.alive() && self.filled.is_some() && !self.sleeping
    }

    /// The top of its kernel stack.
    pub fn kernel_stack_top(&self) -> Option<u64> {
        match self.created?.what {
            What::ProcessCreated { kernel_stack_top, .. } => Some(kernel_stack_top),
            _ => None,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub tsc_khz: u64,
    pub policy: Option<Policy>,
    /// The quantum in TSC cycles; 0: none.
    pub quantum: u64,
    /// Who has the CPU; none: records are missing, and it is not known.
    pub current: Option<u16>,
    pub processes: BTreeMap<u16, Process>,
    pub ticks: u64,
    pub ending: Option<Ending>,
    pub panicked: bool,
    /// Cycles in user mode since the turn began or the last tick, and since the last tick.
    pub user_in_turn: u64,
    pub user_without_tick: u64,
    /// The last guest record, and the last tick.
    pub last: Option<Event>,
    pub last_tick: Option<Event>,
    /// When user mode was entered, while it is.
    in_user: Option<u64>,
    /// No record was missing so far.
    pub whole: bool,
    kinds: [bool; 256],
}

impl Machine {
    pub fn new(tsc_khz: u64) -> Machine {
        Machine {
            tsc_khz,
            policy: None,
            quantum: 0,
            current: Some(0),
            processes: BTreeMap::from([(0, Process::default())]),
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
        }
    }

    /// The kernel came to an end of its own: all processes must have ended before.
    pub fn finished(&self) -> bool {
        self.ending == Some(Ending::Exited) && !self.panicked && self.whole
    }

    /// This kernel makes records of this kind.
    pub fn records(&self, kind: Kind) -> bool {
        self.kinds[usize::from(kind as u8)]
    }

    pub fn process(&self, id: u16) -> Option<&Process> {
        self.processes.get(&id)
    }

    /// The trap that a process is in.
    pub fn trap(&self, id: u16) -> Option<&Trap> {
        self.process(id)?.trap()
    }

    /// Somebody who could run but does not.
    pub fn waiting(&self) -> Option<u16> {
        let waits = |(&id, process): (&u16, &Process)| {
            (id != 0 && Some(id) != self.current && process.ready()).then_some(id)
        };
        self.processes.iter().find_map(waits)
    }

    /// Cycles in user mode up to `tsc`, in the stretch that is going on.
    pub fn user_until(&self, tsc: u64) -> u64 {
        self.in_user.map_or(0, |since| tsc.saturating_sub(since))
    }

    /// There are records missing before this one.
    pub fn missed_some(&self, event: &Event) -> bool {
        event.sequence != self.last.map_or(0, |last| last.sequence.wrapping_add(1))
    }

    /// Forgets what may have changed in records that are missing.
    pub fn forget(&mut self) {
        self.whole = false;
        self.current = None;
        self.in_user = None;
        (self.user_in_turn, self.user_without_tick) = (0, 0);
        for process in self.processes.values_mut() {
            process.traps.clear();
            (process.saved, process.sleeping) = (None, false);
        }
    }

    /// Takes in an event.
    pub fn apply(&mut self, event: &Event) {
        self.kinds[usize::from(event.what.kind())] = true;
        if event.origin == Origin::Host {
            if let What::HostEnd { ending, .. } = event.what {
                self.ending = Some(ending);
            }
            return;
        }
        self.apply_time(event);
        let process = self.processes.entry(event.process).or_default();
        apply_trap(process, event);
        match event.what {
            What::Boot(Boot::Policy { policy, quantum_us, .. }) => {
                self.policy = Some(policy);
                self.quantum = (u128::from(quantum_us) * u128::from(self.tsc_khz) / 1000) as u64;
            }
            What::ProcessCreated { .. } => *process = Process { created: Some(*event), ..Process::default() },
            What::LoadFailed { .. } => *process = Process::default(),
            What::KernelStackFilled(_) => process.filled = Some(*event),
            What::ContextSaved { .. } => process.saved = Some(*event),
            What::ContextLoaded { .. } => {
                (process.saved, process.ran) = (None, true);
                self.current = Some(event.process);
            }
            What::Sleep { .. } => process.sleeping = true,
            What::Wake { .. } => process.sleeping = false,
            What::ProcessExited { .. } | What::ProcessKilled { .. } => {
                process.ended.get_or_insert(*event);
                process.traps.clear();
            }
            What::ProcessFreed { .. } => process.freed = Some(*event),
            What::KernelPanic { .. } => self.panicked = true,
            _ => {}
        }
        self.last = Some(*event);
    }

    fn apply_time(&mut self, event: &Event) {
        match event.what {
            What::TrapEntry { .. } => {
                let user = self.user_until(event.tsc);
                self.user_in_turn += user;
                self.user_without_tick += user;
                self.in_user = None;
            }
            What::TrapReturn { frame, .. } => self.in_user = (frame.cpl() == 3).then_some(event.tsc),
            What::Tick { .. } => {
                self.ticks += 1;
                (self.user_in_turn, self.user_without_tick) = (0, 0);
                self.last_tick = Some(*event);
            }
            What::ContextLoaded { .. } => self.user_in_turn = 0,
            _ => {}
        }
    }
}

fn apply_trap(process: &mut Process, event: &Event) {
    if let What::TrapEntry { vector, frame, .. } = event.what {
        if frame.cpl() == 3 || process.traps.len() == NESTED_MAX {
            process.traps.clear();
        }
        let (entry, none) = (*event, None);
        let (registers, call, result, tick, redirected, restored) = (none, none, none, none, none, none);
        process.traps.push(Trap {
            entry,
            vector,
            frame,
            registers,
            call,
            result,
            tick,
            redirected,
            restored,
            switched: false,
            slept: false,
        });
        return;
    }
    let Some(trap) = process.traps.last_mut() else { return };
    let step = match event.what {
        What::Registers { at_return: false, .. } => &mut trap.registers,
        What::Registers { at_return: true, .. } => &mut trap.restored,
        What::SystemCall { .. } => &mut trap.call,
        What::SystemCallResult { .. } => &mut trap.result,
        What::Tick { .. } => &mut trap.tick,
        What::FaultRedirected { .. } => &mut trap.redirected,
        What::ContextSaved { .. } => {
            trap.switched = true;
            return;
        }
        What::Sleep { .. } => {
            trap.slept = true;
            return;
        }
        What::TrapReturn { .. } => {
            process.traps.pop();
            return;
        }
        _ => return,
    };
    *step = Some(*event);
}
