//! The book's tables, from the trace of a run: every step, in order.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::support::{TestResult, ensure, folder, trapline};

const BOOT: &[&str] = &["trap-table", "remember-gates", "remember-syscall", "start-timer", "timer-started"];
/// Figure 6.2, to the return from the first system call. (Who builds the frame differs between hosts.)
const FIRST_CALL: &[&str] = &[
    "create",
    "load",
    "user-stack",
    "kernel-stack",
    "return-from-trap",
    "restore",
    "run",
    "call",
    "trap",
    "save-registers",
    "handle-call",
    "do-call",
    "restore-registers",
    "return-from-trap",
    "restore",
    "run",
];
/// Figure 6.3, from A to B.
const SWITCH: &[&str] = &[
    "run",
    "trap",
    "save-registers",
    "handle-tick",
    "switch-save",
    "switch-load",
    "switch-stack",
    "restore-registers",
    "return-from-trap",
    "restore",
    "run",
];
/// Figure 6.2, its end.
const END: &[&str] = &["call", "trap", "handle-call", "exit", "free"];
/// Figure 6.1.
const DIRECT: &[&str] = &["create", "load", "user-stack", "call-main", "run", "return", "exit", "free"];

/// The steps of each table of a run's trace.
fn tables(run: &[&str], code: i32, excerpt: &[&str]) -> Result<Vec<Vec<String>>, Failed> {
    let folder = folder();
    trapline(folder.path(), &[&["run", "--trace", "t.trap"], run].concat())?.expect(code)?;
    let arguments = [&["protocol", "t.trap", "--format", "json"], excerpt].concat();
    let output = trapline(folder.path(), &arguments)?.expect(0)?;
    let value: Value = serde_json::from_str(&output.stdout)?;
    let of = |table: &Value| {
        let rows = table["rows"].as_array().into_iter().flatten();
        rows.filter_map(|row| row["step"].as_str().map(str::to_owned)).collect()
    };
    Ok(value["tables"].as_array().into_iter().flatten().map(of).collect())
}

/// Fails unless `steps` has all of `wanted`, in this order.
fn in_order(steps: &[String], wanted: &[&str]) -> TestResult {
    let mut left = steps.iter();
    let missing = wanted.iter().find(|step| !left.any(|other| other == *step));
    ensure(missing.is_none(), || format!("{missing:?} is missing or out of order: {steps:?}"))
}

pub fn tables_of_the_tour() -> TestResult {
    let tables = tables(&[], 0, &[])?;
    ensure(tables.len() == 4, || format!("boot, a call, a switch and an end, not {tables:?}"))?;
    [BOOT, FIRST_CALL, SWITCH, END]
        .iter()
        .zip(&tables)
        .try_for_each(|(wanted, steps)| in_order(steps, wanted))
}

pub fn table_without_limits() -> TestResult {
    let tables = tables(&["hello", "--policy", "direct"], 0, &[])?;
    ensure(tables.len() == 1, || format!("one life, not {tables:?}"))?;
    in_order(&tables[0], DIRECT)
}
