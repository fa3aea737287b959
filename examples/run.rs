//! Runs two programs in a virtual machine and looks at what the CPU did to them: `cargo run --release --example run`.
//!
//! A test of your own can look the same. It needs KVM; without it, the example ends with 77, which test harnesses
//! read as "skipped".

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use trace::analysis::End;
use trace::{Trace, What};
use trapline::run::{Program, Run, RunError};

/// The vector of a page fault (SDM vol. 3, table 7-1).
const PAGE_FAULT: u8 = 14;

fn main() -> ExitCode {
    match counter_is_preempted_and_wild_is_killed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let is_skipped = error.downcast_ref().is_some_and(RunError::is_missing_kvm);
            ExitCode::from(if is_skipped { 77 } else { 1 })
        }
    }
}

fn counter_is_preempted_and_wild_is_killed() -> Result<(), Box<dyn Error>> {
    let counter = Program::built_in("counter").ok_or("there is no such program")?;
    let wild = Program::built_in("wild").ok_or("there is no such program")?;
    let mut run = Run::new(vec![counter.with_arguments(["500"])?, wild]);
    run.settings.quantum_us = 1000;
    run.timeout = Some(Duration::from_secs(30));

    let outcome = run.execute()?;
    assert_eq!(
        (outcome.stop, outcome.missing),
        (None, 0),
        "the guest stopped by itself, and its trace is whole"
    );
    print!("{}", String::from_utf8_lossy(&outcome.console));

    let processes = outcome.summary()?.processes;
    assert_eq!(processes[&1].end, End::Exited(0));
    assert!(matches!(processes[&2].end, End::Killed(fault, _) if fault.vector == PAGE_FAULT));
    println!("counter was interrupted {} times", ticks(&outcome.trace()?, 1));
    Ok(())
}

/// How often the timer interrupted a process.
fn ticks(trace: &Trace, process: u16) -> usize {
    trace.events().filter(|event| event.process == process && matches!(event.what, What::Tick { .. })).count()
}
