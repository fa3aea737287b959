//! The commands in README.md and docs/ostep.md run, exit as the pages say, and print lines of the form that the pages show. The
//! rules and tests that the pages name exist.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use trapline::commands::{OK, PROCESS_FAILED, TIME_OUT};

use crate::support::{self, TestResult, ensure, folder};

const README: &str = include_str!("../../README.md");
const CHAPTER: &str = include_str!("../../docs/ostep.md");
/// A command of a document, and the excerpts that follow it.
struct Shown<'a> {
    command: String,
    excerpts: Vec<&'a str>,
}

/// What runs in a document: blocks named `console` with a prompt, or `sh`.
fn shown<'a>(document: &'a str, commands: &str) -> Vec<Shown<'a>> {
    let mut all: Vec<Shown> = Vec::new();
    // Between two fences is a block, outside text.
    for block in document.split("```").skip(1).step_by(2) {
        let (name, body) = block.split_once('\n').unwrap_or_default();
        if name == commands {
            let lines = body.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line));
            all.push(Shown { command: lines.collect::<Vec<_>>().join("\n"), excerpts: Vec::new() });
        } else if let ("text", Some(last)) = (name, all.last_mut()) {
            last.excerpts.push(body);
        }
    }
    all
}

/// The exit code that an excerpt names, else 0.
fn exit_code(excerpt: &str) -> i32 {
    let code = excerpt.split_once("(exit code ").and_then(|(_, rest)| rest.split_once(')'));
    code.and_then(|(code, _)| code.parse().ok()).unwrap_or(0)
}

/// The registers that a compiler chooses from: which of them holds a value at a switch differs from build to build.
const REGISTERS: [&str; 15] =
    ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/// What a line says without what differs from run to run and from build to build: its words, with no number, flag, value or
/// name of a general register.
fn form(line: &str) -> String {
    let is_line = |c: char| ('\u{2500}'..='\u{257f}').contains(&c);
    let is_value =
        |word: &str| word.split_once('=').is_some_and(|(_, value)| value.starts_with(char::is_numeric));
    let is_flags = |word: &str| word.starts_with('[') && !word.contains(char::is_lowercase);
    // A process that changed no register since its last switch is shown without values.
    let line = line.strip_suffix("as loaded").unwrap_or(line);
    let words = line.split(|c: char| c.is_whitespace() || is_line(c));
    let words = words.filter(|word| !word.is_empty() && !is_value(word) && !is_flags(word));
    let form = |word| if REGISTERS.contains(&word) { "register".into() } else { numberless(word) };
    words.map(|word| form(word) + " ").collect()
}

/// A word with `#` for each number.
fn numberless(word: &str) -> String {
    let mut form = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let number = match rest.strip_prefix("0x") {
            Some(digits) => 2 + digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len()),
            None => rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')).unwrap_or(rest.len()),
        };
        let is_number = first.is_ascii_digit() && number > 0;
        form.push(if is_number { '#' } else { first });
        rest = &rest[if is_number { number } else { first.len_utf8() }..];
    }
    form
}

/// Fails unless each line of an excerpt has the form of a line that was printed.
fn is_of_the_form(excerpt: &str, printed: &str) -> TestResult {
    let forms: HashSet<String> = printed.lines().map(form).collect();
    let is_told = |line: &&str| line.trim() != "..." && !line.starts_with("(exit code ");
    let is_known = |line: &&str| form(line).is_empty() || forms.contains(&form(line));
    let strange: Vec<&str> = excerpt.lines().filter(is_told).filter(|line| !is_known(line)).collect();
    ensure(strange.is_empty(), || format!("no such lines:\n{}\nin\n{printed}", strange.join("\n")))
}

/// A shell's command line, with `trapline` the one under test.
fn shell(line: &str, folder: &Path) -> Result<support::Output, Failed> {
    let line = format!("trapline() {{ \"$0\" \"$@\"; }}\n{line}");
    support::command(
        Command::new("sh").args(["-ec", &line]).arg(support::binary()).current_dir(folder),
        folder,
    )
}

pub fn the_commands_of_the_chapter_run() -> TestResult {
    run_chapter(|_, _, _| Ok(()))
}

/// Which process the timer interrupts first depends on how fast the host is at that moment. An excerpt shows one of the
/// possible orders, so the chapter is run again where another one came.
pub fn the_chapter_runs_as_shown() -> TestResult {
    const TRIES: usize = 5;
    (1..TRIES).find_map(|_| chapter_as_shown().ok()).map_or_else(chapter_as_shown, Ok)
}

fn chapter_as_shown() -> TestResult {
    run_chapter(|command, excerpts, printed| {
        excerpts.iter().try_for_each(|excerpt| {
            is_of_the_form(excerpt, printed)
                .map_err(|error| format!("{command}: {}", error.message().unwrap_or_default()).into())
        })
    })
}

/// Runs each command of the chapter, which must end with the exit code that its excerpts name, and checks what it printed.
fn run_chapter(check: impl Fn(&str, &[&str], &str) -> TestResult) -> TestResult {
    let folder = folder();
    let shown = shown(CHAPTER, "console");
    ensure(shown.len() > 20, || format!("{} commands", shown.len()))?;
    for Shown { command, excerpts } in shown {
        let code = excerpts.iter().map(|excerpt| exit_code(excerpt)).max().unwrap_or(0);
        let output = shell(&command, folder.path())?.expect(code)?;
        check(&command, &excerpts, &(output.stdout + &output.stderr))?;
    }
    Ok(())
}

/// The README's excerpts are of the tour and its trace.
pub fn the_readme_runs_as_shown() -> TestResult {
    let folder = folder();
    let tour = shell("trapline run 2>&1; trapline view trapline-1.trap", folder.path())?.expect(0)?.stdout;
    let excerpts: Vec<&str> = shown(README, "sh").into_iter().flat_map(|shown| shown.excerpts).collect();
    ensure(excerpts.len() > 1, || format!("{} excerpts", excerpts.len()))?;
    excerpts.into_iter().try_for_each(|excerpt| is_of_the_form(excerpt, &tour))
}

/// Each command line of the README is one that Trapline takes.
pub fn the_commands_of_the_readme_run() -> TestResult {
    let folder = folder();
    // The files that its command lines name.
    let files = "trapline run --trace trapline-1.trap
                 trapline extract files; cp files/hello mine; cp files/kernel.elf kernel.elf
                 for copy in a b broken; do cp trapline-1.trap $copy.trap; done";
    shell(files, folder.path())?.expect(0)?;
    let commands = shown(README, "sh");
    let lines = commands.iter().flat_map(|shown| shown.command.lines());
    let lines: Vec<&str> = lines.filter(|line| line.starts_with("trapline ")).collect();
    ensure(lines.len() > 10, || format!("{} command lines", lines.len()))?;
    for line in lines {
        let output = shell(line, folder.path())?;
        // Not 1 or 2: Trapline failed, or the line was wrong.
        let is_right = [OK, PROCESS_FAILED, TIME_OUT].contains(&u8::try_from(output.code)?);
        ensure(is_right, || format!("{line}: {output:#?}"))?;
    }
    Ok(())
}

/// The last column of the chapter's table.
pub fn what_shows_each_idea_exists() -> TestResult {
    let mut known = String::new();
    for folder in ["../tests/lde", "../tests/check", "../trace/src/analysis/check"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
            known += &fs::read_to_string(entry?.path())?;
        }
    }
    let rows = CHAPTER.lines().filter(|line| line.starts_with("| [")).collect::<Vec<_>>();
    ensure(rows.len() > 20, || format!("{} rows", rows.len()))?;
    for row in rows {
        let proofs = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let quoted = proofs.split('`').skip(1).step_by(2);
        let names: Vec<&str> = quoted.filter(|name| !name.starts_with("trapline ")).collect();
        let unknown: Vec<_> = names.iter().filter(|name| !known.contains(&format!("\"{name}\""))).collect();
        ensure(!names.is_empty() && unknown.is_empty(), || format!("{unknown:?} in {row}"))?;
    }
    Ok(())
}
