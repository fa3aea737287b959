//! Whatever the quantum, programs print the same, and their traces keep every rule of `check`.

use crate::support::{self, Need, Suite, TestResult, compile, ensure};

/// Programs that end soon even where a tick takes most of a short quantum.
const SHORT: [&str; 4] = ["signal_flags", "vfork_exec", "forks", "shared_memory"];
/// Programs that compute longer, or wait for each other more often.
const LONG: [&str; 5] = ["fork_tree", "pipeline", "mutexes", "bounded_queue", "threads"];

/// Adds a test for each quantum.
pub fn add(mut suite: Suite) -> Suite {
    for quantum in ["200us", "1ms", "10ms", "20ms"] {
        let needs = [Need::Kvm, Need::Tool("gcc"), Need::Tool("musl-gcc")];
        suite = suite
            .needs(&needs, &format!("every_rule_holds_with_a_quantum_of_{quantum}"), move || run(quantum));
    }
    suite
}

fn run(quantum: &str) -> TestResult {
    let long: &[&str] = if quantum == "200us" { &[] } else { &LONG };
    for (index, program) in SHORT.iter().chain(long).enumerate() {
        let folder = support::folder();
        let compiler = ["gcc", "musl-gcc"][index % 2];
        let native = compile(compiler, program, folder.path())?;
        let native = support::command(&mut std::process::Command::new(native), folder.path())?.expect(0)?;
        let options =
            ["run", "--exit-status", "--quantum", quantum, "--timeout", "100s", "--trace", "t.trap"];
        let program = format!("./{program}");
        let arguments = [&options[..], &["--", &program]].concat();
        let ours = support::trapline(folder.path(), &arguments)?.expect(0)?;
        ensure(ours.stdout == native.stdout, || format!("natively {native:#?}, here {ours:#?}"))?;
        support::trapline(folder.path(), &["check", "t.trap"])?.expect(0)?;
    }
    Ok(())
}
