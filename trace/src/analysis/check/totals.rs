//! Rules that compare the guest's records with what the host and KVM counted.
//!
//! A run that was stopped or that crashed may end between an action and its record. Then a count may be higher.

use abi::record::{Ending, HostCounter, Kind};
use abi::syscall::Call;

use super::machine::{Machine, is_interrupt};
use super::{Log, Rule, Seen, Violation};
use crate::analysis::count;
use crate::file::{Event, Origin, What};

/// The exit reason KVM_EXIT_IO.
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

/// The interrupts that KVM injected.
///
/// KVM injects an interrupt again if the guest exits before it is delivered, so KVM's count may be higher but never lower.
/// Where the hardware delivers interrupts without KVM (APICv, AVIC), KVM counts none, and nothing is tested.
#[derive(Default)]
pub(super) struct Interrupts {
    taken: u64,
    injected: Count,
}

impl Rule for Interrupts {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::TrapEntry, Kind::HostCount])
    }

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
                    format!("the guest took {taken} interrupts, but KVM injected {injected}"),
                    [&event],
                )
            });
        }
    }
}

/// How often the doorbell rang.
#[derive(Default)]
pub(super) struct Doorbells {
    records: u64,
    /// Ticks and idle waits; the doorbell rings at each.
    occasions: u64,
    rung: Count,
}

impl Rule for Doorbells {
    fn sees(&self) -> Seen {
        Seen::All
    }

    fn see(&mut self, event: &Event, _machine: &Machine, _log: &mut Log) {
        let is_occasion = matches!(event.what, What::Tick { .. } | What::Idle {});
        self.records = self.records.saturating_add((event.origin == Origin::Guest).into());
        self.occasions = self.occasions.saturating_add(is_occasion.into());
        note(&mut self.rung, HostCounter::Doorbells, event);
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        let Some((rung, event)) = self.rung.filter(|_| machine.whole) else { return };
        // The run may have been stopped just before the doorbell rang.
        let last = u64::from(machine.ending != Some(Ending::Exited));
        let (records, least) = (self.records, self.occasions.saturating_sub(last));
        log.test((least..=records).contains(&rung), || {
            let message = format!(
                "the doorbell rang {rung} times for {records} records, {least} of them ticks and idle waits"
            );
            Violation::new(message, [&event])
        });
    }
}

/// The bytes of the console. A Linux program writes to a stream, a file or a pipe. Under KVM the streams have ports of their
/// own, and the host counts their bytes apart. Under QEMU they are among the bytes of the console, and the other count is 0.
#[derive(Default)]
pub(super) struct Console {
    has_linux: bool,
    streams_apart: bool,
    /// The results come from the file, so their sum may need more than 64 bits, and so may the sum below.
    written: u128,
    /// The kernel writes messages of its own.
    kernel_speaks: bool,
    bytes: Count,
}

impl Rule for Console {
    fn sees(&self) -> Seen {
        Seen::Only(&[
            Kind::SystemCallResult,
            Kind::LoadFailed,
            Kind::KernelPanic,
            Kind::PageResolved,
            Kind::HostCount,
        ])
    }

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
            What::PageResolved { .. } => self.has_linux = true,
            What::HostCount { counter: HostCounter::StreamBytes, value: 1.. } => self.streams_apart = true,
            _ => note(&mut self.bytes, HostCounter::ConsoleBytes, event),
        }
    }

    fn end(&mut self, machine: &Machine, log: &mut Log) {
        let Some((bytes, event)) = self.bytes.filter(|_| machine.whole) else { return };
        let written = self.written;
        let is_alone = !self.has_linux || self.streams_apart;
        let exact = machine.ending == Some(Ending::Exited) && !self.kernel_speaks && is_alone;
        let bytes = u128::from(bytes);
        let holds = if exact { bytes == written } else { bytes >= written };
        log.test(holds, || {
            Violation::new(
                format!("write() returned {written} bytes in total, but the console received {bytes}"),
                [&event],
            )
        });
    }
}

/// The VM exits.
#[derive(Default)]
pub(super) struct Exits {
    ports: Count,
    writes: u64,
    kvm: Count,
}

impl Rule for Exits {
    fn sees(&self) -> Seen {
        Seen::Only(&[Kind::HostExits, Kind::HostCount])
    }

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
                    format!("the guest wrote to the doorbell {writes} times, but there were only {ports} port exits"),
                    [&event],
                )
            });
        }
        if let Some((kvm, event)) = self.kvm {
            let ports = self.ports.map_or(0, |(ports, _)| ports);
            log.test(kvm >= ports, || {
                Violation::new(
                    format!("KVM counted {kvm} exits, but the host saw {ports} port exits"),
                    [&event],
                )
            });
        }
    }
}
