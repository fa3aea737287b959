//! Rules about system calls and kills.

use abi::record::Kind;
use abi::syscall::errno::{self, ENOSYS};
use abi::syscall::{Call, Returns};

use super::machine::Machine;
use super::{Log, Rule, Seen, Violation};
use crate::file::{Event, What};

/// A result, and the call that returned it.
fn result_of(event: &Event, machine: &Machine) -> Option<(Event, u64, [u64; 6], i64)> {
    let What::SystemCallResult { result, .. } = event.what else { return None };
    let trap = machine.trap(event.process)?;
    let call = trap.call.as_deref().copied()?;
    let What::SystemCall { number } = call.what else { return None };
    Some((call, number, trap.frame.arguments(), result))
}

/// Call numbers are known, or the kernel returns -ENOSYS.
pub(super) struct Numbers;

impl Rule for Numbers {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::SystemCallResult])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some((call, number, _, result)) = result_of(event, machine) else { return };
        let answered = match event.what {
            What::SystemCallResult { number, .. } => number,
            _ => return,
        };
        let message = if number as u32 != answered {
            format!("call {number} was dispatched, but the result is of call {answered}")
        } else if Call::from_number(number).is_none() && result != -ENOSYS {
            format!("call {number} does not exist, but did not return -ENOSYS")
        } else {
            String::new()
        };
        log.test(message.is_empty(), || Violation::new(message, [&call, event]));
    }
}

/// A result is one that the type of the call allows.
pub(super) struct Results;

impl Rule for Results {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::SystemCallResult])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some((call, number, arguments, result)) = result_of(event, machine) else { return };
        let returns = Call::from_number(number).map_or(Returns::Number, |call| call.signature().returns);
        // A thread has a number of its own, and getpid returns that of its process.
        let is_thread = machine.process(event.process).is_some_and(|process| process.is_thread);
        let returns = if is_thread && returns == Returns::Itself { Returns::ItsThread } else { returns };
        log.test(is_possible(returns, &arguments, event.process, result), || {
            Violation::new(format!("this call cannot return {result:#x}"), [&call, event])
        });
    }
}

/// True if a call of this process may have this result.
fn is_possible(returns: Returns, arguments: &[u64; 6], process: u16, result: i64) -> bool {
    let is_error = result
        .checked_neg()
        .is_some_and(|error| errno::name(error).is_some() || errno::restart(error).is_some());
    match returns {
        Returns::Never => false,
        Returns::Anything => true,
        // Any call may return -ENOSYS, also one that cannot fail otherwise: a kernel may lack it.
        _ if is_error => true,
        Returns::Itself => result == i64::from(process),
        Returns::ItsThread | Returns::Owner | Returns::Permissions => result >= 0,
        Returns::Zero => result == 0,
        Returns::UpTo(count) => {
            let count = arguments.get(usize::from(count)).copied().unwrap_or_default();
            u64::try_from(result).is_ok_and(|result| result <= count)
        }
        Returns::NewFd | Returns::Process => (0..=i64::from(i32::MAX)).contains(&result),
        Returns::Number | Returns::Ready | Returns::OfFcntl | Returns::Location | Returns::OneOf(_) => {
            result >= 0
        }
    }
}

/// The most pages of work in a call before other processes run. The kernel stops far earlier.
const PAGES_MAX: u64 = 1024;
const PAGE: u64 = 4096;
/// The calls whose result says how many bytes the kernel copied.
const READS: [u64; 3] = [Call::read as u64, Call::pread64 as u64, Call::getrandom as u64];

/// A call that takes long lets other processes run meanwhile: interrupts are off in the kernel, so no tick can end its turn.
/// Work is counted in pages, because time also passes while the host writes what the guest prints.
#[derive(Default)]
pub(super) struct LongCalls {
    /// The pages that the call has made accessible or read while another process was ready.
    pages: u64,
}

impl Rule for LongCalls {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::SystemCall, Kind::SystemCallResult, Kind::ContextSaved, Kind::PageResolved])
    }

    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log) {
        let Some(trap) = machine.trap(event.process) else { return };
        let (Some(call), Some((waiting, _))) = (trap.call.as_deref(), machine.waiting(machine.current))
        else {
            self.pages = 0;
            return;
        };
        match event.what {
            What::PageResolved { by_kernel: true, .. } => self.pages = self.pages.saturating_add(1),
            What::SystemCallResult { number, result } => {
                let is_read = READS.contains(&number.into()) && !trap.switched;
                let read = if is_read { u64::try_from(result).unwrap_or(0) / PAGE } else { 0 };
                self.test(read, waiting, [call, event], log);
            }
            What::ContextSaved { .. } => self.test(0, waiting, [call, event], log),
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.pages = 0;
    }
}

impl LongCalls {
    fn test(&mut self, read: u64, waiting: u16, events: [&Event; 2], log: &mut Log) {
        let pages = std::mem::take(&mut self.pages).saturating_add(read);
        log.test(pages <= PAGES_MAX, || {
            let message = format!(
                "a call worked on {pages} pages while process {waiting} was ready; at most {PAGES_MAX} are allowed"
            );
            Violation::new(message, events)
        });
    }
}

/// Every kill has its fault.
pub(super) struct Kills;

impl Rule for Kills {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::ProcessKilled])
    }

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
                    "the process was killed for a fault that the trace does not have",
                    entry.chain([event]),
                )
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_within_their_types() {
        const ARGUMENTS: [u64; 6] = [3, 0x1000, 10, 0, 0, 0];
        let possible = |call: Call, result| is_possible(call.signature().returns, &ARGUMENTS, 7, result);
        for (call, result, expected) in [
            (Call::read, 10, true),
            (Call::read, 11, false),
            (Call::read, -errno::EBADF, true),
            (Call::read, -41, false),
            (Call::read, -4096, false),
            (Call::read, i64::MIN, false),
            (Call::close, 1, false),
            (Call::getpid, 7, true),
            (Call::getpid, -errno::ENOSYS, true),
            (Call::gettid, 9, true),
            (Call::exit, 0, false),
            (Call::openat, 1 << 31, false),
            (Call::mmap, 0x7fff_f000_0000, true),
            (Call::mmap, -(1 << 40), false),
            (Call::times, -(1 << 40), true),
        ] {
            assert_eq!(possible(call, result), expected, "{call:?} {result}");
        }
    }
}
