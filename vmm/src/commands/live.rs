//! Events as text while the guest runs: `run --live` and `strace`.
//!
//! The text is printed at each bell, while the guest waits. After a failed write no more text is printed, and the run
//! continues.

use std::io::{self, BufWriter, IsTerminal};

use trace::analysis::filter::Filter;
use trace::text::view::{Options, Text};
use trace::{Meta, Watcher};

use super::stream::Stream;
use super::terminal::has_colours;
use clap::ColorChoice;

/// The lines of `view`, of so many columns, on standard error.
pub fn view(meta: &Meta, filter: Filter, columns: usize) -> Watcher {
    let options = Options {
        colour: has_colours(ColorChoice::Auto, io::stderr().is_terminal()),
        filter,
        columns,
        ..Options::default()
    };
    let mut text = Text::new(meta, options, BufWriter::with_capacity(1 << 16, Stream(io::stderr())));
    let mut written = text.header(meta);
    Box::new(move |events| {
        if written.is_ok() {
            written = events.iter().try_for_each(|event| text.event(event)).and_then(|()| text.flush());
        }
    })
}
