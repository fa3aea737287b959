//! `trapline diff`: a real trace compared with itself, with itself changed, and runs with each other.

use std::convert::Infallible;
use std::path::Path;

use abi::record::{FIRST_HOST_KIND, Kind};
use serde_json::{Value, json};
use trace::{Record, Trace, Writer, format};

use crate::stat::FIXTURE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

/// A process of the fixture that makes calls.
const COUNTER: u16 = 2;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("diff_of_a_trace_with_itself_is_silent", diff_with_itself_is_silent)
        .pure("diff_shows_the_differences", diff_shows_the_differences)
        .pure("diff_takes_time_as_no_difference", diff_takes_time_as_no_difference)
        .pure("diff_tells_of_missing_records", diff_tells_of_missing_records)
        .pure("diff_refuses_what_is_no_trace", diff_refuses_what_is_no_trace)
        .kvm("diff_of_two_tours", diff_of_two_tours)
        .needs(
            &[Need::Kvm, Need::Tool("gcc")],
            "two_runs_of_a_linux_program_do_the_same",
            two_runs_of_a_linux_program,
        )
}

/// The times and random numbers that the kernel returned differ, and are not compared.
fn two_runs_of_a_linux_program() -> TestResult {
    let folder = folder();
    for (program, code) in [("memory", 0), ("exec", 32)] {
        let traces = ["a", "b"].map(|run| format!("{program}-{run}.trap"));
        for trace in &traces {
            support::run_linux(program, code, folder.path(), trace)?;
        }
        // 0: the processes did the same.
        trapline(folder.path(), &["diff", &traces[0], &traces[1]])?.expect(0)?;
    }
    Ok(())
}

/// A record that can be changed.
struct Raw {
    tsc: u64,
    kind: u8,
    process: u16,
    detail: u32,
    words: Vec<u64>,
}

impl Raw {
    fn of(record: &Record<'_>) -> Raw {
        let &Record { tsc, kind, process, detail, .. } = record;
        Raw { tsc, kind, process, detail, words: record.words().collect() }
    }
}

/// The fixture with each record changed, or not.
fn changed(path: &Path, mut change: impl FnMut(&mut Raw)) -> TestResult {
    let trace = Trace::open(Path::new(FIXTURE))?;
    let mut writer = Writer::create(path, false, trace.meta())?;
    let mut records = trace.records();
    while let Some(record) = records.next() {
        let mut raw = Raw::of(&record);
        change(&mut raw);
        let Raw { tsc, kind, process, detail, words } = raw;
        if kind >= FIRST_HOST_KIND {
            let kind = Kind::try_from(kind).map_err(|kind| format!("kind {kind}"))?;
            writer.host_record(tsc, kind, process, detail, &words)?;
            continue;
        }
        let mut bytes = Vec::new();
        format::push_record(&mut bytes, tsc, kind, process, detail, &words);
        let copied = writer.guest_records(bytes.len(), 1, |room| {
            room.copy_from_slice(&bytes);
            Ok::<(), Infallible>(())
        })?;
        let Ok(()) = copied;
    }
    Ok(writer.finish()?)
}

fn diff_with_itself_is_silent() -> TestResult {
    let folder = folder();
    changed(&folder.path().join("t.trap"), |_| {})?;
    for other in [FIXTURE, "t.trap"] {
        let output = trapline(folder.path(), &["diff", FIXTURE, other])?.expect(0)?;
        ensure(output.stdout.is_empty() && output.stderr.is_empty(), || format!("{output:#?}"))?;
    }
    Ok(())
}

fn diff_shows_the_differences() -> TestResult {
    let folder = folder();
    let mut results = 0;
    changed(&folder.path().join("t.trap"), |raw| {
        if raw.process == COUNTER && raw.kind == Kind::SystemCallResult as u8 {
            results += 1;
            // The third call, and one behind it.
            raw.words[0] = if matches!(results, 3 | 5) { 77 } else { raw.words[0] };
        }
    })?;
    let output = trapline(folder.path(), &["diff", FIXTURE, "t.trap"])?.expect(1)?;
    let text = &output.stdout;
    let side = |mark: &str| text.lines().find(|line| line.starts_with(mark)).unwrap_or_default().to_owned();
    ensure(text.contains("counter/2: 2 of 51 steps only in A, 2 of 51 only in B, in 2 places"), || {
        text.clone()
    })?;
    ensure(side("  A #").ends_with("getpid() = 2") && side("  B #").ends_with("getpid() = 77"), || {
        text.clone()
    })?;
    ensure(text.matches(" only in A, ").count() == 1, || text.clone())?;
    ensure(text.lines().all(|line| line.chars().count() <= 100 || line.contains(FIXTURE)), || text.clone())?;

    let json = trapline(folder.path(), &["diff", "--json", FIXTURE, "t.trap"])?.expect(1)?;
    let json: Value = serde_json::from_str(&json.stdout)?;
    let differs = json["processes"].as_array().into_iter().flatten();
    let differs: Vec<&Value> = differs.filter(|process| process["outcome"] == "differs").collect();
    ensure(differs.len() == 1 && differs[0]["name"] == "counter/2", || format!("{json:#}"))?;
    let difference = &differs[0]["difference"];
    ensure(difference["places"] == 2 && difference["hunks"][1]["counts"] == json!([1, 1]), || {
        format!("{difference:#}")
    })?;
    ensure(json["same_sequence"] == false, || format!("{json:#}"))
}

fn diff_takes_time_as_no_difference() -> TestResult {
    let folder = folder();
    let mut start = None;
    changed(&folder.path().join("t.trap"), |raw| {
        // Everything takes 40 times as long: the bounds of so few durations are wide.
        let start = *start.get_or_insert(raw.tsc);
        raw.tsc = start + 40 * (raw.tsc - start);
    })?;
    let text = trapline(folder.path(), &["diff", FIXTURE, "t.trap"])?.expect(0)?.stdout;
    ensure(!text.contains(" only in ") && text.contains("The same in both: "), || text.clone())?;
    let is_real = |line: &str| line.contains("+3900.") && line.contains(" real ");
    ensure(text.lines().any(is_real), || text.clone())
}

/// The chunk spoiled that has the creation of all processes: the head of the file knows their names.
fn diff_tells_of_missing_records() -> TestResult {
    let folder = folder();
    let mut bytes = std::fs::read(FIXTURE)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(folder.path().join("t.trap"), bytes)?;
    let output = trapline(folder.path(), &["diff", "--json", FIXTURE, "t.trap"])?.expect(1)?;
    let json: Value = serde_json::from_str(&output.stdout)?;
    let damage = &json["damage"];
    ensure(damage[0] == json!([]) && damage[1].as_array().is_some_and(|damage| !damage.is_empty()), || {
        format!("{damage:#}")
    })?;
    let outcomes = json["processes"].as_array().into_iter().flatten().map(|process| &process["outcome"]);
    let in_both = outcomes.filter(|outcome| **outcome == "differs").count();
    ensure(in_both == 4, || format!("{json:#}"))
}

fn diff_refuses_what_is_no_trace() -> TestResult {
    let output = trapline(folder().path(), &["diff", FIXTURE, "/dev/null"])?.expect(2)?;
    ensure(output.stderr.contains("/dev/null"), || format!("{output:#?}"))
}

fn diff_of_two_tours() -> TestResult {
    let folder = folder();
    for (name, batch) in [("a.trap", "1024"), ("b.trap", "1")] {
        trapline(folder.path(), &["run", "--batch", batch, "--trace", name])?.expect(0)?;
    }
    let output = trapline(folder.path(), &["diff", "a.trap", "b.trap"])?.expect(0)?;
    ensure(output.stdout.contains("The same in both: "), || format!("{output:#?}"))
}
