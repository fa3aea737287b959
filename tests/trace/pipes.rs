//! `-` as a trace: every command that reads a trace reads standard input, and `run` writes to standard output.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::view::{on_a_terminal_with, shown};
use crate::stat::FIXTURE;
use crate::support::{self, Suite, TestResult, binary, ensure, folder, trapline, wait};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("each_command_reads_standard_input", each_command_reads_standard_input)
        .pure("what_standard_input_cannot_do_is_refused", refused)
        .kvm("a_run_pipes_its_trace_to_another_command", a_run_pipes_its_trace)
        .kvm("a_trace_is_not_written_to_a_terminal", not_to_a_terminal)
}

/// Runs a line of a shell in which `$trapline` is the binary and `$trace` is the fixture.
fn shell(folder: &Path, line: &str) -> Result<support::Output, libtest_mimic::Failed> {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder).env("trapline", binary()).env("trace", FIXTURE);
    support::command(&mut shell, folder)
}

fn each_command_reads_standard_input() -> TestResult {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("e.toml"), "[[expect]]\norder = ['kind=boot']\n")?;
    for command in [
        "view TRACE",
        "view TRACE --around 100",
        "view TRACE --format jsonl",
        "check TRACE",
        "protocol TRACE",
        "stat TRACE",
        "diff TRACE \"$trace\"",
        "diff \"$trace\" TRACE",
        "expect TRACE -f e.toml",
        "export TRACE --format csv -o out",
        "recover TRACE -o out",
        "report TRACE -o out",
    ] {
        let output = |line: String| {
            let printed = shell(folder, &line)?.expect(0)?.stdout;
            let made = fs::read(folder.join("out")).unwrap_or_default();
            let _ = fs::remove_file(folder.join("out"));
            // The name of the trace is in some outputs.
            let name =
                |text: &str| text.replace(FIXTURE, "standard input").replace("check.trap", "standard input");
            Ok::<_, libtest_mimic::Failed>((name(&printed), name(&String::from_utf8_lossy(&made))))
        };
        let expected = output(format!("\"$trapline\" {}", command.replace("TRACE", "\"$trace\"")))?;
        let with_input = command.replace("TRACE", "-");
        for line in [
            format!("cat \"$trace\" | \"$trapline\" {with_input}"),
            format!("\"$trapline\" {with_input} <\"$trace\""),
        ] {
            let found = output(line)?;
            ensure(found == expected, || format!("{command}: {found:?}\nnot {expected:?}"))?;
        }
    }
    Ok(())
}

fn refused() -> TestResult {
    let folder = folder();
    for (line, why) in [
        ("\"$trapline\" view --follow - <\"$trace\"", "cannot follow standard input"),
        ("echo no trace | \"$trapline\" check -", "standard input is not a trace"),
        ("head -c 10000 \"$trace\" | \"$trapline\" check -; true", "warning: standard input: "),
    ] {
        let output = shell(folder.path(), line)?;
        ensure(output.stderr.contains(why) && output.stdout.is_empty() == (output.code == 2), || {
            format!("{line}: {output:#?}")
        })?;
    }
    Ok(())
}

fn a_run_pipes_its_trace() -> TestResult {
    let folder = folder();
    let folder = folder.path();
    let piped = shell(folder, "\"$trapline\" run --trace - hello | \"$trapline\" view - --format strace")?
        .expect(0)?;
    ensure(piped.stdout.contains("write(1, \"hello: a program in user mode"), || format!("{piped:#?}"))?;
    // The program printed on standard error, and there is no summary.
    ensure(piped.stderr == "hello: a program in user mode, and this line took a trap\n", || {
        format!("{piped:#?}")
    })?;

    shell(folder, "\"$trapline\" run --trace - hello >t.trap")?.expect(0)?;
    trapline(folder, &["check", "t.trap"])?.expect(0)?;
    ensure(!folder.join("-").exists(), || "there is a file with the name -".into())?;

    let full = shell(folder, "\"$trapline\" run --trace - hello >/dev/full")?.expect(1)?;
    ensure(full.stderr.contains("No space left on device"), || format!("{full:#?}"))?;
    for (options, why) in
        [("--json", "--json prints there too"), ("--restart-on-crash", "a separate trace file")]
    {
        let taken = shell(folder, &format!("\"$trapline\" run --trace - {options} hello | cat >out"))?;
        ensure(taken.stderr.contains(why) && fs::read(folder.join("out"))?.is_empty(), || {
            format!("{taken:#?}")
        })?;
    }
    Ok(())
}

fn not_to_a_terminal() -> TestResult {
    let folder = folder();
    let (mut run, terminal) = on_a_terminal_with(folder.path(), &[], &["run", "--trace", "-", "hello"])?;
    let text = shown(terminal)?;
    let code = wait(&mut run, Duration::from_secs(60))?.code();
    ensure(code == Some(2) && text.is_empty(), || format!("{code:?}: {text}"))
}
