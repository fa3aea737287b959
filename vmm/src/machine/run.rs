//! The run loop: enter the guest, hand what came out to the bus, until something ends it.
//!
//! Each event costs one ioctl, KVM_RUN. Time is the TSC, read twice an exit; everything else is counted up
//! here and told once, at the end, as [`HostRecord`]s.

use abi::record::{Ending, HostCounter, Kind, Stop};
use kvm_bindings::kvm_regs;
use nix::time::ClockId;

use super::bus::{Bus, End, Flow};
use super::clock::{Clock, host_ns, host_tsc};
use super::kick;
use super::vcpu::{Exit, Vcpu, Vm};

/// Exit reasons that have a count of their own; KVM has about 40. Higher ones share the last.
const REASONS: usize = 64;

/// Something that the host itself has to tell, in the layout of [`abi::record`].
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

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What stopped it, if something outside did.
    pub stop: Option<Stop>,
    /// The vCPU's registers as it last came out. After a triple fault some hosts have already reset them.
    pub registers: kvm_regs,
    /// What the host counted, in order.
    pub records: Vec<HostRecord>,
}

/// Costs of one exit reason, in cycles.
#[derive(Clone, Copy, Default)]
struct Cost {
    count: u64,
    guest: u64,
    host: u64,
}

/// Runs the guest to its end.
pub fn run(vm: &mut Vm, bus: &mut Bus, clock: &Clock) -> Outcome {
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
        kicks += u64::from(exit == Exit::Interrupted);
        let reason = vm.vcpu.exit_reason() as usize;
        let flow = handle(exit, &mut vm.vcpu, bus);
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
    let stop = (end.ending == Ending::Stopped).then(kick::reason).flatten();
    let registers = vm.vcpu.registers();
    let mut records = vec![];
    records.extend(stop.map(|stop| HostRecord {
        tsc: clock.now(),
        kind: Kind::HostStop,
        detail: stop as u32,
        words: vec![],
    }));
    records.extend(exit_records(&costs, clock));
    let kvm = vm.vcpu.kvm_counts();
    let own = [(HostCounter::Mmio, Some(mmio)), (HostCounter::Kicks, Some(kicks))];
    let theirs = [(HostCounter::InterruptsInjected, kvm.interrupts), (HostCounter::KvmExits, kvm.exits)];
    let bus = bus.counts().map(|(counter, value)| (counter, Some(value)));
    let counts = own.into_iter().chain(bus).chain(theirs);
    records.extend(counts.filter_map(|(counter, value)| Some(count_record(clock, counter, value?))));
    Outcome { end, stop, registers, records }
}

/// What an exit means. Everything that the devices need not know is decided here.
fn handle(exit: Exit, vcpu: &mut Vcpu, bus: &mut Bus) -> Flow {
    let end = |ending, status, message| Flow::End(End { ending, status, message });
    match exit {
        Exit::Out { port, size, value } => bus.write(port, size, value),
        Exit::In { port, size } => {
            vcpu.answer_port(bus.read(port, size));
            Flow::Continue
        }
        Exit::Mmio => Flow::Continue,
        Exit::Interrupted => match kick::reason() {
            Some(_) => end(Ending::Stopped, 0, None),
            None => Flow::Continue,
        },
        Exit::Shutdown => end(Ending::TripleFault, 0, None),
        Exit::InternalError { suberror, instruction } => {
            end(Ending::KvmError, suberror.into(), Some(internal_error(suberror, &instruction)))
        }
        Exit::FailEntry { reason } => {
            let message = format!("the hardware refused the guest's state (code {reason:#x})");
            end(Ending::KvmError, reason, Some(message))
        }
        Exit::Failed { errno } => {
            let message = format!("KVM_RUN failed: {}", std::io::Error::from_raw_os_error(errno));
            end(Ending::KvmError, errno as u64, Some(message))
        }
        Exit::Halt | Exit::Other => {
            let reason = vcpu.exit_reason();
            let message = format!("the guest left with KVM exit {reason}, which no guest of Trapline makes");
            end(Ending::Unexpected, reason.into(), Some(message))
        }
    }
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

/// The end, with Trapline's exit code.
pub fn end_record(clock: &Clock, outcome: &Outcome, code: u8) -> HostRecord {
    let End { ending, status, .. } = outcome.end;
    HostRecord {
        tsc: clock.now(),
        kind: Kind::HostEnd,
        detail: code.into(),
        words: vec![ending as u64, status, outcome.registers.rip],
    }
}

fn exit_records(costs: &[Cost; REASONS], clock: &Clock) -> impl Iterator<Item = HostRecord> {
    costs.iter().enumerate().filter(|(_, cost)| cost.count > 0).map(|(reason, cost)| HostRecord {
        tsc: clock.now(),
        kind: Kind::HostExits,
        detail: reason as u32,
        words: vec![cost.count, clock.nanoseconds(cost.guest), clock.nanoseconds(cost.host)],
    })
}
