//! Standard input: a process waits for it while the machine continues, for each kind of stream on the host.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use abi::ports::INPUT_VECTOR;
use abi::record::Wait;
use libtest_mimic::Failed;
use nix::pty::openpty;
use trace::{Trace, What};

use crate::support::{self, Need, Suite, TestResult, ensure, path_of};

const BUSYBOX: [Need; 2] = [Need::Kvm, Need::Tool("busybox")];
const LIMIT: Duration = Duration::from_secs(100);

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .needs(&BUSYBOX, "input_wakes_the_process_that_waits", wakes)
        .needs(&BUSYBOX, "others_run_while_a_process_waits_for_input", others_run)
        .needs(&BUSYBOX, "input_comes_from_any_stream", any_stream)
        .needs(&BUSYBOX, "input_that_no_program_wants_stays", stays)
        .needs(&BUSYBOX, "a_wait_for_input_ends_by_the_time_out", ends_by_time_out)
}

/// Starts a run whose input the test writes and whose output it reads.
fn start(folder: &Path, arguments: &[&str]) -> Result<Child, Failed> {
    let mut command = Command::new(support::binary());
    command.args(["run", "--timeout", "60s", "--trace", "t.trap"]).args(arguments).current_dir(folder);
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

/// Reads lines up to `line`, then writes `text` as the input, and returns the lines that follow.
fn talk(child: &mut Child, line: &str, text: &str) -> Result<Vec<String>, Failed> {
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    while lines.next().ok_or_else(|| format!("no line {line:?}"))?? != line {}
    child.stdin.take().ok_or("no input")?.write_all(text.as_bytes())?;
    Ok(lines.collect::<Result<_, _>>()?)
}

fn ends_well(child: &mut Child, folder: &Path) -> TestResult {
    let status = support::wait(child, LIMIT)?;
    ensure(status.success(), || format!("it ended by {status}"))?;
    support::trapline(folder, &["check", "t.trap"])?.expect(0).map(drop)
}

/// A process waits by a read, and by a poll, as `read -t` does. A poll for input that is already there does not wait.
fn wakes() -> TestResult {
    for read in ["read -t 90 x", "read x"] {
        let folder = support::folder();
        let script = format!("echo ready; {read}; echo got $x");
        let mut child = start(folder.path(), &["--", &path_of("busybox")?, "sh", "-c", &script])?;
        let said = talk(&mut child, "ready", "hello\n")?;
        ensure(said == ["got hello"], || format!("{said:?}"))?;
        ends_well(&mut child, folder.path())?;
        let trace = Trace::open(&folder.path().join("t.trap"))?;
        let mut events = trace.events();
        let steps: [fn(&What) -> bool; 3] = [
            |what| matches!(what, What::Blocked { wait: Wait::Input, .. }),
            |what| matches!(what, What::TrapEntry { arrived: INPUT_VECTOR, .. }),
            |what| matches!(what, What::Woken { wait: Wait::Input, by: 0, .. }),
        ];
        for (number, is_step) in steps.iter().enumerate() {
            let found = events.any(|event| is_step(&event.what));
            ensure(found, || format!("{read}: no step {number} after the step before it"))?;
        }
    }
    Ok(())
}

fn others_run() -> TestResult {
    let folder = support::folder();
    let cat = format!("{} cat", path_of("busybox")?);
    let mut child = start(folder.path(), &[&cat, "hello"])?;
    let said = talk(&mut child, "hello: a program in user mode, and this line took a trap", "1\n2\n")?;
    ensure(said == ["1", "2"], || format!("{said:?}"))?;
    ends_well(&mut child, folder.path())
}

fn any_stream() -> TestResult {
    let folder = support::folder();
    let large: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    fs::write(folder.path().join("large"), &large)?;
    let size = large.len();
    let busybox = path_of("busybox")?;
    for (input, command, expected) in [
        ("< large", "wc -c", format!("{size}\n")),
        ("", "dd bs=64k", large.clone()),
        ("< /dev/null", "wc -c", "0\n".into()),
        ("<&-", "wc -c", "0\n".into()),
    ] {
        let trapline = support::binary();
        let line = format!(
            "cat large | {} run --trace t.trap --force -- {busybox} {command} {input}",
            trapline.display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(&folder);
        let said = support::command(&mut shell, folder.path())?.expect(0)?.stdout;
        ensure(said == expected, || format!("{command} {input}: {} bytes, {said:.100}", said.len()))?;
    }
    from_a_terminal(folder.path(), &busybox)
}

/// The input is a line and then Ctrl-D, which ends it.
fn from_a_terminal(folder: &Path, busybox: &str) -> TestResult {
    let terminal = openpty(None, None)?;
    let mut command = Command::new(support::binary());
    command.args(["run", "--trace", "t.trap", "--force", "--", busybox, "cat"]).current_dir(folder);
    let mut child = command.stdin(terminal.slave).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    drop(command);
    File::from(terminal.master.try_clone()?).write_all(b"typed\n\x04")?;
    let output = std::io::read_to_string(child.stdout.take().ok_or("no output")?)?;
    ensure(output == "typed\n", || output.clone())?;
    ends_well(&mut child, folder)
}

/// The next reader of the stream gets the bytes that the program did not ask for.
fn stays() -> TestResult {
    let folder = support::folder();
    fs::write(folder.path().join("in"), "abcdef\n")?;
    let (trapline, busybox) = (support::binary(), path_of("busybox")?);
    let run = format!("{} run --trace t.trap -- {busybox} dd bs=3 count=1", trapline.display());
    let line = format!("{{ {run} 2> /dev/null; cat; }} < in");
    let mut shell = Command::new("sh");
    let said = support::command(shell.args(["-c", &line]).current_dir(&folder), folder.path())?.expect(0)?;
    ensure(said.stdout == "abcdef\n", || format!("{said:#?}"))
}

fn ends_by_time_out() -> TestResult {
    let folder = support::folder();
    let mut command = Command::new(support::binary());
    command.args(["run", "--timeout", "300ms", "--", &path_of("busybox")?, "cat"]).current_dir(&folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let _input = child.stdin.take();
    let status = support::wait(&mut child, LIMIT)?;
    ensure(status.code() == Some(36), || format!("it ended by {status}"))
}
