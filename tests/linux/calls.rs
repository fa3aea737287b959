//! Compares the sequence of system calls and signals of each process on our kernel with strace's of the same program.
//!
//! Not compared: process numbers (only which process is meant), addresses, times, random bytes, and when a child's end
//! sends SIGCHLD, which depends on when the child ends. [`shown`] lists the differences that are accepted;
//! docs/linux-abi.md has their reasons.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Failed;

use crate::support::{TestResult, ensure};

/// The lines of each process, in the order in which the processes were made.
struct Sequences {
    processes: Vec<(u32, Vec<String>)>,
}

/// Fails with the first difference between two outputs of strace's form `-f -o FILE`.
pub fn compare(native: &str, ours: &str) -> TestResult {
    let (native, ours) = (Sequences::of(native)?, Sequences::of(ours)?);
    let count = native.processes.len();
    ensure(count == ours.processes.len(), || {
        format!("natively {count}, here {} processes", ours.processes.len())
    })?;
    for (number, ((_, theirs), (_, own))) in native.processes.iter().zip(&ours.processes).enumerate() {
        let (their_ends, their_calls) = apart(theirs);
        let (own_ends, own_calls) = apart(own);
        let is_same = |theirs: &String, own: &String| is_same(theirs, own, &native, &ours);
        let differs = their_calls.iter().zip(&own_calls).position(|(theirs, own)| !is_same(theirs, own));
        let is_longer = their_calls.len() != own_calls.len();
        let differs = differs.or_else(|| is_longer.then(|| their_calls.len().min(own_calls.len())));
        // The number of children's ends before the process's own end depends on time.
        let own_end = own_ends
            .iter()
            .find(|own| !their_ends.is_empty() && !their_ends.iter().any(|theirs| is_same(theirs, own)));
        ensure(own_end.is_none(), || {
            format!("process {number}: natively {their_ends:#?}, here {own_ends:#?}")
        })?;
        if let Some(at) = differs {
            let around = |lines: &[String]| -> String {
                lines.iter().skip(at.saturating_sub(2)).take(5).map(|line| format!("  {line}\n")).collect()
            };
            let (theirs, own) = (around(&their_calls), around(&own_calls));
            return Err(format!("process {number}, line {at}: natively\n{theirs}and here\n{own}").into());
        }
    }
    Ok(())
}

/// Separates the signals for the ends of children from all other lines.
fn apart(lines: &[String]) -> (Vec<String>, Vec<String>) {
    let mut unequal = BTreeSet::new();
    lines
        .iter()
        .filter_map(|line| shown(line, &mut unequal))
        .partition(|line| line.starts_with("--- SIGCHLD"))
}

/// The part of a line that is compared, if any. `unequal`: the descriptors of files whose content differs.
fn shown(line: &str, unequal: &mut BTreeSet<String>) -> Option<String> {
    const DIFFERENT_FILES: [&str; 3] = ["\"/proc/self/maps\"", "\"/dev/urandom\"", "\"/dev/random\""];
    let (name, arguments) = line.split_once('(').unwrap_or((line, ""));
    let result = line.rsplit_once(" = ").map_or("", |(_, result)| result);
    if DIFFERENT_FILES.iter().any(|file| arguments.contains(file)) {
        unequal.insert(result.to_owned());
    }
    let is_ignored =
        ["--- SIGURG", "--- SIGWINCH", "--- SIGCONT"].iter().any(|signal| line.starts_with(signal));
    Some(match name {
        _ if is_ignored => return None,
        "clock_gettime" | "gettimeofday" | "time" | "getcpu" => return None,
        "getrandom" | "times" | "getrusage" | "getppid" | "getpgid" | "getpgrp" | "getsid" => name.into(),
        "rt_sigreturn" | "uname" | "sysinfo" | "prlimit64" | "sched_getaffinity" => name.into(),
        "waitid" | "rt_sigtimedwait" | "select" | "pselect6" | "statfs" | "fstatfs" | "statx" => {
            format!("{name} = {}", result.split(' ').next().unwrap_or_default())
        }
        "fcntl" if arguments.contains("LK") => format!("{name} = {result}"),
        "read" if arguments.split_once(',').is_some_and(|(file, _)| unequal.contains(file)) => name.into(),
        "fstat" | "stat" | "lstat" | "newfstatat"
            if arguments.contains("S_IFDIR") || arguments.contains("S_IFCHR") =>
        {
            arguments.split('{').next().map(|path| format!("{name}({path}"))?
        }
        _ if result.starts_with("? ERESTART") || result.starts_with("-1 EINTR ") => {
            format!("{name} is interrupted")
        }
        _ => line.into(),
    })
}

impl Sequences {
    fn of(text: &str) -> Result<Self, Failed> {
        let mut processes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (process, event) = line.split_once(' ').ok_or("a line without a process")?;
            let lines = processes.entry(process.parse()?).or_default();
            let event = without_times(event.trim_start());
            match lines.last_mut().filter(|last| last.ends_with("<unfinished ...>")) {
                Some(last) if event.starts_with("<... ") => {
                    let rest = event.split_once("resumed>").ok_or("a call without an end")?.1;
                    *last = last.trim_end_matches("<unfinished ...>").trim_end().to_owned() + rest;
                }
                _ => lines.push(without_seconds(event)),
            }
        }
        Ok(Self { processes: processes.into_iter().collect() })
    }

    /// The position of a process among all processes.
    fn place(&self, number: &str) -> Option<usize> {
        let number: u32 = number.parse().ok()?;
        self.processes.iter().position(|(process, _)| *process == number)
    }
}

/// A line of ours without its time and the duration of the call.
fn without_times(event: &str) -> &str {
    match event.split_once(' ') {
        Some((time, event)) if time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            let is_duration =
                |took: &str| took.strip_suffix('>').is_some_and(|took| took.parse::<f64>().is_ok());
            event.rsplit_once(" <").filter(|(_, took)| is_duration(took)).map_or(event, |(event, _)| event)
        }
        _ => event,
    }
}

/// A line without what strace adds to a CPU time that is not 0: `si_stime=1 /* 0.01 s */`.
fn without_seconds(event: &str) -> String {
    let mut parts = event.split(" /* ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| match part.split_once(" s */") {
        Some((seconds, rest)) if seconds.parse::<f64>().is_ok() => line + rest,
        _ => line + " /* " + part,
    })
}

/// Words (names, numbers) and the characters between them, without spaces.
fn tokens(line: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let size = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        if first != ' ' {
            tokens.push(&rest[..size]);
        }
        rest = &rest[size..];
    }
    tokens
}

fn is_same(theirs: &str, own: &str, native: &Sequences, ours: &Sequences) -> bool {
    let (theirs, own) = (tokens(theirs), tokens(own));
    theirs.len() == own.len()
        && (0..own.len()).all(|at| {
            let (one, other) = (theirs[at], own[at]);
            one == other
                || (is_address(one) && is_address(other))
                || native.place(one).is_some_and(|place| Some(place) == ours.place(other))
                || (is_time(&own, at) && is_time(&theirs, at))
        })
}

fn is_address(token: &str) -> bool {
    token
        .strip_prefix("0x")
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .is_some_and(|value| value >= 0x1000)
}

/// Whether a number is a time or a part of one.
fn is_time(tokens: &[&str], at: usize) -> bool {
    const FIELDS: [&str; 8] =
        ["tv_sec", "tv_nsec", "tv_usec", "si_utime", "si_stime", "tms_utime", "tms_stime", "times"];
    let is_number = tokens[at].bytes().all(|byte| byte.is_ascii_digit());
    is_number && at >= 2 && tokens[at - 1] == "=" && FIELDS.contains(&tokens[at - 2])
}
