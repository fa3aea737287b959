//! What Linux's `sched_switch` says, for the forms that carry that event.

use abi::record::Reason;

/// The priority of every process, Linux's default.
pub(super) const PRIORITY: i32 = 120;

/// Linux's state of a process after a switch away from it: runnable, sleeping or dead.
pub(super) fn state(left: Reason) -> i64 {
    match left {
        Reason::Slept | Reason::Blocked => 1,
        Reason::Ended => 16,
        Reason::Preempted | Reason::Yielded | Reason::Idle => 0,
    }
}
