//! Typical errors of kernels in development, as rules in plain words.

use std::collections::BTreeMap;

use abi::hardware::rflags::IF;
use abi::record::Kind;

use super::machine::{Machine, is_exception};
use super::time::{longest_turn, milliseconds};
use super::{Log, Rule, Seen, Violation};
use crate::analysis::hardware::{Fault, vector_name};
use crate::file::{Event, Trap, What};

/// How many times in a row one instruction may fault, because a kernel may need more than one step to resolve a fault.
const SAME_FAULT_MAX: u32 = 2;

/// One instruction faults again and again.
#[derive(Default)]
pub(super) struct SameFault {
    last: BTreeMap<u16, (Event, u32)>,
}

impl Rule for SameFault {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let Some(Trap { vector, frame, cr2, .. }) = event.trap() else { return };
        if !is_exception(vector) {
            self.last.remove(&event.process);
            return;
        }
        let key =
            |event: &Event| event.trap().map(|trap| (trap.vector, trap.frame.rip, trap.frame.rsp, trap.cr2));
        let before = self.last.get(&event.process).copied();
        let times = before
            .filter(|(before, _)| key(before) == Some((vector, frame.rip, frame.rsp, cr2)))
            .map_or(1, |(_, times)| times.saturating_add(1));
        self.last.insert(event.process, (*event, times));
        log.test(times <= SAME_FAULT_MAX, || {
            let message = format!(
                "{} at {:#x}, {times} times in a row: the kernel neither resolves the fault nor ends the process",
                vector_name(vector),
                frame.rip
            );
            Violation::new(message, before.iter().map(|(before, _)| before).chain([event]))
        });
    }

    fn forget(&mut self) {
        self.last.clear();
    }
}

/// After this many quanta without a tick, the timer counts as silent.
const SILENT_QUANTA: u128 = 20;

/// The timer fell silent.
pub(super) struct TimerSilent;

impl TimerSilent {
    fn test(event: &Event, machine: &Machine, log: &mut Log) {
        let user = machine.user_without_tick.saturating_add(machine.user_until(event.tsc));
        let longest = longest_turn(machine).saturating_add(machine.quantum.saturating_mul(SILENT_QUANTA));
        log.test(user <= longest, || {
            let message = format!(
                "no tick in {} of user mode: did the kernel send the end of interrupt before the switch, and arm the timer again?",
                milliseconds(user, machine)
            );
            Violation::new(message, machine.last_tick.iter().chain(&machine.last).chain([event]))
        });
    }
}

impl Rule for TimerSilent {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry, Kind::HostEnd])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        match event.what {
            What::TrapEntry { frame, .. } if super::machine::is_interrupt(frame.vector as u8) => {
                Self::test(event, machine, log)
            }
            What::HostEnd { .. } if machine.quantum > 0 => Self::test(event, machine, log),
            _ => {}
        }
    }
}

/// Interrupts stay off in user mode.
pub(super) struct InterruptsOff;

impl Rule for InterruptsOff {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::KernelStackFilled, Kind::TrapReturn])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let (What::TrapReturn { frame } | What::KernelStackFilled { frame }) = event.what else { return };
        if frame.cpl() == 3 {
            log.test(frame.rflags & IF != 0, || {
                Violation::new(
                    "IF is 0 in a frame for user mode, so the timer could not interrupt the process",
                    [event],
                )
            });
        }
    }
}

/// How many turns of others, times the number of processes, a ready process may have to wait for. A run queue never exceeds
/// it, and a lottery scheduler does once in thousands of runs.
const PASSED_OVER_MAX: u64 = 8;

/// A process that is never chosen.
pub(super) struct NeverChosen;

impl Rule for NeverChosen {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::ContextLoaded, Kind::Idle])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        // No other process has waited for more turns than the one that has waited longest.
        let Some((id, passed)) = machine.waiting(Some(event.process)) else { return };
        log.test(passed <= PASSED_OVER_MAX.saturating_mul(machine.alive), || {
            let message =
                format!("process {id} is ready, but {passed} turns went to others: is it in the run queue?");
            let created = machine.process(id).and_then(|process| process.created.as_deref());
            Violation::new(message, created.into_iter().chain([event]))
        });
    }
}

/// An `iretq` faults.
#[derive(Default)]
pub(super) struct IretqFault {
    /// The last return, until another record than a trap from ring 0 follows it.
    returned: Option<Event>,
}

impl Rule for IretqFault {
    fn sees(&self) -> Seen {
        Seen::All
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        match event.what {
            What::TrapReturn { .. } => {
                log.note_test();
                self.returned = Some(*event);
            }
            What::TrapEntry { frame, .. } if frame.cpl() == 0 => {}
            What::KernelPanic { reason, rip, error_code, cr2, .. } => {
                // #TS, #NP, #SS, #GP: the faults of `iretq` when it loads segments from a frame (SDM vol. 2, IRET).
                let vector = u8::try_from(reason).ok().filter(|vector| (10..=13).contains(vector));
                if let Some((vector, returned)) = vector.zip(self.returned) {
                    let fault = Fault { vector, error_code: error_code as u16, cr2 };
                    log.fail(|| {
                        let message = format!(
                            "the iretq at {rip:#x} faulted: {fault}; look at the frame that it restored"
                        );
                        Violation::new(message, [&returned, event])
                    });
                }
            }
            _ => self.returned = None,
        }
    }

    fn forget(&mut self) {
        self.returned = None;
    }
}
