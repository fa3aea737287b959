//! The steps of the book's two tables: of boot, and of a process's creation, traps, switches and end. A rule names the first
//! step that is missing, repeated or out of order.

use std::collections::BTreeMap;

use abi::record::{Kind, Policy, Reason};
use abi::syscall::Call;

use super::machine::{Machine, Process};
use super::{Log, Rule, Seen, Violation};
use crate::file::{self, Event, Origin, What};

fn doubled(step: &str, event: &Event) -> Violation {
    Violation::new(format!("{step}: repeated or out of order"), [event])
}

fn missing<'a>(step: &str, events: impl IntoIterator<Item = &'a Event>) -> Violation {
    Violation::new(format!("{step}: missing, or out of order"), events)
}

/// Before the first process runs.
#[derive(Default)]
pub(super) struct Boot {
    gates: u64,
    table: Option<(Event, u64)>,
    handler: bool,
    timer: bool,
    done: bool,
}

impl Rule for Boot {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Boot, Kind::Gates, Kind::TimerArmed, Kind::TrapReturn, Kind::Called])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        match event.what {
            What::Gates { first, table } => {
                self.gates = self.gates.saturating_add(table.from(first).count() as u64);
            }
            What::Boot(file::Boot::TrapTable { gates, .. }) => {
                log.test(self.table.is_none() && !self.done, || {
                    doubled("the trap table is installed", event)
                });
                self.table = Some((*event, gates));
            }
            What::Boot(file::Boot::SyscallHandler { .. }) => {
                log.test(!self.handler && !self.done, || {
                    doubled("the CPU gets the address of the system call handler", event)
                });
                self.handler = true;
            }
            What::TimerArmed { .. } => self.timer = true,
            What::Called { .. } => self.before_the_first(event, machine, log),
            What::TrapReturn { frame } if frame.trap().is_none() => {
                self.before_the_first(event, machine, log)
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.done = true;
    }
}

impl Boot {
    fn before_the_first(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        if self.done || !machine.whole {
            return;
        }
        self.done = true;
        // A kernel that records no step of its boot did not necessarily skip them.
        if !machine.records(Kind::Boot) {
            return;
        }
        log.test(self.table.is_some(), || missing("the trap table is installed", [event]));
        log.test(self.handler, || missing("the CPU gets the address of the system call handler", [event]));
        if machine.policy == Some(Policy::RoundRobin) {
            log.test(self.timer, || missing("the timer is started", [event]));
        }
        if let Some((table, gates)) = self.table.filter(|_| self.gates > 0) {
            log.test(self.gates == gates, || {
                Violation::new(
                    format!("the trap table has {gates} gates, but {} were recorded", self.gates),
                    [&table],
                )
            });
        }
    }
}

/// The steps of a process's birth, in the book's order.
const BIRTH: [(Kind, &str); 6] = [
    (Kind::ProcessCreated, "the entry in the process list is created"),
    (Kind::SegmentLoaded, "the program is loaded"),
    (Kind::StackBuilt, "the user stack is set up with argv"),
    (Kind::KernelStackFilled, "the kernel stack is filled with registers"),
    (Kind::ContextLoaded, "the switch to it"),
    (Kind::TrapReturn, "the first return-from-trap"),
];

/// The creation of a process.
#[derive(Default)]
pub(super) struct Birth {
    /// How many of these steps each process has made.
    steps: BTreeMap<u16, usize>,
    partial: bool,
}

impl Rule for Birth {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::ProcessCreated,
            Kind::SegmentLoaded,
            Kind::StackBuilt,
            Kind::KernelStackFilled,
            Kind::TrapEntry,
            Kind::ContextLoaded,
            Kind::TrapReturn,
            Kind::LoadFailed,
            Kind::Called,
            Kind::Cloned,
        ])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        if event.process == 0 || event.origin == Origin::Host || self.partial {
            return;
        }
        let step = match event.what {
            What::LoadFailed { .. } => {
                self.steps.remove(&event.process);
                return;
            }
            // It has its parent's program and stack.
            What::Cloned { .. } => {
                self.steps.insert(event.process, 3);
                return;
            }
            What::ProcessCreated { .. } => 0,
            // A process that runs gets another program.
            What::SegmentLoaded { .. } | What::StackBuilt { .. }
                if machine.process(event.process).is_some_and(|process| process.ran) =>
            {
                return;
            }
            What::SegmentLoaded { .. } => 1,
            What::StackBuilt { .. } => 2,
            What::KernelStackFilled { .. } => 3,
            What::ContextLoaded { .. }
                if !machine.process(event.process).is_some_and(|process| process.ran) =>
            {
                4
            }
            What::Called { .. } => 5,
            What::TrapReturn { frame } if frame.trap().is_none() => 5,
            // It is in user mode without its first return.
            What::TrapEntry { .. }
                if self.steps.get(&event.process).is_some_and(|&done| done < BIRTH.len()) =>
            {
                6
            }
            _ => return,
        };
        let done = self.steps.entry(event.process).or_default();
        log.note_test();
        let created = machine.process(event.process).and_then(|process| process.created.as_deref().copied());
        match (BIRTH.get(*done), BIRTH.get(step)) {
            (Some(&(kind, name)), _) if step > *done => {
                log.miss(kind, || missing(name, created.iter().chain([event])));
            }
            // A program has many segments.
            (_, Some((_, name))) if step < *done && (step, *done) != (1, 2) => {
                log.fail(|| doubled(name, event))
            }
            _ => {}
        }
        *done = step.saturating_add(1).max(*done);
    }

    fn forget(&mut self) {
        self.partial = true;
    }
}

/// What happens between entry and return.
pub(super) struct Trap;

impl Rule for Trap {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::SystemCall,
            Kind::SystemCallResult,
            Kind::Tick,
            Kind::TrapReturn,
            Kind::ProcessExited,
            Kind::FaultRedirected,
        ])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some(process) = machine.process(event.process).filter(|_| machine.whole) else { return };
        let step = match event.what {
            What::SystemCall { .. } => "the system call dispatched",
            What::SystemCallResult { .. } => "its result",
            What::Tick { .. } => "the tick",
            What::FaultRedirected { .. } => "the fault redirected",
            What::ProcessExited { .. } => "the exit",
            What::TrapReturn { .. } => "the return",
            _ => return,
        };
        let Some(trap) = process.trap() else {
            // The first return needs no entry, an exit under direct none; `entry-return` has the other returns.
            let no_trap = matches!(event.what, What::TrapReturn { .. });
            let direct = machine.policy == Some(Policy::Direct);
            if !no_trap && !direct && process.ended.is_none() {
                log.miss(Kind::TrapEntry, || missing("the trap entry", [event]));
            }
            return;
        };
        log.note_test();
        let is_doubled = match event.what {
            What::SystemCall { .. } => trap.call.is_some() || !trap.is_call(),
            What::SystemCallResult { .. } => trap.result.is_some() || !trap.is_call(),
            What::Tick { .. } => trap.tick.is_some() || !trap.is_timer(),
            What::FaultRedirected { .. } => {
                trap.redirected.is_some() || trap.is_call() || trap.is_interrupt()
            }
            _ => false,
        };
        if is_doubled {
            log.fail(|| {
                Violation::new(
                    format!("{step}: repeated or out of order"),
                    trap.events().into_iter().chain([event]),
                )
            });
            return;
        }
        let at_return = matches!(event.what, What::TrapReturn { .. });
        let needs_call = matches!(event.what, What::SystemCallResult { .. } | What::ProcessExited { .. });
        // Each missing step is reported at the step that should follow it.
        let needed = [
            (
                needs_call && trap.is_call() && trap.call.is_none(),
                Kind::SystemCall,
                "the system call dispatched",
            ),
            (
                at_return && trap.is_call() && trap.result.is_none(),
                Kind::SystemCallResult,
                "the result of the system call",
            ),
            (at_return && trap.is_timer() && trap.tick.is_none(), Kind::Tick, "the tick"),
        ];
        for (_, kind, name) in needed.into_iter().filter(|(is_missing, ..)| *is_missing) {
            log.miss(kind, || missing(name, trap.events().into_iter().chain([event])));
        }
    }
}

/// Ticks are numbered.
#[derive(Default)]
pub(super) struct Tick {
    last: Option<(u32, Event)>,
}

impl Rule for Tick {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Tick])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let What::Tick { ticks } = event.what else { return };
        if let Some((last, before)) = self.last.replace((ticks, *event)) {
            log.test(ticks == last.wrapping_add(1), || {
                Violation::new(format!("tick {ticks} follows tick {last}"), [&before, event])
            });
        }
    }

    fn forget(&mut self) {
        self.last = None;
    }
}

/// A switch stores one context, then loads another.
#[derive(Default)]
pub(super) struct Switch {
    /// A context was stored, and the next record must load one.
    saved: Option<Event>,
}

impl Rule for Switch {
    fn sees(&self) -> Seen {
        Seen::All
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        if event.origin == Origin::Host {
            return;
        }
        let saved = self.saved.take();
        match (event.what, saved) {
            (What::ContextLoaded { from, .. }, Some(saved)) => {
                log.test(from == u32::from(saved.process), || {
                    Violation::new(
                        format!(
                            "the switch is recorded as one from process {from}, whose context was not stored"
                        ),
                        [&saved, event],
                    )
                })
            }
            (What::ContextLoaded { .. }, None) if machine.whole => {
                log.miss(Kind::ContextSaved, || missing("registers(A) to proc(A)", [event]));
            }
            (_, Some(saved)) => {
                log.miss(Kind::ContextLoaded, || missing("registers(B) from proc(B)", [&saved, event]))
            }
            _ => {}
        }
        if let What::ContextSaved { reason, .. } = event.what {
            self.saved = Some(*event);
            log.note_test();
            if let Some((kind, why)) = reason_fault(reason, event, machine).filter(|_| machine.whole) {
                log.miss(kind, || Violation::new(why, machine.last.iter().chain([event])));
            }
        }
    }

    fn forget(&mut self) {
        self.saved = None;
    }
}

/// The record that a switch reason needs but does not have: its kind, and a description.
fn reason_fault(reason: Reason, event: &Event, machine: &Machine) -> Option<(Kind, &'static str)> {
    let process = machine.process(event.process)?;
    let ticked = process.trap().is_some_and(|trap| trap.tick.is_some());
    let slept = process.sleeping || process.trap().is_some_and(|trap| trap.slept);
    let call = process.trap().and_then(|trap| trap.call.as_deref()).map(|call| call.what);
    let yields = matches!(call, Some(What::SystemCall { number, .. }) if number == Call::sched_yield as u64);
    match reason {
        Reason::Preempted if !ticked => Some((Kind::Tick, "preempted without a tick")),
        Reason::Yielded if !yields => Some((Kind::SystemCall, "yielded without a call to yield")),
        Reason::Slept if !slept => Some((Kind::Sleep, "switched away to sleep without a call that sleeps")),
        Reason::Blocked if !slept => {
            Some((Kind::Blocked, "switched away to wait, but the trace does not have what it waits for"))
        }
        Reason::Ended if process.ended.is_none() => {
            Some((Kind::ProcessExited, "switched away as ended, but the trace does not have its end"))
        }
        Reason::Idle if event.process != 0 => {
            Some((Kind::ContextSaved, "switched away from the idle kernel while a process runs"))
        }
        _ => None,
    }
}

/// A process ends, is switched away from, and is freed.
pub(super) struct End;

impl Rule for End {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::ProcessExited, Kind::ProcessKilled, Kind::ProcessFreed, Kind::ProcessSignaled])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some(process) = machine.process(event.process).filter(|_| machine.whole) else { return };
        match event.what {
            What::ProcessExited { .. } | What::ProcessKilled { .. } | What::ProcessSignaled { .. } => {
                log.test(process.ended.is_none(), || doubled("the end of the process", event));
            }
            What::ProcessFreed { .. } => {
                let message = match (&process.ended, &process.freed) {
                    (None, _) => "freed before it ended",
                    (_, Some(_)) => "freed twice",
                    _ if machine.current == Some(event.process) => "freed while its kernel stack is in use",
                    _ => "",
                };
                log.test(message.is_empty(), || {
                    Violation::new(message, process.ended.as_deref().into_iter().chain([event]))
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        if !machine.finished() {
            return;
        }
        let must_end = |process: &&Process| process.created.is_some() && !machine.is_deadlocked(process);
        for process in machine.processes().map(|(_, process)| process).filter(must_end) {
            if process.alive() {
                log.fail(|| missing("the end of the process", process.created.as_deref()));
            } else if process.freed.is_none() && !machine.records(Kind::Deadlock) {
                log.miss(Kind::ProcessFreed, || {
                    missing("the process's memory is freed", process.ended.as_deref())
                });
            }
        }
    }
}
