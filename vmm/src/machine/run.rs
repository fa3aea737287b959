//! The run loop: it enters the guest and acts on each exit until one of them ends the run.
//!
//! `action` says what an exit means, without KVM, so that its tests cover every exit. Each exit costs one ioctl, KVM_RUN,
//! and two readings of the TSC. Everything else is counted and becomes [`HostRecord`]s once, at the end.

use std::collections::BTreeMap;

use abi::record::{Ending, HostCounter, Kind, Stop};
use kvm_bindings::kvm_regs;
use nix::time::ClockId;

use super::bus::{Bus, End, Flow};
use super::clock::{Clock, host_ns, host_tsc};
use super::kick;
use super::vcpu::{Exit, Vm};

/// How many exit reasons have separate counts; KVM has about 40. Higher reasons share the last count.
const REASONS: usize = 64;

/// A record of the host's own, in the layout of [`abi::record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRecord {
    /// The guest's TSC.
    pub tsc: u64,
    /// A kind from [`abi::record::FIRST_HOST_KIND`] on.
    pub kind: Kind,
    /// As the kind says.
    pub detail: u32,
    /// As the kind says.
    pub words: Vec<u64>,
}

/// How the guest stopped.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// What stopped it from outside, if anything did.
    pub stop: Option<Stop>,
    /// The vCPU's registers at its last exit. After a triple fault some hosts have already reset them.
    pub registers: kvm_regs,
    /// The host's own records of the run, in order of time.
    pub records: Vec<HostRecord>,
    /// Writes to ports without a device, by port, as [`Bus::unowned_writes`] counts them.
    pub unowned_writes: BTreeMap<u16, u64>,
}

/// Costs of one exit reason, in cycles.
#[derive(Clone, Copy, Default)]
struct Cost {
    count: u64,
    guest: u64,
    host: u64,
}

/// Runs the guest until it ends or a [`kick`] stops it, then stops the devices.
pub fn run(vm: &mut Vm, bus: &mut Bus, clock: &Clock) -> Ended {
    let mut costs = [Cost::default(); REASONS];
    let mut mmio = 0;
    let mut kicks = 0;
    // SAFETY: the byte lies in the run page of `vm.vcpu`, which is borrowed until this function returns, and
    // nothing below touches that byte.
    let _target = unsafe { kick::Target::new(vm.vcpu.immediate_exit()) };
    let mut entered = host_tsc();
    let end = loop {
        let exit = vm.vcpu.run();
        let left = host_tsc();
        mmio += u64::from(exit == Exit::Mmio);
        kicks += u64::from(exit == Exit::Interrupted && kick::reason().is_some());
        let exit = match exit {
            Exit::Interrupted if vm.vcpu.is_halted_for_good() => Exit::Halt,
            exit => exit,
        };
        let reason = vm.vcpu.exit_reason() as usize;
        let flow = match action(&exit, kick::reason()) {
            Action::Enter => Flow::Continue,
            Action::Look => {
                bus.look();
                Flow::Continue
            }
            Action::Write { port, size, value } => bus.write(port, size, value),
            Action::Read { port, size } => {
                vm.vcpu.answer_port(bus.read(port, size));
                Flow::Continue
            }
            Action::End(end) => Flow::End(end),
        };
        let cost = &mut costs[reason.min(REASONS - 1)];
        let done = host_tsc();
        cost.count += 1;
        cost.guest += left.wrapping_sub(entered);
        cost.host += done.wrapping_sub(left);
        entered = done;
        if let Flow::End(end) = flow {
            break end;
        }
    };
    bus.stop();
    let stop = (end.ending == Ending::Stopped).then(kick::reason).flatten();
    let mut records: Vec<HostRecord> = stop.map(|stop| stop_record(clock, stop)).into_iter().collect();
    records.extend(exit_records(&costs, clock));
    let kvm = vm.vcpu.kvm_counts();
    let own = [(HostCounter::Mmio, Some(mmio)), (HostCounter::Kicks, Some(kicks))];
    let kvm = [
        (HostCounter::InterruptsInjected, kvm.interrupts),
        (HostCounter::KvmExits, kvm.exits),
        (HostCounter::KvmEmulated, kvm.emulated),
    ];
    let unowned_writes = bus.unowned_writes().clone();
    let bus = bus.counts().into_iter().map(|(counter, value)| (counter, Some(value)));
    let counts = own.into_iter().chain(kvm).chain(bus);
    records.extend(counts.filter_map(|(counter, value)| Some(count_record(clock, counter, value?))));
    Ended { end, stop, registers: vm.vcpu.registers(), records, unowned_writes }
}

/// What the run loop does about an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Enters the guest again.
    Enter,
    /// Lets the viewer of the run look at the guest, then enters it again.
    Look,
    /// Hands a port write to the bus.
    Write { port: u16, size: u8, value: u32 },
    /// Answers a port read from the bus.
    Read { port: u16, size: u8 },
    /// Ends the run.
    End(End),
}

/// What the run loop does about an exit; `stop` is the reason of a kick, if there was one. Devices decide only about their
/// ports; everything else is decided here.
fn action(exit: &Exit, stop: Option<Stop>) -> Action {
    let end = |ending, status, message| Action::End(End { ending, status, message });
    match *exit {
        Exit::Out { port, size, value } => Action::Write { port, size, value },
        Exit::In { port, size } => Action::Read { port, size },
        Exit::Mmio => Action::Enter,
        Exit::Interrupted if stop.is_some() => end(Ending::Stopped, 0, None),
        Exit::Interrupted => Action::Look,
        Exit::Shutdown => end(Ending::TripleFault, 0, None),
        Exit::InternalError { suberror, ref instruction } => {
            end(Ending::KvmError, suberror.into(), Some(internal_error(suberror, instruction)))
        }
        Exit::FailEntry { reason } => {
            let message =
                format!("KVM could not enter the guest (hardware entry failure, reason {reason:#x})");
            end(Ending::KvmError, reason, Some(message))
        }
        Exit::Failed { errno } => {
            let message = format!("KVM_RUN failed: {}", std::io::Error::from_raw_os_error(errno));
            end(Ending::KvmError, errno as u64, Some(message))
        }
        Exit::Halt => Action::End(halted()),
        Exit::Other { reason } => {
            let message = format!("KVM_RUN returned exit reason {reason}, which Trapline does not support");
            end(Ending::Unexpected, reason.into(), Some(message))
        }
    }
}

/// The end of a guest that halted with interrupts off.
pub fn halted() -> End {
    let message =
        "the guest halted for good: it executed `hlt` with interrupts off, so no interrupt can wake it";
    End { ending: Ending::Halted, status: 0, message: Some(message.into()) }
}

fn internal_error(suberror: u32, instruction: &[u8]) -> String {
    if suberror != kvm_bindings::KVM_INTERNAL_ERROR_EMULATION {
        return format!("KVM reports an internal error (suberror {suberror})");
    }
    let bytes: Vec<String> = instruction.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = if bytes.is_empty() { "bytes unknown".to_owned() } else { bytes.join(" ") };
    format!("KVM could not emulate an instruction of the guest ({bytes})")
}

/// A pair of clocks, now.
pub fn clock_record(clock: &Clock) -> HostRecord {
    HostRecord {
        tsc: clock.now(),
        kind: Kind::HostClock,
        detail: 0,
        words: vec![host_ns(ClockId::CLOCK_MONOTONIC), host_ns(ClockId::CLOCK_REALTIME)],
    }
}

/// One of the host's counts, now.
pub fn count_record(clock: &Clock, counter: HostCounter, value: u64) -> HostRecord {
    HostRecord { tsc: clock.now(), kind: Kind::HostCount, detail: counter as u32, words: vec![value] }
}

/// The end of the run, with Trapline's exit code.
pub fn end_record(clock: &Clock, ended: &Ended, code: u8) -> HostRecord {
    let End { ending, status, .. } = ended.end;
    HostRecord {
        tsc: clock.now(),
        kind: Kind::HostEnd,
        detail: code.into(),
        words: vec![ending as u64, status, ended.registers.rip],
    }
}

/// The run was stopped from outside, now.
pub fn stop_record(clock: &Clock, stop: Stop) -> HostRecord {
    HostRecord { tsc: clock.now(), kind: Kind::HostStop, detail: stop as u32, words: vec![] }
}

fn exit_records(costs: &[Cost; REASONS], clock: &Clock) -> impl Iterator<Item = HostRecord> {
    costs.iter().enumerate().filter(|(_, cost)| cost.count > 0).map(|(reason, cost)| HostRecord {
        tsc: clock.now(),
        kind: Kind::HostExits,
        detail: reason as u32,
        words: vec![cost.count, clock.nanoseconds(cost.guest), clock.nanoseconds(cost.host)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ending, status and message of an exit that ends the run.
    fn end(exit: Exit, stop: Option<Stop>) -> (Ending, u64, String) {
        match action(&exit, stop) {
            Action::End(End { ending, status, message }) => (ending, status, message.unwrap_or_default()),
            other => panic!("{exit:?} does not end the run: {other:?}"),
        }
    }

    #[test]
    fn accesses_of_ports_go_to_the_bus_and_other_memory_is_ignored() {
        for stop in [None, Some(Stop::TimeOut)] {
            let write = Exit::Out { port: 0x500, size: 4, value: 7 };
            assert_eq!(action(&write, stop), Action::Write { port: 0x500, size: 4, value: 7 });
            let read = Exit::In { port: 0xE9, size: 1 };
            assert_eq!(action(&read, stop), Action::Read { port: 0xE9, size: 1 });
            assert_eq!(action(&Exit::Mmio, stop), Action::Enter);
        }
    }

    #[test]
    fn an_interruption_ends_the_run_only_after_a_kick() {
        assert_eq!(action(&Exit::Interrupted, None), Action::Look);
        for stop in [Stop::TimeOut, Stop::Interrupted] {
            assert_eq!(end(Exit::Interrupted, Some(stop)), (Ending::Stopped, 0, String::new()));
        }
    }

    #[test]
    fn a_triple_fault_ends_the_run() {
        assert_eq!(end(Exit::Shutdown, None), (Ending::TripleFault, 0, String::new()));
    }

    #[test]
    fn an_instruction_that_kvm_cannot_emulate_is_shown() {
        let failure = |instruction| {
            let suberror = kvm_bindings::KVM_INTERNAL_ERROR_EMULATION;
            end(Exit::InternalError { suberror, instruction }, None)
        };
        let (ending, status, message) = failure(vec![0x0F, 0x0B]);
        assert_eq!((ending, status), (Ending::KvmError, 1));
        assert!(message.contains("(0f 0b)"), "{message}");
        assert!(failure(vec![]).2.contains("bytes unknown"));
    }

    #[test]
    fn other_internal_errors_name_their_number() {
        let (ending, status, message) = end(Exit::InternalError { suberror: 3, instruction: vec![] }, None);
        assert_eq!((ending, status), (Ending::KvmError, 3));
        assert!(message.contains("suberror 3"), "{message}");
    }

    #[test]
    fn a_refused_entry_names_the_hardware_reason() {
        let (ending, status, message) = end(Exit::FailEntry { reason: 0x8000_0021 }, None);
        assert_eq!((ending, status), (Ending::KvmError, 0x8000_0021));
        assert!(message.contains("0x80000021"), "{message}");
    }

    #[test]
    fn a_failed_ioctl_names_the_error() {
        let (ending, status, message) = end(Exit::Failed { errno: libc::ENOMEM }, None);
        assert_eq!((ending, status), (Ending::KvmError, libc::ENOMEM as u64));
        assert!(message.contains("KVM_RUN failed: Cannot allocate memory"), "{message}");
    }

    #[test]
    fn a_guest_that_halts_for_good_ends_the_run() {
        let (ending, status, message) = end(Exit::Halt, None);
        assert_eq!((ending, status), (Ending::Halted, 0));
        assert!(message.contains("halted for good"), "{message}");
    }

    #[test]
    fn unsupported_exits_name_their_number() {
        let (ending, status, message) = end(Exit::Other { reason: 29 }, None);
        assert_eq!((ending, status), (Ending::Unexpected, 29));
        assert!(message.contains("exit reason 29"), "{message}");
    }
}
