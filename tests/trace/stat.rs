//! `trapline stat` on real traces: another program computes the same numbers.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use abi::record::{Kind, Reason};
use serde_json::Value;
use trace::analysis::Summary;
use trace::analysis::stat::{Stat, call_name};
use trace::{Meta, Origin, Trace, What, Writer, format};

use crate::support::{self, Need, Suite, TestResult, binary, ensure, folder, trapline};

/// A real trace.
pub const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/check.trap");

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("stat_counts_what_is_there", stat_counts_what_is_there)
        .pure("stat_leaves_no_time_out", stat_leaves_no_time_out)
        .pure("stat_prints_what_it_counted", stat_prints_what_it_counted)
        .pure("stat_keeps_its_memory_whatever_a_trace_names", stat_keeps_its_memory)
        .tools(&["python3"], "stat_is_what_another_works_out", || another_works_out(FIXTURE))
        .kvm("stat_of_the_tour", stat_of_the_tour)
        .needs(&[Need::Kvm, Need::Tool("python3")], "stat_of_runs_is_what_another_works_out", of_runs)
        .needs(
            &[Need::Kvm, Need::Tool("gcc"), Need::Tool("python3")],
            "stat_of_linux_programs_is_what_another_works_out",
            of_linux_programs,
        )
}

fn counts_agree(trace: &Trace) -> TestResult {
    let (stat, summary) = (Stat::of(trace), Summary::of(trace));
    let equal =
        |what: &str, ours: u64, theirs: u64| ensure(ours == theirs, || format!("{what}: {ours}, {theirs}"));
    equal("events", stat.events, summary.events)?;
    equal("nanoseconds", stat.nanoseconds, summary.nanoseconds)?;
    equal("ticks", stat.ticks.count, summary.ticks)?;
    equal("switches", stat.switches.count, summary.switches)?;
    equal("processes", stat.processes.len() as u64, summary.processes.len() as u64)?;
    for (kind, &count) in &summary.kinds {
        equal("events of a kind", stat.kinds[usize::from(*kind)], count)?;
    }
    for (&number, call) in &stat.calls {
        equal(call_name(number), call.count, summary.calls[call_name(number)])?;
    }
    for (number, theirs) in &summary.processes {
        let ours = &stat.processes[number];
        equal("calls of a process", ours.calls, theirs.calls)?;
        equal("ticks of a process", ours.ticks, theirs.ticks)?;
        equal("turns of a process", ours.turns, theirs.switches_in)?;
        let (of_stat, of_summary) = ((&ours.name, ours.end), (&theirs.name, theirs.end));
        ensure(of_stat == of_summary, || format!("stat {of_stat:?}, summary {of_summary:?}"))?;
    }
    let errors = trace.events().filter(
        |event| matches!(event.what, What::SystemCallResult { result, .. } if (-4095..0).contains(&result)),
    );
    equal("errors", stat.calls.values().map(|call| call.errors).sum(), errors.count() as u64)?;
    equal("traps", stat.traps.values().map(|traps| traps.count).sum(), stat.count_of(Kind::TrapEntry))
}

/// Every cycle between the guest's first record and its last has one owner.
fn no_time_is_left_out(trace: &Trace) -> TestResult {
    let stat = Stat::of(trace);
    let guest = || trace.events().filter(|event| event.origin == Origin::Guest).map(|event| event.tsc);
    let (first, last) = (guest().next().unwrap_or(0), guest().last().unwrap_or(0));
    let total = stat.shares.total();
    ensure(total == last - first, || format!("{total} cycles of {}", last - first))?;
    ensure(stat.shares.unknown == 0, || format!("{:?}", stat.shares))?;
    let processes = stat.processes.values();
    let (user, kernel) = processes.fold((0, 0), |sum, one| (sum.0 + one.user, sum.1 + one.kernel));
    ensure((user, kernel) == (stat.shares.programs, stat.shares.kernel), || format!("{:?}", stat.shares))
}

fn stat_counts_what_is_there() -> TestResult {
    counts_agree(&Trace::open(Path::new(FIXTURE))?)
}

fn stat_leaves_no_time_out() -> TestResult {
    no_time_is_left_out(&Trace::open(Path::new(FIXTURE))?)
}

fn stat_prints_what_it_counted() -> TestResult {
    let stat = Stat::of(&Trace::open(Path::new(FIXTURE))?);
    let folder = folder();
    let json = trapline(folder.path(), &["stat", "--json", FIXTURE, FIXTURE])?.expect(0)?;
    let json: Value = serde_json::from_str(&json.stdout)?;
    ensure(json["traces"].as_array().is_some_and(|traces| traces.len() == 2), || format!("{json:#}"))?;
    let trace = &json["traces"][1];
    let preempted = &stat.switches.whole[&Reason::Preempted];
    let p99 = stat.clock.span(preempted.quantile(0.99));
    ensure(trace["events"] == stat.events && trace["ticks"]["count"] == stat.ticks.count, || {
        format!("{trace:#}")
    })?;
    ensure(trace["switches"]["whole"]["preempted"]["p99_ns"] == p99, || format!("{trace:#}"))?;
    let text = trapline(folder.path(), &["stat", FIXTURE, FIXTURE])?.expect(0)?.stdout;
    ensure(text.contains("A  ") && text.contains("B  "), || text.clone())?;
    let is_narrow = |line: &str| line.chars().count() <= 100 || line.contains(FIXTURE);
    ensure(text.lines().all(is_narrow), || text.clone())
}

fn stat_of_the_tour() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    let trace = Trace::open(&folder.path().join("t.trap"))?;
    counts_agree(&trace)?;
    no_time_is_left_out(&trace)
}

/// The script has every duration and no histogram, and is made from `docs/stat.md` alone.
fn another_works_out(trace: &str) -> TestResult {
    let folder = folder();
    let json = trapline(folder.path(), &["stat", "--json", trace])?.expect(0)?;
    std::fs::write(folder.path().join("stat.json"), json.stdout)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/trace/stat.py");
    let mut python = Command::new("python3");
    let python = python.arg(script).args([trace, "stat.json"]).current_dir(folder.path());
    let said = support::command(python, folder.path())?.expect(0)?.stdout;
    let numbers: u64 = said.strip_suffix(" numbers\n").unwrap_or_default().parse().unwrap_or(0);
    ensure(numbers > 100, || format!("{trace}: {said}"))
}

fn of_runs() -> TestResult {
    let folder = folder();
    let runs: [(&[&str], i32); 3] = [
        (&[], 0),
        (&["counter", "hog", "polite", "sleeper", "--timer", "oneshot", "--timeout", "500ms"], 36),
        (&["counter", "polite", "divider", "--policy", "cooperative"], 32),
    ];
    for (index, (arguments, code)) in runs.into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.trap")).display().to_string();
        let run: Vec<&str> = ["run", "--trace", &file].iter().chain(arguments).copied().collect();
        trapline(folder.path(), &run)?.expect(code)?;
        another_works_out(&file)?;
    }
    Ok(())
}

/// Forks, signals, threads that wait for each other, and pages that are mapped when they are used.
fn of_linux_programs() -> TestResult {
    let folder = folder();
    for (program, code) in [("forks", 32), ("exec", 32), ("threads", 0)] {
        let file = format!("{program}.trap");
        support::run_linux(program, code, folder.path(), &file)?;
        let path = folder.path().join(file);
        let trace = Trace::open(&path)?;
        counts_agree(&trace)?;
        no_time_is_left_out(&trace)?;
        another_works_out(&path.display().to_string())?;
    }
    Ok(())
}

/// A trace that names every vector, every process and every call must not take much memory: there is a histogram for each.
fn stat_keeps_its_memory() -> TestResult {
    let folder = folder();
    let mut writer = Writer::create(&folder.path().join("all.trap"), false, &Meta::default())?;
    let (mut bytes, mut records) = (Vec::new(), 0);
    let mut push = |kind: Kind, process: u16, detail: u32, words: &[u64]| {
        records += 1;
        format::push_record(&mut bytes, 1000 * records, kind as u8, process, detail, words);
    };
    for number in 0..=u16::MAX {
        let (process, vector) = (number % 70, u32::from(number % 256));
        let mut frame = [0; 26];
        frame[16] = vector.into();
        push(Kind::TrapEntry, process, vector, &frame);
        push(Kind::SystemCall, process, 0, &[number.into()]);
        push(Kind::TrapReturn, process, 0, &frame[..23]);
    }
    // The three of a trap, a thousand times.
    const TRAP: usize = 3 * 16 + 8 * (26 + 1 + 23);
    for chunk in bytes.chunks(1024 * TRAP) {
        writer.guest_records(chunk.len(), 3 * 1024, |room| {
            room.copy_from_slice(chunk);
            Ok::<(), Infallible>(())
        })??;
    }
    writer.finish()?;
    let trace = Trace::open(&folder.path().join("all.trap"))?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))?;
    // What it may allocate, in KiB.
    let mut shell = Command::new("sh");
    let limited = shell.args(["-c", "ulimit -d 114688 && exec \"$0\" stat all.trap"]).arg(binary());
    let output = support::command(limited.current_dir(folder.path()), folder.path())?.expect(0)?;
    ensure(output.stdout.contains("interrupt 0xff"), || format!("{output:#?}"))
}
