//! Rules about system calls and kills.

use abi::syscall::Call;
use abi::syscall::errno::ENOSYS;

use super::machine::Machine;
use super::{Log, Rule, Violation};
use crate::file::{Event, What};

/// Linux's largest error number: a negative result below its negative is not an error.
const ERRNO_MAX: i64 = 4095;

/// A result and the call that it is of.
fn result_of(event: &Event, machine: &Machine) -> Option<(Event, u64, [u64; 6], i64)> {
    let What::SystemCallResult { result, .. } = event.what else { return None };
    let trap = machine.trap(event.process)?;
    let call = trap.call.as_deref().copied()?;
    let What::SystemCall { number } = call.what else { return None };
    Some((call, number, trap.frame.arguments(), result))
}

/// Numbers are known, or refused.
pub(super) struct Numbers;

impl Rule for Numbers {
    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some((call, number, _, result)) = result_of(event, machine) else { return };
        let answered = match event.what {
            What::SystemCallResult { number, .. } => number,
            _ => return,
        };
        let message = if number as u32 != answered {
            format!("call {number} was dispatched, and the result is of call {answered}")
        } else if Call::from_number(number).is_none() && result != -ENOSYS {
            format!("there is no call {number}, and it was not refused with -ENOSYS")
        } else {
            String::new()
        };
        log.test(message.is_empty(), || Violation::new(message, [&call, event]));
    }
}

/// Results are possible ones.
pub(super) struct Results;

impl Rule for Results {
    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some((call, number, [_, _, count, ..], result)) = result_of(event, machine) else { return };
        let is_thread = machine.process(event.process).is_some_and(|process| process.is_thread);
        let is_error = (-ERRNO_MAX..0).contains(&result);
        let possible = is_error
            || match Call::from_number(number) {
                Some(Call::read | Call::write) => result as u64 <= count,
                Some(Call::getpid) => result == i64::from(event.process) || is_thread,
                // RAX is what the frame of the signal says.
                Some(Call::rt_sigreturn) => true,
                Some(Call::sched_yield | Call::nanosleep | Call::clock_gettime) => result == 0,
                // They do not return at all.
                Some(Call::exit | Call::exit_group) => false,
                _ => result >= 0,
            };
        log.test(possible, || Violation::new(format!("this call cannot give {result:#x}"), [&call, event]));
    }
}

/// Kills have faults.
pub(super) struct Kills;

impl Rule for Kills {
    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let What::ProcessKilled { vector, error_code, rip, cr2 } = event.what else { return };
        let trap = machine.trap(event.process);
        let is_its_fault = |entry: &Event| {
            entry.trap().is_some_and(|trap| {
                (trap.vector, trap.error_code, trap.frame.rip, trap.frame.cpl())
                    == (vector, error_code, rip, 3)
                    && trap.cr2.is_none_or(|found| found == cr2)
            })
        };
        log.test(
            !machine.whole && trap.is_none() || trap.is_some_and(|trap| is_its_fault(&trap.entry)),
            || {
                let entry = trap.into_iter().map(|trap| &trap.entry);
                Violation::new(
                    "the process was killed for a fault that it did not make",
                    entry.chain([event]),
                )
            },
        );
    }
}
