//! Tests of expectations, on the traces of `samples`.

use std::path::PathBuf;

use super::*;
use crate::file::samples::{self, Sample};
use crate::text::expect::text;

fn judged(samples: &[Sample], file: &str) -> Vec<Option<String>> {
    let (_place, path) = written(samples);
    let trace = Trace::open(&path).expect("a whole file");
    let file = Expectations::parse(file).expect(file);
    let judgements = file.judge(&trace, None);
    text(&judgements, trace.meta(), 100);
    judgements.into_iter().map(|judged| judged.failure.map(|failure| failure.message)).collect()
}

fn written(samples: &[Sample]) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory for the test");
    let path = place.path().join("t.trap");
    samples::write_file(&path, samples, 1000);
    (place, path)
}

/// The message of an expectation with these keys, if it is not met.
fn one(keys: &str) -> Option<String> {
    judged(&samples::every_kind(), &format!("[[expect]]\n{keys}\n")).pop().expect("one expectation")
}

fn is_met(keys: &str) {
    assert_eq!(one(keys), None, "{keys}");
}

fn fails(keys: &str, with: &str) {
    let message = one(keys);
    assert!(message.as_ref().is_some_and(|message| message.contains(with)), "{keys}: {message:?}");
}

#[test]
fn events_come_in_their_order() {
    is_met("order = ['kind=process-created', 'call=write', 'kind=process-exited']");
    fails(
        "order = ['call=write', 'kind=process-created and process=hello/1']",
        "step 2 of 2, `kind=process-created and process=hello/1`, does not happen after the previous step, #",
    );
    fails("order = ['kind=process-exited', 'call=write']", "; it happens only before that step, #");
    fails("order = ['call=fork']", "`call=fork`, does not happen");
    is_met("order = ['kind=boot', 'kind=host-end']\nwithin = '1s'");
    fails("order = ['kind=boot', 'kind=host-end']\nwithin = '1ns'", "the limit is 1 ns");
}

#[test]
fn events_are_exactly_these() {
    is_met("order = ['call=write']\namong = 'kind=system-call and call=write'");
    fails(
        "order = ['call=write', 'call=read']\namong = 'kind=system-call and call=write'",
        "step 2 of 2, `call=read`, is missing",
    );
    fails(
        "order = ['call=read']\namong = 'call=write'",
        "is not step 1 of 1, `call=read`, which is expected here",
    );
    fails("order = ['kind=gates']\namong = 'kind=gates'", "follows the last of the 1 steps");
}

#[test]
fn events_are_counted() {
    is_met("count = 'kind=gates'\nis = 2");
    is_met("count = 'kind=gates'\nat-least = 1\nat-most = 2");
    fails("count = 'kind=gates'\nat-most = 1", "the trace has 2 such events, expected at most 1");
    fails("count = 'kind=gates'\nat-least = 3\nat-most = 4", "the trace has 2 such events, expected 3 to 4");
    is_met("never = 'call=fork'");
    fails("never = 'kind=gates'", "such an event happens: #");
}

#[test]
fn processes_end() {
    is_met("end = 'hello/1'\nexit = 3");
    fails("end = 'hello/1'\nexit = 0", "hello/1 exited with 3");
    fails("end = 'hello/1'\nkilled = '#PF'", "hello/1 exited with 3");
    is_met("end = '4'\nsignal = 'SIGKILL'");
    fails("end = '4'\nsignal = 'SIGSEGV'", "/4 killed by SIGKILL");
    fails("end = 'other'\nexit = 0", "the trace has no process other");
}

#[test]
fn a_failure_shows_the_event_and_its_neighbours() {
    let (_place, path) = written(&samples::every_kind());
    let trace = Trace::open(&path).expect("a whole file");
    let file = Expectations::parse("[[expect]]\nnever = 'kind=tick'\n").expect("a file");
    let failure = file.judge(&trace, None).remove(0).failure.expect("there is a tick");
    assert_eq!(failure.events.len() as u64, 2 * NEIGHBOURS + 1);
    assert!(matches!(failure.events[failure.marked].what, What::Tick { .. }));
    let text = text(&file.judge(&trace, None), trace.meta(), 100);
    assert!(text.lines().any(|line| line.starts_with("    > #") && line.contains(" tick ")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line), "{text}");
    assert!(text.ends_with("\n0 of 1 expectations are met.\n"), "{text}");
}

#[test]
fn nothing_is_known_of_what_is_missing() {
    let (_place, path) = written(&samples::every_kind());
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::write(&path, &bytes[..bytes.len() - 40]).expect("a file");
    let trace = Trace::open(&path).expect("a file that is cut");
    assert!(!trace.damage().is_empty());
    let file = "[[expect]]\nnever = 'call=fork'\n[[expect]]\ncount = 'kind=boot'\nat-most = 100\n[[expect]]\ncount = 'kind=boot'\nat-least = 1\n";
    let file = Expectations::parse(file).expect("a file");
    let is_met: Vec<bool> = file.judge(&trace, None).iter().map(|judged| judged.failure.is_none()).collect();
    assert_eq!(is_met, [false, false, true]);
}

#[test]
fn a_wrong_file_is_refused_with_its_line_and_what_is_allowed() {
    for (file, line, with) in [
        ("", 1, "missing field `expect`"),
        ("expect = []", 1, "each starts with [[expect]]"),
        ("# a\n[[expect]]\nnver = 'x'\n", 3, "unknown field `nver`, expected one of `name`"),
        ("[[expect]]\nnever = 'kind=tock'\n", 2, "unknown kind; the kinds are"),
        ("[[expect]]\nname = 'a'\n", 1, "one of `order`, `never`"),
        (
            "[[expect]]\nnever = 'kind=tick'\n\nexit = 1\n",
            4,
            "`exit` cannot be used with `never`, which allows no other key",
        ),
        (
            "[[expect]]\nnever = 'kind=tick'\ncount = 'kind=tick'\nis = 1\n",
            3,
            "`count` cannot be used with `never`",
        ),
        ("[[expect]]\ncount = 'kind=tick'\n", 1, "`count` needs `is`, `at-least` or `at-most`"),
        ("[[expect]]\ncount = 'kind=tick'\nis = '10ms'\n", 3, "a number that is 0 or more"),
        ("[[expect]]\ncount = 'kind=tick'\nis = 1\nat-most = 2\n", 1, "`is` cannot be used with"),
        (
            "[[expect]]\ncount = 'kind=tick'\nat-least = 3\nat-most = 2\n",
            1,
            "`at-least` is more than `at-most`",
        ),
        ("[[expect]]\norder = []\n", 2, "at least one filter"),
        ("[[expect]]\norder = ['kind=tick']\nwithin = 'soon'\n", 3, "a time such as \"10ms\""),
        ("[[expect]]\nend = 'a'\n", 1, "`end` needs one of `exit`, `killed`, `signal`"),
        ("[[expect]]\nend = 'a'\nsignal = 'SIGWHAT'\n", 3, "no such signal"),
        ("[[expect]]\noutput = 'a'\ncontains = ['']\n", 3, "an empty string is not allowed"),
        ("[[expect]]\nrules = ['turns']\n", 2, "no such rule; the rules are sequence"),
        ("[[expect]]\nrules = []\n", 2, "at least one rule"),
        ("[[expect]]\nnever = 'kind=tick'\npoints = -1\n", 3, "`points` must be 0 or more"),
        ("[[expect]]\nnever = \n", 2, ""),
    ] {
        let error = Expectations::parse(file).expect_err(file);
        assert!(error.line == line && error.message.contains(with), "{file}: {error}");
    }
}

#[test]
fn a_first_file_is_met() {
    let (_place, path) = written(&samples::every_kind());
    let trace = Trace::open(&path).expect("a whole file");
    let text = first_file(&trace);
    let file = Expectations::parse(&text).expect(&text);
    for judged in file.judge(&trace, None) {
        assert_eq!(judged.failure, None, "{}\n{text}", judged.expectation.name);
    }
}
