//! What each command shows on a terminal of 60, 80 and 120 columns, compared with the files in `tests/screens`.
//!
//! `TRAPLINE_BLESS=1 cargo test -p trapline --test trace screens` writes the files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;

use crate::stat::FIXTURE;
use crate::support::terminal::{read_until, screen, start};
use crate::support::{Suite, TestResult, ensure, folder, wait};

const LINUX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/linux.trap");
const WIDTHS: [u16; 3] = [60, 80, 120];
const LIMIT: Duration = Duration::from_secs(60);
const COMMANDS: [&str; 18] = [
    "run",
    "strace",
    "list",
    "view",
    "protocol",
    "recover",
    "import",
    "check",
    "expect",
    "stat",
    "diff",
    "report",
    "export",
    "extract",
    "doctor",
    "bench",
    "completions",
    "man",
];
/// Commands on a trace: the name of the screen, the exit code, and the arguments.
const READERS: [(&str, i32, &[&str]); 10] = [
    ("list", 0, &["list"]),
    ("view", 0, &["view", "check.trap", "--around", "300"]),
    ("view-filter", 0, &["view", "linux.trap", "--filter", "kind=system-call"]),
    ("stat", 0, &["stat", "check.trap"]),
    ("check", 0, &["check", "check.trap"]),
    ("diff", 1, &["diff", "check.trap", "linux.trap"]),
    ("protocol", 0, &["protocol", "check.trap", "--switch", "1"]),
    ("expect", 1, &["expect", "check.trap", "-f", "expect.toml"]),
    ("recover", 0, &["recover", "cut.trap", "-o", "new.trap", "--force"]),
    ("report", 0, &["report", "check.trap", "--force"]),
];
const EXPECTATIONS: &str = "\
[[expect]]
name = 'the kernel does not panic'
never = 'kind=kernel-panic'
[[expect]]
name = 'no process is killed by the kernel while the others run, whatever they do'
never = 'kind=process-killed'
hint = 'A process that follows a wild pointer is killed.'
";

pub fn add(suite: Suite) -> Suite {
    suite
        .pure("screens::help_is_as_kept", help)
        .pure("screens::readers_are_as_kept", readers)
        .pure("screens::a_summary_is_as_kept", summary)
        .kvm("screens::the_tour_fits_its_terminal", tour)
}

/// What a command shows on a terminal of so many columns.
fn shown(folder: &Path, columns: u16, code: i32, arguments: &[&str]) -> Result<String, Failed> {
    let (mut command, mut terminal) = start(folder, columns, &[("NO_COLOR", "1")], arguments)?;
    let text = screen(&read_until(&mut terminal, None)?);
    let ended = wait(&mut command, LIMIT)?.code();
    ensure(ended == Some(code), || format!("{arguments:?}: exit code {ended:?}: {text}"))?;
    Ok(text)
}

/// Compares a screen with its file. No line may be wider than the terminal, unless it is one word, or the usage, which clap does not break.
fn compare(name: &str, columns: u16, text: &str) -> TestResult {
    let is_wide = |line: &&str| {
        line.chars().count() > columns.into() && !line.starts_with("Usage:") && line.trim().contains(' ')
    };
    let wide = text.lines().find(is_wide);
    ensure(wide.is_none(), || format!("{name} at {columns} columns: {wide:?}"))?;
    let file = PathBuf::from(format!("{}/../tests/screens/{name}-{columns}.txt", env!("CARGO_MANIFEST_DIR")));
    if std::env::var_os("TRAPLINE_BLESS").is_some_and(|value| value == "1") {
        return Ok(fs::write(file, text)?);
    }
    let kept = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let other = kept.lines().zip(text.lines()).find(|(kept, shown)| kept != shown);
    ensure(kept == text, || {
        format!("{} differs: {other:?}; TRAPLINE_BLESS=1 writes it anew:\n{text}", file.display())
    })
}

fn help() -> TestResult {
    let folder = folder();
    for columns in WIDTHS {
        compare("help", columns, &shown(folder.path(), columns, 0, &["--help"])?)?;
        for name in COMMANDS {
            let text = shown(folder.path(), columns, 0, &[name, "--help"])?;
            compare(&format!("help-{name}"), columns, &text)?;
        }
    }
    Ok(())
}

fn readers() -> TestResult {
    let folder = folder();
    let trace = fs::read(FIXTURE)?;
    fs::write(folder.path().join("check.trap"), &trace)?;
    fs::write(folder.path().join("cut.trap"), &trace[..trace.len() / 2])?;
    fs::copy(LINUX, folder.path().join("linux.trap"))?;
    fs::write(folder.path().join("expect.toml"), EXPECTATIONS)?;
    for columns in WIDTHS {
        for (name, code, arguments) in READERS {
            compare(name, columns, &shown(folder.path(), columns, code, arguments)?)?;
        }
    }
    Ok(())
}

/// The summary that `run` prints, of a trace that is always the same.
fn summary() -> TestResult {
    let summary = trace::analysis::Summary::of(&trace::Trace::open(FIXTURE.as_ref())?);
    for columns in WIDTHS {
        compare("summary", columns, &trace::text::summary::text(&summary, columns.into()))?;
    }
    Ok(())
}

/// The summary of a run, and its events with `--live`, are laid out for the terminal of standard error. Warnings of a host are
/// whole lines, for scripts.
fn tour() -> TestResult {
    let folder = folder();
    let text = shown(folder.path(), 60, 0, &["run", "--trace", "t.trap", "--force"])?;
    let mut summary = text.lines().skip_while(|line| !line.contains(" events in ")).peekable();
    ensure(summary.peek().is_some(), || format!("no summary: {text}"))?;
    let wide = summary.find(|line| line.chars().count() > 60 && !line.starts_with("trapline: "));
    ensure(wide.is_none(), || format!("{wide:?}"))?;
    let text = shown(folder.path(), 60, 0, &["run", "hello", "--live", "--trace", "t.trap", "--force"])?;
    let wide = text.lines().find(|line| line.chars().count() > 60 && !line.starts_with("trapline: "));
    ensure(wide.is_none() && text.contains("hello/1"), || format!("{wide:?} {text}"))
}
