//! Hosts that fail: strace makes each system call of a kind fail in turn. In each case the run ends with an expected exit
//! code and a reason, and it leaves a trace that can be read, or no trace.

use std::process::Command;

use libtest_mimic::Failed;
use trace::Trace;

use crate::support::{self, Need, Suite, TestResult, binary, ensure, folder};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    const NEEDS: &[Need] = &[Need::Kvm, Need::Tool("strace")];
    suite.needs(NEEDS, "hosts::each_call_of_kvm_may_fail", each_call_of_kvm_may_fail).needs(
        NEEDS,
        "hosts::each_call_of_linux_may_fail",
        each_call_of_linux_may_fail,
    )
}

/// A number of calls of a kind that is larger than a run makes before its guest ends.
const CALLS_MAX: u32 = 120;

/// Makes call number `number` of this kind fail. Returns whether the run made that call.
fn fails(call: &str, error: &str, number: u32) -> Result<bool, Failed> {
    let folder = folder();
    let log = folder.path().join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", "signal=none"]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={number}"), "-o"]).arg(&log);
    strace.arg(binary()).args(["run", "hello", "--timeout", "60s", "--trace", "t.trap"]);
    // strace replaces the call with an invalid number, and for that number the sandbox would end the process.
    if !call.starts_with("landlock") {
        strace.arg("--sandbox=log");
    }
    let output = support::command(strace.current_dir(folder.path()), folder.path())?;
    if !std::fs::read_to_string(&log)?.contains("(INJECTED)") {
        return Ok(false);
    }
    let case = format!("{call} number {number}, {error}");
    // 127: the dynamic linker found no library.
    let is_calm = [0, 1, 33, 77, 127].contains(&output.code) && !output.stderr.contains("panicked");
    ensure(is_calm && (output.code == 0 || !output.stderr.is_empty()), || format!("{case}: {output:#?}"))?;
    let path = folder.path().join("t.trap");
    // A run that failed to start left no file.
    if path.exists() {
        let trace = Trace::open(&path).map_err(|error| format!("{case}: {error}: {output:#?}"))?;
        ensure(output.code != 0 || trace.damage().is_empty(), || format!("{case}: {:?}", trace.damage()))?;
    }
    for entry in std::fs::read_dir(folder.path())? {
        let name = entry?.file_name();
        let is_known = [".stdout", ".stderr", "calls", "t.trap"].iter().any(|known| name == *known);
        ensure(is_known, || format!("{case}: {name:?} is left"))?;
    }
    Ok(true)
}

fn each_call_of_kvm_may_fail() -> TestResult {
    let mut number = 1;
    while fails("ioctl", ["EIO", "ENOMEM", "EINVAL"][number as usize % 3], number)? {
        number += 1;
        ensure(number < CALLS_MAX, || "a run makes more calls of ioctl than it should".into())?;
    }
    ensure(number > 10, || format!("{number} calls of KVM were made to fail"))
}

fn each_call_of_linux_may_fail() -> TestResult {
    for (call, error) in [
        ("openat", "EMFILE"),
        ("clone3", "EAGAIN"),
        ("timer_create", "EAGAIN"),
        ("prctl", "EPERM"),
        ("seccomp", "ENOMEM"),
        ("landlock_create_ruleset", "EMFILE"),
        ("landlock_add_rule", "ENOMEM"),
        ("capset", "EPERM"),
        ("fallocate", "ENOSPC"),
        ("ftruncate", "EIO"),
        ("rename", "EROFS"),
        ("linkat", "EPERM"),
        ("renameat2", "EINVAL"),
        ("statx", "EIO"),
        ("fcntl", "EBADF"),
    ] {
        let mut number = 1;
        while number < CALLS_MAX && fails(call, error, number)? {
            number += 1;
        }
    }
    Ok(())
}
