//! The options of `trapline run` for Linux programs, tried with busybox.

use std::fs;
use std::process::Command;

use crate::support::{self, Need, Suite, TestResult, ensure, path_of};

const BUSYBOX: [Need; 2] = [Need::Kvm, Need::Tool("busybox")];

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .needs(&BUSYBOX, "a_program_has_the_files_that_are_named", named_files)
        .needs(&BUSYBOX, "a_program_has_the_variables_that_are_named", named_variables)
        .needs(&BUSYBOX, "standard_output_is_the_programs_alone", streams_are_the_programs)
        .needs(
            &[Need::Kvm, Need::Tool("busybox"), Need::Tool("gcc")],
            "a_program_starts_a_shell_that_is_given",
            shell,
        )
        .needs(&BUSYBOX, "the_exit_status_is_the_programs_on_request", exit_status_of_the_program)
}

fn named_files() -> TestResult {
    let folder = support::folder();
    fs::create_dir_all(folder.path().join("host/sub"))?;
    fs::write(folder.path().join("host/sub/text"), "of the host\n")?;
    fs::write(folder.path().join("own"), "at its own path\n")?;
    fs::write(folder.path().join("secret"), "not given\n")?;
    let script = "cat /data/sub/text own; ls /data; cat secret; echo x > own";
    let arguments =
        ["run", "--file", "host:/data", "--file", "own", "--", &path_of("busybox")?, "sh", "-c", script];
    let output = support::trapline(folder.path(), &arguments)?.expect(32)?;
    ensure(output.stdout == "of the host\nat its own path\nsub\n", || format!("{output:#?}"))?;
    for line in ["cat: can't open 'secret': No such file", "can't create own: Read-only file system"] {
        ensure(output.stderr.contains(line), || format!("{line}: {output:#?}"))?;
    }
    let arguments = ["run", "--file", "/dev/zero:/x", "--", &path_of("busybox")?, "true"];
    let output = support::trapline(folder.path(), &arguments)?.expect(2)?;
    ensure(output.stderr.contains("/dev/zero (--file): it is not a regular file"), || format!("{output:#?}"))
}

/// `system` and `popen`, with busybox as the shell.
fn shell() -> TestResult {
    let folder = support::folder();
    support::compile("gcc", "shell", folder.path())?;
    let given = format!("{}:/bin/sh", path_of("busybox")?);
    let arguments = ["run", "--trace", "t.trap", "--file", &given, "--", "./shell"];
    let output = support::trapline(folder.path(), &arguments)?.expect(32)?;
    let expected = "from the shell\nstatus 3\nread 3\nread 2\nread 1\nstatus 0\na\nb\n";
    ensure(output.stdout == expected, || format!("{output:#?}"))?;
    support::trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop)
}

fn named_variables() -> TestResult {
    let folder = support::folder();
    let arguments = ["run", "--env", "A=1 2", "--env", "B=", "--", &path_of("busybox")?, "env"];
    let output = support::trapline(folder.path(), &arguments)?.expect(0)?;
    ensure(output.stdout == "A=1 2\nB=\n", || format!("{output:#?}"))
}

/// The streams have what the program writes and nothing else, except the summary on standard error.
fn streams_are_the_programs() -> TestResult {
    let folder = support::folder();
    let arguments = ["run", "--", &path_of("busybox")?, "sh", "-c", "seq 5; echo problem >&2"];
    let output = support::trapline(folder.path(), &arguments)?.expect(0)?;
    ensure(output.stdout == "1\n2\n3\n4\n5\n", || format!("{output:#?}"))?;
    ensure(output.stderr.starts_with("problem\n\n"), || format!("{output:#?}"))?;
    ensure(output.stderr.contains("The trace is in trapline-1.trap"), || format!("{output:#?}"))?;
    let line = format!("{} run -- {} seq 5 > /dev/full", support::binary().display(), path_of("busybox")?);
    let mut shell = Command::new("sh");
    let full = support::command(shell.args(["-c", &line]).current_dir(&folder), folder.path())?.expect(1)?;
    ensure(full.stderr.contains("cannot write to standard output: No space left"), || format!("{full:#?}"))
}

fn exit_status_of_the_program() -> TestResult {
    let folder = support::folder();
    let busybox = path_of("busybox")?;
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("(exit 3); exit 0", 0), ("kill -TERM $$", 143)] {
        let arguments = ["run", "--exit-status", "--", &busybox, "sh", "-c", script];
        support::trapline(folder.path(), &arguments)?.expect(code)?;
    }
    support::trapline(folder.path(), &["run", "--exit-status", "wild"])?.expect(139)?;
    support::trapline(folder.path(), &["run", "--exit-status", "hog", "--timeout", "50ms"])?.expect(36)?;
    let two = support::trapline(folder.path(), &["run", "--exit-status", "hello", "wild"])?.expect(2)?;
    ensure(two.stderr.contains("--exit-status needs exactly one program"), || format!("{two:#?}"))
}
