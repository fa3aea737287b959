//! The exercise in examples/lab and the repository in examples/ci: the right solution meets all expectations, and the
//! first failure of each wrong solution is the expectation that names its mistake.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;

use crate::support::{self, Output, TestResult, binary, ensure, folder, trapline};

fn examples(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// Compiles, runs and grades a solution.
fn graded(define: &str) -> Result<Output, Failed> {
    let folder = folder();
    let source = examples("lab/lab.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-O1", "-w", define, "-o", "lab"]).arg(source).current_dir(&folder);
    support::command(&mut gcc, folder.path())?.expect(0)?;
    trapline(folder.path(), &["run", "--trace", "lab.trap", "--timeout", "10s", "./lab"])?;
    let file = examples("lab/lab.toml");
    trapline(folder.path(), &["expect", "lab.trap", "-f", &file.to_string_lossy()])
}

pub fn the_right_solution_passes() -> TestResult {
    graded("-DRIGHT")?.expect(0).map(drop)
}

/// The table in the lab's page has every wrong solution.
pub fn each_wrong_solution_fails_on_its_mistake() -> TestResult {
    let page = include_str!("../../examples/lab/README.md");
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
    ensure(rows.len() == 10, || format!("{} wrong solutions", rows.len()))?;
    for (mistake, expectation) in rows {
        let expectation = expectation.trim_end_matches(" |");
        let output = graded(&format!("-D{mistake}"))?.expect(1)?.stdout;
        let first = output.lines().find(|line| line.starts_with("FAIL")).unwrap_or_default();
        ensure(first.ends_with(&format!("  {expectation}")), || format!("{mistake}: {output}"))?;
    }
    Ok(())
}

pub fn the_example_repository_passes() -> TestResult {
    let folder = folder();
    for file in ["Makefile", "primes.c", "primes.toml"] {
        std::fs::copy(examples("ci").join(file), folder.path().join(file))?;
    }
    let mut path = binary().parent().map(Path::to_owned).unwrap_or_default().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut make = Command::new("make");
    make.arg("test").env("PATH", path).current_dir(&folder);
    support::command(&mut make, folder.path())?.expect(0).map(drop)
}
