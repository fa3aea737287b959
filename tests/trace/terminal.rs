//! What the commands print on terminals: no line is too long, and colours and the pager are as asked for.

use std::process::Command;

use super::view::{on_a_terminal_with, shown};
use crate::support::{Suite, TestResult, binary, command, ensure, folder, wait};

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
    for arguments in [&["check", FIXTURE][..], &["stat", FIXTURE], &["protocol", FIXTURE], &["run", "--help"]]
    {
        let (mut command, terminal) = on_a_terminal_with(folder.path(), &pager, arguments)?;
        let text = shown(terminal)?;
        ensure(wait(&mut command, std::time::Duration::from_secs(60))?.success(), || text.clone())?;
        ensure(text == "paged\r\n", || format!("{arguments:?}: {text}"))?;
        let paged = std::fs::read_to_string(folder.path().join("paged"))?;
        ensure(paged.lines().count() > 20, || paged.clone())?;
    }
    Ok(())
}
