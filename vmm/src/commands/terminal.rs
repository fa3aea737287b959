//! The terminal: its width, whether text has colours, and the pager for text that does not fit on the screen.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use clap::ColorChoice;
use terminal_size::{Height, Width};
use trace::text::WIDTH;

/// The widths for which text is laid out. For a narrower or wider terminal, the nearest of them is used.
pub const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;

/// The width of texts in columns: `COLUMNS`, else that of the terminal, else [`WIDTH`].
pub fn width() -> usize {
    width_of(terminal_size::terminal_size_of(io::stdout()))
}

/// The width of lines that a script may read: without a limit if standard output is no terminal.
pub fn width_of_lines() -> usize {
    if io::stdout().is_terminal() { width() } else { usize::MAX }
}

/// The size of a stream's terminal, if it has one.
pub type TerminalSize = Option<(Width, Height)>;

/// As [`width`], for text on another stream.
pub fn width_of(terminal: TerminalSize) -> usize {
    let set: Option<usize> = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal.map(|(Width(width), _)| width.into());
    set.or_else(of_terminal).map_or(WIDTH, |width| width.clamp(*WIDTHS.start(), *WIDTHS.end()))
}

/// Whether text has colours: as `NO_COLOR` and `CLICOLOR_FORCE` say, else on a terminal that is not `dumb`.
pub fn has_colours(choice: ColorChoice, is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_forced =
        is_set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto => is_forced || is_terminal && !is_dumb(),
    }
}

/// Whether the terminal obeys no control sequences.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// Where text goes: standard output, through a pager on a terminal.
pub struct Output {
    pager: Option<Child>,
    /// Whether text has colours.
    pub colour: bool,
    /// The width of text, in columns.
    pub width: usize,
}

impl Output {
    /// Starts the pager and asks for the width, which a process in the sandbox cannot do.
    pub fn new(may_page: bool, colours: ColorChoice) -> Output {
        let is_terminal = io::stdout().is_terminal();
        let pager = if is_terminal && may_page { start_pager() } else { None };
        Output { pager, colour: has_colours(colours, is_terminal), width: width() }
    }

    /// The writer for the text. When it is dropped, the pager sees the end of its input.
    pub fn writer(&mut self) -> Box<dyn Write> {
        match self.pager.as_mut().and_then(|pager| pager.stdin.take()) {
            Some(pipe) => Box::new(BufWriter::new(pipe)),
            None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
        }
    }

    /// Waits for the pager to end.
    pub fn finish(mut self) -> io::Result<()> {
        self.pager.take().map_or(Ok(()), |mut pager| pager.wait().map(drop))
    }

    /// Writes a whole text. It is not an error if the user leaves the pager before the end.
    pub fn print(mut self, text: &str) -> io::Result<()> {
        let is_paged = self.pager.is_some();
        let mut writer = self.writer();
        let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        drop(writer);
        self.finish()?;
        if is_paged { ignore_closed(written) } else { written }
    }
}

/// Ignores the error that the reader closed the pipe: the reader needs no more.
pub fn ignore_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A command that has one of these characters needs a shell.
const FOR_A_SHELL: &[u8] = b" \t\n|&;<>()$`\\\"'*?[#~=%";

/// Starts the pager as git does: with a shell if the command needs one, and `less` with the settings to exit if the text
/// fits on the screen and to show colours. `None`: no pager is wanted, or it did not start.
fn start_pager() -> Option<Child> {
    let named = ["TRAPLINE_PAGER", "PAGER"].iter().find_map(std::env::var_os);
    let pager = named.unwrap_or_else(|| "less".into());
    if pager.is_empty() || pager == "cat" {
        return None;
    }
    let mut command = if pager.as_encoded_bytes().iter().any(|byte| FOR_A_SHELL.contains(byte)) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(pager);
        shell
    } else {
        Command::new(pager)
    };
    command.stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let pager = command.spawn().ok()?;
    #[cfg(unix)]
    leave_interrupts_to_the_pager();
    Some(pager)
}

/// Ignores Ctrl-C, which must not end this process: the pager continues after Ctrl-C, and it would lose its text and, to
/// the shell, its terminal.
#[cfg(unix)]
fn leave_interrupts_to_the_pager() {
    use nix::sys::signal::{SigHandler, Signal, signal};

    // SAFETY: SIG_IGN installs no handler, so no code runs in a signal context.
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
}
