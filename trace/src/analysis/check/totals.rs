//! Rules that compare the guest's records with what the host and KVM counted.
//!
//! A run that was stopped, or that crashed, may end between a deed and its record; then a count may be higher.

use abi::record::{Ending, HostCounter};
use abi::syscall::Call;

use super::machine::{Machine, is_interrupt};
use super::{Log, Rule, Violation};
use crate::analysis::count;
use crate::file::{Event, Origin, What};

/// KVM_EXIT_IO.
const EXIT_PORT: u32 = 2;

/// The host's record of a count.
type Count = Option<(u64, Event)>;

fn note(count: &mut Count, wanted: HostCounter, event: &Event) {
    if let What::HostCount { counter, value } = event.what
        && counter == wanted
    {
        *count = Some((value, *event));
    }
}

/// KVM's injected interrupts.
///
/// KVM may inject one twice, where the guest had to leave again before it was delivered; so its count is never
/// lower. Where hardware delivers interrupts without KVM (APICv, AVIC), KVM counts none, and nothing is tested.
#[derive(Default)]
pub(super) struct Interrupts {
    taken: u64,
    injected: Count,
}

impl Rule for Interrupts {
    fn see(&mut self, event: &Event, _machine: &Machine, _log: &mut Log) {
        match event.what {
            What::TrapEntry { arrived, .. } if is_interrupt(arrived) => count(&mut self.taken),
            _ => note(&mut self.injected, HostCounter::InterruptsInjected, event),
        }
    }

    fn end(&mut self, _machine: &Machine, log: &mut Log) {
        let taken = self.taken;
        if let Some((injected @ 1.., event)) = self.injected.filter(|_| taken > 0) {
            log.test(injected >= taken, || {
                Violation::new(
                    format!("the guest took {taken} interrupts, and KVM injected {injected}"),
                    [&event],
                )
            });
        }
    }
}

/// Doorbells.
#[derive(Default)]
pub(super) struct Doorbells {
    records: u64,
    /// Ticks and idle waits: the bell rings at each.
    occasions: u64,
    rung: Count,
}

impl Rule for Doorbells {
    fn see(&mut self, event: &Event, _machine: &Machine, _log: &mut Log) {
        let is_occasion = matches!(event.what, What::Tick { .. } | What::Idle {});
        self.records = self.records.saturating_add((event.origin == Origin::Guest).into());
        self.occasions = self.occasions.saturating_add(is_occasion.into());
        note(&mut self.rung, HostCounter::Doorbells, event);
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        let Some((rung, event)) = self.rung.filter(|_| machine.whole) else { return };
        // The one that was about to ring when the run was stopped.
        let last = u64::from(machine.ending != Some(Ending::Exited));
        let (records, least) = (self.records, self.occasions.saturating_sub(last));
        log.test((least..=records).contains(&rung), || {
            let message =
                format!("it rang {rung} times, for {records} records, {least} of them ticks and idle waits");
            Violation::new(message, [&event])
        });
    }
}

/// Console bytes. What a Linux program writes goes to a stream, a file or a pipe, and not to the console.
#[derive(Default)]
pub(super) struct Console {
    /// Results are numbers of the file: their sum may need more than 64 bits, and so may the one below.
    written: u128,
    /// The kernel has its own messages.
    kernel_speaks: bool,
    bytes: Count,
}

impl Rule for Console {
    fn see(&mut self, event: &Event, machine: &Machine, _log: &mut Log) {
        match event.what {
            What::SystemCallResult { result, .. } => {
                let trap = machine.trap(event.process);
                let call = trap.and_then(|trap| trap.call.as_deref()).map(|call| call.what);
                if let (Some(trap), Some(What::SystemCall { number })) = (trap, call)
                    && number == Call::write as u64
                    && matches!(trap.frame.arguments(), [1 | 2, ..])
                    && !machine.process(event.process).is_some_and(|process| process.is_linux)
                {
                    let bytes = u128::try_from(result).unwrap_or(0);
                    self.written = self.written.saturating_add(bytes);
                }
            }
            What::LoadFailed { .. } | What::KernelPanic { .. } => self.kernel_speaks = true,
            _ => note(&mut self.bytes, HostCounter::ConsoleBytes, event),
        }
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        let Some((bytes, event)) = self.bytes.filter(|_| machine.whole) else { return };
        let written = self.written;
        let exact = machine.ending == Some(Ending::Exited) && !self.kernel_speaks;
        let bytes = u128::from(bytes);
        let holds = if exact { bytes == written } else { bytes >= written };
        log.test(holds, || {
            Violation::new(format!("write() wrote {written} bytes, and the console got {bytes}"), [&event])
        });
    }
}

/// VM exits.
#[derive(Default)]
pub(super) struct Exits {
    ports: Count,
    writes: u64,
    kvm: Count,
}

impl Rule for Exits {
    fn see(&mut self, event: &Event, _machine: &Machine, _log: &mut Log) {
        match event.what {
            What::HostExits { reason, count, .. } => {
                self.ports = Some((count, *event)).filter(|_| reason == EXIT_PORT).or(self.ports);
            }
            What::HostCount { counter: HostCounter::Doorbells, value } => self.writes = value,
            _ => note(&mut self.kvm, HostCounter::KvmExits, event),
        }
    }

    fn end(&mut self, _machine: &Machine, log: &mut Log) {
        if let Some((ports, event)) = self.ports {
            let writes = self.writes;
            log.test(ports >= writes, || {
                Violation::new(
                    format!("the bell was rung {writes} times, in {ports} exits of ports"),
                    [&event],
                )
            });
        }
        if let Some((kvm, event)) = self.kvm {
            let ports = self.ports.map_or(0, |(ports, _)| ports);
            log.test(kvm >= ports, || {
                Violation::new(
                    format!("KVM counted {kvm} exits, and the host saw {ports} of ports alone"),
                    [&event],
                )
            });
        }
    }
}
