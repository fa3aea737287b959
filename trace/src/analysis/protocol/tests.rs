//! Tests of the tables: a made-up run with two processes, whole and with records missing.

use abi::record::{Kind, Policy, Reason, Step};

use super::*;
use crate::file::format::{CHUNK_MAGIC, CHUNK_SIZE};
use crate::file::samples::{self, HELLO, Sample, write_file};
use crate::text::protocol::{json, markdown, text};

const TIMER: u64 = 0x20;
const SYSCALL: u64 = 0xFE;
const FIRST: u64 = 0xFFFF;

/// The frame of a trap at `rip`, and beside RAX the registers that `syscall` sets.
fn frame(process: u16, vector: u64, rip: u64, rax: u64) -> Vec<u64> {
    let mut words = samples::frame(vector, 0, rax);
    words[0] = 0x1000 * u64::from(process) - 40;
    if vector == SYSCALL {
        (words[13], words[5]) = (rip, 0x202);
    }
    (words[18], words[21]) = (rip, 0x7ff0);
    words
}

/// The entry of a trap that arrived as what it is.
fn entry(process: u16, vector: u64, rip: u64, rax: u64) -> Vec<u64> {
    [frame(process, vector, rip, rax), vec![2, 0, rip]].concat()
}

fn run_of_two() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |kind: Kind, process: u16, detail: u32, words: &[u64]| {
        let tsc = 1000 + 100 * samples.len() as u64;
        samples.push(Sample { tsc, kind: kind as u8, process, detail, words: words.to_vec() });
    };
    add(Kind::Gates, 0, TIMER as u32, &[0x8E00_0008_9000, 0]);
    add(Kind::Boot, 0, Step::TrapTable as u32, &[0x3000, 1]);
    add(Kind::Boot, 0, Step::SyscallHandler as u32, &[0x8000, 0, 0x700]);
    add(Kind::Boot, 0, Step::Scheduler as u32, &[Policy::RoundRobin as u64, 1000, 1]);
    for process in [1, 2] {
        let top = 0x1000 * u64::from(process);
        add(Kind::ProcessCreated, process, 0, &[0x500, 0x600, top, HELLO[0], HELLO[1]]);
        add(Kind::SegmentLoaded, process, 5, &[0x40_0000, 10, 10]);
        add(Kind::StackBuilt, process, 1, &[0x7000, 0x7ff0, 0x7ff8]);
        add(Kind::KernelStackFilled, process, 0, &frame(process, FIRST, 0x40_0000, 0));
    }
    add(Kind::Boot, 0, Step::Ready as u32, &[2]);
    add(Kind::TimerArmed, 0, 0, &[1000, 2000]);
    add(Kind::ContextLoaded, 1, 0, &[0x500, 0, 0, 0, 0, 0, 0, 1, 2, 0x600, 0x1000]);
    add(Kind::TrapReturn, 1, 0, &frame(1, FIRST, 0x40_0000, 0));
    add(Kind::TrapEntry, 1, SYSCALL as u32, &entry(1, SYSCALL, 0x40_0010, 39));
    add(Kind::SystemCall, 1, 0, &[39]);
    add(Kind::SystemCallResult, 1, 39, &[1]);
    add(Kind::TrapReturn, 1, 0, &frame(1, SYSCALL, 0x40_0010, 1));
    add(Kind::TrapEntry, 1, TIMER as u32, &entry(1, TIMER, 0x40_0020, 1));
    add(Kind::Tick, 1, 1, &[]);
    add(Kind::ContextSaved, 1, Reason::Preempted as u32, &[0x500, 0, 0, 0, 0, 0, 0, 3, 4]);
    add(Kind::ContextLoaded, 2, 1, &[0x700, 0, 0, 0, 0, 0, 0, 5, 6, 0x800, 0x2000]);
    add(Kind::TrapReturn, 2, 0, &frame(2, FIRST, 0x40_0000, 0));
    add(Kind::TrapEntry, 2, SYSCALL as u32, &entry(2, SYSCALL, 0x40_0030, 60));
    add(Kind::SystemCall, 2, 0, &[60]);
    add(Kind::ProcessExited, 2, 0, &[0]);
    add(Kind::ProcessFreed, 2, 0, &[5]);
    samples
}

fn tables_of(samples: &[Sample], excerpt: &Excerpt) -> Result<Vec<Table>, Missing> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.trap");
    write_file(&path, samples, 7);
    tables(&Trace::open(&path).expect("a trace"), excerpt)
}

fn steps(tables: &[Table]) -> Vec<&'static str> {
    tables.iter().flat_map(|table| &table.rows).map(|row| row.step).collect()
}

const BOOT: [&str; 5] = ["trap-table", "remember-gates", "remember-syscall", "start-timer", "timer-started"];
const SWITCH: [&str; 11] = [
    "run",
    "trap",
    "save-registers",
    "handle-tick",
    "switch-save",
    "switch-load",
    "switch-stack",
    "restore-registers",
    "return-from-trap",
    "restore",
    "run",
];

#[test]
fn the_switch_has_every_step_of_the_book_in_order() {
    let tables = tables_of(&run_of_two(), &Excerpt::Switch(1)).expect("a switch");
    assert_eq!(steps(&tables), [&BOOT[..], &SWITCH].concat());
    let missing = tables_of(&run_of_two(), &Excerpt::Switch(2)).expect_err("there is one switch only");
    assert_eq!(missing, Missing::Switch { wanted: 2, present: 1 });
}

#[test]
fn the_first_trap_has_every_step_of_the_book_in_order() {
    let tables = tables_of(&run_of_two(), &Excerpt::FirstTrap).expect("a trap");
    let first = [
        "create",
        "load",
        "user-stack",
        "kernel-stack",
        "switch-load",
        "switch-stack",
        "restore-registers",
        "return-from-trap",
        "restore",
        "run",
        "call",
        "trap",
        "build-frame",
        "save-registers",
        "handle-call",
        "do-call",
        "restore-registers",
        "return-from-trap",
        "restore",
        "run",
    ];
    assert_eq!(steps(&tables), [&BOOT[..], &first].concat());
}

/// On a slow host the timer interrupts the first process before its first call.
#[test]
fn the_first_system_call_is_shown_although_the_timer_came_first() {
    let mut samples = run_of_two();
    let whole = tables_of(&samples, &Excerpt::FirstTrap).expect("a call");
    let call = samples.iter().position(|sample| sample.kind == Kind::TrapEntry as u8).expect("a trap");
    let tsc = samples[call].tsc;
    let add = |kind: Kind, words| Sample { tsc, kind: kind as u8, process: 1, detail: 0, words };
    let tick = [
        add(Kind::TrapEntry, entry(1, TIMER, 0x40_0000, 0)),
        add(Kind::Tick, vec![]),
        add(Kind::TrapReturn, frame(1, TIMER, 0x40_0000, 0)),
    ];
    samples.splice(call..call, tick);
    let tables = tables_of(&samples, &Excerpt::FirstTrap).expect("a call");
    assert_eq!(steps(&tables), steps(&whole));
    let elided = tables[1].elided.as_ref().expect("a gap");
    assert_eq!((elided.traps, elided.ticks, elided.system_calls), (1, 1, 0));
}

#[test]
fn the_three_layers_are_distinguished() {
    let tables = tables_of(&run_of_two(), &Excerpt::FirstTrap).expect("a trap");
    let layer = |step| {
        tables.iter().flat_map(|table| &table.rows).find(|row| row.step == step).and_then(|row| row.layer)
    };
    assert_eq!(layer("restore"), Some(Layer::HardwareFrame));
    assert_eq!(layer("trap"), Some(Layer::HardwareRegisters));
    assert_eq!(layer("build-frame"), Some(Layer::TrapFrame), "`syscall` builds no frame, the stub does");
    assert_eq!(layer("switch-load"), Some(Layer::Context));
}

/// Each record that is taken away takes its own steps with it, and adds none.
#[test]
fn no_step_is_printed_without_its_record() {
    let whole = run_of_two();
    let all = steps(&tables_of(&whole, &Excerpt::Switch(1)).expect("a switch"));
    let gone: [(Kind, &[&str]); 4] = [
        (Kind::Tick, &["handle-tick"]),
        (Kind::TimerArmed, &["start-timer", "timer-started"]),
        (Kind::Gates, &["remember-gates"]),
        (Kind::TrapReturn, &["restore-registers", "return-from-trap", "restore"]),
    ];
    for (kind, steps_gone) in gone {
        let cut: Vec<_> = whole.iter().filter(|sample| sample.kind != kind as u8).cloned().collect();
        let left = steps(&tables_of(&cut, &Excerpt::Switch(1)).expect("a switch"));
        for step in steps_gone {
            assert!(all.contains(step) && !left.contains(step), "{step} without {kind:?}: {left:?}");
        }
    }
}

/// The kernel writes a return down before it makes it.
#[test]
fn a_return_that_nothing_follows_is_not_reported_as_done() {
    let whole = run_of_two();
    let end = whole.iter().rposition(|sample| sample.kind == Kind::TrapReturn as u8).expect("a return");
    let cut = tables_of(&whole[..=end], &Excerpt::Switch(1)).expect("a switch");
    assert_eq!(steps(&cut).last(), Some(&"return-from-trap"));
}

/// The numbers of the records show that some are missing; what is on both sides of them looks like a switch, or a return.
#[test]
fn nothing_is_proved_across_missing_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.trap");
    // A record a chunk: each may be lost alone.
    write_file(&path, &run_of_two(), 1);
    let whole = std::fs::read(&path).expect("a trace");
    let starts: Vec<usize> = (0..whole.len()).filter(|&at| whole[at..].starts_with(&CHUNK_MAGIC)).collect();
    let position = |kind: Kind, nth: usize| {
        let is_it = |(_, sample): &(usize, Sample)| sample.kind == kind as u8;
        run_of_two().into_iter().enumerate().filter(is_it).nth(nth).expect("the record").0
    };
    let tables_without = |lost: Range<usize>, excerpt: Excerpt| {
        let mut bytes = whole.clone();
        starts[lost].iter().for_each(|start| bytes[start + CHUNK_SIZE - 1] ^= 1);
        std::fs::write(&path, &bytes).expect("a damaged trace");
        tables(&Trace::open(&path).expect("the rest of it"), &excerpt)
    };
    let tick = position(Kind::Tick, 0);
    let switch_without = |lost| steps(&tables_without(lost, Excerpt::Switch(1)).expect("a switch")[1..]);
    assert_eq!(switch_without(0..0), SWITCH);
    assert_eq!(switch_without(tick..tick + 1), SWITCH[4..], "what the trap led to is not known");

    // Behind the first return comes the second trap.
    let call = position(Kind::TrapEntry, 0)..position(Kind::TrapEntry, 1);
    let life = tables_without(call, Excerpt::Process("1".into())).expect("a life");
    assert!(!steps(&life).contains(&"restore"), "{life:?}");
    assert!(life[0].notes.iter().any(|note| note.starts_with("Records are missing")), "{life:?}");
}

#[test]
fn no_cut_of_a_trace_is_a_panic() {
    let meta = crate::file::Meta::default();
    let whole = run_of_two();
    for missing in 0..whole.len() {
        let cut: Vec<_> =
            whole.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, s)| s.clone()).collect();
        for excerpt in [Excerpt::Whole, Excerpt::FirstTrap, Excerpt::Switch(1), Excerpt::Process("2".into())]
        {
            if let Ok(tables) = tables_of(&cut, &excerpt) {
                let (text, markdown) = (text(&meta, &tables, 100), markdown(&meta, &tables));
                assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
                assert!(!markdown.is_empty());
            }
        }
    }
}

#[test]
fn a_program_without_limits_is_called_and_returns() {
    let words = &frame(1, FIRST, 0x40_0000, 0);
    let sample = |tsc, kind: Kind, process, detail, words: &[u64]| Sample {
        tsc,
        kind: kind as u8,
        process,
        detail,
        words: words.to_vec(),
    };
    let samples = [
        sample(1, Kind::Boot, 0, Step::Scheduler as u32, &[Policy::Direct as u64, 0, 1]),
        sample(2, Kind::ProcessCreated, 1, 0, &[1, 2, 3, HELLO[0], HELLO[1]]),
        sample(3, Kind::Called, 1, 0, words),
        sample(4, Kind::Returned, 1, 0, &[0]),
        sample(5, Kind::ProcessFreed, 1, 0, &[5]),
    ];
    let whole = tables_of(&samples, &Excerpt::Whole).expect("a life");
    assert_eq!(steps(&whole), ["create", "call-main", "run", "return", "free"]);
    assert!(whole[0].figure.contains("6.1"));
}

#[test]
fn the_json_form_keeps_its_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.trap");
    write_file(&path, &run_of_two(), 7);
    let trace = Trace::open(&path).expect("a trace");
    let tables = tables(&trace, &Excerpt::Switch(1)).expect("a switch");
    let value: serde_json::Value = serde_json::from_str(&json(&trace, &tables).expect("JSON")).expect("JSON");
    assert_eq!((&value["format"], &value["version"]), (&"trapline-protocol".into(), &1.into()));
    let row = &value["tables"][1]["rows"][1];
    let keys: Vec<_> = row.as_object().expect("a row").keys().map(String::as_str).collect();
    let mut expected =
        ["actor", "step", "process", "nanoseconds", "record", "layer", "text", "details", "values"];
    expected.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(
        (&row["actor"], &row["step"], &row["layer"]),
        (&"hardware".into(), &"trap".into(), &"hardware-frame".into())
    );
    assert_eq!(row["values"]["RIP"], "0x400020");
}

#[test]
fn a_table_stays_short_however_long_the_trace_is() {
    let mut samples = run_of_two();
    let last = samples.len() - 1;
    let repeat = |kind: Kind, words: Vec<u64>| {
        (0..10_000).map(move |n| Sample {
            tsc: 2000 + n,
            kind: kind as u8,
            process: 2,
            detail: 0,
            words: words.clone(),
        })
    };
    let more = repeat(Kind::TrapReturn, frame(1, TIMER, 0x40_0020, 1))
        .chain(repeat(Kind::SegmentLoaded, vec![1; 3]));
    samples.splice(last..last, more);
    let tables = tables_of(&samples, &Excerpt::Process("2".into())).expect("a life");
    assert!((2000..2010).contains(&tables[0].rows.len()), "{} rows", tables[0].rows.len());
    assert!(tables[0].notes[0].starts_with("There are more steps"), "{:?}", tables[0].notes);
    let segments: Vec<Sample> = repeat(Kind::SegmentLoaded, vec![1; 3]).collect();
    let start =
        samples.iter().position(|sample| sample.kind == Kind::SegmentLoaded as u8 && sample.process == 2);
    let start = start.expect("the program is loaded");
    samples.splice(start..start, segments);
    let tables = tables_of(&samples, &Excerpt::Process("2".into())).expect("a life");
    assert!(tables[0].rows.iter().all(|row| row.details.len() < 300));
}
