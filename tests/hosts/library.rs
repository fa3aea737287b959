//! Runs that a program of one's own starts, with `trapline::run`.

use std::time::Duration;

use abi::record::{Ending, Stop};
use trace::What;
use trace::analysis::End;
use trapline::run::{Program, Run, RunError, TraceFile};

use crate::support::{Suite, TestResult, ensure, folder};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("a_run_from_rust_has_an_outcome", a_run_has_an_outcome)
        .kvm("runs_of_several_threads_take_turns", runs_of_several_threads_take_turns)
        .kvm("a_run_from_rust_keeps_its_time_out", a_run_keeps_its_time_out)
        .kvm("a_run_from_rust_replaces_a_trace_only_if_asked", a_trace_is_replaced_only_if_asked)
}

fn program(name: &str) -> Result<Program, libtest_mimic::Failed> {
    Program::built_in(name).ok_or_else(|| format!("there is no program {name}").into())
}

fn a_run_has_an_outcome() -> TestResult {
    let outcome = Run::new(vec![program("hello")?, program("divider")?]).execute()?;
    let failed = u64::from(abi::exit::PROCESS_FAILED);
    ensure((outcome.end.ending, outcome.end.status) == (Ending::Exited, failed), || format!("{outcome:?}"))?;
    ensure(!outcome.all_well() && outcome.missing == 0, || format!("{outcome:?}"))?;
    ensure(outcome.console.starts_with(b"hello: "), || format!("{outcome:?}"))?;
    let summary = outcome.summary()?;
    ensure(summary.processes[&1].end == End::Exited(0), || format!("{summary:?}"))?;
    ensure(matches!(summary.processes[&2].end, End::Killed(..)), || format!("{summary:?}"))?;
    let trace = outcome.trace()?;
    ensure(trace.events().any(|event| matches!(event.what, What::SystemCall { .. })), || "no call".into())
}

fn runs_of_several_threads_take_turns() -> TestResult {
    let run = Run::new(vec![program("hello")?]);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run.execute())).collect();
        for thread in threads {
            let outcome = thread.join().map_err(|_| "a run panicked")??;
            ensure(outcome.all_well(), || format!("{outcome:?}"))?;
        }
        Ok(())
    })
}

fn a_run_keeps_its_time_out() -> TestResult {
    let mut run = Run::new(vec![program("hog")?]);
    run.timeout = Some(Duration::from_millis(100));
    let outcome = run.execute()?;
    ensure(outcome.stop == Some(Stop::TimeOut), || format!("{outcome:?}"))
}

fn a_trace_is_replaced_only_if_asked() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let mut run = Run::new(vec![program("hello")?]);
    run.trace = TraceFile::At { path: path.clone(), replace: false };
    ensure(run.execute()?.all_well(), || "it did not run".into())?;
    let refused = run.execute();
    ensure(matches!(&refused, Err(error) if error.is_usage()), || format!("{refused:?}"))?;
    run.trace = TraceFile::At { path, replace: true };
    match run.execute() {
        Ok(outcome) => ensure(outcome.trace()?.damage().is_empty(), || format!("{outcome:?}")),
        Err(error @ RunError::Trace(_)) => Err(format!("it was not replaced: {error}").into()),
        Err(error) => Err(error.into()),
    }
}
