//! The commands in README.md and docs/ostep.md run, exit as the pages say, and print what the pages show. The rules and tests
//! that the pages name exist.
//!
//! The lines of an excerpt are found in what its command prints by their form, the words without numbers, because times and
//! addresses differ from run to run. In the tables, an address that stands in two places must be the same one in both: the
//! handler in the trap table is the handler that the switch jumps to. After a change of the output,
//! `TRAPLINE_BLESS=1 cargo test --release -p trapline --test lde runs_as_shown` puts the values of one run into both pages.
//! The pictures are compared in the same way with those that `scripts/pictures` draws now.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use trapline::commands::{OK, PROCESS_FAILED, TIME_OUT};

use crate::support::{self, TestResult, ensure, folder};

const README: &str = include_str!("../../README.md");
const CHAPTER: &str = include_str!("../../docs/ostep.md");
const LAB: &str = include_str!("../../docs/lab.md");

/// A command of a document, and the excerpts that follow it.
struct Shown<'a> {
    command: String,
    excerpts: Vec<&'a str>,
}

/// The commands of a document, in blocks named `console` with a prompt, or `sh`.
fn shown<'a>(document: &'a str, commands: &str) -> Vec<Shown<'a>> {
    let mut all: Vec<Shown> = Vec::new();
    // Every second part between fences is a block.
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

/// The lines between the columns of a table.
const COLUMNS: [char; 2] = ['\u{2502}', '\u{2506}'];

/// The form of a line: its words, without what differs from run to run and from build to build, which are numbers, units of
/// time, flags, values and the names of general registers.
fn form(line: &str) -> String {
    let is_value =
        |word: &str| word.split_once('=').is_some_and(|(_, value)| value.starts_with(char::is_numeric));
    let is_flags = |word: &str| word.starts_with('[') && !word.contains(char::is_lowercase);
    // A process that changed no register since its last switch is shown without values.
    let line = line.strip_suffix("as loaded").unwrap_or(line);
    let words = line.split_whitespace().filter(|word| !is_value(word) && !is_flags(word));
    let form = |word| match word {
        _ if REGISTERS.contains(&word) => "register".into(),
        "ns" | "µs" | "ms" | "s" => "unit".into(),
        _ => numberless(word),
    };
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

/// Whether the line shows only what differs from build to build: a register that holds a value at this place, or the rest of
/// a wrapped line of values.
fn is_optional(line: &str) -> bool {
    let form = form(line).replace(COLUMNS, "");
    line.contains(char::is_numeric) && matches!(form.trim(), "" | "register #")
}

/// Whether the line stands in an excerpt only.
fn is_kept(line: &str) -> bool {
    line.trim() == "..." || line.starts_with("(exit code ")
}

/// Which address of this run stands for which of the page, in the tables.
#[derive(Default)]
struct Addresses {
    printed: HashMap<String, String>,
    shown: HashMap<String, String>,
}

impl Addresses {
    /// Fails where one address of the page is two of this run, or one of this run is two of the page.
    fn relate(&mut self, shown: &str, printed: &str) -> TestResult {
        let kernel_addresses = |line: &str| -> Vec<String> {
            let words = line.split([' ', '<', '>']).filter(|word| word.starts_with("0xffffffff"));
            words.map(str::to_owned).collect()
        };
        for (shown, printed) in kernel_addresses(shown).into_iter().zip(kernel_addresses(printed)) {
            let is_same = *self.printed.entry(shown.clone()).or_insert_with(|| printed.clone()) == printed
                && *self.shown.entry(printed.clone()).or_insert_with(|| shown.clone()) == shown;
            ensure(is_same, || {
                format!("the page shows {shown} for {printed}, and elsewhere another address")
            })?;
        }
        Ok(())
    }
}

/// The excerpt with the values of this run. Its parts, between lines that say that some are left out, are looked for from
/// where the part before was found, and then from the start. The lines of a part follow each other where that happened in
/// this run; in which order processes print depends on which of them was preempted.
fn as_printed(excerpt: &str, printed: &str) -> Result<String, Failed> {
    // Each line with the optional ones that follow it.
    let mut lines: Vec<(String, String)> = Vec::new();
    for line in printed.lines() {
        match lines.last_mut() {
            Some((_, text)) if is_optional(line) => *text += &format!("{line}\n"),
            _ => lines.push((form(line), format!("{line}\n"))),
        }
    }
    let (mut next, mut now) = (0, String::new());
    let wanted: Vec<&str> = excerpt.lines().filter(|line| !is_optional(line)).collect();
    for part in wanted.chunk_by(|line, next| !is_kept(line) && !is_kept(next)) {
        if is_kept(part[0]) {
            now += &format!("{}\n", part[0]);
            continue;
        }
        let forms: Vec<String> = part.iter().map(|line| form(line)).collect();
        let follows = |at: &usize| lines[*at..].iter().map(|(form, _)| form).take(forms.len()).eq(&forms);
        let whole = (next..lines.len()).chain(0..next).find(follows);
        for (offset, form) in forms.iter().enumerate() {
            let mut order = (next..lines.len()).chain(0..next);
            let found = whole.map(|at| at + offset).or_else(|| order.find(|&at| lines[at].0 == *form));
            let found = found.ok_or_else(|| format!("no line like\n{}\nin\n{printed}", part[offset]))?;
            next = found + 1;
            now += &lines[found].1;
        }
    }
    Ok(now)
}

/// A shell's command line, with `trapline` the one under test. `time` is a word of bash; where there is no bash, as on the
/// emulated hardware, it only runs its command.
fn shell(line: &str, folder: &Path) -> Result<support::Output, Failed> {
    let (name, time) = match support::path_of("bash") {
        Ok(_) => ("bash", ""),
        Err(_) => ("sh", "time() { \"$@\"; }\n"),
    };
    let line = format!("{time}trapline() {{ \"$0\" \"$@\"; }}\n{line}");
    support::command(
        Command::new(name).args(["-ec", &line]).arg(support::binary()).current_dir(folder),
        folder,
    )
}

pub fn the_commands_of_the_chapter_run() -> TestResult {
    run_page(CHAPTER, |_, _| Ok(()))
}

pub fn the_commands_of_the_lab_run() -> TestResult {
    run_page(LAB, |_, _| Ok(()))
}

pub fn the_chapter_runs_as_shown() -> TestResult {
    let mut page = Page::new(CHAPTER);
    run_page(CHAPTER, |Shown { command, excerpts }, printed| {
        let result = excerpts.iter().try_for_each(|excerpt| page.compare(excerpt, printed));
        result.map_err(|error| format!("{command}: {}", error.message().unwrap_or_default()).into())
    })?;
    page.finish("docs/ostep.md")
}

/// A page, and the same with the values of this run.
struct Page {
    text: String,
    addresses: Addresses,
    /// Write the page with the values of this run, which needs no relation to the old ones.
    is_blessed: bool,
}

impl Page {
    fn new(text: &str) -> Page {
        let is_blessed = std::env::var_os("TRAPLINE_BLESS").is_some_and(|value| value == "1");
        Page { text: text.to_owned(), addresses: Addresses::default(), is_blessed }
    }

    fn compare(&mut self, excerpt: &str, printed: &str) -> TestResult {
        let now = as_printed(excerpt, printed)?;
        if !self.is_blessed {
            let lines =
                |text| str::lines(text).filter(|line| line.starts_with(COLUMNS) && !is_optional(line));
            lines(excerpt).zip(lines(&now)).try_for_each(|(shown, now)| self.addresses.relate(shown, now))?;
        }
        self.text = self.text.replacen(&format!("```text\n{excerpt}```"), &format!("```text\n{now}```"), 1);
        Ok(())
    }

    fn finish(self, name: &str) -> TestResult {
        if self.is_blessed {
            fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name), self.text)?;
        }
        Ok(())
    }
}

/// Runs each command of a page, which must end with the exit code that its excerpts name, and checks what it printed.
fn run_page(page: &str, mut check: impl FnMut(&Shown, &str) -> TestResult) -> TestResult {
    let folder = folder();
    let all = shown(page, "console");
    ensure(all.len() > 3, || format!("{} commands", all.len()))?;
    for shown in all {
        let code = shown.excerpts.iter().map(|excerpt| exit_code(excerpt)).max().unwrap_or(0);
        let output = shell(&shown.command, folder.path())?.expect(code)?;
        check(&shown, &(output.stdout + &output.stderr))?;
    }
    Ok(())
}

/// The README's excerpts are of the tour and its trace.
pub fn the_readme_runs_as_shown() -> TestResult {
    let folder = folder();
    let tour = shell("trapline run; trapline view trapline-1.trap", folder.path())?.expect(0)?;
    let printed = tour.stdout + &tour.stderr;
    let excerpts: Vec<&str> = shown(README, "sh").into_iter().flat_map(|shown| shown.excerpts).collect();
    ensure(excerpts.len() > 1, || format!("{} excerpts", excerpts.len()))?;
    let mut page = Page::new(README);
    excerpts.into_iter().try_for_each(|excerpt| page.compare(excerpt, &printed))?;
    page.finish("README.md")
}

/// The handler of the table and that of the switch are one address in the run, and two on the page.
pub fn an_excerpt_of_two_builds_is_seen() -> TestResult {
    let table = |gate: &str, jump: &str| format!("\u{2502} timer: {gate}\n\u{2502} jump to gate = {jump}\n");
    let compare = |page: &str, run: &str| Page::new("").compare(page, run);
    let (old, new) = ("0xffffffff80200280", "0xffffffff80200200");
    compare(&table(old, old), &table(new, new))?;
    for (page, run) in [(table(old, new), table(new, new)), (table(new, new), table(old, new))] {
        ensure(compare(&page, &run).is_err(), || format!("{page} passes for {run}"))?;
    }
    Ok(())
}

/// Each command line of the README is one that Trapline accepts.
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

/// The pictures in docs are those that the script draws, but for values of a run.
pub fn the_pictures_are_up_to_date() -> TestResult {
    let folder = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The script starts `trapline`, which is the one under test.
    let path = [support::binary().parent().map(Path::to_owned).unwrap_or_default()]
        .into_iter()
        .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()))
        .collect::<Vec<_>>();
    let mut script = Command::new("python3");
    script.arg(root.join("scripts/pictures")).arg(folder.path()).env("PATH", std::env::join_paths(path)?);
    support::command(&mut script, folder.path())?.expect(0)?;
    for name in ["switch.svg", "memory.svg"] {
        let (shown, drawn) = (root.join("docs").join(name), folder.path().join(name));
        let (shown, drawn) = (fs::read_to_string(shown)?, fs::read_to_string(drawn)?);
        let forms = |picture: &str| picture.lines().map(form).collect::<Vec<_>>();
        ensure(forms(&shown) == forms(&drawn), || format!("run scripts/pictures: {name} is now\n{drawn}"))?;
        let mut addresses = Addresses::default();
        shown.lines().zip(drawn.lines()).try_for_each(|(shown, drawn)| addresses.relate(shown, drawn))?;
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
