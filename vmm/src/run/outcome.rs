//! The result of a run.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use abi::record::{Ending, HostCounter, Kind, Stop};
use trace::analysis::Summary;
use trace::{OpenError, Trace};

use super::trace_file::Place;
use crate::machine::bus::End;
use crate::machine::clock::Clock;
use crate::machine::run::{Ended, HostRecord};

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
    /// The host's own records of the run, which the trace has too.
    pub records: Vec<HostRecord>,
    /// How often the guest wrote to ports without a device, by port; the first few ports only.
    pub unowned_writes: BTreeMap<u16, u64>,
    /// The guest's time.
    pub clock: Clock,
    place: Option<Place>,
}

impl Outcome {
    pub(super) fn new(ended: &Ended, clock: Clock, missing: u64, place: Option<Place>) -> Outcome {
        Outcome {
            end: ended.end.clone(),
            stop: ended.stop,
            rip: ended.registers.rip,
            missing,
            console: Vec::new(),
            errors: Vec::new(),
            console_error: None,
            exit_code: 0,
            records: ended.records.clone(),
            unowned_writes: ended.unowned_writes.clone(),
            clock,
            place,
        }
    }

    /// Whether every process exited with status 0 and no record is missing from the trace.
    pub fn all_well(&self) -> bool {
        let well = u64::from(abi::exit::ALL_WELL);
        (self.end.ending, self.end.status, self.missing) == (Ending::Exited, well, 0)
    }

    /// The trace file, or `-` for standard output, if the run kept a trace. A temporary file is removed with the outcome.
    pub fn trace_path(&self) -> Option<&Path> {
        self.place.as_ref().map(Place::path)
    }

    /// Whether the trace is a regular file, so that it can be read back. A FIFO, a device and standard output cannot.
    pub fn is_readable(&self) -> bool {
        self.place.as_ref().is_some_and(Place::is_readable)
    }

    /// Opens the trace.
    ///
    /// # Errors
    /// It cannot be read, or the run kept none.
    pub fn trace(&self) -> Result<Trace, OpenError> {
        match self.trace_path() {
            Some(path) => Trace::open(path),
            None => Err(OpenError::Read { path: PathBuf::new(), cause: ErrorKind::NotFound.into() }),
        }
    }

    /// What the host counted, if it counts that.
    pub fn count(&self, counter: HostCounter) -> Option<u64> {
        let is_it = |record: &&HostRecord| record.kind == Kind::HostCount && record.detail == counter as u32;
        self.records.iter().find(is_it)?.words.first().copied()
    }

    /// How often the guest stopped and the host's program ran, by VM exits of all kinds.
    pub fn exits(&self) -> u64 {
        let exits = self.records.iter().filter(|record| record.kind == Kind::HostExits);
        exits.filter_map(|record| record.words.first()).sum()
    }

    /// The run in numbers, read from the trace: each process and its end among them.
    pub fn summary(&self) -> Result<Summary, OpenError> {
        self.trace().map(|trace| Summary::of(&trace))
    }
}
