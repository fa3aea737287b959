//! Events as text for people: a line each, with the time, who, what, and the details in words.
//!
//! A line longer than [`Options::columns`] is wrapped below its details. Only registers that did not change are left out.

use std::io::{self, Write};

use super::layout::{WIDTH, put_wrapped};
use super::words::Words;
use crate::analysis::count;
use crate::analysis::filter::Filter;
use crate::file::{Event, Meta, Names, Options as RunOptions, Origin, Program, What, printable};

/// Width of the time, in microseconds with three decimals: up to 100 s stay aligned.
const TIME_WIDTH: usize = 12;
/// Width of the word for what happened.
const VERB_WIDTH: usize = 7;
/// The narrowest and the widest column for the process.
const WHO_WIDTH: std::ops::RangeInclusive<usize> = 7..=19;

/// Options of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Use the colours of a terminal.
    pub colour: bool,
    /// Write only the events that match.
    pub filter: Filter,
    /// The number of the guest's event to mark.
    pub mark: Option<u64>,
    /// The width that lines keep to where they can.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { colour: false, filter: Filter::default(), mark: None, columns: WIDTH }
    }
}

/// Writes events as they come.
#[derive(Debug)]
pub struct Text<W> {
    out: W,
    options: Options,
    names: Names,
    words: Words,
    who_width: usize,
    /// The details of an event, and its lines: kept to save two allocations per event.
    details: String,
    line: String,
    written: u64,
}

impl<W: Write> Text<W> {
    /// Text of the events of one run.
    pub fn new(meta: &Meta, options: Options, out: W) -> Text<W> {
        // A name with its number, up to 99.
        let widest = meta.programs.iter().map(|program| program.name.chars().count().saturating_add(3)).max();
        let who_width = widest.unwrap_or(0).clamp(*WHO_WIDTH.start(), *WHO_WIDTH.end());
        let (names, words) = (Names::default(), Words::default());
        let (details, line) = Default::default();
        Text { out, options, names, words, who_width, details, line, written: 0 }
    }

    /// How many events were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Passes on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Says what ran, and heads the columns.
    pub fn header(&mut self, meta: &Meta) -> io::Result<()> {
        let (on, off) = self.style(DIM);
        // Nothing is known of a run whose head is damaged.
        if *meta != Meta::default() {
            for line in header_lines(meta) {
                let mut text = String::from("#");
                put_wrapped(&mut text, &printable(&line), 2, self.options.columns);
                writeln!(self.out, "{on}{}{off}", text.trim_end().replace("\n ", "\n#"))?;
            }
        }
        let width = self.who_width;
        let time = if meta.is_emulated() { "emulated us" } else { "time us" };
        writeln!(
            self.out,
            "{on}{:>TIME_WIDTH$}  {:width$}  {:VERB_WIDTH$}  details{off}",
            time, "process", "what"
        )
    }

    /// Writes an event, unless the options leave it out.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.names.learn(event);
        self.details.clear();
        let verb = self.words.say(event, &self.names, &mut self.details);
        if !self.options.filter.selects(event, &self.names) {
            return Ok(());
        }
        let who = self.names.label(event.origin, event.process);
        count(&mut self.written);
        let (micros, nanos) = (event.nanoseconds / 1000, event.nanoseconds % 1000);
        let whole = TIME_WIDTH - 4;
        let (dim, plain) = self.style(DIM);
        let (on, off) = self.style(colour(&event.what));
        let is_marked = event.origin == Origin::Guest && self.options.mark == Some(event.sequence);
        let mark = if is_marked { '>' } else { ' ' };
        let line = &mut self.line;
        line.clear();
        put!(line, "{dim}{micros:>whole$}.{nanos:03}{plain} {mark}");
        let width = put_column(line, &who, self.who_width);
        line.push_str("  ");
        line.push_str(on);
        put_column(line, verb, VERB_WIDTH);
        line.push_str(off);
        line.push_str("  ");
        let margin = width.saturating_add(TIME_WIDTH + 2 + 2 + VERB_WIDTH + 2);
        put_details(line, &self.details, margin, self.options.columns);
        self.out.write_all(line.as_bytes())
    }

    fn style(&self, code: &'static str) -> (&'static str, &'static str) {
        if self.options.colour && !code.is_empty() { (code, RESET) } else { ("", "") }
    }
}

fn header_lines(meta: &Meta) -> Vec<String> {
    let RunOptions { policy, quantum_us, timer, batch, memory_mib, timeout_ms, .. } = &meta.options;
    let timeout = timeout_ms.map_or_else(String::new, |ms| format!(", time-out {ms} ms"));
    let programs: Vec<String> = meta.programs.iter().map(command_line).collect();
    vec![
        format!("trapline {} ran: {}", meta.trapline_version, programs.join(" | ")),
        format!(
            "policy {policy}, quantum {quantum_us} us, timer {timer}, batch {batch}, memory {memory_mib} MiB{timeout}"
        ),
        format!(
            "on {} ({}), TSC {}.{:03} MHz",
            meta.host_cpu,
            meta.engine(),
            meta.tsc_khz / 1000,
            meta.tsc_khz % 1000
        ),
    ]
}

fn command_line(program: &Program) -> String {
    let words = std::iter::once(&program.name).chain(&program.arguments);
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// In text of fewer columns than these, details that do not fit go on under the process instead of under the details.
const NARROW: usize = 70;

/// Appends a word and spaces up to a width. Returns the width that it takes.
fn put_column(out: &mut String, word: &str, width: usize) -> usize {
    let own = word.chars().count();
    out.push_str(word);
    put_spaces(out, width.saturating_sub(own));
    own.max(width)
}

fn put_spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// Appends details and the end of the line. Where they do not fit, they are broken between words and continue behind the margin.
fn put_details(out: &mut String, details: &str, margin: usize, columns: usize) {
    if margin.saturating_add(details.len()) <= columns {
        out.push_str(details);
        out.push('\n');
        return;
    }
    let under = if columns < NARROW { margin.min(TIME_WIDTH + 2) } else { margin };
    let (mut column, mut spaces, mut is_first) = (margin, 0_usize, true);
    for word in details.split(' ') {
        if word.is_empty() {
            spaces = spaces.saturating_add(1);
            continue;
        }
        let width = word.chars().count();
        let end = column.saturating_add(spaces).saturating_add(width);
        if end > columns && (!is_first || under < margin) {
            out.push('\n');
            put_spaces(out, under);
            column = under.saturating_add(width);
        } else {
            put_spaces(out, spaces);
            column = end;
        }
        out.push_str(word);
        (spaces, is_first) = (1, false);
    }
    out.push('\n');
}

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const MAGENTA: &str = "\x1b[35m";
const CYAN: &str = "\x1b[36m";

/// A colour for each layer: the hardware's traps, the kernel's calls, the scheduler, the ends.
fn colour(what: &What) -> &'static str {
    match what {
        What::TrapEntry { .. } | What::TrapReturn { .. } => CYAN,
        What::SystemCall { .. } | What::SystemCallResult { .. } => GREEN,
        What::Tick { .. } | What::TimerArmed { .. } => YELLOW,
        What::ContextSaved { .. } | What::ContextLoaded { .. } | What::Idle {} => MAGENTA,
        What::ProcessCreated { .. } | What::ProcessExited { .. } | What::ProcessFreed { .. } => BLUE,
        What::ProcessKilled { .. } | What::ProcessSignaled { .. } | What::Deadlock { .. } => RED,
        What::KernelPanic { .. } | What::LoadFailed { .. } => RED,
        What::Unknown { .. } => RED,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Trace, samples};

    fn text_of(options: &Options) -> String {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 1000);
        let mut out = Vec::new();
        let trace = Trace::open(&path).expect("a whole file");
        let mut writer = Text::new(trace.meta(), options.clone(), &mut out);
        writer.header(trace.meta()).expect("a Vec takes all");
        trace.events().for_each(|event| writer.event(&event).expect("a Vec takes all"));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_kind_reads_like_this() {
        let text = text_of(&Options::default());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line.trim_end() == line));
        assert_eq!(text, include_str!("text_of_every_kind.txt"));
    }

    #[test]
    fn colour_changes_no_word() {
        let mut plain = text_of(&Options { colour: true, ..Options::default() });
        assert!(plain.contains(RED));
        for code in [RESET, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, text_of(&Options::default()));
    }

    #[test]
    fn a_process_alone() {
        let filter = Filter::parse("process=hello").expect("a filter");
        let text = text_of(&Options { filter, ..Options::default() });
        let events = text.lines().filter(|line| line.contains('.') && !line.starts_with('#'));
        assert!(events.clone().count() > 20 && events.clone().all(|line| line.contains(" hello/1 ")));
    }

    fn wrapped(details: &str) -> String {
        let mut out = String::new();
        put_details(&mut out, details, 90, WIDTH);
        out
    }

    #[test]
    fn long_lines_go_on_behind_the_margin() {
        assert_eq!(wrapped("a=1  b=2"), "a=1  b=2\n");
        assert_eq!(wrapped("a=1  b=2 c=3"), format!("a=1  b=2\n{}c=3\n", " ".repeat(90)));
        assert_eq!(wrapped("a=1 b=23  c=3"), format!("a=1 b=23\n{}c=3\n", " ".repeat(90)));
        assert_eq!(wrapped("cannot-be-broken"), "cannot-be-broken\n");
    }
}
