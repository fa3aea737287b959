//! Rules about Linux programs: who waits and why, what a child starts with, which frames are private, and signal frames.

use std::collections::BTreeMap;

use abi::ports::INPUT_VECTOR;
use abi::record::{Kind, RAX, REGISTERS, Resolution, Wait};
use abi::syscall::Call;
use abi::syscall::values::CLONE_VM;

use super::machine::{KERNEL, Machine, Trap};
use super::{Log, Rule, Seen, Violation};
use crate::file::{Event, Frame, What};

/// The call that a process is in.
fn call_of(machine: &Machine, process: u16) -> Option<Call> {
    call_of_trap(machine.trap(process)?)
}

fn call_of_trap(trap: &Trap) -> Option<Call> {
    match trap.call.as_ref()?.what {
        What::SystemCall { number } => Call::from_number(number),
        _ => None,
    }
}

/// No process that waits gets the CPU.
pub(super) struct Waiting;

impl Rule for Waiting {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::ContextLoaded])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let process = machine.process(event.process).filter(|_| event.process != 0);
        if let Some(process) = process {
            log.test(!process.sleeping, || {
                Violation::new(format!("process {} waits, but it got the CPU", event.process), [event])
            });
        }
    }
}

/// A process wakes once, from what it waits for, by the process that runs or because its time is over.
#[derive(Default)]
pub(super) struct Wakes {
    /// What each process waits for.
    waits: BTreeMap<u16, (Wait, u64)>,
}

impl Rule for Wakes {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Sleep, Kind::Wake, Kind::Blocked, Kind::Woken])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let id = event.process;
        let fault = match event.what {
            What::Blocked { wait, object, .. } => {
                self.waits.insert(id, (wait, object));
                return;
            }
            What::Sleep { .. } => {
                self.waits.remove(&id);
                return;
            }
            What::Wake { .. } => waits_not(machine, id),
            What::Woken { wait, object, by } => waits_not(machine, id).or_else(|| {
                let (waited, with) = self.waits.get(&id).copied()?;
                // `futex` can move a waiter from one word to another.
                let same = waited == wait && (with == object || wait == Wait::Futex);
                match machine.current {
                    _ if !same => Some(format!(
                        "process {id} waits for {}, but it wakes for {}",
                        waited.name(),
                        wait.name()
                    )),
                    // A device wakes a process during its interrupt, whichever process runs.
                    Some(current) if current != by && !(by == KERNEL && is_in_input(machine, current)) => {
                        Some(format!("process {by} wakes process {id}, but process {current} runs"))
                    }
                    _ => None,
                }
            }),
            _ => return,
        };
        log.test(fault.is_none(), || Violation::new(fault.unwrap_or_default(), [event]));
    }

    fn forget(&mut self) {
        self.waits.clear();
    }
}

/// True during the interrupt of standard input, with `current` as the process that was interrupted.
fn is_in_input(machine: &Machine, current: u16) -> bool {
    machine.trap(current).is_some_and(|trap| trap.vector == INPUT_VECTOR)
}

fn waits_not(machine: &Machine, id: u16) -> Option<String> {
    let waits = !machine.whole || machine.process(id).is_some_and(|process| process.sleeping);
    (!waits).then(|| format!("process {id} wakes, but it did not wait"))
}

/// A child starts with its parent's registers.
#[derive(Default)]
pub(super) struct Children {
    /// The parent's frame and stack of each child that has no kernel stack yet, and the record of its birth.
    born: BTreeMap<u16, (Frame, Option<u64>, Event)>,
}

impl Rule for Children {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::KernelStackFilled, Kind::LoadFailed, Kind::Cloned])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        match event.what {
            What::Cloned { parent, .. } => {
                let Some(trap) = machine.trap(parent) else { return };
                let stack = match call_of_trap(trap) {
                    Some(Call::clone) => match trap.frame.arguments()[1] {
                        0 => Some(trap.frame.rsp),
                        stack => Some(stack),
                    },
                    Some(Call::clone3) => None,
                    _ => Some(trap.frame.rsp),
                };
                self.born.insert(event.process, (trap.frame, stack, *event));
            }
            What::LoadFailed { .. } => _ = self.born.remove(&event.process),
            What::KernelStackFilled { frame } => {
                let Some((parent, stack, cloned)) = self.born.remove(&event.process) else { return };
                let mut expected = parent;
                expected.registers[RAX] = 0;
                expected.rsp = stack.unwrap_or(frame.rsp);
                let differs = first_difference(&expected, &frame);
                log.test(differs.is_none(), || {
                    Violation::new(
                        format!("the child's {} must be its parent's", differs.unwrap_or_default()),
                        [&cloned, event],
                    )
                });
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.born.clear();
    }
}

/// What of RIP, RSP and the general registers differs.
fn first_difference(expected: &Frame, frame: &Frame) -> Option<String> {
    let pairs = [("RIP", expected.rip, frame.rip), ("RSP", expected.rsp, frame.rsp)]
        .map(|(name, a, b)| (name.to_owned(), a, b));
    let registers = REGISTERS.iter().zip(expected.registers.iter().zip(frame.registers));
    let registers = registers.map(|(name, (&a, b))| (name.to_uppercase(), a, b));
    let (name, expected, found) = pairs.into_iter().chain(registers).find(|(_, a, b)| a != b)?;
    Some(format!("{name} ({expected:#x}, not {found:#x})"))
}

/// An address space: the number of the process that it was made for, and how many it had before.
type Space = (u16, u64);

/// After `fork` a write makes a copy, and no other address space shows that frame at the same address.
///
/// The rule follows which frame each address space shows where, as far as the records say it. Calls that unmap or move
/// pages have no records of them, so the rule forgets what it knows of an address space that makes one.
#[derive(Default)]
pub(super) struct Copies {
    /// The address space of each process.
    spaces: BTreeMap<u16, Space>,
    /// The frame at each page of each address space.
    shown: BTreeMap<Space, BTreeMap<u64, u64>>,
    /// How many address spaces show a frame at a page.
    users: BTreeMap<(u64, u64), u64>,
    /// The last child that each process made.
    children: BTreeMap<u16, u16>,
    made: u64,
}

impl Copies {
    fn set(&mut self, space: Space, page: u64, frame: u64) {
        if let Some(old) = self.shown.entry(space).or_default().insert(page, frame) {
            self.remove_user(page, old);
        }
        let users = self.users.entry((page, frame)).or_default();
        *users = users.saturating_add(1);
    }

    fn remove_user(&mut self, page: u64, frame: u64) {
        if let Some(users) = self.users.get_mut(&(page, frame)) {
            *users = users.saturating_sub(1);
            if *users == 0 {
                self.users.remove(&(page, frame));
            }
        }
    }

    fn forget_space(&mut self, space: Space) {
        for (page, frame) in self.shown.remove(&space).unwrap_or_default() {
            self.remove_user(page, frame);
        }
    }

    /// The process leaves its address space, which goes if no other process uses it.
    fn leave(&mut self, process: u16) {
        if let Some(space) = self.spaces.remove(&process)
            && !self.spaces.values().any(|other| *other == space)
        {
            self.forget_space(space);
        }
    }

    /// Forgets which pages the address space of a process has.
    fn forget_pages(&mut self, process: u16) {
        if let Some(&space) = self.spaces.get(&process) {
            self.forget_space(space);
        }
    }

    /// The process gets an address space of its own.
    fn enter_new(&mut self, process: u16) -> Space {
        self.leave(process);
        self.made = self.made.saturating_add(1);
        let space = (process, self.made);
        self.spaces.insert(process, space);
        space
    }

    fn cloned(&mut self, parent: u16, child: u16, flags: u64) {
        self.children.insert(parent, child);
        let Some(&from) = self.spaces.get(&parent) else { return };
        if flags & CLONE_VM != 0 {
            self.spaces.insert(child, from);
            return;
        }
        let to = self.enter_new(child);
        for (page, frame) in self.shown.get(&from).cloned().unwrap_or_default() {
            self.set(to, page, frame);
        }
    }

    fn resolved(
        &mut self,
        event: &Event,
        (how, page, frame): (Resolution, u64, u64),
        machine: &Machine,
        log: &mut Log,
    ) {
        let process = match call_of(machine, event.process) {
            // Pages of the new program, which has no records of its own yet.
            Some(Call::execve | Call::execveat) => return,
            // The kernel writes the child's number into the child's memory.
            Some(Call::clone | Call::clone3 | Call::fork | Call::vfork) => self.children.get(&event.process),
            _ => Some(&event.process),
        };
        let Some(&space) = process.and_then(|process| self.spaces.get(process)) else { return };
        let before = self.shown.get(&space).and_then(|pages| pages.get(&page)).copied();
        let others = self
            .users
            .get(&(page, frame))
            .copied()
            .unwrap_or(0)
            .saturating_sub((before == Some(frame)).into());
        let fault = match how {
            Resolution::Copied if before == Some(frame) => "the copy is the frame that was shared",
            Resolution::Copied | Resolution::Zeroed | Resolution::FileCopied | Resolution::Owned
                if others > 0 =>
            {
                "another process maps this frame at this address, but the page is writable"
            }
            _ => "",
        };
        if matches!(how, Resolution::Copied | Resolution::Owned) {
            log.test(fault.is_empty(), || Violation::new(fault, [event]));
        }
        if how != Resolution::File {
            self.set(space, page, frame);
        }
    }
}

impl Rule for Copies {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::ProcessCreated,
            Kind::SystemCallResult,
            Kind::ProcessExited,
            Kind::ProcessKilled,
            Kind::LoadFailed,
            Kind::Sleep,
            Kind::PageResolved,
            Kind::Cloned,
            Kind::Executed,
            Kind::ProcessSignaled,
        ])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let id = event.process;
        match event.what {
            What::ProcessCreated { .. } if id != 0 => _ = self.enter_new(id),
            What::Cloned { parent, flags, .. } => self.cloned(parent, id, flags),
            What::Executed { .. } => _ = self.enter_new(id),
            What::ProcessExited { .. }
            | What::ProcessKilled { .. }
            | What::ProcessSignaled { .. }
            | What::LoadFailed { .. } => {
                self.leave(id);
                self.children.remove(&id);
            }
            What::SystemCallResult { .. } => {
                let unmaps = |call| {
                    matches!(
                        call,
                        Call::mmap | Call::munmap | Call::mremap | Call::madvise | Call::brk | Call::mprotect
                    )
                };
                if call_of(machine, id).is_some_and(unmaps) {
                    self.forget_pages(id);
                }
            }
            // Other processes run in the middle of a call, or of the process's end: it may have freed pages already.
            What::Sleep { .. } => self.forget_pages(id),
            What::PageResolved { how, page, frame, .. } => {
                self.resolved(event, (how, page, frame), machine, log)
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Signal handlers that have not returned, of one process, that are kept.
const HANDLERS_MAX: usize = 16;

/// A handler that runs: the record that started it, and what it interrupted.
type Handler = (Event, Frame);

/// A task continues after a signal handler with the registers that the handler interrupted, unless the handler changed them
/// in its frame.
#[derive(Default)]
pub(super) struct SignalFrames {
    handlers: BTreeMap<u16, Vec<Handler>>,
    /// What must be returned to next.
    restored: BTreeMap<u16, (Event, Event, Frame)>,
}

impl Rule for SignalFrames {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::TrapReturn,
            Kind::ProcessExited,
            Kind::ProcessKilled,
            Kind::Executed,
            Kind::SignalDelivered,
            Kind::SignalReturned,
            Kind::ProcessSignaled,
        ])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let id = event.process;
        match event.what {
            What::SignalDelivered { rip, rsp, .. } => {
                self.restored.remove(&id);
                let Some(trap) = machine.trap(id) else { return };
                let mut frame = Frame { rip, rsp, ..trap.frame };
                match trap.result.as_ref().map(|result| result.what) {
                    // A second signal interrupts the first one's handler before it has run.
                    _ if trap.rewritten.is_some() => return,
                    Some(What::SystemCallResult { result, .. }) => frame.registers[RAX] = result as u64,
                    _ => {}
                }
                let handlers = self.handlers.entry(id).or_default();
                if handlers.len() == HANDLERS_MAX {
                    handlers.remove(0);
                }
                handlers.push((*event, frame));
            }
            What::SignalReturned { at, rip, rsp, sum } => {
                let handlers = self.handlers.entry(id).or_default();
                let is_its = |(delivered, _): &Handler| match delivered.what {
                    What::SignalDelivered { at: place, .. } => place == at,
                    _ => false,
                };
                let Some(index) = handlers.iter().rposition(is_its) else { return };
                let Some((delivered, frame)) = handlers.drain(index..).next() else { return };
                let unchanged =
                    matches!(delivered.what, What::SignalDelivered { sum: before, .. } if before == sum);
                if unchanged {
                    let same = (rip, rsp) == (frame.rip, frame.rsp);
                    log.test(same, || {
                        Violation::new(
                            "the frame's RIP or RSP is not the one that was stored there",
                            [&delivered, event],
                        )
                    });
                    self.restored.insert(id, (delivered, *event, frame));
                }
            }
            What::TrapReturn { frame } => {
                let Some((delivered, returned, mut expected)) = self.restored.remove(&id) else { return };
                // A call that is made again has its number in RAX.
                const RESTART: u64 = -512_i64 as u64;
                if expected.registers[RAX] == RESTART {
                    expected.registers[RAX] = frame.registers[RAX];
                }
                let differs = first_difference(&expected, &frame);
                log.test(differs.is_none(), || {
                    Violation::new(
                        format!("the handler interrupted a different {}", differs.unwrap_or_default()),
                        [&delivered, &returned, event],
                    )
                });
            }
            What::Executed { .. }
            | What::ProcessExited { .. }
            | What::ProcessKilled { .. }
            | What::ProcessSignaled { .. } => {
                self.handlers.remove(&id);
                self.restored.remove(&id);
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

/// All page frames are free again when all processes have ended.
pub(super) struct Frames;

impl Rule for Frames {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Memory])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        if let What::Memory { free_at_start, free_at_end } = event.what {
            log.test(free_at_start == free_at_end, || {
                Violation::new(
                    format!("{free_at_start} frames were free at the start, but {free_at_end} at the end"),
                    [event],
                )
            });
        }
    }
}
