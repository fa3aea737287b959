//! The cost of a system call in instructions of the kernel: a host that emulates ring 0 counts each.

use std::process::Command;

use crate::run::{Run, run};
use crate::support::{self, Output, TestResult, ensure};
use abi::record::{HostCounter, Reason};
use libtest_mimic::Failed;
use trace::What;

/// The most instructions of ring 0 in a system call that does nothing, with its four records.
const NULL_CALL_MAX: u64 = 110;
/// The most where no trace is kept.
const UNTRACED_CALL_MAX: u64 = 56;
/// The most in a tick after which the same process continues, and in one after which another does.
const TICK_MAX: u64 = 129;
const SWITCH_MAX: u64 = 259;
/// The most to start the timer.
const TIMER_START_MAX: u64 = 95;
/// The most in all of `run hello`, but for its ticks.
const HELLO_MAX: u64 = 2970;
const CALLS: u64 = 2000;

/// A Linux program; one of Trapline's own takes a part of this path.
///
/// The difference of two runs leaves out boot and end. There is no timer, so nothing else happens.
pub fn null_call() -> TestResult {
    null_calls(NULL_CALL_MAX, |program| untimed(&[program]))
}

/// The same without a trace.
pub fn untraced_null_call() -> TestResult {
    null_calls(UNTRACED_CALL_MAX, |program| {
        let output = untraced(&[program, "--policy", "cooperative"], 0)?;
        count(&output, "instructions of the kernel emulated by KVM")
    })
}

fn null_calls(most: u64, instructions: impl Fn(&str) -> Result<u64, Failed>) -> TestResult {
    let folder = support::folder();
    let program = folder.path().join("null");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-mgeneral-regs-only", "-o"])
        .arg(&program);
    gcc.arg(format!("{}/../tests/fixtures/null.c", env!("CARGO_MANIFEST_DIR")));
    support::command(&mut gcc, folder.path())?.expect(0)?;
    let calls = |count| instructions(&format!("{} {count}", program.display()));
    let each = (calls(2 * CALLS)? - calls(CALLS)?).div_ceil(CALLS);
    ensure(each > 0 && each <= most, || format!("{each} instructions a call, at most {most}"))
}

/// The calls of this program take no exit each, and the host makes no file. The rest is as in a run with a trace.
pub fn untraced_run() -> TestResult {
    const EXITS_MAX: u64 = 20;
    let output = untraced(&["polite 200", "divider"], 32)?;
    for line in ["polite: process 1 let the others go first 200 times", "divider: 1 / 0 is ..."] {
        ensure(output.stdout.contains(line), || format!("{line:?} is not in {output:#?}"))?;
    }
    let exits = count(&output, "exits to the host")?;
    ensure(exits <= EXITS_MAX, || format!("{exits} exits to the host, at most {EXITS_MAX}"))
}

/// `trapline run --trace none ARGUMENTS`: it must end with `code` and leave no file.
fn untraced(arguments: &[&str], code: i32) -> Result<Output, Failed> {
    let folder = support::folder();
    let arguments = [&["run", "--trace", "none"], arguments].concat();
    let output = support::trapline(folder.path(), &arguments)?.expect(code)?;
    let names = std::fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<Result<Vec<_>, std::io::Error>>()?;
    // What the program prints is in files of this test, with such names.
    let made = names.iter().find(|name| !name.to_string_lossy().starts_with('.'));
    ensure(made.is_none(), || format!("a run without a trace made {made:?}"))?;
    Ok(output)
}

/// The number before `what` in the summary of a run without a trace.
fn count(output: &Output, what: &str) -> Result<u64, Failed> {
    let before = output.stderr.split(what).next().unwrap_or_default();
    let number = before.trim_end().rsplit(' ').next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("there is no number of {what} in {:?}", output.stderr).into())
}

pub fn tick() -> TestResult {
    timed(&["hog 100"])
}

pub fn tick_with_switch() -> TestResult {
    timed(&["hog 100", "hog 100"])
}

pub fn hello() -> TestResult {
    let run = run(&["hello"], 0)?;
    let ticks = run.events.iter().filter(|event| matches!(event.what, What::Tick { .. })).count() as u64;
    let (all, most) = (instructions(&run)?, HELLO_MAX + ticks * TICK_MAX);
    ensure(all <= most, || format!("{all} instructions with {ticks} ticks, at most {most}"))
}

/// The difference to a run without a timer is what its ticks take.
fn timed(programs: &[&str]) -> TestResult {
    let run = run(&[programs, &["--quantum", "2ms"]].concat(), 0)?;
    let count = |is: fn(&What) -> bool| run.events.iter().filter(|event| is(&event.what)).count() as u64;
    let ticks = count(|what| matches!(what, What::Tick { .. }));
    let switches =
        count(|what| matches!(what, What::ContextSaved { reason: Reason::Preempted, .. })).min(ticks);
    let most = TIMER_START_MAX + (ticks - switches) * TICK_MAX + switches * SWITCH_MAX;
    let found = instructions(&run)?.saturating_sub(untimed(programs)?);
    ensure(ticks > 0 && found <= most, || {
        format!("{found} instructions in {ticks} ticks, {switches} of them with a switch: at most {most}")
    })
}

fn untimed(programs: &[&str]) -> Result<u64, Failed> {
    instructions(&run(&[programs, &["--policy", "cooperative"]].concat(), 0)?)
}

/// How many instructions KVM emulated.
fn instructions(run: &Run) -> Result<u64, Failed> {
    let count = run.events.iter().find_map(|event| match event.what {
        What::HostCount { counter: HostCounter::KvmEmulated, value } => Some(value),
        _ => None,
    });
    count.ok_or_else(|| "KVM does not count emulated instructions".into())
}
