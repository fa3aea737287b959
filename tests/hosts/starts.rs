//! Starts that fail, runs that start at the same time, and streams whose readers do not read: no trace is lost or left over.

use std::ffi::OsString;
use std::fs::{self, DirEntry, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use trace::Trace;

use crate::handmade;
use crate::support::{self, Need, Output, Suite, TestResult, ensure, fill, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("runs_at_once_get_names_of_their_own", runs_at_once_get_names_of_their_own)
        .kvm("a_failed_start_leaves_the_folder_as_it_was", a_failed_start_leaves_the_folder_as_it_was)
        .needs(&[Need::Kvm, Need::Tool("prlimit")], "a_limit_that_ends_a_command_is_named", a_limit_is_named)
        .kvm("a_link_that_leads_nowhere_is_a_name", a_link_that_leads_nowhere_is_a_name)
        .kvm("a_full_standard_output_is_reported", a_full_standard_output_is_reported)
        .kvm("a_full_error_pipe_costs_no_trace", a_full_error_pipe_costs_no_trace)
        .kvm("streams_that_no_one_reads_do_not_stop_a_time_out", streams_do_not_stop_a_time_out)
}

fn start(folder: &Path, arguments: &[&str]) -> Result<Child, Failed> {
    let mut command = Command::new(support::binary());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.spawn()?)
}

/// A line of a shell in which `TRAPLINE` is the binary under test.
fn shell(folder: &Path, line: &str) -> Result<Output, Failed> {
    let line = line.replace("TRAPLINE", &format!("'{}'", support::binary().display()));
    support::command(Command::new("sh").args(["-c", &line]).current_dir(folder), folder)
}

fn is_whole(path: &Path) -> bool {
    Trace::open(path).is_ok_and(|trace| trace.damage().is_empty())
}

fn runs_at_once_get_names_of_their_own() -> TestResult {
    const RUNS: u32 = 12;
    let folder = folder();
    let children: Result<Vec<_>, _> = (0..RUNS).map(|_| start(folder.path(), &["run", "hello"])).collect();
    for mut child in children? {
        let code = support::wait(&mut child, Duration::from_secs(120))?.code();
        ensure(code == Some(0), || format!("exit code {code:?}"))?;
    }
    for number in 1..=RUNS {
        let path = folder.path().join(format!("trapline-{number}.trap"));
        ensure(is_whole(&path), || format!("{} is not whole", path.display()))?;
    }
    Ok(())
}

/// With ever fewer descriptors and ever less memory, one step after the other fails.
fn a_failed_start_leaves_the_folder_as_it_was() -> TestResult {
    const OLD: &str = "the old trace";
    let folder = folder();
    let trace = folder.path().join("old.trap");
    let descriptors = (3..=20).map(|most| format!("ulimit -n {most}"));
    let memory = (1..=10).map(|part| format!("ulimit -v {}", part * 16_384));
    let (mut failed, mut worked) = (0, 0);
    for limit in descriptors.chain(memory) {
        fs::write(&trace, OLD)?;
        let output =
            shell(folder.path(), &format!("{limit}; exec TRAPLINE run hello --force --trace old.trap"));
        // Without memory for its own code, the program is killed before it starts.
        if output.is_ok_and(|output| output.code == 0) {
            worked += 1;
            ensure(is_whole(&trace), || format!("{limit}: the trace is not whole"))?;
        } else {
            failed += 1;
            let text = fs::read(&trace)?;
            ensure(text == OLD.as_bytes(), || format!("{limit}: the old trace is gone"))?;
        }
        let entries: Vec<_> = fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
        let known = |name: &OsString| [".stdout", ".stderr", "old.trap"].iter().any(|known| name == known);
        let left: Vec<_> = entries.iter().map(DirEntry::file_name).filter(|name| !known(name)).collect();
        ensure(left.is_empty(), || format!("{limit} left {left:?}"))?;
    }
    ensure(failed > 3 && worked > 3, || format!("{failed} starts failed and {worked} worked"))
}

/// A command works under a limit, or says which limit it is.
fn a_limit_is_named() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["run", "hello", "--trace", "t.trap"])?.expect(0)?;
    for (limit, command, named) in [
        // Without a time-out, no timer is needed.
        ("--sigpending=0", "run hello --trace none", None),
        ("--sigpending=0", "run hello --trace none --timeout 60s", Some("`ulimit -i`")),
        ("--sigpending=0", "strace hello", None),
        ("--memlock=0", "run hello --trace none", None),
        ("--fsize=0", "run hello --trace new.trap", Some("`ulimit -f`")),
        ("--fsize=0", "strace hello", Some("`ulimit -f`")),
        ("--fsize=0", "recover t.trap -o new.trap", Some("`ulimit -f`")),
        ("--fsize=0", "report t.trap -o new.html", Some("`ulimit -f`")),
    ] {
        let (code, errors) = limited(folder.path(), limit, command)?;
        let as_said = match named {
            None => code == Some(0),
            Some(named) => code == Some(1) && errors.contains(named),
        };
        ensure(as_said, || format!("{limit} {command}: {code:?}: {errors}"))?;
    }
    // With the fewest descriptors, the dynamic loader fails.
    let mut failed = 0;
    for most in 3..=12 {
        let limit = format!("--nofile={most}");
        for command in ["run hello --trace new.trap --force", "recover t.trap -o new.trap --force"] {
            let (code, errors) = limited(folder.path(), &limit, command)?;
            failed += u32::from(code == Some(1));
            ensure(code != Some(1) || errors.contains("`ulimit -n`"), || {
                format!("{limit} {command}: {errors}")
            })?;
        }
    }
    ensure(failed > 0, || "no command reached its limit on open files".into())
}

/// Runs a command under a limit of prlimit(1), and returns its exit code and what it printed on standard error. The streams are
/// pipes, because a limit on the size of files holds for files as streams too.
fn limited(folder: &Path, limit: &str, command: &str) -> Result<(Option<i32>, String), Failed> {
    let mut limited = Command::new("prlimit");
    limited.arg(limit).arg(support::binary()).args(command.split(' ')).current_dir(folder);
    let output = limited.stdin(Stdio::null()).output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn a_link_that_leads_nowhere_is_a_name() -> TestResult {
    let folder = folder();
    let link = folder.path().join("trapline-1.trap");
    symlink("nowhere/at/all", &link)?;
    trapline(folder.path(), &["run", "hello"])?.expect(0)?;
    ensure(is_whole(&folder.path().join("trapline-2.trap")), || {
        "the name of the link was not passed over".into()
    })?;
    let arguments = ["run", "hello", "--trace", "trapline-1.trap"];
    let output = trapline(folder.path(), &arguments)?.expect(2)?;
    ensure(output.stderr.contains("--force"), || format!("{output:#?}"))?;
    trapline(folder.path(), &[&arguments[..], &["--force"]].concat())?.expect(0)?;
    ensure(is_whole(&link), || "the link was not replaced".into())
}

fn a_full_standard_output_is_reported() -> TestResult {
    let folder = folder();
    let line = "exec TRAPLINE run hello --trace t.trap > /dev/full";
    let output = shell(folder.path(), line)?.expect(1)?;
    ensure(output.stderr.contains("No space left on device"), || format!("{output:#?}"))?;
    ensure(is_whole(&folder.path().join("t.trap")), || "the trace is not whole".into())
}

/// The run has an error to print, and no process reads it: the trace is closed before, and a signal ends the wait.
fn a_full_error_pipe_costs_no_trace() -> TestResult {
    let folder = folder();
    fs::write(folder.path().join("crash.elf"), handmade::kernel(&handmade::TRIPLE_FAULT))?;
    let (_reader, writer) = std::io::pipe()?;
    fill(&writer)?;
    let mut child = Command::new(support::binary())
        .args(["run", "hello", "--kernel", "crash.elf", "--trace", "t.trap"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(File::create(folder.path().join("out"))?)
        .stderr(writer)
        .spawn()?;
    let trace = folder.path().join("t.trap");
    let began = Instant::now();
    while !is_whole(&trace) && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let closed = is_whole(&trace);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT)?;
    let ended = support::wait(&mut child, Duration::from_secs(60));
    ensure(closed, || "the trace was not closed".into())?;
    ended.map(drop)
}

/// The program prints without end, and no process reads its output or Trapline's messages.
fn streams_do_not_stop_a_time_out() -> TestResult {
    let folder = folder();
    let (_reader, writer) = std::io::pipe()?;
    fill(&writer)?;
    let mut child = Command::new(support::binary())
        .args(["run", "hello", "hog", "--timeout", "300ms", "--trace", "t.trap"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let code = support::wait(&mut child, Duration::from_secs(60))?.code();
    ensure(code == Some(36), || format!("exit code {code:?}"))?;
    ensure(is_whole(&folder.path().join("t.trap")), || "the trace is not whole".into())
}
