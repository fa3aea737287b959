//! The KVM engine: a VM with one vCPU in this process.

use abi::boot::Key;
use abi::ports::INPUT_VECTOR;
use nix::time::ClockId;

use super::{Engine, EngineError, Guest, Host, Interrupt};
use crate::machine::boot::{self, Clocks};
use crate::machine::bus::Bus;
use crate::machine::clock::{Clock, host_ns};
use crate::machine::layout::{self, Memory};
use crate::machine::run::{self, Ended};
use crate::machine::vcpu::{APIC_KHZ, Vm};
use crate::machine::{boot::BootError, host, stats};
use crate::sandbox::Call;

/// `_IO(KVMIO, 0x80)`.
const KVM_RUN: u32 = 0xAE80;
/// `_IOR(KVMIO, 0x98, struct kvm_mp_state)`.
const KVM_GET_MP_STATE: u32 = 0x8004_AE98;

/// The system calls of the run loop: it enters the guest, checks whether the guest has halted, and at the end reads KVM's
/// statistics file.
pub const CALLS: &[Call] = &[
    Call::ioctl("ioctl(KVM_RUN)", KVM_RUN),
    Call::ioctl("ioctl(KVM_GET_MP_STATE)", KVM_GET_MP_STATE),
    Call::ioctl("ioctl(KVM_GET_STATS_FD)", stats::KVM_GET_STATS_FD as u32),
    Call::new("read", libc::SYS_read),
];

/// The system calls by which the thread that reads standard input interrupts the guest.
pub const INTERRUPT_CALLS: &[Call] = &[Call::ioctl("ioctl(KVM_SIGNAL_MSI)", 0x4020_AEA5)];

/// A guest that is loaded and ready to run.
#[derive(Debug)]
pub struct Kvm {
    vm: Vm,
    memory: Memory,
    clock: Clock,
    host: Host,
}

impl Kvm {
    /// Loads the guest, then creates its VM. So a file that cannot boot is refused on a host without KVM too.
    pub fn new(guest: &Guest) -> Result<Kvm, EngineError> {
        let memory = layout::reserve(guest.memory_mib).map_err(BootError::from)?;
        let entry = boot::load(&memory, guest.kernel, guest.modules)?;
        let mut vm = Vm::new(&host::open()?, memory.clone())?;
        vm.vcpu.prepare(entry)?;
        let tsc_khz = vm.vcpu.tsc_khz()?;
        let clocks = Clocks { tsc_khz, apic_khz: APIC_KHZ, epoch_ns: host_ns(ClockId::CLOCK_REALTIME) };
        // `layout::reserve` maps new memory for each boot, and no firmware runs, so the memory is zeroed.
        let options = boot::options(guest.settings, &clocks, (Key::Zeroed, 1));
        boot::write_options(&memory, &options)?;
        let host = Host {
            cpu: host::cpu_name(),
            back_end: host::back_end().into(),
            emulator: None,
            tsc_khz,
            kernel_command_line: boot::command_line(&options),
        };
        Ok(Kvm { clock: vm.vcpu.clock(tsc_khz)?, vm, memory, host })
    }

    /// Lets KVM collect the writes to a port, and drops them.
    pub fn collect_writes(&mut self, port: u16) -> Result<(), EngineError> {
        Ok(self.vm.collect_writes(port)?)
    }
}

impl Engine for Kvm {
    fn host(&self) -> &Host {
        &self.host
    }

    fn memory(&self) -> Memory {
        self.memory.clone()
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn calls(&self) -> Option<&'static [Call]> {
        Some(CALLS)
    }

    fn interrupt(&self) -> Option<Interrupt> {
        Some(self.vm.interrupt(INPUT_VECTOR))
    }

    fn run(&mut self, bus: &mut Bus) -> Ended {
        run::run(&mut self.vm, bus, &self.clock)
    }
}
