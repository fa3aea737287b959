//! The result of a run.

use std::io;
use std::path::Path;

use abi::record::{Ending, Stop};
use trace::analysis::Summary;
use trace::{OpenError, Trace};

use super::trace_file::Place;
use crate::machine::bus::End;
use crate::machine::run::Ended;

/// The result of a run: how it ended, what is missing from its trace, what it printed. All else is in the trace.
#[derive(Debug)]
pub struct Outcome {
    /// How the guest ended.
    pub end: End,
    /// What stopped the run from outside, if anything did.
    pub stop: Option<Stop>,
    /// RIP at the end. After a triple fault some hosts have already reset it.
    pub rip: u64,
    /// Records, or bytes of records, that the guest made and the trace does not have.
    pub missing: u64,
    /// What the guest printed, if [`Run::execute`](super::Run::execute) kept it.
    pub console: Vec<u8>,
    /// What Linux programs wrote to standard error, if [`Run::execute`](super::Run::execute) kept it.
    pub errors: Vec<u8>,
    /// The error that stopped the copy to standard output before the guest ended.
    pub console_error: Option<io::Error>,
    /// The exit code in the trace's last record.
    pub exit_code: u8,
    place: Place,
}

impl Outcome {
    pub(super) fn new(ended: &Ended, missing: u64, place: Place) -> Outcome {
        Outcome {
            end: ended.end.clone(),
            stop: ended.stop,
            rip: ended.registers.rip,
            missing,
            console: Vec::new(),
            errors: Vec::new(),
            console_error: None,
            exit_code: 0,
            place,
        }
    }

    /// Whether every process exited with status 0 and no record is missing from the trace.
    pub fn all_well(&self) -> bool {
        let well = u64::from(abi::exit::ALL_WELL);
        (self.end.ending, self.end.status, self.missing) == (Ending::Exited, well, 0)
    }

    /// The trace file. A temporary one is removed with the outcome.
    pub fn trace_path(&self) -> &Path {
        self.place.path()
    }

    /// Whether the trace is a regular file, so that it can be read back. A FIFO and a device cannot.
    pub fn is_readable(&self) -> bool {
        self.trace_path().is_file()
    }

    /// Opens the trace.
    pub fn trace(&self) -> Result<Trace, OpenError> {
        Trace::open(self.trace_path())
    }

    /// The run in numbers, read from the trace: each process and its end among them.
    pub fn summary(&self) -> Result<Summary, OpenError> {
        self.trace().map(|trace| Summary::of(&trace))
    }
}
