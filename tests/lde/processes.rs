//! Processes: their life in the trace, the timer, which process gets the CPU, and the end of those that fault.

use trace::What;

use crate::run::{DIVIDE_ERROR, GENERAL_PROTECTION, PAGE_FAULT, Run, run};
use crate::support::{TestResult, ensure};

/// A page fault's error code: by user mode, of a write.
const USER_WRITE: u16 = 0b110;

fn has(run: &Run, process: u16, what: &str, test: fn(&What) -> bool) -> TestResult {
    ensure(run.of(process).any(test), || format!("process {process} has no {what}"))
}

fn is_tick(what: &What) -> bool {
    matches!(what, What::Tick { .. })
}

fn calls(run: &Run, process: u16) -> usize {
    run.of(process).filter(|what| matches!(what, What::SystemCall { .. })).count()
}

pub fn every_process_is_traced() -> TestResult {
    let run = run(&["hello", "counter", "hog 200", "--quantum", "1ms"], 0)?;
    for process in 1..=3 {
        has(&run, process, "creation", |what| matches!(what, What::ProcessCreated { .. }))?;
        has(&run, process, "trap", |what| matches!(what, What::TrapEntry { .. }))?;
    }
    for process in [1, 2] {
        has(&run, process, "system call", |what| matches!(what, What::SystemCall { .. }))?;
        has(&run, process, "end of its memory", |what| matches!(what, What::ProcessFreed { .. }))?;
        run.exits(process, 0)?;
    }
    for process in [2, 3] {
        has(&run, process, "tick", is_tick)?;
    }
    run.says("counter: 1 + ... + 20000000 = 200000010000000, right")
}

pub fn a_hog_is_preempted() -> TestResult {
    let run = run(&["hog 200", "counter 50", "--quantum", "1ms"], 0)?;
    ensure(calls(&run, 1) == 1, || "the hog made another system call than its last".into())?;
    let ticks = run.of(1).filter(|what| is_tick(what)).count();
    ensure(ticks >= 2, || format!("the hog had {ticks} ticks"))?;
    let preempted =
        |what: &What| matches!(what, What::ContextSaved { reason: abi::record::Reason::Preempted, .. });
    has(&run, 1, "preemption", preempted)?;
    run.exits(2, 0)
}

pub fn a_hog_keeps_the_cpu() -> TestResult {
    let run = run(&["hog", "counter", "--policy", "cooperative", "--timeout", "1s"], 36)?;
    ensure(calls(&run, 2) == 0, || "the counter made a system call".into())?;
    ensure(run.summary.ticks == 0, || format!("{} ticks of a timer that was not started", run.summary.ticks))
}

pub fn offenders_end() -> TestResult {
    let run = run(&["divider", "wild", "rogue", "overflow", "counter"], 32)?;
    run.is_killed(1, DIVIDE_ERROR)?;
    let (access, address) = run.is_killed(2, PAGE_FAULT)?;
    ensure((access, address) == (USER_WRITE, 0xDEAD_0000), || format!("{access:#b} {address:#x}"))?;
    run.is_killed(3, GENERAL_PROTECTION)?;
    let (_, address) = run.is_killed(4, PAGE_FAULT)?;
    let stack = run.of(4).find_map(|what| match what {
        What::StackBuilt { lowest, .. } => Some(*lowest),
        _ => None,
    });
    let below = stack.unwrap_or(0).wrapping_sub(address);
    ensure((1..=4096).contains(&below), || {
        format!("the overflow faulted at {address:#x}, the stack is at {stack:x?}")
    })?;
    run.exits(5, 0)?;
    run.says(", right")
}

pub fn stacks_and_arguments() -> TestResult {
    let run = run(&["arguments one  two", "arguments", "deep 10 0", "--policy", "cooperative"], 0)?;
    run.says("arguments: argv[0] = arguments\narguments: argv[1] = one\narguments: argv[2] = two\n")?;
    run.says("arguments: argc = 1")?;
    run.says("deep: ends 10 calls below main")
}
