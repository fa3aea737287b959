//! Engines: what runs a guest. An engine loads kernel and programs into guest memory, runs the guest, and hands its port
//! accesses to the [`Bus`]. It depends neither on traces nor on the command line.
//!
//! [`kvm`] is the default, [`qemu`] is for hosts without KVM. An engine needs three things: guest memory that this
//! process can read, a way to call the bus while the guest waits, and a clock that counts as the guest's TSC does.

pub mod kvm;
pub mod qemu;

use thiserror::Error;

use self::kvm::Kvm;
use self::qemu::{Qemu, QemuError};
use crate::machine::boot::{BootError, Module, Settings};
use crate::machine::bus::Bus;
use crate::machine::clock::Clock;
use crate::machine::host::Missing;
use crate::machine::layout::Memory;
use crate::machine::run::Ended;
use crate::machine::vcpu::VmError;
use crate::sandbox::Call;

/// Which engine runs a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// KVM: the CPU runs the guest.
    Kvm,
    /// QEMU emulates the CPU. Times in the trace are times of the emulation.
    Qemu,
}

impl Accelerator {
    /// Every value.
    pub const ALL: &'static [Accelerator] = &[Accelerator::Kvm, Accelerator::Qemu];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Qemu => "qemu",
        }
    }

    /// The engine, with a guest that is ready to run.
    pub fn load(self, guest: &Guest) -> Result<Box<dyn Engine>, EngineError> {
        Ok(match self {
            Accelerator::Kvm => Box::new(Kvm::new(guest)?),
            Accelerator::Qemu => Box::new(Qemu::new(guest)?),
        })
    }
}

/// What an engine boots.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// The programs.
    pub modules: &'a [Module<'a>],
    /// The settings on the kernel's command line.
    pub settings: &'a Settings,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// What a trace says about the machine that made it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The host CPU's name.
    pub cpu: String,
    /// KVM's back end, such as `kvm_intel`; empty without KVM.
    pub back_end: String,
    /// What emulates the guest's CPU, such as `QEMU 7.2.22`, if it is emulated.
    pub emulator: Option<String>,
    /// The rate of the guest's TSC in kHz.
    pub tsc_khz: u64,
    /// The kernel's whole command line.
    pub kernel_command_line: String,
}

/// Interrupts a guest.
pub type Interrupt = Box<dyn Fn() + Send>;

/// Something that runs a guest. Creating it loads the guest, so afterwards only the guest itself can fail.
pub trait Engine {
    /// What the trace says about the machine.
    fn host(&self) -> &Host;
    /// Guest memory. The value shares it with the engine.
    fn memory(&self) -> Memory;
    /// The guest's time.
    fn clock(&self) -> Clock;
    /// The system calls of [`Engine::run`], for the sandbox. None: the guest runs in another process, and this one stays
    /// out of the sandbox.
    fn calls(&self) -> Option<&'static [Call]>;
    /// What interrupts the guest for its standard input; called in another thread. None: the guest has no input.
    fn interrupt(&self) -> Option<Interrupt>;
    /// Runs the guest until it ends or a signal stops it, then stops the devices on `bus`. Called once, in the thread of
    /// the [`Watch`](crate::machine::kick::Watch).
    fn run(&mut self, bus: &mut Bus) -> Ended;
}

/// Why an engine could not be created.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The guest cannot be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The virtual machine cannot be made.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// QEMU does not run.
    #[error(transparent)]
    Qemu(#[from] QemuError),
}

impl From<Missing> for EngineError {
    fn from(missing: Missing) -> Self {
        EngineError::Vm(missing.into())
    }
}
