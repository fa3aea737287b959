//! Each name of a test in the threat model is the name of a test that exists.

use std::path::Path;

use crate::support::{Suite, TestResult, ensure};

/// Adds the test of this file.
pub fn add(suite: Suite) -> Suite {
    suite.pure("model::every_test_that_it_names_exists", every_test_that_it_names_exists)
}

/// The words between two backquotes that name a test target with a folder in `tests`, and a test of that target.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|quoted| quoted.split_once(' '));
    named.filter(|(target, name)| folder(target).is_dir() && !name.contains([' ', '.']))
}

fn folder(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(target)
}

fn every_test_that_it_names_exists() -> TestResult {
    let model = include_str!("../../docs/threat-model.md");
    ensure(named(model).count() > 20, || "the threat model names few tests".into())?;
    for (target, name) in named(model) {
        let mut is_there = false;
        for file in std::fs::read_dir(folder(target))? {
            let path = file?.path();
            let is_code = path.extension().is_some_and(|extension| extension == "rs");
            is_there |= is_code && std::fs::read_to_string(&path)?.contains(&format!("\"{name}\""));
        }
        ensure(is_there, || format!("there is no test {name} in tests/{target}"))?;
    }
    Ok(())
}
