//! What the commands print on terminals: no line is too long, colours and the pager are as asked for, and what takes long
//! shows how far it is.

use std::fs::{self, OpenOptions};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::view::{on_a_terminal_with, shown};
use crate::support::terminal::{read_until, screen, start};
use crate::support::{Need, Suite, TestResult, binary, command, ensure, folder, path_of, wait};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/check.trap");
const WIDTHS: [&str; 3] = ["60", "80", "120"];
/// Commands, but for the trace.
const COMMANDS: [&[&str]; 4] =
    [&["check"], &["stat"], &["protocol", "--switch", "1"], &["view", "--around", "300"]];
const HELP: [&str; 12] = [
    "run", "list", "view", "protocol", "recover", "check", "stat", "diff", "report", "export", "extract",
    "doctor",
];

pub fn add(suite: Suite) -> Suite {
    suite
        .pure("no_line_of_text_is_too_long", texts)
        .pure("no_line_of_help_is_too_long", help)
        .pure("colours_are_as_the_environment_says", colours)
        .pure("what_is_longer_than_a_screen_is_paged", pages)
        .pure("a_long_reading_shows_progress", progress)
        .kvm("a_long_run_has_a_status_line", status_line)
        .needs(
            &[Need::Kvm, Need::Tool("busybox")],
            "a_status_line_leaves_output_whole",
            status_line_leaves_output_whole,
        )
}

/// What a command prints on a terminal of some columns.
fn printed(columns: &str, arguments: &[&str]) -> Result<String, libtest_mimic::Failed> {
    let folder = folder();
    let mut command_line = Command::new(binary());
    command_line.args(arguments).env("COLUMNS", columns);
    Ok(command(&mut command_line, folder.path())?.expect(0)?.stdout)
}

/// The lines that are longer than that, but for words that are.
fn too_long(text: &str, columns: &str) -> Result<Vec<String>, libtest_mimic::Failed> {
    let columns: usize = columns.parse()?;
    let is_broken = |line: &&str| line.chars().count() > columns && line.trim_start().contains(' ');
    Ok(text.lines().filter(is_broken).map(String::from).collect())
}

fn texts() -> TestResult {
    for arguments in COMMANDS {
        for columns in WIDTHS {
            let text = printed(columns, &[arguments, &[FIXTURE]].concat())?.replace(FIXTURE, "t.trap");
            let long = too_long(&text, columns)?;
            ensure(long.is_empty(), || format!("{arguments:?} at {columns} columns: {long:#?}"))?;
        }
    }
    Ok(())
}

fn help() -> TestResult {
    for name in HELP {
        for columns in WIDTHS {
            let text = printed(columns, &[name, "--help"])?;
            // clap does not break the line of the usage.
            let text = text.lines().filter(|line| !line.starts_with("Usage:")).collect::<Vec<_>>().join("\n");
            let long = too_long(&text, columns)?;
            ensure(long.is_empty(), || format!("{name} --help at {columns} columns: {long:#?}"))?;
        }
    }
    Ok(())
}

fn colours() -> TestResult {
    let folder = folder();
    for (variables, is_coloured) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let mut view = Command::new(binary());
        view.args(["view", FIXTURE]).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
        let text = command(view.envs(variables.iter().copied()), folder.path())?.expect(0)?.stdout;
        ensure(text.contains('\x1b') == is_coloured, || format!("{variables:?}: {text}"))?;
    }
    Ok(())
}

fn pages() -> TestResult {
    let folder = folder();
    let pager = [("PAGER", "cat >paged; echo paged")];
    for (arguments, code) in [
        (&["check", FIXTURE][..], 0),
        (&["stat", FIXTURE], 0),
        (&["protocol", FIXTURE], 0),
        (&["list"], 0),
        (&["run", "--help"], 0),
        (&[], 2),
    ] {
        let (mut command, terminal) = on_a_terminal_with(folder.path(), &pager, arguments)?;
        let text = shown(terminal)?;
        ensure(wait(&mut command, LIMIT)?.code() == Some(code), || text.clone())?;
        ensure(text == "paged\r\n", || format!("{arguments:?}: {text}"))?;
        let paged = std::fs::read_to_string(folder.path().join("paged"))?;
        ensure(paged.lines().count() > 20, || paged.clone())?;
    }
    Ok(())
}

/// A file with a hole of 64 GiB takes long to search for chunks. It is cut while it is read, which ends the command.
fn progress() -> TestResult {
    let folder = folder();
    let damaged = folder.path().join("damaged.trap");
    fs::copy(FIXTURE, &damaged)?;
    let file = OpenOptions::new().write(true).open(&damaged)?;
    let size = file.metadata()?.len();
    file.set_len(64 << 30)?;
    let (mut recover, mut terminal) =
        start(folder.path(), 80, &[], &["recover", "damaged.trap", "-o", "new.trap"])?;
    let mut text = read_until(&mut terminal, Some("%, "))?;
    ensure(screen(&text).starts_with("reading ["), || format!("{text:?}"))?;
    file.set_len(size / 2)?;
    text += &read_until(&mut terminal, None)?;
    wait(&mut recover, LIMIT)?;
    let shown = screen(&text);
    ensure(shown.starts_with("trapline: cannot read") && shown.lines().count() == 1, || {
        format!("{shown} {text:?}")
    })
}

const LIMIT: Duration = Duration::from_secs(60);

/// Ctrl-C.
fn interrupt(child: &mut Child) -> TestResult {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let code = wait(child, LIMIT)?.code();
    ensure(code == Some(130), || format!("exit code {code:?}"))
}

fn status_line() -> TestResult {
    let folder = folder();
    for (variables, hint) in [
        (&[][..], "hog/1 runs, \x1b[2mCtrl-C ends the run\x1b[0m"),
        (&[("NO_COLOR", "1")][..], "hog/1 runs, Ctrl-C ends the run"),
    ] {
        let run = ["run", "hog", "--trace", "t.trap", "--force"];
        let (mut run, mut terminal) = start(folder.path(), 60, variables, &run)?;
        let mut text = read_until(&mut terminal, Some(hint))?;
        let line = screen(&text);
        let is_right =
            line.contains(" events, hog/1 runs, Ctrl-C ends the run\n") && line.chars().count() <= 60;
        ensure(is_right, || format!("{text:?}"))?;
        interrupt(&mut run)?;
        text += &read_until(&mut terminal, None)?;
        let shown = screen(&text);
        ensure(!shown.contains("Ctrl-C") && shown.contains("hog/1"), || format!("{shown} {text:?}"))?;
    }
    Ok(())
}

/// The guest prints a part of a line and waits for longer than it takes the status line to appear.
fn status_line_leaves_output_whole() -> TestResult {
    let folder = folder();
    let script = "printf part; sleep 3; echo , whole; sleep 100";
    let run = ["run", "--trace", "t.trap", "--", &path_of("busybox")?, "sh", "-c", script];
    let (mut run, mut terminal) = start(folder.path(), 80, &[], &run)?;
    // On a slow host, the line is there before the guest prints.
    let mut text = read_until(&mut terminal, Some("whole\r\n"))?;
    text += &read_until(&mut terminal, Some("Ctrl-C"))?;
    ensure(text.contains("part, whole\r\n"), || format!("{text:?}"))?;
    interrupt(&mut run)?;
    text += &read_until(&mut terminal, None)?;
    let shown = screen(&text);
    ensure(shown.starts_with("part, whole\n\n") && !shown.contains("Ctrl-C"), || format!("{shown} {text:?}"))
}
