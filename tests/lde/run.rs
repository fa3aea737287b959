//! A run of the binary and its trace.

use libtest_mimic::Failed;
use trace::analysis::{End, Summary};
use trace::{Event, Trace, What};

use crate::kernel::Code;
use crate::support::{self, Output, ensure};

/// What a run printed, and what is in its trace.
pub struct Run {
    pub output: Output,
    pub summary: Summary,
    pub events: Vec<Event>,
}

/// `trapline run ARGUMENTS`: it must end with `code` and leave a whole trace.
pub fn run(arguments: &[&str], code: i32) -> Result<Run, Failed> {
    let folder = support::folder();
    let arguments = [&["run", "--trace", "t.trap"], arguments].concat();
    let output = support::trapline(folder.path(), &arguments)?.expect(code)?;
    Run::read(output, &folder.path().join("t.trap"))
}

/// The same, on a changed kernel.
pub fn run_on(kernel: &Code, arguments: &[&str], code: i32) -> Result<Run, Failed> {
    let folder = support::folder();
    let file = folder.path().join("kernel.elf");
    std::fs::write(&file, kernel.file())?;
    run(&[arguments, &["--kernel", &file.display().to_string()]].concat(), code)
}

impl Run {
    /// The output and the trace of a finished run.
    pub fn read(output: Output, trace: &std::path::Path) -> Result<Run, Failed> {
        let trace = Trace::open(trace)?;
        ensure(trace.damage().is_empty(), || format!("the trace is not whole: {:?}", trace.damage()))?;
        Ok(Run { output, summary: Summary::of(&trace), events: trace.events().collect() })
    }

    /// What happened to a process, in order.
    pub fn of(&self, process: u16) -> impl Iterator<Item = &What> {
        self.events.iter().filter(move |event| event.process == process).map(|event| &event.what)
    }

    /// How a process ended.
    pub fn end(&self, process: u16) -> End {
        self.summary.processes.get(&process).map_or(End::Running, |process| process.end)
    }

    /// Fails unless the process ended by itself with this status.
    pub fn exits(&self, process: u16, status: i64) -> support::TestResult {
        let end = self.end(process);
        ensure(end == End::Exited(status), || format!("process {process} {end}: {:#?}", self.output))
    }

    /// Fails unless the process was killed for an exception of this vector; returns its error code and CR2.
    pub fn is_killed(&self, process: u16, vector: u8) -> Result<(u16, u64), Failed> {
        match self.end(process) {
            End::Killed(fault, _) if fault.vector == vector => Ok((fault.error_code, fault.cr2)),
            end => Err(format!("process {process} {end}, and was to be killed by exception {vector}").into()),
        }
    }

    /// Fails unless this text is in what was printed.
    pub fn says(&self, text: &str) -> support::TestResult {
        ensure(self.output.stdout.contains(text), || format!("{text:?} is not in {:#?}", self.output))
    }
}

/// The vector of a divide error.
pub const DIVIDE_ERROR: u8 = 0;
/// Of a general protection fault.
pub const GENERAL_PROTECTION: u8 = 13;
/// Of a page fault.
pub const PAGE_FAULT: u8 = 14;
