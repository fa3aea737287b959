//! A run made up so that each of its numbers can be worked out with pencil and paper. A cycle is half a nanosecond.

use abi::record::{FIRST_RETURN, HostCounter, Kind, Reason, Step, Timer};
use abi::syscall::Call;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::analysis::hardware::{EXIT_REASONS, Fault};
use crate::file::samples::{HELLO, Sample, any_sample, cases, entry, frame, write_file};
use crate::text::stat::text;

const SYSCALL: u32 = abi::record::SYSCALL_VECTOR as u32;
const INT80: u32 = 0x80;
const TIMER: u32 = 0x20;
const DIVIDE: u32 = 0;
const FIRST: u32 = FIRST_RETURN as u32;

/// The words of a kind; those that do not matter here are 0.
fn words(kind: Kind, first: &[u64]) -> Vec<u64> {
    let count = match kind {
        Kind::ProcessCreated => 5,
        Kind::KernelStackFilled => 23,
        Kind::ContextSaved => 9,
        Kind::ContextLoaded => 11,
        _ => first.len(),
    };
    let mut words = first.to_vec();
    words.resize(count, 0);
    words
}

fn samples(records: &[(u64, Kind, u16, u32, &[u64])]) -> Vec<Sample> {
    let sample = |&(tsc, kind, process, detail, first): &(u64, Kind, u16, u32, &[u64])| Sample {
        tsc,
        kind: kind as u8,
        process,
        // The vector of a trap: all arrive as what they are.
        detail: if kind == Kind::TrapReturn { 0 } else { detail },
        words: match kind {
            Kind::TrapEntry => entry(detail.into(), 0, 0, [0; 2]),
            Kind::TrapReturn => frame(detail.into(), 0, 0),
            _ => words(kind, first),
        },
    };
    records.iter().map(sample).collect()
}

/// Two processes: the first asks for its number, calls what is not there, is preempted and divides by zero; the second
/// sleeps, so that no process runs for a while, and exits.
fn run() -> Vec<Sample> {
    let getpid = [Call::getpid as u64];
    let (nowhere, sleep, exit) = ([999], [Call::nanosleep as u64], [Call::exit_group as u64]);
    let name = [0, 0, 0, HELLO[0], HELLO[1]];
    let [idle, preempted, slept, ended] =
        [Reason::Idle, Reason::Preempted, Reason::Slept, Reason::Ended].map(|reason| reason as u32);
    samples(&[
        (0, Kind::Boot, 0, Step::Started as u32, &[0; 3]),
        (100, Kind::ProcessCreated, 1, 0, &name),
        (150, Kind::KernelStackFilled, 1, 0, &[]),
        (160, Kind::ProcessCreated, 2, 0, &name),
        (170, Kind::KernelStackFilled, 2, 0, &[]),
        (200, Kind::Boot, 0, Step::Ready as u32, &[2]),
        (210, Kind::TimerArmed, 0, Timer::Periodic as u32, &[1000, 1000]),
        (220, Kind::ContextSaved, 0, idle, &[]),
        (230, Kind::ContextLoaded, 1, 0, &[]),
        (250, Kind::TrapReturn, 1, FIRST, &[]),
        (300, Kind::TrapEntry, 1, SYSCALL, &[]),
        (310, Kind::SystemCall, 1, 39, &getpid),
        (320, Kind::SystemCallResult, 1, 39, &[1]),
        (340, Kind::TrapReturn, 1, SYSCALL, &[]),
        (400, Kind::TrapEntry, 1, INT80, &[]),
        (410, Kind::SystemCall, 1, 999, &nowhere),
        (420, Kind::SystemCallResult, 1, 999, &[(-38i64) as u64]),
        (430, Kind::TrapReturn, 1, INT80, &[]),
        (1230, Kind::TrapEntry, 1, TIMER, &[]),
        (1240, Kind::Tick, 1, 1, &[]),
        (1260, Kind::ContextSaved, 1, preempted, &[]),
        (1275, Kind::ContextLoaded, 2, 1, &[]),
        (1300, Kind::TrapReturn, 2, FIRST, &[]),
        (1400, Kind::TrapEntry, 2, SYSCALL, &[]),
        (1405, Kind::SystemCall, 2, 35, &sleep),
        (1410, Kind::Sleep, 2, 0, &[2300]),
        (1420, Kind::ContextSaved, 2, slept, &[]),
        (1425, Kind::ContextLoaded, 1, 2, &[]),
        (1450, Kind::TrapReturn, 1, TIMER, &[]),
        (1500, Kind::TrapEntry, 1, DIVIDE, &[]),
        (1510, Kind::ProcessKilled, 1, DIVIDE, &[7, 0]),
        (1520, Kind::ContextSaved, 1, ended, &[]),
        (1530, Kind::ContextLoaded, 0, 1, &[]),
        (1540, Kind::ProcessFreed, 1, 0, &[9]),
        (1550, Kind::Idle, 0, 0, &[]),
        (2300, Kind::TrapEntry, 0, TIMER, &[]),
        (2310, Kind::Tick, 0, 2, &[]),
        (2320, Kind::TrapReturn, 0, TIMER, &[]),
        (2330, Kind::Wake, 2, 0, &[2300]),
        (2340, Kind::ContextSaved, 0, idle, &[]),
        (2350, Kind::ContextLoaded, 2, 0, &[]),
        (2360, Kind::SystemCallResult, 2, 35, &[0]),
        (2370, Kind::TrapReturn, 2, SYSCALL, &[]),
        (2470, Kind::TrapEntry, 2, SYSCALL, &[]),
        (2475, Kind::SystemCall, 2, 231, &exit),
        (2480, Kind::ProcessExited, 2, 0, &[0]),
        (2490, Kind::ContextSaved, 2, ended, &[]),
        (2500, Kind::ContextLoaded, 0, 2, &[]),
        (2510, Kind::ProcessFreed, 2, 0, &[9]),
        (2520, Kind::HostExits, 0, 2, &[4, 100, 200]),
        (2520, Kind::HostCount, 0, HostCounter::KvmExits as u32, &[9]),
    ])
}

fn open(samples: &[Sample]) -> Trace {
    let place = tempfile::tempdir().expect("a directory for the test");
    let path = place.path().join("t.trap");
    write_file(&path, samples, 10);
    Trace::open(&path).expect("a whole file")
}

fn stat() -> Stat {
    Stat::of(&open(&run()))
}

fn sums(times: &Times) -> (u64, u64, u64) {
    (times.count(), times.total(), times.longest())
}

#[test]
fn every_cycle_has_one_owner() {
    let shares = stat().shares;
    let expected = Shares {
        boot: 200,
        programs: 960 + 200,
        kernel: 165 + 85,
        switching: 60,
        scheduler: 20 + 20 + 40 + 10,
        idle: 750,
        unknown: 0,
    };
    assert_eq!(shares, expected);
    assert_eq!(shares.total(), 2510);
}

#[test]
fn calls_and_traps_take_what_they_take_in_the_kernel() {
    let stat = stat();
    let of = |traps: &Traps| (traps.count, traps.errors, traps.kernel.total(), traps.ready, traps.asleep);
    let calls: Vec<_> = stat.calls.iter().map(|(&number, traps)| (call_name(number), of(traps))).collect();
    assert_eq!(
        calls,
        [
            ("nanosleep", (1, 0, 20 + 20, 20, 910)),
            ("getpid", (1, 0, 40, 0, 0)),
            ("exit_group", (1, 0, 20, 0, 0)),
            ("unknown", (1, 1, 30, 0, 0)),
        ]
    );
    let traps: Vec<_> = stat.traps.iter().map(|(&vector, traps)| (u32::from(vector), of(traps))).collect();
    assert_eq!(
        traps,
        [
            (DIVIDE, (1, 1, 20, 0, 0)),
            (TIMER, (2, 0, 55 + 20, 165, 0)),
            (INT80, (1, 1, 30, 0, 0)),
            (SYSCALL, (3, 0, 40 + 40 + 20, 20, 910)),
        ]
    );
}

#[test]
fn processes_run_and_wait() {
    let stat = stat();
    let [first, second] = [1, 2].map(|number| &stat.processes[&number]);
    let times = |process: &Process| (process.user, process.kernel, process.ready, process.asleep);
    assert_eq!(times(first), (50 + 60 + 800 + 50, 20 + 40 + 30 + 55 + 20, 80 + 165, 0));
    assert_eq!(times(second), (100 + 100, 25 + 40 + 20, 1105 + 20, 910));
    let counts = |process: &Process| {
        let traps = process.traps.as_ref().map_or(0, |traps| traps.count());
        (process.calls, process.errors, process.faults, process.ticks, process.turns, traps)
    };
    assert_eq!(counts(first), (2, 1, 1, 1, 2, 4));
    assert_eq!(counts(second), (2, 0, 0, 0, 2, 2));
    assert_eq!(first.end, End::Killed(Fault { vector: 0, error_code: 0, cr2: 0 }, 7));
    assert_eq!((second.name.as_str(), second.end), ("hello", End::Exited(0)));
    assert_eq!(stat.processes.len(), 2);
}

#[test]
fn switches_and_ticks_are_measured() {
    let stat = stat();
    let switches = &stat.switches;
    assert_eq!(switches.count, 6);
    let whole: Vec<_> = switches.whole.iter().map(|(&reason, times)| (reason, sums(times))).collect();
    assert_eq!(whole, [(Reason::Preempted, (1, 70, 70)), (Reason::Slept, (1, 50, 50))]);
    assert_eq!(sums(&switches.save_to_load), (6, 60, 15));
    assert_eq!(sums(&switches.wait), (4, 80 + 1105 + 165 + 20, 1105));
    let ticks = &stat.ticks;
    assert_eq!((ticks.count, ticks.asked), (2, 1000));
    assert_eq!(sums(&ticks.period), (1, 1070, 1070));
    assert_eq!(sums(&ticks.jitter), (2, 30 + 70, 70));
    assert_eq!(stat.exits[&2], Exits { count: 4, guest_ns: 100, host_ns: 200 });
    assert_eq!(stat.counters[&HostCounter::KvmExits], 9);
    assert_eq!((stat.events, stat.guest_events, stat.nanoseconds), (51, 49, 1260));
}

#[test]
fn a_timer_that_is_armed_each_time_is_due_once() {
    let oneshot = Timer::OneShot as u32;
    let stat = Stat::of(&open(&samples(&[
        (0, Kind::TimerArmed, 1, oneshot, &[1, 100]),
        (50, Kind::TimerArmed, 1, oneshot, &[1, 100]),
        (153, Kind::Tick, 1, 1, &[]),
        (900, Kind::Tick, 1, 2, &[]),
    ])));
    assert_eq!(sums(&stat.ticks.jitter), (1, 3, 3));
    assert_eq!(sums(&stat.ticks.period), (1, 747, 747));
}

#[test]
fn who_is_woken_before_the_switch_does_not_sleep() {
    let slept = Reason::Slept as u32;
    let stat = Stat::of(&open(&samples(&[
        (0, Kind::Sleep, 1, 0, &[5]),
        (10, Kind::Wake, 1, 0, &[5]),
        (20, Kind::ContextSaved, 1, slept, &[]),
        (50, Kind::ContextLoaded, 1, 1, &[]),
    ])));
    assert_eq!((stat.processes[&1].ready, stat.processes[&1].asleep), (30, 0));
}

#[test]
fn a_run_that_is_stopped_counts_until_the_stop() {
    let first = [
        (0, Kind::TrapReturn, 1, FIRST, &[][..]),
        (0, Kind::KernelStackFilled, 2, 0, &[]),
        (1000, Kind::HostStop, 0, 1, &[]),
    ];
    let stat = Stat::of(&open(&samples(&first)));
    assert_eq!((stat.processes[&1].user, stat.shares.programs), (1000, 1000));
    assert_eq!(stat.processes[&2].ready, 1000);
}

#[test]
fn where_records_are_missing_nothing_is_guessed() {
    let place = tempfile::tempdir().expect("a directory for the test");
    let path = place.path().join("t.trap");
    write_file(&path, &run(), 10);
    let mut bytes = std::fs::read(&path).expect("the file");
    // The chunk of the records 10 to 19, the second of ten: one byte of it flipped, and its CRC is wrong.
    let chunks: Vec<usize> = bytes
        .windows(crate::file::format::CHUNK_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| **window == crate::file::format::CHUNK_MAGIC)
        .map(|(at, _)| at)
        .collect();
    bytes[chunks[2] - 1] ^= 1;
    std::fs::write(&path, bytes).expect("room for the file");
    let trace = Trace::open(&path).expect("a damaged file");
    assert!(!trace.damage().is_empty());
    let stat = Stat::of(&trace);
    // What lies between the first return (250) and the first process's switch away (1260) is gone.
    assert_eq!(stat.guest_events, 39);
    assert_eq!(stat.shares.total(), 2510);
    assert_eq!(stat.shares.programs, 50 + 100 + 100);
    assert_eq!(stat.shares.unknown, 1260 - 250);
    assert!(!stat.calls.contains_key(&(Call::getpid as u32)));
    assert_eq!(stat.switches.whole.keys().collect::<Vec<_>>(), [&Reason::Slept]);
}

#[test]
fn a_trap_that_is_cut_off_counts_with_its_error() {
    // The first trap that fails, and the fault, up to what says so.
    let at = |kind: Kind, detail| {
        let is = |sample: &Sample| sample.kind == kind as u8 && sample.detail == detail;
        run().iter().position(is).expect("the record")
    };
    for (end, vector) in [(at(Kind::SystemCallResult, 999), INT80), (at(Kind::ProcessKilled, DIVIDE), DIVIDE)]
    {
        let stat = Stat::of(&open(&run()[..=end]));
        let traps = &stat.traps[&(vector as u8)];
        assert_eq!((traps.count, traps.errors, traps.kernel.count()), (1, 1, 0));
        assert_eq!(stat.calls[&UNKNOWN_CALL].errors, 1);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn any_records_do_no_harm(records in vec(any_sample(), 1..1000)) {
        let trace = open(&records);
        let stat = Stat::of(&trace);
        prop_assert_eq!(stat.events, records.len() as u64);
        let traces = [("t.trap".to_owned(), trace, stat)];
        prop_assert!(!text(&traces, 100).is_empty());
        prop_assert_eq!(&json(&traces)["traces"][0]["events"], records.len());
    }
}

#[test]
fn the_text_fits_a_screen_and_has_traces_side_by_side() {
    let of = || (String::from("t.trap"), open(&run()), stat());
    let one = text(&[of()], 100);
    assert!(one.lines().all(|line| line.chars().count() <= 100), "{one}");
    let line = |text: &str, start: &str| {
        let found = text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        found.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line(&one, "nanosleep"), "nanosleep 1 0 20 ns 20 ns 20 ns 20 ns 20 ns 20 ns 10 ns 455 ns");
    assert_eq!(line(&one, "hello/1"), "hello/1 2 1 1 1 2 480 ns 82 ns 15 ns 27 ns 122 ns -");
    let two = text(&[of(), of()], 100);
    assert!(two.lines().all(|line| line.chars().count() <= 100), "{two}");
    assert_eq!(line(&two, "getpid"), "getpid A 1 0 20 ns 20 ns 20 ns 20 ns 20 ns 20 ns - -");
}

#[test]
fn the_json_has_nanoseconds() {
    let traces = [(String::from("t.trap"), open(&run()), stat())];
    let value = &json(&traces)["traces"][0];
    assert_eq!(value["file"], "t.trap");
    assert_eq!(value["cpu"]["idle_ns"], 375);
    assert_eq!(value["system_calls"][0]["name"], "nanosleep");
    assert_eq!(value["system_calls"][0]["kernel"]["p99_ns"], 20);
    assert_eq!(value["system_calls"][3]["number"], serde_json::Value::Null);
    assert_eq!(value["processes"][0]["end"]["how"], "killed");
    assert_eq!(value["switches"]["whole"]["preempted"]["total_ns"], 35);
    assert_eq!(value["ticks"]["asked_ns"], 500);
    assert_eq!(value["kinds"]["trap-entry"], 7);
    assert_eq!(value["host"]["kvm-exits"], 9);
}

#[test]
fn exits_of_any_number_are_few_lines() {
    let exits: Vec<_> =
        (0..1000).map(|reason| (2520, Kind::HostExits, 0, reason, &[4, 100, 200][..])).collect();
    let stat = Stat::of(&open(&samples(&exits)));
    assert_eq!(stat.exits.len(), EXIT_REASONS as usize + 1);
}

/// Processes have numbers of 16 bits. Each is counted, and neither text nor memory grows with their distributions.
#[test]
fn processes_of_any_number_are_counted() {
    let numbers = (1..=200).chain([65_534, 65_535]);
    let records: Vec<_> = numbers
        .clone()
        .flat_map(|process| {
            let start = 100 * u64::from(process);
            [
                (start, Kind::TrapEntry, process, TIMER, &[][..]),
                (start + 10, Kind::TrapReturn, process, TIMER, &[]),
            ]
        })
        .collect();
    let trace = open(&samples(&records));
    let stat = Stat::of(&trace);
    assert_eq!(stat.processes.keys().copied().collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    assert_eq!(stat.processes[&65_535].kernel, 10);
    assert_eq!(stat.processes.values().filter(|process| process.traps.is_some()).count(), PROCESSES_TIMED);
    let text = text(&[("t.trap".to_owned(), trace, stat)], 100);
    assert!(text.lines().count() < 70 && text.contains("\nand 178 more\n"), "{text}");
}
