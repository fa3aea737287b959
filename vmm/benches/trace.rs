//! How fast a trace file is written and read, and how large it is, on the tour's mix of records.
//!
//! `cargo bench --bench trace` runs the tour (or takes the trace that `TRAPLINE_TRACE` names, where there is no KVM),
//! repeats its records until there are `EVENTS` (10 million), and prints the rate of each pass over them beside the
//! rate that it should have, with the hardware that it ran on. Each pass is done [`PASSES`] times on one core, and the fastest counts:
//! whatever else the machine does can only make it slower. `KEEP` names a place where the file with the events stays.

mod support;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use support::row;
use trace::analysis::Summary;
use trace::analysis::stat::Stat;
use trace::text::view::{self, Text};
use trace::{Event, Meta, Origin, Record, Trace, What, Writer, format};

/// How many times each pass runs.
const PASSES: u32 = 5;
/// How many events the file has, unless `EVENTS` is set.
const EVENTS: usize = 10_000_000;
/// How many of them are printed as text, at most.
const TEXT_EVENTS: usize = 1_000_000;
/// About the size of the guest's buffer: what one doorbell hands over.
const DOORBELL: usize = 64 << 10;
/// The argument that makes this program its own child: it takes the statistics of the file named next.
const STAT_OF: &str = "stat-of";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == STAT_OF) {
        let path = PathBuf::from(arguments.next().ok_or("no file to take the statistics of")?);
        return stat_of(&path);
    }
    let folder = tempfile::tempdir()?;
    let tour = tour(folder.path())?;
    let events = std::env::var("EVENTS").map_or(Ok(EVENTS), |events| events.parse())?;
    let small = Trace::open(&tour)?;
    let each = small.events().count();
    support::head(&format!("{events} events: {each} of {}, repeated", tour.display()));

    row("size of the tour's file", bytes_per_event(&tour, each)?, "at most 24");
    let path = std::env::var_os("KEEP").map_or_else(|| folder.path().join("large.trap"), PathBuf::from);
    let start = Instant::now();
    write(&small, &path, events)?;
    row("write", rate(events, start.elapsed().as_secs_f64()), "");
    row("size of the written file", bytes_per_event(&path, events)?, "at most 24");
    read(&path, events)?;
    let shorter = folder.path().join("text.trap");
    write(&small, &shorter, events.min(TEXT_EVENTS))?;
    print(&Trace::open(&shorter)?, events.min(TEXT_EVENTS))?;
    let output = Command::new(std::env::current_exe()?).arg(STAT_OF).arg(&path).output()?;
    let kib: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    row("stat, peak memory", format!("{:.1} MiB", kib / 1024.0), "under 64 MiB");
    Ok(())
}

/// Times the passes that read the file.
fn read(path: &Path, events: usize) -> Result<()> {
    passes("open and damage: all CRCs and records", "", events, || {
        Ok(Trace::open(path).map(|trace| trace.damage().is_empty()).map(|_| events)?)
    })?;
    let trace = Trace::open(path)?;
    passes("Trace::records, every word", "at least 50", events, || Ok(all_words(&trace)))?;
    passes("Trace::events, counted", "at least 50", events, || Ok(trace.events().count()))?;
    passes("Trace::events, examined", "at least 50", events, || Ok(all_events(&trace)))?;
    passes("summary", "", events, || Ok(Summary::of(&trace).events as usize))?;
    passes("stat", "", events, || Ok(Stat::of(&trace).events as usize))
}

/// The pass that writes text.
fn print(trace: &Trace, events: usize) -> Result<()> {
    passes("view, output discarded", "at least 3", events, || {
        let mut text = Text::new(trace.meta(), view::Options::default(), io::sink());
        trace.events().try_for_each(|event| text.event(&event))?;
        Ok(text.written() as usize)
    })
}

/// Takes the statistics of a file, and prints the most memory that this took, in KiB.
fn stat_of(path: &Path) -> Result<()> {
    black_box(Stat::of(&Trace::open(path)?));
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    println!("{}", peak.ok_or("the kernel does not report the most memory used")?);
    Ok(())
}

/// The trace whose mix is taken: a new tour's, unless one is named.
fn tour(folder: &Path) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TRAPLINE_TRACE") {
        return Ok(path.into());
    }
    let path = folder.join("tour.trap");
    let mut run = Command::new(env!("CARGO_BIN_EXE_trapline"));
    let status = run.arg("run").arg("--trace").arg(&path).stdout(Stdio::null()).status()?;
    if status.success() { Ok(path) } else { Err("no tour here: name a trace by TRAPLINE_TRACE".into()) }
}

fn bytes_per_event(path: &Path, events: usize) -> Result<String> {
    Ok(format!("{:.1} bytes per event", fs::metadata(path)?.len() as f64 / events as f64))
}

fn rate(events: usize, seconds: f64) -> String {
    format!("{:.1} million events/s", events as f64 / seconds / 1e6)
}

/// Reads every word of every record; returns the number of records.
fn all_words(trace: &Trace) -> usize {
    let (mut records, mut count, mut sum) = (trace.records(), 0, 0);
    while let Some(record) = records.next() {
        sum = record.words().fold(record.tsc.wrapping_add(sum), u64::wrapping_add);
        count += 1;
    }
    black_box(sum);
    count
}

/// Examines every event; returns the number of events.
fn all_events(trace: &Trace) -> usize {
    let (mut count, mut sum) = (0, 0_u64);
    for Event { nanoseconds, what, .. } in trace.events() {
        let word = match what {
            What::TrapEntry { frame, .. } | What::TrapReturn { frame } => frame.rip,
            What::SystemCall { number } => number,
            _ => nanoseconds,
        };
        sum = sum.wrapping_add(word);
        count += 1;
    }
    black_box(sum);
    count
}

/// Writes the guest's records of a trace again and again, in time.
fn write(trace: &Trace, path: &Path, events: usize) -> Result<()> {
    let (mut from, mut records) = (trace.records(), Vec::new());
    while let Some(record) = from.next() {
        if record.origin == Origin::Guest {
            let Record { tsc, kind, process, detail, .. } = record;
            records.push((tsc, kind, process, detail, record.words().collect::<Vec<_>>()));
        }
    }
    let (first, last) = (records.first().ok_or("no records")?.0, records.last().ok_or("no records")?.0);
    let mut writer = Writer::create(path, false, &Meta { recovered: Vec::new(), ..trace.meta().clone() })?;
    let (mut bytes, mut waiting) = (Vec::new(), 0);
    let rounds = (0..).flat_map(|round| records.iter().map(move |record| (round, record)));
    for (round, (tsc, kind, process, detail, words)) in rounds.take(events) {
        let tsc = tsc + round * (last - first + 1);
        format::push_record(&mut bytes, tsc, *kind, *process, *detail, words);
        waiting += 1;
        if bytes.len() >= DOORBELL {
            give(&mut writer, &mut bytes, &mut waiting)?;
        }
    }
    give(&mut writer, &mut bytes, &mut waiting)?;
    Ok(writer.finish()?)
}

fn give(writer: &mut Writer, bytes: &mut Vec<u8>, records: &mut u64) -> Result<()> {
    writer.guest_records(bytes.len(), *records, |room| {
        room.copy_from_slice(bytes);
        Ok::<(), std::convert::Infallible>(())
    })??;
    bytes.clear();
    *records = 0;
    Ok(())
}

/// Runs a pass several times; the pass returns the number of events that it saw.
fn passes(name: &str, target: &str, events: usize, mut pass: impl FnMut() -> Result<usize>) -> Result<()> {
    let mut fastest = f64::INFINITY;
    for _ in 0..PASSES {
        let start = Instant::now();
        let seen = pass()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        assert_eq!(seen, events, "{name} saw other events than there are");
    }
    row(name, rate(events, fastest), target);
    Ok(())
}
