//! Which events are steps of a process, and which part of them must be the same in another run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use abi::record::{ARGUMENTS, Ending, RAX, SYSCALL_VECTOR};
use abi::syscall::{Call, INT_VECTOR};

use crate::file::{Event, Events, Frame, Origin, Trace, What};

/// The calls whose data differ from run to run.
const CHANCE: [u64; 3] = [Call::clock_gettime as u64, Call::gettimeofday as u64, Call::getrandom as u64];
/// Vectors below are exceptions.
const EXCEPTIONS: u8 = 32;

/// The part of an event that must be the same in another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The event with 0 for everything that may differ.
    pub what: What,
    /// The arguments of a system call, which are in the frame of its trap; 0 for others.
    pub arguments: [u64; ARGUMENTS.len()],
}

/// The process that makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doer {
    /// The kernel itself (0), or the process of this number.
    Guest(u16),
    /// The host.
    Host,
}

impl Doer {
    /// Processes are paired only with processes, the kernel with the kernel, and the host with the host.
    pub(super) fn class(self) -> u8 {
        match self {
            Doer::Host => 0,
            Doer::Guest(0) => 1,
            Doer::Guest(_) => 2,
        }
    }
}

/// The steps of the processes of a trace, in the order of the trace: the process, its event, and the part that must be the
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
    /// The frame of the last trap.
    frame: Option<Frame>,
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

    fn step(&mut self, event: &Event) -> Option<(Doer, Step)> {
        let doer = match event.origin {
            Origin::Guest => Doer::Guest(event.process),
            Origin::Host => Doer::Host,
        };
        if self.who.is_some_and(|who| who != doer) {
            return None;
        }
        let number = event.process;
        let state = self.processes.entry(number).or_insert_with(|| State { number, ..State::default() });
        match event.what {
            What::TrapEntry { frame, .. } => state.frame = Some(frame),
            What::SystemCall { number } => state.call = Some(number),
            What::StackBuilt { lowest, rsp, .. } => state.stack = Some(lowest..=rsp),
            // The time that a clock returned and random numbers differ from run to run.
            What::Data { .. } if state.call.is_some_and(|call| CHANCE.contains(&call)) => return None,
            _ => {}
        }
        let what = state.without_number(state.on_stack(timeless(event.what)?));
        let arguments = match what {
            What::SystemCall { number } => state.arguments(number),
            _ => [0; ARGUMENTS.len()],
        };
        Some((doer, Step { what, arguments }))
    }
}

impl State {
    /// A step without the process's own number, which depends on the order of the programs on the command line.
    fn without_number(&self, step: What) -> What {
        match step {
            _ if self.call != Some(Call::getpid as u64) => step,
            What::SystemCallResult { number, result } if result == i64::from(self.number) => {
                What::SystemCallResult { number, result: 0 }
            }
            What::TrapReturn { mut frame } if frame.rax() == u64::from(self.number) => {
                frame.registers[RAX] = 0;
                What::TrapReturn { frame }
            }
            _ => step,
        }
    }

    /// The arguments that a system call takes. The other argument registers have old values.
    fn arguments(&self, number: u64) -> [u64; ARGUMENTS.len()] {
        let mut arguments = self.frame.unwrap_or_default().arguments();
        let taken = Call::from_number(number).map_or(ARGUMENTS.len(), Call::arguments);
        arguments.iter_mut().skip(taken).for_each(|argument| *argument = 0);
        arguments.map(|argument| self.counted(argument))
    }

    /// An address on the stack as its distance from the start of the stack; any other address unchanged.
    fn counted(&self, address: u64) -> u64 {
        match &self.stack {
            Some(stack) if stack.contains(&address) => address.wrapping_sub(*stack.end()),
            _ => address,
        }
    }

    /// A step with what it has of addresses on the stack counted from where the stack starts, as that depends on the
    /// arguments: else one argument more would make all steps differ.
    fn on_stack(&self, mut step: What) -> What {
        let count = |address: &mut u64| *address = self.counted(*address);
        match &mut step {
            What::TrapEntry { frame, .. }
            | What::TrapReturn { frame }
            | What::KernelStackFilled { frame }
            | What::Called { frame } => count(&mut frame.rsp),
            What::FaultRedirected { rsp, .. } => count(rsp),
            _ => {}
        }
        step
    }
}

impl Iterator for Steps<'_> {
    type Item = (Doer, Event, Step);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let event = self.events.next()?;
            if let Some((doer, step)) = self.step(&event) {
                return Some((doer, event, step));
            }
        }
    }
}

/// The part of an event that must be the same in another run, with 0 for everything else. `None` if the event is not a step.
///
/// Left out are times, ticks, switches and sleeps, how a trap arrived, addresses in the kernel, and flags, selectors and other
/// registers that may differ between hosts.
pub(super) fn timeless(what: What) -> Option<What> {
    let is_chance = |vector| vector >= EXCEPTIONS && !is_call(vector);
    Some(match what {
        What::TrapEntry { frame, .. } | What::TrapReturn { frame } if frame.trap().is_some_and(is_chance) => {
            return None;
        }
        What::TrapEntry { frame, cr2, .. } => {
            let vector = frame.vector as u8;
            // The error code and CR2 belong to the trap that a system call arrived as, not to the call.
            let (error_code, cr2) = if is_call(vector) { (0, 0) } else { (frame.error_code, cr2) };
            let frame = Frame { error_code, ..place(frame) };
            What::TrapEntry { arrived: vector, frame, handler_flags: 0, cr2, arrived_rip: 0 }
        }
        What::TrapReturn { frame } => {
            let mut kept = place(frame);
            kept.registers[RAX] = frame.rax();
            What::TrapReturn { frame: kept }
        }
        What::KernelStackFilled { frame } => What::KernelStackFilled { frame: place(frame) },
        What::Called { frame } => What::Called { frame: place(frame) },
        What::ProcessCreated { program: name, .. } => {
            What::ProcessCreated { structure: 0, cr3: 0, kernel_stack_top: 0, program: name }
        }
        What::KernelPanic { reason, .. } => {
            What::KernelPanic { reason, rip: 0, error_code: 0, cr2: 0, rsp: 0, rflags: 0 }
        }
        // The moment at which the host stops a run differs from run to run.
        What::HostEnd { ending: Ending::Stopped | Ending::TraceLimit, .. } => return None,
        What::HostEnd { ending, status, .. } => What::HostEnd { exit_code: 0, ending, status, rip: 0 },
        What::SegmentLoaded { .. }
        | What::StackBuilt { .. }
        | What::SystemCall { .. }
        | What::SystemCallResult { .. }
        | What::Data { .. }
        | What::FaultRedirected { .. }
        | What::ProcessExited { .. }
        | What::ProcessKilled { .. }
        | What::ProcessSignaled { .. }
        | What::LoadFailed { .. }
        | What::Returned { .. } => what,
        _ => return None,
    })
}

fn is_call(vector: u8) -> bool {
    matches!(vector, SYSCALL_VECTOR | INT_VECTOR)
}

/// The RIP of the frame without the rest.
fn place(Frame { vector, rip, rsp, .. }: Frame) -> Frame {
    Frame { vector, rip, rsp, ..Frame::default() }
}
