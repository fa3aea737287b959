//! Why a run could not start, or its trace could not be written.

use std::io;
use std::path::PathBuf;

use abi::boot::PROCESSES_MAX;
use thiserror::Error;
use trace::{OpenError, WriteError};

use crate::engine::EngineError;
use crate::machine::boot::BootError;
use crate::machine::bus::Overlap;
use crate::machine::kick::WatchError;
use crate::machine::layout::LayoutError;
use crate::machine::vcpu::VmError;
use crate::sandbox::SandboxError;

/// Why there is no [`Outcome`](super::Outcome).
#[derive(Debug, Error)]
pub enum RunError {
    /// The kernel's file cannot be read.
    #[error("cannot read the kernel {} (--kernel)", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// The error of the read.
        source: io::Error,
    },
    /// A file for the guest cannot be read.
    #[error("cannot read {} (--file)", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the read.
        source: io::Error,
    },
    /// The files for the guest do not fit into its memory.
    #[error(
        "the files (--file) do not fit into the guest's memory of {memory_mib} MiB; set a larger size with --memory"
    )]
    FilesTooLarge {
        /// The guest's memory.
        memory_mib: u64,
    },
    /// More programs than a kernel accepts.
    #[error("a run can have at most {PROCESSES_MAX} programs, but this one has {count}")]
    TooManyPrograms {
        /// How many there are.
        count: usize,
    },
    /// A program that is larger than the guest's memory.
    #[error(
        "{name} needs {wanted_mib} MiB of memory, but the guest has {memory_mib} MiB; set a larger size with --memory"
    )]
    ProgramTooLarge {
        /// Its name.
        name: String,
        /// The size of its segments.
        wanted_mib: u64,
        /// The guest's memory.
        memory_mib: u64,
    },
    /// A stack that is larger than the guest's memory.
    #[error(
        "the stack may grow to {stack_mib} MiB and the guest has {memory_mib} of memory; give it more with --memory, or \
         choose a smaller --stack"
    )]
    StackTooLarge {
        /// How far it may grow.
        stack_mib: u64,
        /// The guest's memory.
        memory_mib: u64,
    },
    /// A time-out of zero.
    #[error("--timeout is zero, so the run would end before it starts; set a longer one")]
    NoTime,
    /// Signals or the time-out cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The guest cannot be loaded, or the virtual machine cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The trace file cannot be created or written.
    #[error(transparent)]
    Trace(#[from] WriteError),
    /// The trace cannot be read back.
    #[error("cannot read the trace back")]
    ReadBack(#[source] OpenError),
    /// The sandbox cannot be entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// There is no place for a temporary trace file.
    #[error("cannot create a temporary folder for the trace")]
    Temporary(#[source] io::Error),
    /// The thread that reads standard input cannot be started.
    #[error("cannot start the thread that reads standard input")]
    Input(#[source] io::Error),
    /// Two devices claim the same port.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

impl RunError {
    /// Whether the host lacks what the run needs: a usable KVM, or with [`Accelerator::Qemu`](super::Accelerator::Qemu) a
    /// QEMU.
    pub fn is_missing_engine(&self) -> bool {
        match self {
            RunError::Engine(EngineError::Qemu(error)) => error.is_missing(),
            _ => self.is_missing_kvm(),
        }
    }

    /// Whether the host has no usable KVM.
    pub fn is_missing_kvm(&self) -> bool {
        matches!(self, RunError::Engine(EngineError::Vm(VmError::Missing(missing))) if missing.is_lasting())
    }

    /// Whether the error is in the request, and not in the host.
    pub fn is_usage(&self) -> bool {
        match self {
            RunError::Kernel { .. }
            | RunError::File { .. }
            | RunError::FilesTooLarge { .. }
            | RunError::TooManyPrograms { .. }
            | RunError::ProgramTooLarge { .. }
            | RunError::StackTooLarge { .. }
            | RunError::NoTime
            | RunError::Trace(WriteError::Exists { .. }) => true,
            RunError::Engine(EngineError::Boot(error)) => {
                use BootError::{Layout, Memory, StartInfo};
                !matches!(error, Layout(LayoutError::Reserve { .. }) | Memory(_) | StartInfo(_))
            }
            _ => false,
        }
    }
}
