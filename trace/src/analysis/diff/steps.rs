//! Which events are steps of a process, and what of them must be the same in another run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use abi::boot::PROCESSES_MAX;
use abi::record::{Ending, SYSCALL_VECTOR};
use abi::syscall::{Call, INT_VECTOR};

use crate::file::{Event, Events, Frame, Origin, Trace, What};

/// Stands for all processes that the kernel cannot have.
const STRANGER: u16 = PROCESSES_MAX as u16 + 1;
/// Vectors below are exceptions.
const EXCEPTIONS: u8 = 32;

/// Who makes steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doer {
    /// The kernel itself (0), or the process of this number.
    Guest(u16),
    /// The host.
    Host,
}

impl Doer {
    /// Both are processes, or both are the kernel, or both the host.
    pub(super) fn is_like(self, other: Doer) -> bool {
        let class = |doer| match doer {
            Doer::Host => 0,
            Doer::Guest(0) => 1,
            Doer::Guest(_) => 2,
        };
        class(self) == class(other)
    }
}

/// The steps of the processes of a trace, in the order of the trace: who made it, its event, and what of it must be the
/// same in another run.
pub struct Steps<'a> {
    events: Events<'a>,
    /// Only of this one.
    who: Option<Doer>,
    processes: BTreeMap<u16, State>,
}

/// What must be known of a process to compare its steps.
#[derive(Clone, Debug, Default)]
struct State {
    /// Its number.
    number: u16,
    /// The system call under way.
    call: Option<u64>,
    /// Its stack, from the lowest address to where it starts.
    stack: Option<RangeInclusive<u64>>,
}

impl<'a> Steps<'a> {
    /// The steps of a trace.
    pub fn of(trace: &'a Trace) -> Steps<'a> {
        Steps { events: trace.events(), who: None, processes: BTreeMap::new() }
    }

    /// Those of one process.
    pub fn of_one(trace: &'a Trace, who: Doer) -> Steps<'a> {
        Steps { who: Some(who), ..Steps::of(trace) }
    }

    fn step(&mut self, event: &Event) -> Option<(Doer, What)> {
        let doer = match event.origin {
            // The kernel has no more processes than that: all others are one.
            Origin::Guest => Doer::Guest(event.process.min(STRANGER)),
            Origin::Host => Doer::Host,
        };
        if self.who.is_some_and(|who| who != doer) {
            return None;
        }
        let number = event.process.min(STRANGER);
        let state = self.processes.entry(number).or_insert_with(|| State { number, ..State::default() });
        match event.what {
            What::SystemCall { number, .. } => state.call = Some(number),
            What::StackBuilt { lowest, rsp, .. } => state.stack = Some(lowest..=rsp),
            // What the clock said is a time like any other.
            What::Data { .. } if state.call == Some(Call::clock_gettime as u64) => return None,
            _ => {}
        }
        timeless(event.what).map(|step| (doer, state.without_number(state.on_stack(step))))
    }
}

impl State {
    /// A step without the process's own number, which depends on the order in which the programs were named.
    fn without_number(&self, step: What) -> What {
        match step {
            _ if self.call != Some(Call::getpid as u64) => step,
            What::SystemCallResult { number, result } if result == i64::from(self.number) => {
                What::SystemCallResult { number, result: 0 }
            }
            What::TrapReturn { vector, frame, rax } if rax == u64::from(self.number) => {
                What::TrapReturn { vector, frame, rax: 0 }
            }
            _ => step,
        }
    }

    /// A step with what it has of addresses on the stack counted from where the stack starts, as that depends on the
    /// arguments: else one argument more would make all steps differ.
    fn on_stack(&self, mut step: What) -> What {
        let Some(stack) = &self.stack else { return step };
        let count = |address: &mut u64| {
            if stack.contains(address) {
                *address = address.wrapping_sub(*stack.end());
            }
        };
        match &mut step {
            What::TrapEntry { frame, .. }
            | What::TrapReturn { frame, .. }
            | What::KernelStackFilled(frame)
            | What::Called(frame) => count(&mut frame.rsp),
            What::SystemCall { arguments, .. } => arguments.iter_mut().for_each(count),
            What::FaultRedirected { rsp, .. } => count(rsp),
            _ => {}
        }
        step
    }
}

impl Iterator for Steps<'_> {
    type Item = (Doer, Event, What);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let event = self.events.next()?;
            if let Some((doer, step)) = self.step(&event) {
                return Some((doer, event, step));
            }
        }
    }
}

/// What of an event must be the same in another run, everything else 0. None: nothing, it is no step.
///
/// Left out are times; ticks, switches and sleeps; how a trap arrived; where the kernel keeps what; flags, selectors and
/// the other registers, in which hosts differ where the architecture lets them.
pub(super) fn timeless(what: What) -> Option<What> {
    let is_chance = |vector| vector >= EXCEPTIONS && !is_door(vector);
    Some(match what {
        What::TrapEntry { vector, .. } | What::TrapReturn { vector: Some(vector), .. }
            if is_chance(vector) =>
        {
            return None;
        }
        What::TrapEntry { vector, error_code, frame, cr2, .. } => What::TrapEntry {
            vector,
            arrived: vector,
            // A door has none: it is that of the trap that stood for it.
            error_code: if is_door(vector) { 0 } else { error_code },
            frame: place(frame),
            cr2,
            as_arrived: None,
        },
        What::TrapReturn { vector, frame, rax } => What::TrapReturn { vector, frame: place(frame), rax },
        What::KernelStackFilled(frame) => What::KernelStackFilled(place(frame)),
        What::Called(frame) => What::Called(place(frame)),
        What::SystemCall { number, mut arguments } => {
            // The registers of arguments that a call does not take hold whatever was there.
            let taken = Call::from_number(number).map_or(arguments.len(), Call::arguments);
            arguments.iter_mut().skip(taken).for_each(|argument| *argument = 0);
            What::SystemCall { number, arguments }
        }
        What::ProcessCreated { name, .. } => {
            What::ProcessCreated { structure: 0, cr3: 0, kernel_stack_top: 0, name }
        }
        What::KernelPanic { reason, .. } => {
            What::KernelPanic { reason, rip: 0, error_code: 0, cr2: 0, rsp: 0, rflags: 0 }
        }
        // When the host stops a run is a time.
        What::HostEnd { ending: Ending::Stopped, .. } => return None,
        What::HostEnd { ending, status, .. } => What::HostEnd { exit_code: 0, ending, status, rip: 0 },
        What::SegmentLoaded { .. }
        | What::StackBuilt { .. }
        | What::SystemCallResult { .. }
        | What::Data { .. }
        | What::FaultRedirected { .. }
        | What::ProcessExited { .. }
        | What::ProcessKilled { .. }
        | What::LoadFailed { .. }
        | What::Returned { .. } => what,
        _ => return None,
    })
}

fn is_door(vector: u8) -> bool {
    matches!(vector, SYSCALL_VECTOR | INT_VECTOR)
}

/// Where the program was, without what else the hardware pushed.
fn place(Frame { rip, rsp, .. }: Frame) -> Frame {
    Frame { address: 0, rip, rsp, cs: 0, ss: 0, rflags: 0 }
}
