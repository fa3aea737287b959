//! The page about Linux programs lists every call that the kernel handles, and no other.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Suite, TestResult, ensure};

/// Adds the test of this file.
pub fn add(suite: Suite) -> Suite {
    suite.pure("the_page_lists_the_calls_that_the_kernel_handles", calls)
}

fn calls() -> TestResult {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let kernel = fs::read_to_string(format!("{root}/guest/kernel/src/linux/mod.rs"))?;
    let page = fs::read_to_string(format!("{root}/docs/linux-abi.md"))?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let with_frame = kernel.split("Call::").skip(1).filter_map(|rest| rest.split(|c| !is_name(c)).next());
    let table = kernel.split("table! {").nth(1).unwrap_or_default();
    let in_table = table
        .lines()
        .filter_map(|line| line.split_once(") =>")?.0.split_once('('))
        .flat_map(|(names, _)| names.split('|').map(str::trim));
    let handled: BTreeSet<&str> = with_frame
        .chain(in_table)
        .filter(|name| !["from_number", ""].contains(name) && !name.starts_with("trapline_"))
        .collect();
    let list = page.split("```text").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let listed: BTreeSet<&str> = list.split_whitespace().collect();
    ensure(handled == listed, || {
        let missing: Vec<_> = handled.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&handled).collect();
        format!("not on the page: {missing:?}; not in the kernel: {gone:?}")
    })
}
