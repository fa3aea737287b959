//! Engines: what runs a guest. An engine loads kernel and programs into guest memory, runs the guest, and hands its port
//! accesses to the [`Bus`]. It knows neither traces nor the command line.
//!
//! KVM is the one engine today. An engine needs three things: guest memory that this process can read, a way to call the
//! bus while the guest waits, and a clock that counts as the guest's TSC does.

pub mod kvm;

use thiserror::Error;

use crate::machine::boot::{BootError, Module, Settings};
use crate::machine::bus::Bus;
use crate::machine::clock::Clock;
use crate::machine::host::Missing;
use crate::machine::layout::Memory;
use crate::machine::run::Ended;
use crate::machine::vcpu::VmError;

/// What an engine boots.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// The programs.
    pub modules: &'a [Module<'a>],
    /// What the kernel is told on its command line.
    pub settings: &'a Settings,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// What a trace says about the machine that made it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The host CPU's name.
    pub cpu: String,
    /// What runs the guest, such as `kvm_intel`.
    pub back_end: String,
    /// The rate of the guest's TSC in kHz.
    pub tsc_khz: u64,
    /// The kernel's whole command line.
    pub kernel_command_line: String,
}

/// Something that runs a guest. Making one loads the guest, so that nothing but the guest itself can fail later.
pub trait Engine {
    /// What the trace says about the machine.
    fn host(&self) -> &Host;
    /// Guest memory. The value shares it with the engine.
    fn memory(&self) -> Memory;
    /// The guest's time.
    fn clock(&self) -> Clock;
    /// Runs the guest until it ends or a signal stops it, then stops the devices on `bus`. Called once, in the thread of
    /// the [`Watch`](crate::machine::kick::Watch).
    fn run(&mut self, bus: &mut Bus) -> Ended;
}

/// Why an engine could not be made.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The guest cannot be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The virtual machine cannot be made.
    #[error(transparent)]
    Vm(#[from] VmError),
}

impl From<Missing> for EngineError {
    fn from(missing: Missing) -> Self {
        EngineError::Vm(missing.into())
    }
}
