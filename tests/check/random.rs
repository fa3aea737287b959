//! Runs of any programs under any options: whatever happens in them, the protocol is kept.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::sample::select;

use crate::support::{self, TestResult, ensure, trapline};

/// Runs on a real host, and on an emulated one; `TRAPLINE_RANDOM_RUNS` asks for another number.
const RUNS: u32 = 40;
const RUNS_EMULATED: u32 = 6;

/// All but the last end by themselves.
const PROGRAMS: [&str; 20] = [
    "hello",
    "arguments a b",
    "deep",
    "jumper",
    "overflow",
    "pages",
    "privileged",
    "thief",
    "vandal",
    "counter 5",
    "counter 100",
    "hog 3",
    "hog 60",
    "polite",
    "divider",
    "wild",
    "rogue",
    "forger",
    "sleeper",
    "hog",
];

fn check(folder: &Path, trace: &str) -> TestResult {
    let output = trapline(folder, &["check", trace])?;
    ensure(output.code == 0, || format!("{}\n{}", output.stdout, output.stderr))
}

pub fn the_tour_passes() -> TestResult {
    let folder = support::folder();
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    check(folder.path(), "t.trap")
}

pub fn random_runs_pass() -> TestResult {
    let asked = std::env::var("TRAPLINE_RANDOM_RUNS").ok().and_then(|runs| runs.parse().ok());
    let usual = if support::is_emulated_host() { RUNS_EMULATED } else { RUNS };
    support::property(asked.unwrap_or(usual), &command_lines(), |words| {
        let folder = support::folder();
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = trapline(folder.path(), &arguments)?;
        ensure(matches!(output.code, 0 | 32 | 36), || format!("{output:?}"))?;
        check(folder.path(), "t.trap")
    })
}

/// Runs of some programs under some options.
fn command_lines() -> impl Strategy<Value = Vec<String>> {
    let options = (
        select(&["rr", "rr", "cooperative"]),
        200..20_000_u32,
        select(&["periodic", "oneshot", "deadline"]),
        select(&["1", "7", "1024", "65536"]),
        vec(select(&PROGRAMS), 1..=6),
    );
    options.prop_map(|(policy, quantum, timer, batch, programs)| {
        let quantum = format!("{quantum}us");
        let options = ["--policy", policy, "--quantum", &quantum, "--timer", timer, "--batch", batch];
        let run = ["run", "--trace", "t.trap", "--timeout", "400ms"];
        run.into_iter().chain(options).chain(programs).map(String::from).collect()
    })
}
