//! How fast a trace file is written and read, on the tour's mix of records.
//!
//! `cargo bench --bench trace` runs the tour (or takes the trace that `TRAPLINE_TRACE` names, where there is no KVM),
//! repeats its records until there are `EVENTS` (10 million), and prints what each pass over them costs, with the
//! hardware that it ran on. Each pass is done [`PASSES`] times, and the fastest counts.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use trapline::analysis::Summary;
use trapline::analysis::stat::Stat;
use trapline::export::text::{self, Text};
use trapline::trace::{Meta, Origin, Record, Trace, Writer, format};

/// How often each pass is done.
const PASSES: u32 = 3;
/// About the size of the guest's buffer: what one doorbell hands over.
const DOORBELL: usize = 64 << 10;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let tour = tour(folder.path())?;
    let events = std::env::var("EVENTS").map_or(Ok(10_000_000), |events| events.parse())?;
    println!("on {}; {} events of {}", cpu()?, events, tour.display());
    let small = Trace::open(&tour)?;
    println!("{:24} {:8.1} bytes an event in the file", "the tour", per(&tour, small.events().count())?);

    let path = folder.path().join("large.trap");
    let start = Instant::now();
    write(&small, &path, events)?;
    report("write", events, start.elapsed().as_secs_f64());
    println!("{:24} {:8.1} bytes an event in the file", "the tour, repeated", per(&path, events)?);

    passes("open", events, || Trace::open(&path).map(|_| events))?;
    let trace = Trace::open(&path)?;
    passes("iterate, records", events, || Ok::<_, io::Error>(all_words(&trace)))?;
    passes("iterate, events", events, || Ok::<_, io::Error>(trace.events().count()))?;
    passes("summary", events, || Ok::<_, io::Error>(Summary::of(&trace).events as usize))?;
    passes("stat", events, || Ok::<_, io::Error>(Stat::of(&trace).events as usize))?;
    let some = events.min(1_000_000);
    let shorter = folder.path().join("text.trap");
    write(&small, &shorter, some)?;
    let shorter = Trace::open(&shorter)?;
    passes("text", some, || {
        let mut text = Text::new(shorter.meta(), text::Options::default(), io::sink());
        shorter.events().try_for_each(|event| text.event(&event))?;
        Ok::<_, io::Error>(text.written() as usize)
    })
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

fn cpu() -> Result<String> {
    let about = fs::read_to_string("/proc/cpuinfo")?;
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(model.map_or("an unknown CPU", |(_, model)| model).into())
}

fn per(path: &Path, events: usize) -> Result<f64> {
    Ok(fs::metadata(path)?.len() as f64 / events as f64)
}

/// Reads every word of every record; gives the number of records.
fn all_words(trace: &Trace) -> usize {
    let (mut records, mut count, mut sum) = (trace.records(), 0, 0);
    while let Some(record) = records.next() {
        sum = record.words().fold(record.tsc.wrapping_add(sum), u64::wrapping_add);
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

/// Does a pass some times; it gives the number of events that it saw.
fn passes<E: Error + 'static>(
    name: &str,
    events: usize,
    mut pass: impl FnMut() -> std::result::Result<usize, E>,
) -> Result<()> {
    let mut fastest = f64::INFINITY;
    forget_peak()?;
    for _ in 0..PASSES {
        let start = Instant::now();
        let seen = pass()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        assert_eq!(seen, events, "{name} saw other events than there are");
    }
    report(name, events, fastest);
    Ok(())
}

fn report(name: &str, events: usize, seconds: f64) {
    let rate = events as f64 / seconds / 1e6;
    println!("{name:24} {rate:8.1} million events a second, at most {} MiB in memory", peak() / 1024);
}

/// Lets the highest memory use start anew (proc(5), clear_refs).
fn forget_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

/// The highest memory use so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
