//! Any text as a file of expectations: it is one, and a trace meets it or not, or it is an error that can be shown.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use trace::Trace;
use trace::analysis::expect::Expectations;
use trace::text::expect::{github_annotations, gradescope, junit, tap, text};

/// A real trace.
static TRACE: &[u8] = include_bytes!("../../tests/fixtures/check.trap");

fuzz_target!(|file: &str| {
    static OPENED: OnceLock<Trace> = OnceLock::new();
    match Expectations::parse(file) {
        Err(error) => drop(error.to_string()),
        Ok(expectations) => {
            let trace = OPENED.get_or_init(|| trapline_fuzz::open(TRACE).expect("a whole trace"));
            let judgements = expectations.judge(trace, None);
            drop((text(&judgements, trace.meta(), 80), tap(&judgements, trace.meta())));
            drop((gradescope(&judgements, trace.meta()), github_annotations(&judgements, "e.toml")));
            junit(&judgements, trace.meta(), "t.trap").expect("any text can be written as XML");
        }
    }
});
