//! `trapline view`: a trace as text, or in other forms with one line per event.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ColorChoice;
use same_file::Handle;

use super::terminal::{Output, ignore_closed};
use super::{STANDARD, Usage, complain, load, note_emulated, sandbox, warn};
use trace::analysis::filter::Filter;
use trace::export::fields::{Csv, JsonLines};
use trace::text::strace::{self, Strace};
use trace::text::view::{self, Text};
use trace::{Event, Follow, Meta, Names, News, Origin, Part};

const EXAMPLES: &str = "\
A filter is made of tests, `and`, `or`, `not` and parentheses. The tests:
  process=NAME, NUMBER, NAME/NUMBER, kernel or host
  kind=trap-entry, system-call, tick, ...
  call=write, or a number
  vector=#PF, timer, input, syscall, int80, or a number
  result=0 or -ENOENT: what a system call returned
  time=1ms..2ms: the time since the start
  event=100..200 or 100: the guest's events by number
A value may have blanks if it is in quotes: process=\"my program\". In quotes, write \\\" for a quote and \\\\ for \\. \
A range does not include its end, and either side may be omitted. A time has a unit: ns, us, ms or s. \
`not` binds most tightly, then `and`, then `or`. `!=` is the opposite of `=`. `check` prints the numbers of \
events, and the column `sequence` of csv and jsonl has them.

Examples:
  trapline view t.trap --filter 'process=hog'
  trapline view t.trap --filter 'kind=process-killed or vector=#PF'
  trapline view t.trap --filter 'call=write and time=10ms..20ms'
  trapline view t.trap --around 1234
  trapline run --trace - hello | trapline view -
  trapline view t.trap --format strace > t.strace
  trapline view t.trap --format csv --filter 'kind=system-call' > calls.csv

On a terminal, the text goes through $TRAPLINE_PAGER, $PAGER or `less`, and has colours unless NO_COLOR \
is set. CLICOLOR_FORCE turns on colours elsewhere. COLUMNS sets the width.";

/// How often a growing file is read again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many events `--around` shows on each side.
const AROUND: u64 = 20;

/// Show the events of a trace, one event per line.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
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
    if args.follow && args.trace == Path::new(STANDARD) {
        return Err(Usage("--follow needs a file that grows: it cannot follow standard input".into()).into());
    }
    let is_picky = filter != Filter::default();
    let part = filter.part();
    let output = Output::new(!args.no_pager && !args.follow, args.color);
    let (total, shown) = if args.follow {
        (None, follow(args, filter, output)?)
    } else {
        let trace = load(&args.trace)?;
        args.sandbox.read(std::slice::from_ref(&args.trace))?;
        // For a part, only that part of the file is read, so damage elsewhere is not detected.
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
    // The handle is taken before the file is opened, to detect a file that replaces it in between.
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
                    columns: output.width,
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
        let is_wanted = self.filter.selects(event, &self.names);
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
        let Writer { mut form, shown, output, .. } = self;
        let finished = result.and_then(|()| match &mut form {
            Form::Text(text) => text.flush(),
            Form::Strace(strace) => strace.finish(),
            Form::Json(json) => json.flush(),
            Form::Csv(csv) => csv.flush(),
        });
        // The pager sees the end when its pipe is closed.
        drop(form);
        output.finish()?;
        ignore_closed(finished).map(|()| shown)
    }
}
