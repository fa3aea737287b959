//! Tells a host that stalled from a fault.
//!
//! A core of a machine under this one may stop for seconds, and a run with a time-out then shows less than it should. So
//! while a test of time runs, a thread bound to each core sleeps and looks how late it wakes. A test that fails while all
//! cores woke in time has found a fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::TestResult;

/// How often a test is tried while the host stalls.
const TRIES: usize = 5;
/// How often each core is looked at. On an idle one a thread wakes within a millisecond.
const SLEEP: Duration = Duration::from_millis(5);
/// A shorter stall is no excuse: the tests of time allow for as much.
const STALL: Duration = Duration::from_millis(50);

/// Runs a test. One that fails while the host stalled is run again; where the host stalled each time, the test is skipped,
/// and says so.
pub fn retried(test: fn() -> TestResult) -> Result<Completion, Failed> {
    let mut longest = Duration::ZERO;
    for _ in 0..TRIES {
        let (result, stall) = watched(test);
        match result {
            Ok(()) => return Ok(Completion::Completed),
            Err(error) if stall < STALL => return Err(error),
            Err(_) => longest = longest.max(stall),
        }
    }
    Ok(Completion::ignored_with(format!("the host stalled in each of {TRIES} tries, up to {longest:?}")))
}

/// What `run` returns, and the longest time that a core let a thread wait meanwhile.
pub fn watched<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let is_over = AtomicBool::new(false);
    let flag = &is_over;
    scope(|threads| {
        let watches: Vec<_> =
            cores().into_iter().map(|core| threads.spawn(move || latest(core, flag))).collect();
        let result = run();
        flag.store(true, Ordering::Relaxed);
        let latest = watches.into_iter().filter_map(|watch| watch.join().ok()).max();
        (result, latest.unwrap_or_default())
    })
}

/// A set of each core that this process may use.
fn cores() -> Vec<CpuSet> {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let each = (0..CpuSet::count()).filter(|&core| all.is_set(core).unwrap_or(false));
    each.map(|core| {
        let mut set = CpuSet::new();
        let _ = set.set(core);
        set
    })
    .collect()
}

/// How late a thread on this core woke at most.
fn latest(core: CpuSet, is_over: &AtomicBool) -> Duration {
    let _ = sched_setaffinity(Pid::from_raw(0), &core);
    let mut latest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        sleep(SLEEP);
        latest = latest.max(start.elapsed().saturating_sub(SLEEP));
    }
    latest
}
