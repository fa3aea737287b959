//! The tour: the programs that `trapline run` runs if the command line has none, and how each process must end.

use std::time::Duration;

use abi::hardware::vector::{GENERAL_PROTECTION, PAGE_FAULT};
use trace::analysis::{End, Summary};

/// The quantum of the tour: short enough for about a hundred switches.
pub const QUANTUM: Duration = Duration::from_millis(2);
/// The tour takes about a second. On a host where it hangs, the time-out ends it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How a process of the tour must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// By itself, with status 0.
    Exits,
    /// Killed for the exception of this vector.
    Killed(u8),
}

/// The vector of #DE.
const DIVIDE_ERROR: u8 = 0;

const TOUR: [(&str, Expected); 7] = [
    ("hello", Expected::Exits),
    ("counter", Expected::Exits),
    ("hog 300", Expected::Exits),
    ("polite", Expected::Exits),
    ("divider", Expected::Killed(DIVIDE_ERROR)),
    ("wild", Expected::Killed(PAGE_FAULT)),
    ("rogue", Expected::Killed(GENERAL_PROTECTION)),
];

/// The programs of the tour, with their arguments.
pub fn programs() -> impl Iterator<Item = &'static str> {
    TOUR.iter().map(|(program, _)| *program)
}

/// One sentence for each process that did not end as it must.
pub fn surprises(summary: &Summary) -> Vec<String> {
    let process = |index: usize| summary.processes.get(&(index as u16 + 1));
    let surprise = |(index, (program, expected)): (usize, &(&str, Expected))| {
        let end = process(index).map_or(End::Running, |process| process.end);
        (!expected.is(&end)).then(|| format!("{program} must {expected}, but the trace says: {end}"))
    };
    TOUR.iter().enumerate().filter_map(surprise).collect()
}

impl Expected {
    fn is(self, end: &End) -> bool {
        match (self, end) {
            (Expected::Exits, End::Exited(status)) => *status == 0,
            (Expected::Killed(vector), End::Killed(fault, _)) => fault.vector == vector,
            _ => false,
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Exits => f.write_str("exit with 0"),
            Expected::Killed(vector) => write!(f, "be killed by exception {vector}"),
        }
    }
}
