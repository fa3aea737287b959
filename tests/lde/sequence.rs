//! The same programs give the same events: whatever the batch, and on every host.
//!
//! Ticks and the switches that they cause differ from run to run, and addresses from build to build. So both are left out.
//! `sequence.txt` has the rest.

use std::fmt::Write;

use abi::record::SYSCALL_VECTOR;
use abi::syscall::{Call, INT_VECTOR};
use trace::What;
use trace::analysis::End;

use crate::run::{Run, run};
use crate::support::{TestResult, ensure};

const GOLDEN: &str = include_str!("sequence.txt");
const TIMER_VECTOR: u8 = 32;
const PROGRAMS: [&str; 13] = [
    "hello",
    "counter 6",
    "polite 3",
    "forger",
    "divider",
    "wild",
    "rogue",
    "overflow",
    "thief",
    "jumper",
    "pages",
    "arguments one two",
    "deep 5 7",
];

pub fn is_golden_in_both_batch_modes() -> TestResult {
    for batch in ["1", "1024"] {
        let arguments = [&PROGRAMS[..], &["--quantum", "2ms", "--batch", batch]].concat();
        let text = sequences(&run(&arguments, 32)?);
        let differs = text.lines().zip(GOLDEN.lines()).position(|(ours, golden)| ours != golden);
        ensure(text == GOLDEN, || {
            format!("batch {batch}: it differs from sequence.txt in line {differs:?}:\n{text}")
        })?;
    }
    Ok(())
}

/// What each process did, one line per trap.
fn sequences(run: &Run) -> String {
    let mut text = String::new();
    for (process, program) in (1..).zip(PROGRAMS) {
        let _ = writeln!(text, "{program}");
        let mut door = "";
        for what in run.of(process) {
            let _ = match *what {
                What::TrapEntry { frame, .. } => match frame.vector as u8 {
                    SYSCALL_VECTOR => {
                        door = "syscall";
                        Ok(())
                    }
                    INT_VECTOR => {
                        door = "int 0x80";
                        Ok(())
                    }
                    TIMER_VECTOR => Ok(()),
                    vector => writeln!(text, "  exception {vector}"),
                },
                What::SystemCall { number } => match Call::from_number(number) {
                    Some(call) => write!(text, "  {door}: {}", call.name()),
                    None => write!(text, "  {door}: {number:#x}"),
                },
                What::SystemCallResult { result, .. } => writeln!(text, " = {result}"),
                _ => Ok(()),
            };
        }
        let _ = match run.end(process) {
            End::Exited(status) => writeln!(text, "\n  exited with {status}"),
            End::Signaled(signal) => writeln!(text, "  killed by signal {signal}"),
            End::Killed(fault, _) => writeln!(text, "  killed by exception {}", fault.vector),
            End::Running => writeln!(text, "  still running"),
        };
    }
    text
}
