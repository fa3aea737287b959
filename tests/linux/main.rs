//! Linux programs, compiled from C as usual. Their output and their ends are the same as on Linux, and their traces keep
//! every rule of `check`.

mod attacks;
mod calls;
mod command_line;
mod exercises;
mod input;
mod lab;
mod page;
mod programs;
mod quanta;
mod strace;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use libtest_mimic::Failed;
use support::{Need, TestResult, compile, ensure};
use trace::What;
use trapline::run::{Outcome, Program, Run, TraceFile};

const GCC: [Need; 2] = [Need::Kvm, Need::Tool("gcc")];

fn main() {
    let suite = quanta::add(attacks::add(command_line::add(support::Suite::default())));
    let suite = exercises::add(suite);
    strace::add(input::add(page::add(programs::add(suite))))
        .needs(&GCC, "hostile_programs_harm_only_themselves", hostile)
        .needs(&[Need::Kvm, Need::Tool("musl-gcc")], "no_frame_is_lost_by_many_processes", many)
        .needs(&GCC, "lab::the_right_solution_passes", lab::the_right_solution_passes)
        .needs(
            &GCC,
            "lab::each_wrong_solution_fails_on_its_mistake",
            lab::each_wrong_solution_fails_on_its_mistake,
        )
        .needs(
            &[Need::Kvm, Need::Tool("gcc"), Need::Tool("make")],
            "lab::the_example_repository_passes",
            lab::the_example_repository_passes,
        )
        .needs(&GCC, "a_stack_grows_as_far_as_is_asked_for", stack)
        .needs(&GCC, "a_deadlock_names_the_processes_that_wait", deadlock)
        .run()
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

fn hostile() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("gcc", "hostile", folder.path())?, &[], folder.path())?;
    let text = String::from_utf8_lossy(&outcome.console);
    ensure(text.ends_with("alive\n"), || format!("{:?}: {text}", outcome.end))?;
    check(folder.path())
}

fn many() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("musl-gcc", "many", folder.path())?, &["100", "1000"], folder.path())?;
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

/// A recursion of 12 MiB needs more than the default stack.
fn stack() -> TestResult {
    let folder = support::folder();
    let folder = folder.path();
    compile("gcc", "recursion", folder)?;
    let recurse = |options: &[&str], kib: &str| {
        let run = ["run", "--trace", "t.trap", "--force"];
        support::trapline(folder, &[&run, options, &["--", "./recursion", kib]].concat())
    };
    ensure(recurse(&[], "7000")?.expect(0)?.stdout == "8 MiB\n", || "the default".into())?;
    let overflow = recurse(&[], "12000")?.expect(32)?.stderr;
    ensure(overflow.contains("killed by #PF page fault: write to"), || overflow)?;
    ensure(recurse(&["--stack", "32M"], "12000")?.expect(0)?.stdout == "32 MiB\n", || "--stack 32M".into())?;
    check(folder)?;
    let large = recurse(&["--stack", "128M"], "1")?.expect(2)?.stderr;
    ensure(large.contains("--memory") && large.contains("128 MiB"), || large)?;
    recurse(&["--stack", "1G", "--memory", "1G"], "1")?.expect(0)?;
    Ok(())
}

fn deadlock() -> TestResult {
    let folder = support::folder();
    let outcome = run(&compile("gcc", "deadlock", folder.path())?, &[], folder.path())?;
    let text =
        trace::text::summary::text(&trace::analysis::Summary::of(&outcome.trace()?), trace::text::WIDTH);
    let waits = |process: &str, what: &str| {
        text.lines().any(|line| line.trim_start().starts_with(process) && line.ends_with(what))
    };
    ensure(waits("deadlock/1", "waits for a child"), || text.clone())?;
    ensure(waits("deadlock/2", "waits for a pipe that is empty"), || text.clone())?;
    check(folder.path())?;
    ensure(outcome.end.status == u64::from(abi::exit::DEADLOCK), || format!("{:?}", outcome.end))
}
