//! strace as a referee: the same static programs, run natively under it and on our kernel, where they run all at once.
//!
//! Our own programs, and two of `tests/fixtures` that a C compiler makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use crate::support::{self, TestResult, ensure};

/// The built-in programs that do the same on Linux. The others call by `int 0x80` with our numbers, use calls that are
/// ours, write where they run or how the kernel laid out their stack, or never end.
const PROGRAMS: [&str; 11] = [
    "hello",
    "hello 1234567890123456789012345678901 12345678901234567890123456789012 123456789012345678901234567890123 \"\\",
    "hello 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32",
    "sleeper",
    "canary",
    "deep 10 7",
    "hog 5",
    "divider",
    "wild",
    "rogue",
    "overflow",
];
/// The source of `faults`, a line a fault.
const FAULTS: &str = include_str!("../fixtures/faults.c");
/// Where results are aligned.
const RESULT_COLUMN: usize = 40;

pub fn tells_the_same() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "."])?.expect(0)?;
    compare(folder.path(), &PROGRAMS.map(str::to_owned))
}

pub fn tells_the_same_of_c() -> TestResult {
    let folder = support::folder();
    for source in ["calls", "faults"] {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-mgeneral-regs-only"]);
        gcc.args(["-o", source]);
        gcc.arg(format!("{}/../tests/fixtures/{source}.c", env!("CARGO_MANIFEST_DIR")));
        support::command(gcc.current_dir(folder.path()), folder.path())?.expect(0)?;
    }
    let faults = FAULTS.lines().filter(|line| line.starts_with("FAULT(")).count();
    let faults = (0..faults).map(|number| format!("./faults {number}"));
    compare(folder.path(), &std::iter::once("./calls".into()).chain(faults).collect::<Vec<_>>())
}

/// Runs the programs of the folder under strace, one by one, and on our kernel, together.
fn compare(folder: &Path, programs: &[String]) -> TestResult {
    let run: Vec<&str> =
        ["run", "--trace", "t.trap"].into_iter().chain(programs.iter().map(String::as_str)).collect();
    support::trapline(folder, &run)?.expect(32)?;
    let ours = support::trapline(folder, &["view", "t.trap", "--format", "strace"])?.expect(0)?.stdout;
    let ours = by_process(&ours)?;
    ensure(ours.len() == programs.len(), || format!("{} processes", ours.len()))?;
    for (program, ours) in programs.iter().zip(ours.values()) {
        let native = by_process(&native(folder, program)?)?;
        let native: Vec<&String> = native.values().flatten().collect();
        ensure(ours.iter().eq(native.iter().copied()), || {
            let differs = ours.iter().zip(&native).find(|(ours, native)| ours != *native);
            format!("{program}: {differs:#?}, of {ours:#?}\nand under strace {native:#?}")
        })?;
    }
    Ok(())
}

/// What strace writes of a program that has no environment.
fn native(folder: &Path, program: &str) -> Result<String, Failed> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-ttt", "-T", "-o", "native"]).current_dir(folder);
    std::env::vars_os().for_each(|(name, _)| _ = strace.arg("-E").arg(name));
    let mut words = program.trim_start_matches("./").split(' ');
    strace.arg(format!("./{}", words.next().unwrap_or_default())).args(words);
    // strace ends by the signal that ended the program.
    let _ = support::command(&mut strace, folder);
    Ok(std::fs::read_to_string(folder.join("native"))?)
}

/// The lines of each process in the order of their numbers, without what differs from run to run. Calls that another
/// process's line interrupted are joined to one line.
fn by_process(text: &str) -> Result<BTreeMap<u32, Vec<String>>, Failed> {
    let mut processes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (process, event) = normal(line).ok_or_else(|| format!("no line of strace's: {line}"))?;
        let lines = processes.entry(process).or_default();
        match lines
            .last_mut()
            .and_then(|last| Some((last.strip_suffix(" <unfinished ...>")?.to_owned(), last)))
        {
            Some((beginning, last)) => {
                let name = beginning.split('(').next().unwrap_or_default();
                let rest = event.strip_prefix(&format!("<... {name} resumed>"));
                *last = beginning.clone() + rest.ok_or_else(|| format!("{beginning}: {event}"))?;
            }
            None => lines.push(event),
        }
    }
    Ok(processes)
}

/// The process of a line, and the rest without times, addresses of the stack, readings of clocks and the program's folder.
/// None: it is not of strace's form, with the result in its column.
fn normal(line: &str) -> Option<(u32, String)> {
    let (process, rest) = line.split_once(' ')?;
    let (time, event) = rest.trim_start().split_once(' ')?;
    if !is_time(time) || !line.starts_with(&format!("{process:<5} {time} ")) {
        return None;
    }
    let event = match line.rsplit_once("= ").filter(|_| !line.ends_with("<unfinished ...>")) {
        Some((call, result)) => {
            let is_in_column = call.len() == RESULT_COLUMN.max(call.trim_end().len() + 1);
            let result = match result.rsplit_once(" <") {
                Some((result, took)) if took.strip_suffix('>').is_some_and(is_time) => result,
                None if result == "?" => result,
                _ => return None,
            };
            let result = if event.starts_with("getpid()") && result == process { "itself" } else { result };
            is_in_column.then(|| format!("{} = {result}", call[line.len() - event.len()..].trim_end()))?
        }
        // Whether a core file was written depends on the host.
        None => event.replace(" (core dumped)", ""),
    };
    let event = without_stack(&event.replace("\"./", "\""));
    let is_clock = event.starts_with("clock_gettime(") && event.contains('{');
    let event = if is_clock { event.replace(|c: char| c.is_ascii_digit(), "") } else { event };
    Some((process.parse().ok()?, event))
}

/// Seconds with microseconds.
fn is_time(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part) && part.len() == 6)
}

/// The stack is at the end of user memory, and so are positions that the loader chose: they have twelve digits.
fn without_stack(text: &str) -> String {
    let mut parts = text.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| match part.find(|c: char| !c.is_ascii_hexdigit()) {
        Some(12) => format!("STACK{}", &part[12..]),
        _ => format!("0x{part}"),
    });
    first + &rest.collect::<String>()
}
