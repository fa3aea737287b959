//! The status line of a long run: one line on the terminal of standard error, with the elapsed time, the number of events
//! and the process that runs.
//!
//! The host draws it when it looks at the guest anyway, which costs no exit. It is erased before other output, and comes
//! back when the output pauses. It is never drawn beside a partial line of the guest's output, and not while the guest
//! waits for input that is typed.
//!
//! Limit: the width of the terminal is that at the start of the run, because the sandbox allows no call to ask for it.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ColorChoice;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::stream::Stream;
use super::terminal::{has_colours, is_dumb};
use crate::run::{Look, Run, TraceFile, Viewer};

/// A shorter run has no status line.
const SHOWN_AFTER: Duration = Duration::from_secs(2);
/// The time between two drawings, and from the guest's output to the next drawing.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// Moves the cursor to the start of the line, and erases the line.
const ERASE: &str = "\r\x1b[K";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// The status line of a run, or nothing if standard error cannot show one.
#[derive(Clone)]
pub struct StatusLine(Option<Rc<RefCell<Line>>>);

struct Line {
    text: Text,
    started: Instant,
    /// It is not drawn before this time.
    next: Instant,
    is_drawn: bool,
    /// Something was printed since the last look.
    is_printed: bool,
    /// The guest's output has no partial line.
    is_at_start: bool,
    /// Input is typed on a terminal, which shows it.
    is_typed: bool,
}

/// What the line says.
struct Text {
    /// The names of the first processes.
    names: Vec<String>,
    keeps_trace: bool,
    /// The most columns.
    width: usize,
    is_coloured: bool,
}

impl StatusLine {
    /// The status line of a run that starts now.
    pub fn new(run: &Run) -> StatusLine {
        let stderr = io::stderr();
        if !stderr.is_terminal() || is_dumb() {
            return StatusLine::none();
        }
        let columns = terminal_size::terminal_size_of(&stderr).map(|(terminal_size::Width(width), _)| width);
        let name = |program: &crate::run::Program| trace::printable(&program.name.to_string_lossy());
        let started = Instant::now();
        StatusLine(Some(Rc::new(RefCell::new(Line {
            text: Text {
                names: run.programs.iter().map(name).collect(),
                keeps_trace: run.trace != TraceFile::None,
                // The cursor stays behind the line, in the same row.
                width: usize::from(columns.unwrap_or(80)).saturating_sub(1),
                is_coloured: has_colours(ColorChoice::Auto, true),
            },
            started,
            next: started + SHOWN_AFTER,
            is_drawn: false,
            is_printed: false,
            is_at_start: true,
            is_typed: io::stdin().is_terminal(),
        }))))
    }

    /// No status line.
    pub fn none() -> StatusLine {
        StatusLine(None)
    }

    /// A stream of the guest's output. If it is a terminal, the line is erased before each write.
    pub fn beside<T: AsFd + IsTerminal>(&self, stream: T) -> Beside<T> {
        let line = self.0.clone().filter(|_| stream.is_terminal());
        Beside { stream: Stream(stream), line }
    }

    /// What draws the line while the guest runs.
    pub fn viewer(&self) -> Option<Viewer> {
        let line = self.0.clone()?;
        Some(Box::new(move |look| line.borrow_mut().look(look)))
    }

    /// Erases the line, if it is drawn.
    pub fn erase(&self) {
        if let Some(line) = &self.0 {
            line.borrow_mut().erase();
        }
    }
}

impl Line {
    fn look(&mut self, look: &dyn Fn() -> Look) {
        let now = Instant::now();
        if std::mem::take(&mut self.is_printed) {
            self.next = self.next.max(now + DRAWN_EVERY);
        }
        // A terminal that takes nothing, as after Ctrl-S, must not keep the guest waiting.
        if now < self.next || !self.is_at_start || !Stream(io::stderr()).is_ready() {
            return;
        }
        let look = look();
        if look.waits_for_input && self.is_typed {
            return self.erase();
        }
        self.next = now + DRAWN_EVERY;
        self.is_drawn = true;
        let text = self.text.of(now - self.started, &look);
        // If standard error is closed, the line cannot be shown anywhere.
        let _ = Stream(io::stderr()).write_all(format!("{ERASE}{text}").as_bytes());
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = Stream(io::stderr()).write_all(ERASE.as_bytes());
        }
    }
}

impl Text {
    fn of(&self, elapsed: Duration, look: &Look) -> String {
        let mut facts = vec![format!("{:.1} s", elapsed.as_secs_f64())];
        facts.extend(look.records.map(|count| format!("{count} events")));
        facts.extend(look.process.map(|process| self.process(process)));
        let hints: &[&str] = if self.keeps_trace {
            &["Ctrl-C ends the run and keeps the trace", "Ctrl-C ends the run"]
        } else {
            &["Ctrl-C ends the run"]
        };
        let facts = facts.join(", ");
        let fits = |hint: &&&str| facts.width() + 2 + hint.width() <= self.width;
        match hints.iter().find(fits) {
            Some(hint) if self.is_coloured => format!("{facts}, {DIM}{hint}{PLAIN}"),
            Some(hint) => format!("{facts}, {hint}"),
            None => cut(&facts, self.width),
        }
    }

    fn process(&self, number: u16) -> String {
        match usize::from(number).checked_sub(1).map(|index| self.names.get(index)) {
            None => "no process runs".into(),
            Some(None) => format!("process {number} runs"),
            Some(Some(name)) => format!("{name}/{number} runs"),
        }
    }
}

/// The first characters of a text, in at most `width` columns.
fn cut(text: &str, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let rest = left.checked_sub(c.width().unwrap_or(0));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    text.chars().take_while(fits).collect()
}

/// A stream of the guest's output that may share its terminal with the status line.
pub struct Beside<T> {
    stream: Stream<T>,
    line: Option<Rc<RefCell<Line>>>,
}

impl<T: AsFd> Write for Beside<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(line) = &self.line else { return self.stream.write(bytes) };
        let mut line = line.borrow_mut();
        line.erase();
        let written = self.stream.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            line.is_at_start = *last == b'\n';
            line.is_printed = true;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: usize, is_coloured: bool) -> Text {
        Text { names: vec!["counter".into(), "hog".into()], keeps_trace: true, width, is_coloured }
    }

    const TIME: Duration = Duration::from_millis(12_340);
    const LOOK: Look = Look { records: Some(123_456), process: Some(2), waits_for_input: false };

    #[test]
    fn a_line_says_what_fits() {
        let of = |width| text(width, false).of(TIME, &LOOK);
        assert_eq!(of(79), "12.3 s, 123456 events, hog/2 runs, Ctrl-C ends the run and keeps the trace");
        assert_eq!(of(59), "12.3 s, 123456 events, hog/2 runs, Ctrl-C ends the run");
        assert_eq!(of(40), "12.3 s, 123456 events, hog/2 runs");
        assert_eq!(of(10), "12.3 s, 12");
        assert_eq!(cut("名前/1", 5), "名前/");
        assert_eq!(cut("名前/1", 3), "名");
    }

    #[test]
    fn a_line_says_what_is_known() {
        let of = |look| text(100, true).of(TIME, &look);
        let hint = "\x1b[2mCtrl-C ends the run and keeps the trace\x1b[0m";
        assert_eq!(of(Look::default()), format!("12.3 s, {hint}"));
        assert_eq!(
            of(Look { process: Some(0), ..LOOK }),
            format!("12.3 s, 123456 events, no process runs, {hint}")
        );
        assert_eq!(
            of(Look { process: Some(3), ..LOOK }),
            format!("12.3 s, 123456 events, process 3 runs, {hint}")
        );
        let untraced = Text { keeps_trace: false, ..text(100, false) };
        assert_eq!(untraced.of(TIME, &Look::default()), "12.3 s, Ctrl-C ends the run");
    }
}
