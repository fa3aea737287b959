//! The expected end of a process.

use std::collections::BTreeMap;

use super::{Failure, Seen, Watch, Whole};
use crate::analysis;
use crate::analysis::filter::is_called;
use crate::analysis::hardware::Fault;
use crate::file::What;

/// How the process must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Exited(i64),
    Killed(u8),
    Signaled(u32),
}

/// Each process of this name ends in this way, and there is at least one such process.
pub(super) struct End<'a> {
    process: &'a str,
    wanted: &'a Wanted,
    /// The processes of that name: the index of the event that ended or created the process, and the end.
    ends: BTreeMap<u16, (u64, String, analysis::End)>,
}

impl<'a> End<'a> {
    pub(super) fn new(process: &'a str, wanted: &'a Wanted) -> Self {
        End { process, wanted, ends: BTreeMap::new() }
    }
}

impl Watch for End<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        let end = match seen.event.what {
            What::ProcessCreated { .. } => analysis::End::Running,
            What::ProcessExited { status } => analysis::End::Exited(status),
            What::ProcessSignaled { signal, .. } => analysis::End::Signaled(signal),
            What::ProcessKilled { vector, error_code, rip, cr2 } => {
                analysis::End::Killed(Fault { vector, error_code, cr2 }, rip)
            }
            _ => return,
        };
        if is_called(seen.event, seen.names, self.process) {
            let name = seen.names.label(seen.event.origin, seen.event.process).into_owned();
            self.ends.insert(seen.event.process, (seen.at, name, end));
        }
    }

    fn judge(&self, _whole: &Whole<'_>) -> Result<(), Failure> {
        if self.ends.is_empty() {
            return Err(Failure::new(format!("the trace has no process {}", self.process), None));
        }
        let is_other = |end: &analysis::End| match (end, self.wanted) {
            (analysis::End::Exited(status), Wanted::Exited(wanted)) => status != wanted,
            (analysis::End::Killed(fault, _), Wanted::Killed(wanted)) => fault.vector != *wanted,
            (analysis::End::Signaled(signal), Wanted::Signaled(wanted)) => signal != wanted,
            _ => true,
        };
        match self.ends.values().find(|(.., end)| is_other(end)) {
            None => Ok(()),
            Some((at, name, analysis::End::Running)) => {
                Err(Failure::new(format!("{name} does not end"), Some(*at)))
            }
            Some((at, name, end)) => Err(Failure::new(format!("{name} {end}"), Some(*at))),
        }
    }
}
