//! What a trace says about the run it is of: JSON in the file's head.
//!
//! Fields may be added: a reader ignores those it does not know and takes the default for those it misses.

use serde::{Deserialize, Serialize};

/// The run that a trace is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// [`abi::VERSION`] of the guest's records.
    pub abi_version: u16,
    /// The version of Trapline that wrote the file.
    pub trapline_version: String,
    /// The host CPU's own name.
    pub host_cpu: String,
    /// KVM's back end, the name of its kernel module; empty where an emulator ran the guest.
    pub kvm_backend: String,
    /// The emulator of the guest's CPU and its version, if the CPU was emulated: then all times are times of the emulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
    /// The rate of the guest's TSC in kHz; 0 where it is unknown.
    pub tsc_khz: u64,
    /// The guest kernel.
    pub kernel: Image,
    /// The user programs, in the order of their processes.
    pub programs: Vec<Program>,
    /// How the run was asked for.
    pub options: Options,
    /// What was wrong with the file that this one was recovered from, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<String>,
}

impl Meta {
    /// What ran the guest: KVM's back end, such as `kvm_intel`, or `emulated by QEMU 7.2.22`.
    pub fn engine(&self) -> String {
        self.emulator.as_ref().map_or_else(|| self.kvm_backend.clone(), |name| format!("emulated by {name}"))
    }

    /// Whether the CPU was emulated, so that no time in the trace is one of hardware.
    pub fn is_emulated(&self) -> bool {
        self.emulator.is_some()
    }
}

/// A file that was loaded into the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A user program, and what it was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its name: of a file, without the folder.
    pub name: String,
    /// The path that it was started by, its first argument; empty in traces of earlier versions.
    pub path: String,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The options of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// A policy of [`abi::boot`].
    pub policy: String,
    /// The quantum in microseconds.
    pub quantum_us: u64,
    /// A timer mode of [`abi::boot`].
    pub timer: String,
    /// How many records wait before the bell rings.
    pub batch: u64,
    /// The guest's memory in MiB.
    pub memory_mib: u64,
    /// When the host stops the run, in milliseconds; none: never.
    pub timeout_ms: Option<u64>,
    /// The kernel's command line in full.
    pub kernel_command_line: String,
}
