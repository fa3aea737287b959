//! Rules about traps: what the hardware saved, where, and what the return restored.

use std::collections::BTreeSet;

use abi::hardware::rflags::IF;
use abi::record::{Block as _, FRAME, Kind};

use super::machine::{Machine, Process, Trap, is_kernel};
use super::{Log, Rule, Seen, Violation};
use crate::analysis::hardware::vector_name;
use crate::file::{Boot, Event, Frame, What};

/// SS, RSP, RFLAGS, CS and RIP, which lie between a frame's address and the top of its stack (SDM vol. 3, 6.14.2).
const HARDWARE_FRAME: u64 = 5 * 8;

/// Every trap entry has one return.
pub(super) struct EntryReturn;

impl Rule for EntryReturn {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry, Kind::TrapReturn])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let open = machine.trap(event.process);
        match event.what {
            What::TrapEntry { frame, .. } => {
                let again = open.filter(|_| frame.cpl() == 3);
                log.test(again.is_none(), || {
                    let entries = again.into_iter().map(|trap| &trap.entry);
                    Violation::new(
                        "user mode traps again without a return from the previous trap",
                        entries.chain([event]),
                    )
                });
            }
            What::TrapReturn { frame } if machine.whole || open.is_some() => {
                let Some(vector) = frame.trap() else { return };
                if open.is_some_and(|trap| trap.vector == vector) {
                    return;
                }
                log.fail(|| {
                    let message = format!("a return from {} without a trap entry", vector_name(vector));
                    let entries = open.into_iter().map(|trap| &trap.entry);
                    Violation::new(message, entries.chain([event]))
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        let must_return = |process: &&Process| !machine.is_deadlocked(process);
        let mut processes = machine.processes().map(|(_, process)| process).filter(must_return);
        let open = processes.find_map(Process::trap);
        if let Some(trap) = open.filter(|_| machine.finished()) {
            log.fail(|| {
                Violation::new("this trap has no return, and its process did not end", [&trap.entry])
            });
        }
    }
}

/// A trap from user mode has CPL 3 and interrupts on.
pub(super) struct UserFrames;

impl Rule for UserFrames {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let What::TrapEntry { frame, .. } = event.what else { return };
        let fault = match frame.cpl() {
            0 => return,
            3 if event.process == 0 => "user mode runs, but no process is current",
            3 if frame.ss & 3 != 3 => "CS is of ring 3, but SS is not",
            3 if frame.rflags & IF == 0 => "user mode ran with interrupts off",
            3 => "",
            _ => "a trap from ring 1 or 2, which the kernel does not use",
        };
        log.test(fault.is_empty(), || Violation::new(fault, [event]));
    }
}

/// Whether interrupts are off while a trap is handled, as RFLAGS in the handler shows.
pub(super) struct HandlerFlags;

impl Rule for HandlerFlags {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        // Bit 1 of RFLAGS is always set, so 0 means that this kernel does not record them.
        if let What::TrapEntry { handler_flags: flags @ 1.., .. } = event.what {
            let message = "a handler runs with interrupts on";
            log.test(flags & IF == 0, || Violation::new(message, [event]));
        }
    }
}

/// Ring 0 runs the kernel's code. The kernel is in the upper half of the addresses, unless its trap table has all handlers
/// in the lower half. Then user addresses are those at which it loaded programs.
#[derive(Default)]
pub(super) struct KernelCode {
    /// Where the handlers of the first gates are.
    is_lower: Option<bool>,
    loaded: BTreeSet<(u64, u64)>,
}

impl Rule for KernelCode {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::Boot,
            Kind::Gates,
            Kind::SegmentLoaded,
            Kind::TrapEntry,
            Kind::ContextSaved,
            Kind::ContextLoaded,
            Kind::TrapReturn,
        ])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let (rip, what) = match event.what {
            What::SegmentLoaded { address, memory, .. } => {
                self.loaded.insert((address, address.saturating_add(memory)));
                return;
            }
            What::TrapEntry { frame, .. } if frame.cpl() == 0 => {
                (frame.rip, "a trap came from ring 0 at a user address")
            }
            What::TrapReturn { frame } if frame.cpl() == 0 => {
                (frame.rip, "a return to ring 0 at a user address")
            }
            What::ContextSaved { context, .. } | What::ContextLoaded { context, .. } => {
                (context[7], "the kernel's own context continues at a user address")
            }
            What::Gates { first, table } => {
                let is_lower = || table.from(first).all(|gate| !is_kernel(gate.handler));
                self.is_lower.get_or_insert_with(is_lower);
                table.from(first).for_each(|gate| {
                    self.test(gate.handler, "a handler of the trap table is at a user address", event, log);
                });
                return;
            }
            What::Boot(Boot::SyscallHandler { lstar, .. }) => {
                (lstar, "the system call handler is at a user address")
            }
            _ => return,
        };
        self.test(rip, what, event, log);
    }
}

impl KernelCode {
    fn test(&self, rip: u64, what: &str, event: &Event, log: &mut Log) {
        let is_user = match self.is_lower {
            Some(true) => self.loaded.iter().any(|&(start, end)| (start..end).contains(&rip)),
            _ => !is_kernel(rip),
        };
        log.test(!is_user, || Violation::new(format!("{what}: {rip:#x}"), [event]));
    }
}

/// A trap returns to the frame that it saved.
pub(super) struct FrameKept;

impl Rule for FrameKept {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapReturn])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let What::TrapReturn { frame } = event.what else { return };
        let Some(process) = machine.process(event.process) else { return };
        match (frame.trap(), process.trap(), &process.filled) {
            (Some(vector), Some(trap), _) if trap.vector == vector => {
                let fault = frame_fault(trap, frame);
                log.test(fault.is_none(), || {
                    Violation::new(fault.unwrap_or_default(), trap.events().into_iter().chain([event]))
                });
            }
            (None, _, Some(filled)) => {
                let What::KernelStackFilled { frame: first } = filled.what else { return };
                let same =
                    Frame { address: frame.address, ..first } == frame && frame.address >= first.address;
                log.test(same, || {
                    Violation::new(
                        "the first return does not go to the frame that the kernel stack was filled with",
                        [filled, event],
                    )
                });
            }
            _ => {}
        }
    }
}

/// Where registers are in [`REGISTERS`](abi::record::REGISTERS).
const RDI: usize = 9;
const RSI: usize = 10;
const RDX: usize = 11;
const RCX: usize = 12;
const RAX: usize = 14;

/// -ERESTARTSYS, the result of a call that a signal interrupted.
const RESTART: i64 = -512;
/// Size of the instruction `syscall`.
const SYSCALL_SIZE: u64 = 2;

/// How the frame differs from the record that changed its registers.
fn rewritten_fault(what: &What, trap: &Trap, frame: Frame) -> Option<String> {
    let (rip, rsp) = match *what {
        What::SignalDelivered { handler, at, .. } => (handler, at),
        What::SignalReturned { rip, rsp, .. } => (rip, rsp),
        What::SequenceAborted { abort, .. } => (abort, trap.frame.rsp),
        _ => return None,
    };
    let message = || {
        format!(
            "RIP must be {rip:#x} and RSP {rsp:#x}, but the return is to {:#x} and {:#x}",
            frame.rip, frame.rsp
        )
    };
    ((frame.rip, frame.rsp) != (rip, rsp)).then(message)
}

/// How the frame of the return differs from the saved one. The result of a call and the start of a fault handler may differ.
fn frame_fault(trap: &Trap, frame: Frame) -> Option<String> {
    if let Some(rewritten) = &trap.rewritten {
        return rewritten_fault(&rewritten.what, trap, frame);
    }
    let mut expected = trap.frame;
    match trap.result.as_ref().map(|event| event.what) {
        // The call is made again: RAX has its number, and RIP is that of its instruction.
        Some(What::SystemCallResult { result: RESTART, .. }) => {
            expected.rip = expected.rip.wrapping_sub(SYSCALL_SIZE)
        }
        Some(What::SystemCallResult { result, .. }) => expected.registers[RAX] = result as u64,
        _ if trap.is_call() => expected.registers[RAX] = frame.registers[RAX],
        _ => {}
    }
    if let Some(What::FaultRedirected { vector, error_code, rip, cr2, handler, rsp }) =
        trap.redirected.as_ref().map(|event| event.what)
    {
        (expected.rip, expected.rsp) = (handler, rsp);
        expected.registers[RDI] = vector.into();
        (expected.registers[RSI], expected.registers[RDX], expected.registers[RCX]) =
            (error_code.into(), rip, cr2);
    }
    if expected == frame {
        return None;
    }
    let names = std::iter::once("address").chain(FRAME);
    let words = expected.words().zip(frame.words());
    let (name, (saved, now)) = names.zip(words).find(|(_, (saved, now))| saved != now)?;
    let name = match name {
        "address" | "vector" => name.to_owned(),
        "error_code" => "error code".to_owned(),
        register => register.to_uppercase(),
    };
    Some(format!("the frame's {name} must be {saved:#x}, but the return is with {now:#x}"))
}

/// The hardware's frame lies at the top of the process's kernel stack.
#[derive(Default)]
pub(super) struct KernelStack {
    /// Vectors whose gate has a stack of its own (IST).
    own_stack: BTreeSet<u8>,
}

impl Rule for KernelStack {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Gates, Kind::TrapEntry, Kind::ContextLoaded])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        if let What::Gates { first, table } = event.what {
            for gate in table.from(first) {
                match gate.ist {
                    0 => self.own_stack.remove(&gate.vector),
                    _ => self.own_stack.insert(gate.vector),
                };
            }
        }
        let Some(process) = machine.process(event.process) else { return };
        let Some((created, top)) = process.created.as_deref().zip(process.kernel_stack_top()) else { return };
        match event.what {
            What::TrapEntry { arrived, frame, .. }
                if frame.cpl() == 3 && !self.own_stack.contains(&arrived) =>
            {
                log.test(frame.address.checked_add(HARDWARE_FRAME) == Some(top), || {
                    let message = format!(
                        "the frame must be {HARDWARE_FRAME} bytes below {top:#x}, but is at {:#x}",
                        frame.address
                    );
                    Violation::new(message, [created, event])
                });
            }
            What::ContextLoaded { kernel_stack_top, .. } => log.test(kernel_stack_top == top, || {
                let message =
                    format!("the TSS must have the kernel stack {top:#x}, but got {kernel_stack_top:#x}");
                Violation::new(message, [created, event])
            }),
            _ => {}
        }
    }
}
