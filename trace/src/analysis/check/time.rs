//! Rules about the timer and about turns.

use abi::record::{Kind, Reason, Timer};

use super::machine::Machine;
use super::{Log, Rule, Seen, Violation};
use crate::file::{Event, What};

/// How late a tick may come. The host may preempt the vCPU as any thread, and no record shows it. So only a delay that no
/// scheduler causes is a violation.
const HOST_SECONDS: u128 = 1;

/// The longest time in user mode that a quantum and the host explain, in TSC cycles.
pub(super) fn longest_turn(machine: &Machine) -> u128 {
    let second = u128::from(machine.tsc_khz).saturating_mul(1000);
    machine.quantum.saturating_add(second.saturating_mul(HOST_SECONDS))
}

/// A number of TSC cycles as `3 ms`, or `3 emulated ms`; 0 where the rate of the TSC is unknown.
pub(super) fn milliseconds(cycles: u128, machine: &Machine) -> String {
    let number = cycles.checked_div(machine.tsc_khz.into()).unwrap_or(0);
    format!("{number} {}ms", if machine.is_emulated { "emulated " } else { "" })
}

/// The timer was armed for every tick.
#[derive(Default)]
pub(super) struct TicksArmed {
    /// A periodic timer needs to be armed once only.
    for_ever: bool,
    /// How many interrupts may still arrive: one armed, and one pending until interrupts are on.
    armed: u8,
    last: Option<Event>,
}

impl Rule for TicksArmed {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Tick, Kind::TimerArmed])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        match event.what {
            What::TimerArmed { timer, .. } => {
                self.for_ever = timer == Timer::Periodic;
                self.armed = self.armed.saturating_add(1).min(2);
                self.last = Some(*event);
            }
            What::Tick { .. } => {
                log.test(self.for_ever || self.armed > 0, || {
                    Violation::new("a tick for which no timer was armed", self.last.iter().chain([event]))
                });
                self.armed = self.armed.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.armed = 2;
    }
}

/// A turn ends with its quantum if another process is ready.
pub(super) struct Turn;

impl Rule for Turn {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry, Kind::TrapReturn])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let waiting = || machine.waiting(machine.current).map(|(id, _)| id);
        match event.what {
            What::TrapReturn { frame } if event.process != 0 && frame.trap().is_some() => {
                let Some(trap) = machine.trap(event.process) else { return };
                let Some((tick, waiting)) = trap.tick.as_deref().copied().zip(waiting()) else { return };
                log.test(trap.switched, || {
                    let message =
                        format!("the quantum is over, but the kernel did not switch to process {waiting}, which is ready");
                    Violation::new(message, [&trap.entry, &tick, event])
                });
            }
            What::TrapEntry { frame, .. } if frame.cpl() == 3 && machine.quantum > 0 => {
                let Some(waiting) = waiting() else { return };
                let user = machine.user_in_turn.saturating_add(machine.user_until(event.tsc));
                let longest = longest_turn(machine);
                log.test(user <= longest, || {
                    let message = format!(
                        "{} in user mode without a tick while process {waiting} is ready; the quantum and the host explain {}",
                        milliseconds(user, machine),
                        milliseconds(longest, machine)
                    );
                    Violation::new(message, machine.last.iter().chain([event]))
                });
            }
            _ => {}
        }
    }
}

/// Under the cooperative policy no process is preempted.
pub(super) struct NoPreemption;

impl Rule for NoPreemption {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::Tick, Kind::TimerArmed, Kind::ContextSaved])
    }

    fn see(&mut self, event: &Event, _machine: &Machine, log: &mut Log) {
        let message = match event.what {
            What::ContextSaved { reason: Reason::Preempted, .. } => "a process was preempted",
            What::Tick { .. } if event.process != 0 => "the timer interrupted a process",
            What::TimerArmed { .. } if event.process != 0 => "a timer was armed while a process runs",
            What::ContextSaved { .. } | What::Tick { .. } | What::TimerArmed { .. } => "",
            _ => return,
        };
        log.test(message.is_empty(), || Violation::new(message, [event]));
    }
}
