//! Linux programs, compiled from C as usual: what they print and how they end is what they print and how they end natively,
//! and their traces keep every rule of `check`.

mod command_line;
#[path = "../support/mod.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use libtest_mimic::Failed;
use support::{Need, TestResult, ensure};
use trace::What;
use trace::analysis::{End, Summary};
use trapline::run::{Outcome, Program, Run, TraceFile};

const GCC: [Need; 2] = [Need::Kvm, Need::Tool("gcc")];
const MUSL: [Need; 2] = [Need::Kvm, Need::Tool("musl-gcc")];

/// A test for each program, with each C library.
macro_rules! as_natively {
    ($suite:expr, $($program:literal)*) => {
        $suite$(
            .needs(&GCC, concat!("glibc_", $program), || as_natively("gcc", $program))
            .needs(&MUSL, concat!("musl_", $program), || as_natively("musl-gcc", $program))
        )*
    };
}

fn main() {
    let suite = command_line::add(support::Suite::default())
        .needs(&GCC, "hostile_programs_harm_only_themselves", hostile)
        .needs(&GCC, "no_frame_is_lost_by_many_processes", many)
        .needs(&GCC, "a_deadlock_names_the_processes_that_wait", deadlock);
    as_natively!(suite, "signals" "threads" "memory" "exec" "files" "clocks" "forks" "stops" "shares"
        "sequence")
    .run()
}

/// Compiles a program of this folder.
fn compile(compiler: &str, name: &str, folder: &Path) -> Result<PathBuf, Failed> {
    let program = folder.join(name);
    let source = format!("{}/../tests/linux/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(compiler);
    command.args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(&program).arg(source);
    support::command(&mut command, folder)?.expect(0)?;
    Ok(program)
}

fn run(program: &Path, arguments: &[&str], folder: &Path) -> Result<Outcome, Failed> {
    let program = Program::from_file(program)?.with_arguments(arguments.iter().copied())?;
    let mut run = Run::new(vec![program]);
    run.timeout = Some(Duration::from_secs(100));
    run.trace = TraceFile::At { path: folder.join("t.trap"), replace: true };
    Ok(run.execute()?)
}

/// Every rule holds for the trace of the last run.
fn check(folder: &Path) -> TestResult {
    support::trapline(folder, &["check", "t.trap"])?.expect(0).map(|_| ())
}

fn as_natively(compiler: &str, name: &str) -> TestResult {
    let folder = support::folder();
    let program = compile(compiler, name, folder.path())?;
    let native = Command::new(&program).env_clear().output()?;
    let outcome = run(&program, &[], folder.path())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure(outcome.console == native.stdout, || {
        format!("natively:\n{}\nhere:\n{}", text(&native.stdout), text(&outcome.console))
    })?;
    ensure(outcome.errors == native.stderr, || {
        format!("stderr natively:\n{}\nhere:\n{}", text(&native.stderr), text(&outcome.errors))
    })?;
    let end = Summary::of(&outcome.trace()?).processes[&1].end;
    ensure(is_same_end(native.status, end), || format!("natively {}, here {end}", native.status))?;
    check(folder.path())
}

fn is_same_end(native: ExitStatus, end: End) -> bool {
    match end {
        End::Exited(status) => native.code().map(i64::from) == Some(status),
        End::Signaled(signal) => native.signal() == i32::try_from(signal).ok(),
        End::Killed(..) => native.signal().is_some(),
        End::Running => false,
    }
}

fn hostile() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("gcc", "hostile", folder.path())?, &[], folder.path())?;
    let text = String::from_utf8_lossy(&outcome.console);
    ensure(text.ends_with("alive\n"), || format!("{:?}: {text}", outcome.end))?;
    check(folder.path())
}

fn many() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("gcc", "many", folder.path())?, &["100", "50"], folder.path())?;
    let text = String::from_utf8_lossy(&outcome.console);
    ensure(text == "made 100\nwaited 100\ndone\n", || text.to_string())?;
    let trace = outcome.trace()?;
    let memory = trace.events().find_map(|event| match event.what {
        What::Memory { free_at_start, free_at_end } => Some((free_at_start, free_at_end)),
        _ => None,
    });
    ensure(memory.is_some_and(|(start, end)| start == end), || format!("free frames: {memory:?}"))?;
    check(folder.path())
}

fn deadlock() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("gcc", "deadlock", folder.path())?, &[], folder.path())?;
    let text = String::from_utf8_lossy(&outcome.console);
    ensure(text.contains("deadlock/1 waits for a child"), || text.to_string())?;
    ensure(text.contains("deadlock/2 waits for a pipe that is empty"), || text.to_string())?;
    ensure(outcome.end.status == u64::from(abi::exit::DEADLOCK), || format!("{:?}", outcome.end))
}
