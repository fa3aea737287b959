//! Any text as a filter: it is one, or an error that can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace::analysis::filter::Filter;

fuzz_target!(|text: &str| {
    if let Err(error) = Filter::parse(text) {
        let _ = error.to_string();
    }
});
