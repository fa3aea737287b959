//! `scripts/test`: does it name what was skipped, count over all test programs, and fail when anything did? Cargo is
//! played by a script that prints what cargo would.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use libtest_mimic::Failed;

use crate::missing::HIDE;
use crate::support::{self, Output, Suite, TestResult, ensure, folder};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .namespace("the_gate_names_what_was_skipped", names_what_was_skipped)
        .namespace("the_gate_fails_with_a_test", fails_with_a_test)
        .namespace("the_gate_fails_with_a_crash", fails_with_a_crash)
        .namespace("the_gate_fails_with_a_lint", fails_with_a_lint)
}

/// What libtest and libtest-mimic print where there is no KVM.
const SKIPPED: &str = "\
test trace::a ... ok
test machine::b ... ignored, needs much time
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test kvm::c    ... ignored (/dev/kvm: No such file or directory (os error 2))
test d         ... ok
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

/// Runs `scripts/test` where there is no `/dev/kvm` and `cargo COMMAND` prints `text` and ends with `status`, while all
/// else that it calls succeeds.
fn gate(command: &str, text: &str, status: u8) -> Result<Output, Failed> {
    let folder = folder();
    let player =
        format!("#!/bin/sh\n[ \"$1\" = {command} ] || exit 0\ncat <<'END'\n{text}END\nexit {status}\n");
    for name in ["cargo", "shellcheck"] {
        let file = folder.path().join(name);
        std::fs::write(&file, &player)?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
    let line = format!("{HIDE} {}/../scripts/test --no-emulated", env!("CARGO_MANIFEST_DIR"));
    support::command(Command::new("unshare").args(["-m", "sh", "-c", &line]).env("PATH", path), folder.path())
}

fn says(output: &Output, line: &str) -> TestResult {
    ensure(output.stdout.lines().any(|found| found == line), || format!("no line {line:?}: {output:#?}"))
}

fn last_line(output: &Output, line: &str) -> TestResult {
    ensure(output.stdout.lines().last() == Some(line), || format!("the end is not {line:?}: {output:#?}"))
}

fn names_what_was_skipped() -> TestResult {
    let output = gate("test", SKIPPED, 0)?.expect(0)?;
    says(&output, "skipped: kvm::c: /dev/kvm: No such file or directory (os error 2)")?;
    says(&output, "skipped: machine::b: needs much time")?;
    last_line(&output, "2 passed, 0 failed, 2 skipped")
}

fn fails_with_a_test() -> TestResult {
    let text = "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
    let output = gate("test", text, 101)?.expect(1)?;
    last_line(&output, "4 passed, 2 failed, 0 skipped")
}

fn fails_with_a_crash() -> TestResult {
    let output = gate("test", "", 101)?.expect(1)?;
    last_line(&output, "0 passed, 1 failed, 0 skipped")
}

fn fails_with_a_lint() -> TestResult {
    let output = gate("fmt", "", 1)?.expect(1)?;
    says(&output, "FAILED: format")?;
    says(&output, "FAILED: format of the guest")
}
