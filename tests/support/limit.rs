//! A limit on the time of each test, which no wait in it can outlast.
//!
//! A test waits for its children or for pipes that they hold. When the limit is over, the children that its thread started
//! are killed, with theirs: each such wait then ends, and the test fails with a message. A test that goes on even so ends
//! the test program. Limit: the children of threads that a test starts itself are not found.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use libtest_mimic::{Completion, Failed};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, gettid};

use super::is_emulated_host;

/// The longest time for a test. Tests take less than a minute, and ten times as long on emulated hardware.
const LIMIT: Duration = Duration::from_secs(300);
const LIMIT_EMULATED: Duration = Duration::from_secs(800);
/// The longest time until it fails after its children were killed.
const GRACE: Duration = Duration::from_secs(20);

/// Runs a test for at most [`LIMIT`].
pub fn limited(name: &str, test: impl FnOnce() -> Result<Completion, Failed>) -> Result<Completion, Failed> {
    let limit = if is_emulated_host() { LIMIT_EMULATED } else { LIMIT };
    limited_to(limit, name, test)
}

/// Runs a test for at most `limit`.
pub fn limited_to<T>(
    limit: Duration,
    name: &str,
    test: impl FnOnce() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let (thread, label) = (gettid(), name.to_owned());
    // Dropped when the test has ended, also by a panic.
    let (running, ended) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let is_over = |within| ended.recv_timeout(within) == Err(RecvTimeoutError::Disconnected);
        if is_over(limit) {
            return false;
        }
        children(getpid(), thread).into_iter().for_each(kill_tree);
        if !is_over(GRACE) {
            eprintln!(
                "test {label} does not end, {GRACE:?} after its limit of {limit:?}: the test program is aborted"
            );
            std::process::abort();
        }
        true
    });
    let result = test();
    drop(running);
    match watch.join() {
        Ok(false) => result,
        _ => {
            let said = result.err().and_then(|error| error.message().map(ToOwned::to_owned));
            Err(format!("it took more than {limit:?}, and its children were killed: {said:?}").into())
        }
    }
}

/// The children that a thread of a process has started.
fn children(process: Pid, thread: Pid) -> Vec<Pid> {
    let list = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Kills a process and all below it. It is stopped first, so that it starts no more while its children are looked for.
fn kill_tree(process: Pid) {
    let _ = kill(process, Signal::SIGSTOP);
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    for thread in threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        children(process, Pid::from_raw(thread)).into_iter().for_each(kill_tree);
    }
    let _ = kill(process, Signal::SIGKILL);
}
