//! Each promise of the threat model names a test, and each test that it names exists.

use std::path::Path;

use crate::support::{Suite, TestResult, ensure};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("model::every_test_that_it_names_exists", every_test_that_it_names_exists)
        .pure("model::every_promise_names_a_test", every_promise_names_a_test)
}

const MODEL: &str = include_str!("../../docs/threat-model.md");

/// The words between two backquotes that name a test target with a folder in `tests`, and a test of that target.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|quoted| quoted.split_once(' '));
    named.filter(|(target, name)| folder(target).is_dir() && !name.contains([' ', '.']))
}

/// The words between two backquotes that name a unit test: the path of its module in a crate, and its name.
fn unit_tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::tests::"))
}

fn folder(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(target)
}

fn every_test_that_it_names_exists() -> TestResult {
    ensure(named(MODEL).count() > 20, || "the threat model names few tests".into())?;
    for (target, name) in named(MODEL) {
        let mut is_there = false;
        for file in std::fs::read_dir(folder(target))? {
            let path = file?.path();
            let is_code = path.extension().is_some_and(|extension| extension == "rs");
            is_there |= is_code && std::fs::read_to_string(&path)?.contains(&format!("\"{name}\""));
        }
        ensure(is_there, || format!("there is no test {name} in tests/{target}"))?;
    }
    for (module, name) in unit_tests(MODEL) {
        let path = module.replace("::", "/");
        let places = ["trace", "vmm"].into_iter().flat_map(|package| {
            [format!("../{package}/src/{path}.rs"), format!("../{package}/src/{path}/mod.rs")]
        });
        let mut texts = places.filter_map(|place| {
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(place)).ok()
        });
        ensure(texts.any(|text| text.contains(&format!("fn {name}()"))), || {
            format!("there is no test {name} in the module {module}")
        })?;
    }
    Ok(())
}

/// The items and paragraphs of the promises, and the rows of each table with a column for tests.
fn every_promise_names_a_test() -> TestResult {
    let section = MODEL.split("\n## ").find(|section| section.starts_with("What Trapline promises"));
    let (_, section) = section.and_then(|section| section.split_once("\n\n")).ok_or("no promises")?;
    let items = section.split("\n\n").flat_map(|paragraph| paragraph.split("\n- "));
    // A paragraph that only introduces a list.
    let promises = items.filter(|item| !item.trim().is_empty() && !item.ends_with("makes the host"));
    let rows = MODEL
        .split("\n\n")
        .filter(|table| table.lines().next().is_some_and(|head| head.ends_with("its test |")));
    let rows = rows.flat_map(|table| table.lines().skip(2));
    let all: Vec<&str> = promises.chain(rows).collect();
    ensure(all.len() > 25, || format!("few promises: {all:#?}"))?;
    for promise in all {
        ensure(named(promise).chain(unit_tests(promise)).next().is_some(), || {
            format!("this promise names no test: {promise}")
        })?;
    }
    Ok(())
}
