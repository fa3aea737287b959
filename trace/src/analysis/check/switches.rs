//! Rules about the switch: which registers it preserves, and which process may run.

use abi::record::{CONTEXT, Kind};

use super::machine::{Machine, Process};
use super::{Log, Rule, Seen, Violation};
use crate::file::{Context, Event, What};

/// Where RSP is in [`CONTEXT`].
const RSP: usize = 6;
/// How far below its first frame a new process's stack pointer may be, because a kernel may have frames of its own there.
const FIRST_FRAMES: u64 = 4096;

/// A switch loads the registers that the last switch away from the process stored.
pub(super) struct ContextKept;

impl Rule for ContextKept {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::ContextSaved, Kind::ContextLoaded])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some(process) = machine.process(event.process) else { return };
        let fault = match event.what {
            What::ContextSaved { structure, context, .. } => {
                saved_fault(process, &context).or_else(|| structure_fault(process, structure))
            }
            What::ContextLoaded { structure, context, cr3, .. } => {
                loaded_fault(process, &context, cr3).or_else(|| structure_fault(process, structure))
            }
            _ => return,
        };
        log.test(fault.is_none(), || {
            let before = process.saved.as_deref().or(process.created.as_deref());
            Violation::new(fault.unwrap_or_default(), before.into_iter().chain([event]))
        });
    }
}

fn structure_fault(process: &Process, found: u64) -> Option<String> {
    let What::ProcessCreated { structure, .. } = process.created.as_ref()?.what else { return None };
    (structure != found)
        .then(|| format!("the process structure is at {structure:#x}, but the one at {found:#x} was used"))
}

/// The trap called the kernel, so the kernel's stack continues below the trap's frame.
fn saved_fault(process: &Process, context: &Context) -> Option<String> {
    let rsp = context[RSP];
    let outside = process.trap().filter(|trap| rsp >= trap.frame.address);
    outside.map(|trap| format!("RSP {rsp:#x} is not below the trap's frame at {:#x}", trap.frame.address))
}

fn loaded_fault(process: &Process, context: &Context, cr3: u64) -> Option<String> {
    if let Some(What::ProcessCreated { cr3: own, .. }) = process.created.as_ref().map(|event| event.what)
        && process.executed.unwrap_or(own) != cr3
    {
        return Some(format!(
            "the page tables of the process are at {own:#x}, but CR3 was loaded with {cr3:#x}"
        ));
    }
    if let Some(What::ContextSaved { context: saved, .. }) = process.saved.as_ref().map(|event| event.what) {
        let differs = |(name, (before, now)): (&str, (u64, u64))| {
            (before != now)
                .then(|| format!("{} was stored as {before:#x}, but loaded as {now:#x}", name.to_uppercase()))
        };
        return CONTEXT.into_iter().zip(saved.into_iter().zip(*context)).find_map(differs);
    }
    let rsp = context[RSP];
    match process.filled.as_ref().map(|event| event.what) {
        Some(What::KernelStackFilled { frame })
            if !process.ran && frame.address.checked_sub(rsp).is_none_or(|below| below > FIRST_FRAMES) =>
        {
            Some(format!("RSP {rsp:#x} is not at the frame that the kernel stack was filled with"))
        }
        _ => None,
    }
}

/// Only the current process runs, and only between its creation and its end.
pub(super) struct Current;

impl Rule for Current {
    /// The records of a process that runs.
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::TrapEntry,
            Kind::SystemCall,
            Kind::SystemCallResult,
            Kind::Tick,
            Kind::TimerArmed,
            Kind::ContextSaved,
            Kind::ContextLoaded,
            Kind::TrapReturn,
            Kind::Sleep,
            Kind::Blocked,
            Kind::Executed,
            Kind::SignalDelivered,
            Kind::SignalReturned,
            Kind::SequenceAborted,
            Kind::ProcessSignaled,
            Kind::ProcessExited,
            Kind::ProcessKilled,
            Kind::Idle,
            Kind::KernelPanic,
            Kind::Called,
            Kind::Returned,
            Kind::FaultRedirected,
        ])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let loads = matches!(event.what, What::ContextLoaded { .. });
        let id = event.process;
        let process = machine.process(id);
        let created = id == 0 || !machine.whole || process.is_some_and(|process| process.created.is_some());
        let ended = process.and_then(|process| process.ended.as_deref()).filter(|_| !is_last(&event.what));
        let current = machine.current.is_none_or(|current| current == id);
        let message = match (current || loads, created, ended) {
            (true, true, None) => String::new(),
            (_, _, Some(_)) => format!("process {id} runs, but it has ended"),
            (_, false, _) => format!("process {id} runs, but was not created"),
            _ => format!("process {id} runs, but process {} is current", machine.current.unwrap_or_default()),
        };
        log.test(message.is_empty(), || {
            Violation::new(message, ended.into_iter().chain(&machine.last).chain([event]))
        });
    }
}

/// The one record that a process may have after its end: the switch away from it. (`steps-end` reports a second end.)
fn is_last(what: &What) -> bool {
    matches!(
        what,
        What::ContextSaved { .. }
            | What::ProcessExited { .. }
            | What::ProcessKilled { .. }
            | What::ProcessSignaled { .. }
    )
}
