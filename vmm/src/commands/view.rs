//! `trapline view`: a trace as text, or in other forms with one line per event.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ColorChoice;
use same_file::Handle;

use super::{Usage, complain, note_emulated, sandbox, warn};
use trace::analysis::filter::Filter;
use trace::export::fields::{Csv, JsonLines};
use trace::text::strace::{self, Strace};
use trace::text::view::{self, Text};
use trace::{Event, Follow, Meta, Names, News, Origin, Part, Trace};

const EXAMPLES: &str = "\
A filter is made of tests, `and`, `or`, `not` and parentheses. The tests are
  process=NAME, NUMBER, NAME/NUMBER, kernel or host      kind=trap-entry, system-call, tick, ...
  call=write, or a number                                vector=#PF, timer, input, syscall, int80, or a number
  result=0 or -ENOENT, what a system call returns
  time=1ms..2ms, since the start                         event=100..200 or 100, the guest's events by number
A range does not include its end, and either side may be omitted. A time has a unit: ns, us, ms or s.
`not` binds closest, then `and`, then `or`. `!=` is the opposite of `=`. `check` prints the numbers of
events, and the column `sequence` of csv and jsonl has them.

Examples:
  trapline view t.trap --filter 'process=hog'
  trapline view t.trap --filter 'kind=process-killed or vector=#PF'
  trapline view t.trap --filter 'call=write and time=10ms..20ms'
  trapline view t.trap --around 1234
  trapline view t.trap --format strace > t.strace
  trapline view t.trap --format csv --filter 'kind=system-call' > calls.csv

On a terminal, the text goes through $TRAPLINE_PAGER, $PAGER or `less`, and has colours unless NO_COLOR
is set.";

/// How often a growing file is read again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many events `--around` shows on each side.
const AROUND: u64 = 20;

/// Show the events of a trace, one event per line.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Show only the events that match this filter; see below
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Show only the guest's event with this number, marked in the text, and the events near it
    #[arg(long, value_name = "EVENT")]
    around: Option<u64>,
    /// The output format: text for people, system calls as `strace -f -ttt -T` writes them, or rows for scripts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Wait for new events while the file grows, until the run is over
    #[arg(long)]
    follow: bool,
    /// Do not use a pager
    #[arg(long)]
    no_pager: bool,
    /// Use colours in text
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Strace,
    Jsonl,
    Csv,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let mut filter = match &args.filter {
        Some(text) => Filter::parse(text).map_err(|error| Usage(error.to_string()))?,
        None => Filter::default(),
    };
    if let Some(event) = args.around {
        filter = filter.around(event, AROUND);
    }
    let is_picky = filter != Filter::default();
    let part = filter.part();
    let output = Output::new(!args.no_pager && !args.follow, args.color)?;
    let (total, shown) = if args.follow {
        (None, follow(args, filter, output)?)
    } else {
        let trace = Trace::open(&args.trace)?;
        args.sandbox.read(std::slice::from_ref(&args.trace))?;
        // For a part, only that part of the file is read, so damage in the rest is not known.
        let is_part = part != Part::default();
        if !is_part {
            warn(&args.trace, trace.damage());
        }
        let mut writer = Writer::new(args, filter, trace.meta(), output)?;
        let written = trace.events_near(&part).try_for_each(|event| writer.event(&event));
        let shown = writer.finish(written)?;
        trace.intact()?;
        if is_part {
            warn(&args.trace, trace.damage_so_far());
        }
        (Some(trace.total(Origin::Guest)), shown)
    };
    match args.around.zip(total).filter(|(event, total)| event >= total) {
        Some((event, total)) => complain(&format!(
            "the trace has no event {event}; it has {total} events of the guest, numbered from 0"
        )),
        None if shown == 0 && is_picky => complain("no event of the trace matches the filter"),
        None => {}
    }
    Ok(super::OK)
}

/// Shows the events in the file and then new ones until the file is closed, and then warns of missing records. Returns how
/// many events were shown.
fn follow(args: &Args, filter: Filter, output: Output) -> anyhow::Result<u64> {
    // Taken before the file is opened, so that a file that replaces it in between is noticed.
    let file = Handle::from_path(&args.trace).ok();
    let mut trace = Follow::open(&args.trace)?;
    args.sandbox.read(std::slice::from_ref(&args.trace))?;
    let mut writer = Writer::new(args, filter, trace.meta(), output)?;
    let shown = show_new(&args.trace, file, &mut trace, &mut writer);
    let shown = writer.finish(shown)?;
    warn(&args.trace, trace.damage());
    Ok(shown)
}

fn show_new(path: &Path, file: Option<Handle>, trace: &mut Follow, writer: &mut Writer) -> io::Result<()> {
    loop {
        let news = trace.look().map_err(io::Error::other)?;
        trace.try_for_each(|event| writer.event(&event))?;
        match news {
            News::Some => {}
            News::Over => return Ok(()),
            News::None => {
                writer.flush()?;
                std::thread::sleep(LOOK_AGAIN);
                if Handle::from_path(path).ok() != file {
                    let why = format!("{}: another file has replaced it", path.display());
                    return Err(io::Error::other(why));
                }
            }
        }
    }
}

/// Where the lines go: standard output, through a pager on a terminal.
struct Output {
    pager: Option<Child>,
    colour: bool,
}

impl Output {
    fn new(may_page: bool, colours: ColorChoice) -> io::Result<Output> {
        let terminal = io::stdout().is_terminal();
        let colour = match colours {
            ColorChoice::Always => true,
            ColorChoice::Auto => may_colour(terminal),
            ColorChoice::Never => false,
        };
        let pager = if terminal && may_page { start_pager() } else { None };
        Ok(Output { pager, colour })
    }

    fn writer(&mut self) -> Box<dyn Write> {
        match self.pager.as_mut().and_then(|pager| pager.stdin.take()) {
            Some(pipe) => Box::new(BufWriter::new(pipe)),
            None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
        }
    }
}

/// Whether text for a terminal, or for something else, is to have colours.
pub fn may_colour(is_terminal: bool) -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !is_unwanted && !is_dumb
}

/// A command with one of these characters needs a shell.
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

/// Ctrl-C must not end this process: the pager continues after Ctrl-C, and would lose its text and, to the shell, its
/// terminal.
#[cfg(unix)]
fn leave_interrupts_to_the_pager() {
    use nix::sys::signal::{SigHandler, Signal, signal};

    // SAFETY: no handler is installed, so none can do anything that a signal handler must not.
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
}

/// Writes events in the form that was asked for.
struct Writer {
    form: Form,
    filter: Filter,
    names: Names,
    shown: u64,
    output: Output,
}

enum Form {
    Text(Box<Text<Box<dyn Write>>>),
    Strace(Strace<Box<dyn Write>>),
    Json(JsonLines<Box<dyn Write>>),
    Csv(Box<Csv<Box<dyn Write>>>),
}

impl Writer {
    fn new(args: &Args, filter: Filter, meta: &Meta, mut output: Output) -> io::Result<Writer> {
        let out = output.writer();
        if matches!(args.format, Format::Jsonl | Format::Csv) {
            note_emulated(meta);
        }
        let form = match args.format {
            Format::Text => {
                let options = view::Options {
                    colour: output.colour,
                    filter: filter.clone(),
                    mark: args.around,
                    indent: 0,
                };
                let mut text = Text::new(meta, options, out);
                ignore_closed(text.header(meta))?;
                Form::Text(Box::new(text))
            }
            Format::Strace => Form::Strace(Strace::new(meta, strace::Options::default(), out)),
            Format::Jsonl => Form::Json(JsonLines::new(out)),
            Format::Csv => Form::Csv(Box::new(Csv::new(out)?)),
        };
        Ok(Writer { form, filter, names: Names::default(), shown: 0, output })
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        // Text needs all events, because it shows what changed since earlier ones.
        if let Form::Text(text) = &mut self.form {
            text.event(event)?;
            self.shown = text.written();
            return Ok(());
        }
        self.names.learn(event);
        let is_wanted = self.filter.wants(event, &self.names);
        self.shown += u64::from(is_wanted);
        match &mut self.form {
            // A line of strace needs several events.
            Form::Strace(strace) => strace.event(event, is_wanted),
            // The arguments of a call are in an event before it.
            Form::Json(json) => json.event(event, &self.names, is_wanted),
            Form::Csv(csv) => csv.event(event, &self.names, is_wanted),
            Form::Text(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.form {
            Form::Text(text) => text.flush(),
            Form::Strace(strace) => strace.flush(),
            Form::Json(json) => json.flush(),
            Form::Csv(csv) => csv.flush(),
        }
    }

    /// Writes the rest, waits for the pager to end, and returns how many events were shown. It is not an error if the
    /// reader closed the pipe.
    fn finish(self, result: io::Result<()>) -> io::Result<u64> {
        let Writer { mut form, shown, mut output, .. } = self;
        let finished = result.and_then(|()| match &mut form {
            Form::Text(text) => text.flush(),
            Form::Strace(strace) => strace.finish(),
            Form::Json(json) => json.flush(),
            Form::Csv(csv) => csv.flush(),
        });
        // The pager sees the end when its pipe is closed.
        drop(form);
        if let Some(mut pager) = output.pager.take() {
            pager.wait()?;
        }
        ignore_closed(finished).map(|()| shown)
    }
}

fn ignore_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
