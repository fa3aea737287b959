//! The page of two runs: `trapline report A --compare B`.

use std::path::Path;

use serde_json::{Value, json};

use super::{FIXTURE, PHONE, TSC_KHZ, copy_of, has_no_faults, rounds, same, seen_in, text, texts};
use crate::support::{TestResult, ensure, folder};

/// The second run makes one call more.
pub fn shows_two_runs() -> TestResult {
    let folder = folder();
    for (name, count) in [("a.trap", 40), ("b.trap", 41)] {
        std::fs::rename(rounds(folder.path(), count, TSC_KHZ)?, folder.path().join(name))?;
    }
    let script = include_str!("report.js").replace("SWITCH", "0.5");
    copy_of(folder.path(), &["a.trap", "--compare", "b.trap"], &script)?;
    let seen = seen_in(folder.path(), "copy.html")?;
    same("errors", texts(&seen["errors"]), vec![])?;
    same("warnings", texts(&seen["warnings"]), vec![])?;
    same("names", texts(&seen["names"]), vec!["A: a.trap", "B: b.trap"])?;
    same("lanes", &seen["lanes"][0], &seen["lanes"][1])?;
    same("left edges", &seen["lefts"][0], &seen["lefts"][1])?;
    same("markup from names", seen["intruders"].as_u64(), Some(0))?;
    let verdict = "The processes did not do the same in both runs.";
    same("verdict", text(&seen["verdict"]), verdict)?;
    let row = texts(&seen["steps"][0]);
    ensure(row.len() == 4 && row[0].ends_with("Show 1") && row[1] == "not the same", || format!("{row:?}"))?;
    ensure(row[2].is_empty() && row[3].contains("getpid"), || format!("{row:?}"))?;
    let drawn = seen["before"].as_array().ok_or("no numbers")?;
    let count = drawn.iter().filter(|number| **number == 1).count();
    ensure(count >= 2 && drawn.iter().all(|number| *number == 1), || format!("numbers drawn: {drawn:?}"))?;
    same("zoomed together", &seen["zoomed"], &json!([true, true]))?;
    ensure(seen["shown"] != seen["whole"], || format!("{}", seen["shown"]))?;
    ensure(text(&seen["said"]).starts_with("Difference 1: A at "), || format!("{}", seen["said"]))?;
    let measures: Vec<&Value> = seen["measures"].as_array().into_iter().flatten().collect();
    let getpid = measures.iter().find(|row| row[0] == "getpid").ok_or("getpid is not measured")?;
    same("getpid", (text(&getpid[1]), text(&getpid[2])), ("40", "41"))?;

    std::fs::write(folder.path().join("phone.html"), PHONE)?;
    let cut = seen_in(folder.path(), "phone.html")?["cut"].as_i64();
    same("wider than a phone", cut, Some(0))
}

/// One clock cannot have nanoseconds and cycles.
pub fn says_that_the_units_differ() -> TestResult {
    let folder = folder();
    for (name, rate) in [("a.trap", TSC_KHZ), ("b.trap", 0)] {
        std::fs::rename(rounds(folder.path(), 40, rate)?, folder.path().join(name))?;
    }
    let script = include_str!("report.js").replace("SWITCH", "0.5");
    copy_of(folder.path(), &["a.trap", "--compare", "b.trap"], &script)?;
    let seen = seen_in(folder.path(), "copy.html")?;
    same("errors", texts(&seen["errors"]), vec![])?;
    let unit = "B: the rate of the TSC is unknown: the timeline shows each cycle as one nanosecond.";
    same("warnings", texts(&seen["warnings"]), vec![unit])
}

pub fn is_accessible() -> TestResult {
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let second = first.with_file_name("linux.trap");
    let [first, second] = [&first, &second].map(|path| path.to_str().unwrap_or_default());
    has_no_faults(&[first, "--compare", second])
}
