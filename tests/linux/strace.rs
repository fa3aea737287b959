//! `trapline strace` compared with strace, and output that appears while the program runs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::support::{self, Need, Output, Suite, TestResult, ensure, path_of};

const BUSYBOX: [Need; 2] = [Need::Kvm, Need::Tool("busybox")];
const BOTH: [Need; 3] = [Need::Kvm, Need::Tool("busybox"), Need::Tool("strace")];

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .needs(&BOTH, "strace_prints_what_strace_prints", as_strace)
        .needs(&BUSYBOX, "strace_exits_as_the_program_and_counts_calls", codes_and_counts)
        .needs(&BUSYBOX, "strace_and_live_show_a_call_while_the_program_waits", live)
}

/// Runs ours, and strace with the same arguments and an empty environment.
fn both(folder: &Path, options: &[&str], script: &str) -> Result<[Output; 2], Failed> {
    let program = [&path_of("busybox")?, "sh", "-c", script];
    let ours = support::trapline(folder, &[&["strace"], options, &program].concat())?;
    let mut strace = Command::new("strace");
    std::env::vars_os().for_each(|(name, _)| _ = strace.arg("-E").arg(name));
    strace.args(options).args(program).current_dir(folder);
    Ok([ours, support::command(&mut strace, folder)?])
}

fn as_strace() -> TestResult {
    let folder = support::folder();
    for (options, script) in [
        (&["-e", "trace=write"][..], "echo hi; exit 3"),
        (&["-e", "exit_group"], "echo hi"),
        (&["-e", "execve,write", "-f"], "echo hi"),
        (&["-e", "none"], "exit 3"),
    ] {
        let [ours, native] = both(folder.path(), options, script)?;
        // The address of the environment differs.
        let lines = |output: &Output| -> Vec<String> {
            let address = |line: &str| line.split("], 0x").next().unwrap_or_default().to_owned();
            output.stderr.lines().map(address).collect()
        };
        ensure((ours.code, &ours.stdout) == (native.code, &native.stdout), || {
            format!("{ours:?}\n{native:?}")
        })?;
        ensure(lines(&ours) == lines(&native), || format!("{options:?}: {ours:#?}\nstrace: {native:#?}"))?;
    }
    Ok(())
}

fn codes_and_counts() -> TestResult {
    let folder = support::folder();
    let busybox = path_of("busybox")?;
    let script = ["strace", "-c", "-o", "counts", &busybox, "sh", "-c", "kill -TERM $$"];
    let output = support::trapline(folder.path(), &script)?.expect(143)?;
    ensure(output.stdout.is_empty() && output.stderr.is_empty(), || format!("{output:#?}"))?;
    let table = std::fs::read_to_string(folder.path().join("counts"))?;
    let is_row = |line: &str, name: &str| line.split_whitespace().last() == Some(name);
    for name in ["syscall", "execve", "kill", "total"] {
        ensure(table.lines().any(|line| is_row(line, name)), || format!("no {name}: {table}"))?;
    }
    support::trapline(folder.path(), &["strace", "no-such-program"])?.expect(2)?;
    support::trapline(folder.path(), &["strace", "-e", "trace=nosuch", &busybox])?.expect(2)?;
    let files = std::fs::read_dir(folder.path())?.count();
    ensure(files == 3, || format!("{files} files: a trace is left")) // the streams of the command, and the table
}

/// A line of output appears before the program gets the input that it waits for.
fn live() -> TestResult {
    let busybox = path_of("busybox")?;
    for (command, line) in [
        (&["strace", "-e", "write"][..], "write(1, \"ready\\n\", 6)"),
        (
            &["run", "--live", "--filter", "call=write", "--exit-status", "--timeout", "60s", "--"],
            "call     write(1, ",
        ),
    ] {
        let folder = support::folder();
        let mut trapline = Command::new(support::binary());
        trapline.args(command).args([&busybox, "sh", "-c", "echo ready; read x; exit 9"]);
        trapline.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = trapline.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        while !lines.next().ok_or_else(|| format!("no line {line:?}"))??.contains(line) {}
        child.stdin.take().ok_or("no input")?.write_all(b"go\n")?;
        let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
        let code = child.wait()?.code();
        ensure(code == Some(9), || format!("exit code {code:?}: {rest:#?}"))?;
    }
    Ok(())
}
