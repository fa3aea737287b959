//! The policy `direct`: without limits, a program controls the machine and can damage it.

use abi::record::{Ending, HostCounter};
use trace::What;

use crate::run::{Run, run};
use crate::support::{self, TestResult, ensure};

/// The program and its trap are all in ring 0, and `main` returns to the kernel like any function.
pub fn called_and_returned() -> TestResult {
    let run = run(&["hello", "deep", "--policy", "direct"], 0)?;
    run.says("hello: a program")?;
    // The first returns, as the book's first figure has it; the second ends by a trap inside its calls.
    for process in [1, 2] {
        let called = run.of(process).any(|what| matches!(what, What::Called { .. }));
        let returned = run.of(process).any(|what| matches!(what, What::Returned { .. }));
        ensure(called && returned == (process == 1), || format!("process {process}: {called} {returned}"))?;
    }
    for event in &run.events {
        if let What::TrapEntry { frame, .. } = event.what {
            ensure(frame.cpl() == 0, || format!("a trap from ring {}", frame.cpl()))?;
        }
    }
    Ok(())
}

/// What a program does, the exit code, and the ending that the host records.
const LOSSES: [(&str, i32, Ending); 8] = [
    ("hog", 36, Ending::Stopped),
    ("vandal interrupts", 36, Ending::Stopped),
    ("vandal text", 36, Ending::Stopped),
    ("vandal write", 34, Ending::Exited),
    ("divider", 34, Ending::Exited),
    ("vandal table", 33, Ending::TripleFault),
    ("vandal data", 33, Ending::TripleFault),
    ("vandal off", 0, Ending::Exited),
];

pub fn machine_is_lost() -> TestResult {
    for (program, code, ending) in LOSSES {
        let run = run(&[program, "counter 5", "--policy", "direct", "--timeout", "2s"], code)?;
        let ended = run.summary.ending.map(|(ending, ..)| ending);
        ensure(ended == Some(ending), || format!("{program}: {ended:?}"))?;
        // The other process never ran.
        let others = run.of(2).filter(|what| matches!(what, What::TrapEntry { .. })).count();
        ensure(others == 0, || format!("{program}: the other program made {others} traps"))?;
        let panicked = run.summary.panic.is_some();
        ensure(panicked == (code == 34), || format!("{program}: panic {:?}", run.summary.panic))?;
    }
    Ok(())
}

pub fn boots_again() -> TestResult {
    let folder = support::folder();
    let crash = ["run", "vandal table", "--policy", "direct", "--trace", "t.trap"];
    let arguments = [&crash[..], &["--restart-on-crash=2"]].concat();
    let output = support::trapline(folder.path(), &arguments)?.expect(33)?;
    let boots = output.stdout.matches("vandal: table\n").count();
    ensure(boots == 3, || format!("{boots} boots: {output:#?}"))?;
    for (name, before) in [("t.trap", None), ("t-2.trap", Some(1)), ("t-3.trap", Some(2))] {
        let output = support::Output { code: 33, stdout: String::new(), stderr: String::new() };
        let run = Run::read(output, &folder.path().join(name))?;
        let recorded = run.events.iter().find_map(|event| match event.what {
            What::HostCount { counter: HostCounter::BootsBefore, value } => Some(value),
            _ => None,
        });
        ensure(recorded == before, || format!("{name} records {recorded:?} boots before it"))?;
    }
    // A run that ends well, or is stopped, is over.
    let fine = ["run", "hello", "--restart-on-crash=2", "--trace", "fine.trap"];
    support::trapline(folder.path(), &fine)?.expect(0)?;
    ensure(!folder.path().join("fine-2.trap").exists(), || "it booted again for nothing".into())
}
