//! Which events are steps of a process, and what of them must be the same in another run.

use std::collections::BTreeMap;

use abi::record::{Ending, SYSCALL_VECTOR};
use abi::syscall::{Call, INT_VECTOR};

use crate::trace::{Event, Events, Frame, Origin, Trace, What};

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

/// The steps of all processes of a trace, in the order of the trace: who made it, its event, and what of it must be the
/// same in another run.
pub struct Steps<'a> {
    events: Events<'a>,
    /// The system call under way, by process.
    calls: BTreeMap<u16, u64>,
}

impl<'a> Steps<'a> {
    /// The steps of a trace.
    pub fn of(trace: &'a Trace) -> Steps<'a> {
        Steps { events: trace.events(), calls: BTreeMap::new() }
    }

    fn step(&mut self, event: &Event) -> Option<(Doer, What)> {
        if let What::SystemCall { number, .. } = event.what {
            self.calls.insert(event.process, number);
        }
        let doer = match event.origin {
            Origin::Guest => Doer::Guest(event.process),
            Origin::Host => Doer::Host,
        };
        match event.what {
            // What the clock said is a time like any other.
            What::Data { .. } if self.calls.get(&event.process) == Some(&(Call::ClockGettime as u64)) => None,
            what => timeless(what).map(|step| (doer, step)),
        }
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
            arguments[taken..].fill(0);
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
