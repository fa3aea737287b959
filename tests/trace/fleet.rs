//! docs/fleet.md: the answers of an engine to its questions, on a data set of 50 traces, are those of `stat --json`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stat::FIXTURE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .needs(
            &[Need::Tool("python3"), Need::Module("duckdb")],
            "a_fleet_answers_as_stat_does",
            || fleet(&[]),
        )
        .needs(
            &[Need::Kvm, Need::Tool("python3"), Need::Module("duckdb")],
            "a_fleet_of_runs_answers_as_stat_does",
            || fleet(&["hello", "sleeper", "polite hello", "pages"]),
        )
}

const HOSTS: [&str; 5] = ["alpha", "beta", "host c", "d%2F", "e=f"];
const RUNS: usize = 10;

/// A data set of a stored trace and of these runs, each of them many times.
fn fleet(runs: &[&str]) -> TestResult {
    let folder = folder();
    let folder = folder.path();
    let mut traces = vec![FIXTURE.to_owned()];
    for (index, programs) in runs.iter().enumerate() {
        let trace = format!("{index}.trap");
        let run =
            [&["run", "--trace", &trace, "--quantum", "1ms"][..], &programs.split(' ').collect::<Vec<_>>()];
        trapline(folder, &run.concat())?.expect(0)?;
        traces.push(folder.join(trace).display().to_string());
    }
    let mut files = Vec::new();
    for (index, host) in HOSTS.iter().enumerate() {
        fs::create_dir(folder.join(host))?;
        for run in 0..RUNS {
            let file = format!("{host}/{:07x}-{run}.trap", 0xabcdef + run % 2);
            fs::copy(&traces[(index + run) % traces.len()], folder.join(&file))?;
            let export = ["export", &file, "--format", "parquet", "--dataset", "fleet", "--host", host];
            trapline(folder, &export)?.expect(0)?;
            files.push(file);
        }
    }
    let arguments: Vec<&str> =
        ["stat", "--json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    fs::write(folder.join("stat.json"), trapline(folder, &arguments)?.expect(0)?.stdout)?;
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut python = Command::new("python3");
    python
        .arg(tree.join("tests/trace/fleet.py"))
        .args(["duckdb", "fleet", "stat.json"])
        .arg(tree.join("docs/fleet.md"));
    let answers = support::command(python.current_dir(folder), folder)?.expect(0)?.stdout;
    ensure(answers.lines().count() == 8, || answers)
}
