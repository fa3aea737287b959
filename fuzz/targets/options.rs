//! Any lines as the words of a command line: they are one, or an error that can be shown.

#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use trapline::commands::Cli;

fuzz_target!(|text: &str| {
    let words = std::iter::once("trapline").chain(text.lines());
    if let Err(error) = Cli::try_parse_from(words) {
        let _ = error.render().to_string();
    }
});
