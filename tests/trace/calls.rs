//! The table of system calls, compared with Linux's own list of them.

use std::collections::BTreeMap;
use std::fs;

use abi::syscall::{Call, errno};

use crate::support::{Need, Suite, TestResult, ensure};

/// Linux's numbers and names, from the package of its headers.
const NUMBERS: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
const ERRORS: [&str; 2] = ["/usr/include/asm-generic/errno-base.h", "/usr/include/asm-generic/errno.h"];

pub fn add(suite: Suite) -> Suite {
    suite
        .needs(&[Need::File(NUMBERS)], "calls::numbers_are_those_of_linux", numbers_are_those_of_linux)
        .needs(&ERRORS.map(Need::File), "calls::errors_are_those_of_linux", errors_are_those_of_linux)
}

/// Headers of an older Linux have fewer calls: what they have must be here, and up to their last call nothing more.
fn numbers_are_those_of_linux() -> TestResult {
    let theirs = defined(NUMBERS, "__NR_")?;
    let last = theirs.keys().copied().max().unwrap_or_default();
    let ours = Call::ALL.iter().map(|&call| (call as i64, call.name().to_owned()));
    // The headers name this one from Linux 6.11 on, and its number is below those of older calls.
    let ours =
        ours.filter(|(number, name)| *number <= last && (name != "uretprobe" || theirs.contains_key(number)));
    same(&ours.collect(), &theirs)
}

fn errors_are_those_of_linux() -> TestResult {
    let mut theirs = BTreeMap::new();
    for header in ERRORS {
        theirs.extend(defined(header, "E")?);
    }
    for &(number, name, text) in errno::ALL {
        let theirs = std::io::Error::from_raw_os_error(number as i32).to_string();
        ensure(theirs == format!("{text} (os error {number})"), || format!("{name}: {text}, not {theirs}"))?;
    }
    same(&errno::ALL.iter().map(|&(number, name, _)| (number, name.to_owned())).collect(), &theirs)
}

fn same(ours: &BTreeMap<i64, String>, theirs: &BTreeMap<i64, String>) -> TestResult {
    let differs: Vec<_> = ours.iter().filter(|(number, name)| theirs.get(number) != Some(name)).collect();
    let missing: Vec<_> = theirs.iter().filter(|(number, _)| !ours.contains_key(number)).collect();
    ensure(differs.is_empty() && missing.is_empty() && theirs.len() > 100, || {
        format!("{} of Linux's; differs: {differs:?}, missing: {missing:?}", theirs.len())
    })
}

/// The numbers that a header defines under names with this beginning, and the names. The beginning of an error's name
/// belongs to it.
fn defined(header: &str, beginning: &str) -> std::io::Result<BTreeMap<i64, String>> {
    let text = fs::read_to_string(header)?;
    let line = |line: &str| {
        let mut words = line.strip_prefix("#define")?.split_whitespace();
        let (name, number) = (words.next()?, words.next()?.parse().ok()?);
        let rest = name.strip_prefix(beginning)?;
        Some((number, if beginning == "E" { name } else { rest }.to_owned()))
    };
    Ok(text.lines().filter_map(line).collect())
}
