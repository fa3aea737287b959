//! What is installed beside the program: manual pages, completions, and the version that names what belongs together.

use std::fs;
use std::process::Command;

use crate::support::{self, Suite, TestResult, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("each_command_has_a_manual_page", each_command_has_a_manual_page)
        .tools(&["bash"], "completions_are_a_script_of_the_shell", completions_are_a_script_of_the_shell)
        .tools(&["sha256sum"], "the_version_names_the_kernel", the_version_names_the_kernel)
}

fn each_command_has_a_manual_page() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["man", "."])?.expect(0)?;
    for command in ["", "-run", "-view", "-expect", "-import"] {
        let page = fs::read_to_string(folder.path().join(format!("trapline{command}.1")))?;
        ensure(page.contains(".TH") && page.contains(".SH SYNOPSIS"), || page.clone())?;
    }
    trapline(folder.path(), &["man", "missing"])?.expect(1).map(drop)
}

fn completions_are_a_script_of_the_shell() -> TestResult {
    let folder = folder();
    let script = trapline(folder.path(), &["completions", "bash"])?.expect(0)?.stdout;
    // As bash asks after `trapline ex` and a tab.
    let ask =
        "COMP_WORDS=(trapline ex); COMP_CWORD=1; _trapline trapline ex trapline; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{script}\n{ask}")]);
    let words = support::command(&mut bash, folder.path())?.expect(0)?.stdout;
    ensure(words.trim() == "expect export extract", || words.clone())
}

fn the_version_names_the_kernel() -> TestResult {
    let folder = folder();
    let version = trapline(folder.path(), &["--version"])?.expect(0)?.stdout;
    let contract = format!("ABI {}, trace format {}", abi::VERSION, trace::format::VERSION);
    ensure(version.contains(&contract), || version.clone())?;
    trapline(folder.path(), &["extract", "guest"])?.expect(0)?;
    let mut sum = Command::new("sha256sum");
    let sum =
        support::command(sum.arg("guest/kernel.elf").current_dir(&folder), folder.path())?.expect(0)?.stdout;
    let hash = sum.split(' ').next().unwrap_or_default();
    ensure(version.contains(&format!("kernel {hash} ")), || format!("{version}{sum}"))?;
    let short = trapline(folder.path(), &["-V"])?.expect(0)?.stdout;
    ensure(short.lines().count() == 1, || short.clone())
}
