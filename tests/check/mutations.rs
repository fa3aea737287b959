//! A real trace, and one record or a few of it changed: the rule that this breaks is reported, and what follows.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;

use abi::record::{FIRST_HOST_KIND, FIRST_RETURN, HostCounter, Kind, Step};
use libtest_mimic::Failed;
use trace::analysis::check::{Report, Verdict, check};
use trace::{Meta, Trace, Writer};

use crate::linux;
use crate::support::{self, TestResult, ensure, trapline};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/check.trap");

/// The processes of the fixture.
const COUNTER: u16 = 2;
const POLITE: u16 = 4;
const DIVIDER: u16 = 5;
const LAST: u16 = 8;
/// A number that no process has.
const NOBODY: u16 = 77;

/// The vector of the timer, and of the system calls.
const TIMER: u64 = 0x20;
/// The interrupt flag in RFLAGS.
const IF: u64 = 1 << 9;
const GETPID: u64 = 39;

/// Where a frame has what, in the words of its record.
pub const RBX: usize = 14;
pub const RAX: usize = 15;
const VECTOR: usize = 16;
const RIP: usize = 18;
const RFLAGS: usize = 20;
const RSP: usize = 21;
const SS: usize = 22;
/// Behind the frame of an entry.
const HANDLER_FLAGS: usize = 23;

#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    pub tsc: u64,
    pub kind: Kind,
    pub process: u16,
    pub detail: u32,
    pub words: Vec<u64>,
}

pub type Records = Vec<Raw>;

fn fixture(file: &str) -> Result<(Records, Meta), Failed> {
    let trace = Trace::open(Path::new(file))?;
    let raw = |record: trace::Record| Raw {
        tsc: record.tsc,
        kind: Kind::try_from(record.kind).expect("a kind that is known"),
        process: record.process,
        detail: record.detail,
        words: record.words().collect(),
    };
    let (mut records, mut all) = (trace.records(), Records::new());
    while let Some(record) = records.next() {
        all.push(raw(record));
    }
    Ok((all, trace.meta().clone()))
}

fn write(path: &Path, records: &Records, meta: &Meta, gap_at: Option<usize>) -> TestResult {
    let mut writer = Writer::create(path, false, meta)?;
    for (index, Raw { tsc, kind, process, detail, words }) in records.iter().enumerate() {
        if *kind as u8 >= FIRST_HOST_KIND {
            writer.host_record(*tsc, *kind, *process, *detail, words)?;
            continue;
        }
        let mut bytes = tsc.to_le_bytes().to_vec();
        bytes.extend([*kind as u8, words.len() as u8]);
        bytes.extend(process.to_le_bytes());
        bytes.extend(detail.to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let is_gap = gap_at == Some(index);
        let copied = writer.guest_records(bytes.len(), if is_gap { 2 } else { 1 }, |room| {
            room.copy_from_slice(&bytes);
            Ok::<(), Infallible>(())
        })?;
        let Ok(()) = copied;
        if is_gap {
            writer.flush()?;
        }
    }
    Ok(writer.finish()?)
}

fn checked(records: &Records, meta: &Meta, gap_at: Option<usize>) -> Result<Report, Failed> {
    let folder = support::folder();
    let path = folder.path().join("t.trap");
    write(&path, records, meta, gap_at)?;
    Ok(check(&Trace::open(&path)?))
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .map(|finding| finding.name)
        .collect()
}

/// The indices of the records of a kind and process.
fn all(records: &Records, kind: Kind, process: u16) -> Vec<usize> {
    let is = |raw: &Raw| raw.kind == kind && raw.process == process;
    (0..records.len()).filter(|&index| is(&records[index])).collect()
}

pub fn first(records: &Records, kind: Kind, process: u16) -> usize {
    all(records, kind, process)[0]
}

fn last(records: &Records, kind: Kind, process: u16) -> usize {
    *all(records, kind, process).last().expect("one at least")
}

/// The first record for which it holds, from `start` on.
pub fn find(records: &Records, start: usize, holds: impl Fn(&Raw) -> bool) -> usize {
    start + records[start..].iter().position(holds).expect("such a record")
}

pub fn next(records: &Records, start: usize, kind: Kind, process: u16) -> usize {
    find(records, start, |raw| raw.kind == kind && raw.process == process)
}

fn boot(records: &Records, step: Step) -> usize {
    find(records, 0, |raw| raw.kind == Kind::Boot && raw.detail == step as u32)
}

fn double(records: &mut Records, index: usize) {
    let copy = records[index].clone();
    records.insert(index, copy);
}

/// The host's record of a count.
fn count(records: &mut Records, counter: HostCounter) -> &mut u64 {
    let index = find(records, 0, |raw| raw.kind == Kind::HostCount && raw.detail == counter as u32);
    &mut records[index].words[0]
}

/// The first getpid of the counter.
fn getpid(records: &Records) -> usize {
    find(records, 0, |raw| raw.kind == Kind::SystemCall && raw.process == COUNTER && raw.words == [GETPID])
}

/// The trap entry of the divider's division by zero.
fn division(records: &Records) -> usize {
    last(records, Kind::TrapEntry, DIVIDER)
}

/// A trap that changes nothing, after a return: entry, what is between, return.
fn trap_after(records: &mut Records, index: usize, vector: u64, between: Option<Raw>) {
    let mut leave = records[index].clone();
    leave.words[VECTOR] = vector;
    let words = [&leave.words[..], &[2, 0, leave.words[RIP]]].concat();
    let entry = Raw { kind: Kind::TrapEntry, detail: vector as u32, words, ..leave.clone() };
    let trap = [Some(entry), between, Some(leave)];
    records.splice(index + 1..=index, trap.into_iter().flatten());
}

/// A rule, how it is broken, and the other rules that must see it.
pub type Mutation = (&'static str, &'static str, fn(&mut Records), &'static [&'static str]);

const MUTATIONS: &[Mutation] = &[
    (
        "entry-return",
        "a return is left out",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            records.remove(index);
        },
        &[],
    ),
    (
        "entry-return",
        "a return comes twice",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            double(records, index);
        },
        &[],
    ),
    (
        "user-frames",
        "IF is 0",
        |records| {
            let index = division(records);
            records[index].words[RFLAGS] &= !IF;
        },
        &[],
    ),
    (
        "handler-flags",
        "a handler runs with interrupts on",
        |records| {
            let index = division(records);
            records[index].words[HANDLER_FLAGS] |= IF;
        },
        &[],
    ),
    (
        "user-frames",
        "SS is of ring 0",
        |records| {
            let index = division(records);
            records[index].words[SS] &= !3;
        },
        &[],
    ),
    (
        "kernel-code",
        "a handler in user memory",
        |records| {
            let index = first(records, Kind::Gates, 0);
            // The upper half of the first handler's address.
            records[index].words[1] = 0;
        },
        &[],
    ),
    (
        "frame-kept",
        "another RBX",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            records[index].words[RBX] ^= 1;
        },
        &[],
    ),
    (
        "frame-kept",
        "another RIP",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            records[index].words[RIP] += 1;
        },
        &[],
    ),
    (
        "frame-kept",
        "another RSP",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            records[index].words[RSP] += 8;
        },
        &[],
    ),
    (
        "frame-kept",
        "another RFLAGS",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            records[index].words[RFLAGS] ^= 1;
        },
        &[],
    ),
    (
        "frame-kept",
        "another result",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::SystemCallResult, COUNTER);
            records[index].words[0] = (-14i64) as u64;
        },
        &[],
    ),
    (
        "frame-kept",
        "a first return to elsewhere",
        |records| {
            let index =
                find(records, 0, |raw| raw.kind == Kind::TrapReturn && raw.words[VECTOR] == FIRST_RETURN);
            records[index].words[RIP] += 1;
        },
        &[],
    ),
    (
        "frame-kept",
        "a rewrite without a record",
        |records| {
            let index = find(records, 0, |raw| raw.kind == Kind::FaultRedirected);
            records.remove(index);
        },
        &[],
    ),
    (
        "frame-kept",
        "another handler than declared",
        |records| {
            let index = find(records, 0, |raw| raw.kind == Kind::FaultRedirected);
            records[index].words[2] += 1;
        },
        &[],
    ),
    (
        "kernel-stack",
        "a frame elsewhere",
        |records| {
            let index = division(records);
            records[index].words[0] -= 8;
        },
        &[],
    ),
    (
        "kernel-stack",
        "another stack in the TSS",
        |records| {
            let index = first(records, Kind::ContextLoaded, COUNTER);
            records[index].words[10] -= 4096;
        },
        &[],
    ),
    (
        "context-kept",
        "another RBX",
        |records| {
            let index = last(records, Kind::ContextLoaded, COUNTER);
            records[index].words[1] ^= 1;
        },
        &[],
    ),
    (
        "context-kept",
        "another process's page tables",
        |records| {
            let index = last(records, Kind::ContextLoaded, COUNTER);
            records[index].words[9] += 4096;
        },
        &[],
    ),
    (
        "context-kept",
        "another process's structure",
        |records| {
            let index = last(records, Kind::ContextSaved, COUNTER);
            records[index].words[0] += 8;
        },
        &[],
    ),
    (
        "current",
        "a process that was not created",
        |records| {
            let mut timer = records[first(records, Kind::TimerArmed, 0)].clone();
            timer.process = NOBODY;
            let call = getpid(records);
            records.insert(call, timer);
        },
        &[],
    ),
    (
        "current",
        "a process that is not current",
        |records| {
            let mut timer = records[first(records, Kind::TimerArmed, 0)].clone();
            timer.process = POLITE;
            let call = getpid(records);
            records.insert(call, timer);
        },
        &[],
    ),
    (
        "current",
        "a process that has ended",
        |records| {
            let mut timer = records[first(records, Kind::TimerArmed, 0)].clone();
            timer.process = DIVIDER;
            let end = first(records, Kind::ProcessFreed, DIVIDER);
            records.insert(end + 1, timer);
        },
        &[],
    ),
    (
        "ticks-armed",
        "a timer that was armed once for many ticks",
        |records| {
            let armed = first(records, Kind::TimerArmed, 0);
            records[armed].detail = 1;
            let mut seen = false;
            records.retain(|raw| raw.kind != Kind::TimerArmed || !std::mem::replace(&mut seen, true));
        },
        &[],
    ),
    (
        "turn",
        "a tick that ends no turn",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::TrapReturn, COUNTER);
            let ticks = records[..index].iter().filter(|raw| raw.kind == Kind::Tick).count() as u32;
            records[index..].iter_mut().filter(|raw| raw.kind == Kind::Tick).for_each(|raw| raw.detail += 1);
            let tick = Raw { kind: Kind::Tick, detail: ticks + 1, words: vec![], ..records[index].clone() };
            trap_after(records, index, TIMER, Some(tick));
            *count(records, HostCounter::InterruptsInjected) += 1;
            *count(records, HostCounter::Doorbells) += 1;
        },
        &[],
    ),
    (
        "no-preemption",
        "the same events under the cooperative policy",
        |records| {
            let index = boot(records, Step::Scheduler);
            records[index].words[0] = 1;
        },
        &[],
    ),
    (
        "call-numbers",
        "an unknown call that is not refused",
        |records| {
            let call = getpid(records);
            records[call].words[0] = 999;
            let result = next(records, call, Kind::SystemCallResult, COUNTER);
            records[result].detail = 999;
        },
        &[],
    ),
    (
        "call-results",
        "a process gets another's number",
        |records| {
            let call = getpid(records);
            let result = next(records, call, Kind::SystemCallResult, COUNTER);
            records[result].words[0] = 7;
            let returned = next(records, call, Kind::TrapReturn, COUNTER);
            records[returned].words[RAX] = 7;
        },
        &[],
    ),
    (
        "kills",
        "another exception than the fault's",
        |records| {
            let index = first(records, Kind::ProcessKilled, DIVIDER);
            records[index].detail = 6;
        },
        &[],
    ),
    (
        "kills",
        "another address than the fault's",
        |records| {
            let index = first(records, Kind::ProcessKilled, DIVIDER);
            records[index].words[0] += 1;
        },
        &[],
    ),
    (
        "kills",
        "no fault at all",
        |records| {
            let index = division(records);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-boot",
        "no trap table",
        |records| {
            let index = boot(records, Step::TrapTable);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-boot",
        "two trap tables",
        |records| {
            let index = boot(records, Step::TrapTable);
            double(records, index);
        },
        &[],
    ),
    (
        "steps-boot",
        "a gate too few",
        |records| {
            let index = first(records, Kind::Gates, 0);
            records[index].words.truncate(22);
        },
        &[],
    ),
    (
        "steps-boot",
        "no system call handler",
        |records| {
            let index = boot(records, Step::SyscallHandler);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-boot",
        "no timer before the first process",
        |records| {
            let returned = find(records, 0, |raw| raw.kind == Kind::TrapReturn);
            let timer = Raw {
                process: records[returned].process,
                ..records[first(records, Kind::TimerArmed, 0)].clone()
            };
            records.insert(returned + 1, timer);
            let mut index = 0;
            records.retain(|raw| {
                index += 1;
                raw.kind != Kind::TimerArmed || index > returned + 1
            });
        },
        &[],
    ),
    (
        "steps-process",
        "no program is loaded",
        |records| {
            records.retain(|raw| (raw.kind, raw.process) != (Kind::SegmentLoaded, COUNTER));
        },
        &[],
    ),
    (
        "steps-process",
        "no user stack",
        |records| {
            let index = first(records, Kind::StackBuilt, COUNTER);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-process",
        "two user stacks",
        |records| {
            let index = first(records, Kind::StackBuilt, COUNTER);
            double(records, index);
        },
        &[],
    ),
    (
        "steps-process",
        "the kernel stack before the user stack",
        |records| {
            let index = first(records, Kind::StackBuilt, COUNTER);
            records.swap(index, index + 1);
        },
        &[],
    ),
    (
        "steps-process",
        "no first return",
        |records| {
            let index = first(records, Kind::TrapReturn, COUNTER);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-trap",
        "a call is not dispatched",
        |records| {
            let index = getpid(records);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-trap",
        "a call has no result",
        |records| {
            let call = getpid(records);
            let index = next(records, call, Kind::SystemCallResult, COUNTER);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-trap",
        "the result before the call",
        |records| {
            let call = getpid(records);
            records.swap(call, call + 1);
        },
        &[],
    ),
    (
        "steps-trap",
        "no entry",
        |records| {
            let index = getpid(records) - 1;
            records.remove(index);
        },
        &["entry-return"],
    ),
    (
        "steps-tick",
        "a tick is skipped",
        |records| {
            let index = last(records, Kind::Tick, COUNTER);
            records[index].detail += 1;
        },
        &[],
    ),
    (
        "steps-switch",
        "nothing is stored",
        |records| {
            let index = find(records, 0, |raw| raw.kind == Kind::ContextSaved && raw.detail == 1);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-switch",
        "another reason",
        |records| {
            let index = find(records, 0, |raw| raw.kind == Kind::ContextSaved && raw.detail == 1);
            records[index].detail = 2;
        },
        &[],
    ),
    (
        "steps-switch",
        "loaded in exchange for another",
        |records| {
            let index = first(records, Kind::ContextSaved, DIVIDER);
            records[index + 1].detail = NOBODY.into();
        },
        &[],
    ),
    (
        "steps-end",
        "memory is not freed",
        |records| {
            let index = first(records, Kind::ProcessFreed, DIVIDER);
            records.remove(index);
        },
        &[],
    ),
    (
        "steps-end",
        "memory is freed twice",
        |records| {
            let index = first(records, Kind::ProcessFreed, DIVIDER);
            double(records, index);
        },
        &[],
    ),
    (
        "steps-end",
        "freed before the switch away",
        |records| {
            let freed = first(records, Kind::ProcessFreed, DIVIDER);
            let record = records.remove(freed);
            let saved = last(records, Kind::ContextSaved, DIVIDER);
            records.insert(saved, record);
        },
        &[],
    ),
    (
        "same-fault",
        "a fault that is never resolved",
        |records| {
            let index = last(records, Kind::TrapReturn, DIVIDER);
            // The division faults where the kernel returned to, three times before it kills.
            for _ in 0..3 {
                trap_after(records, index, 0, None);
            }
        },
        &[],
    ),
    (
        "timer-silent",
        "seconds without a tick",
        |records| {
            // Whoever returns last is alone.
            let returns = (1..=LAST).map(|process| last(records, Kind::TrapReturn, process));
            let alone = returns.max().unwrap_or_default();
            shift(records, alone, 10_000_000_000);
        },
        &[],
    ),
    (
        "interrupts-off",
        "a process starts with IF 0",
        |records| {
            let filled = first(records, Kind::KernelStackFilled, COUNTER);
            records[filled].words[RFLAGS] &= !IF;
            let returned = first(records, Kind::TrapReturn, COUNTER);
            records[returned].words[RFLAGS] &= !IF;
        },
        &[],
    ),
    (
        "never-chosen",
        "a process that is never queued",
        |records| {
            let start = first(records, Kind::ProcessCreated, LAST);
            let end = first(records, Kind::KernelStackFilled, LAST) + 1;
            let forgotten: Records =
                records[start..end].iter().map(|raw| Raw { process: LAST + 1, ..raw.clone() }).collect();
            records.splice(end..end, forgotten);
        },
        &["turn", "steps-end"],
    ),
    (
        "iretq-fault",
        "the last return faults",
        |records| {
            let returned = records.iter().rposition(|raw| raw.kind == Kind::TrapReturn).unwrap_or_default();
            let at = records[returned].clone();
            let host = records.iter().position(|raw| raw.kind == Kind::HostExits).unwrap_or(records.len());
            let panic = Raw {
                kind: Kind::KernelPanic,
                detail: 13,
                words: vec![0xffff_ffff_8020_02d0, 0x18, 0, 0, 2],
                ..at
            };
            records.splice(returned + 1..host, [panic]);
            *count(records, HostCounter::Doorbells) -= 1;
        },
        &[],
    ),
    (
        "count-interrupts",
        "KVM injected fewer",
        |records| *count(records, HostCounter::InterruptsInjected) = 1,
        &[],
    ),
    ("count-doorbells", "the bell did not ring", |records| *count(records, HostCounter::Doorbells) = 1, &[]),
    ("count-console", "a byte is missing", |records| *count(records, HostCounter::ConsoleBytes) -= 1, &[]),
    (
        "count-exits",
        "KVM saw fewer exits than the host",
        |records| *count(records, HostCounter::KvmExits) = 1,
        &[],
    ),
    (
        "count-exits",
        "fewer port exits than port writes",
        |records| {
            let index = find(records, 0, |raw| raw.kind == Kind::HostExits && raw.detail == 2);
            records[index].words[0] = 1;
        },
        &[],
    ),
    (
        "count-exits",
        "more bells than 64 bits hold exits",
        |records| *count(records, HostCounter::Doorbells) = u64::MAX,
        &["count-doorbells"],
    ),
];

/// The guest does not run for some time: everything after a record comes so many cycles later.
fn shift(records: &mut Records, after: usize, cycles: u64) {
    records[after + 1..].iter_mut().for_each(|raw| raw.tsc += cycles);
}

pub fn the_real_traces_pass() -> TestResult {
    let mut untested = None;
    for file in [FIXTURE, linux::FIXTURE] {
        let (records, meta) = fixture(file)?;
        let report = checked(&records, &meta, None)?;
        ensure(failed(&report).is_empty(), || format!("{file}: {:#?}", failed(&report)))?;
        let never = report.findings.iter().filter(|finding| finding.verdict == Verdict::NeverTested);
        let names: BTreeSet<&str> = never.map(|finding| finding.name).collect();
        untested = Some(untested.map_or(names.clone(), |before: BTreeSet<&str>| &before & &names));
    }
    ensure(untested.as_ref().is_some_and(BTreeSet::is_empty), || {
        format!("rules that were not tested: {untested:?}")
    })
}

pub fn each_rule_finds_its_mutation() -> TestResult {
    let mut wrong = vec![];
    let of_linux = linux::MUTATIONS.iter().map(|mutation| (linux::FIXTURE, mutation));
    for (file, (rule, how, mutate, others)) in
        MUTATIONS.iter().map(|mutation| (FIXTURE, mutation)).chain(of_linux)
    {
        let (mut records, meta) = fixture(file)?;
        mutate(&mut records);
        let report = checked(&records, &meta, None)?;
        let expected: BTreeSet<&str> = others.iter().copied().chain([*rule]).collect();
        if failed(&report) != expected {
            let why = report
                .findings
                .iter()
                .filter_map(|finding| Some((finding.name, &finding.first.as_ref()?.message)));
            wrong.push(format!("{rule}, {how}: expected {expected:?}, found {:?}", why.collect::<Vec<_>>()));
        }
    }
    ensure(wrong.is_empty(), || wrong.join("\n"))
}

pub fn every_rule_is_broken_once() -> TestResult {
    let (records, meta) = fixture(FIXTURE)?;
    let broken: BTreeSet<&str> =
        MUTATIONS.iter().chain(linux::MUTATIONS).map(|(rule, ..)| *rule).chain(["sequence"]).collect();
    let rules: BTreeSet<&str> =
        checked(&records, &meta, None)?.findings.iter().map(|finding| finding.name).collect();
    ensure(broken == rules, || format!("no mutation for {:?}", rules.difference(&broken)))
}

pub fn missing_records_are_reported() -> TestResult {
    let (mut records, meta) = fixture(FIXTURE)?;
    let call = getpid(&records);
    let index = next(&records, call, Kind::TrapReturn, COUNTER);
    records.remove(index);
    let report = checked(&records, &meta, Some(index - 1))?;
    ensure(failed(&report) == BTreeSet::from(["sequence"]), || format!("{:?}", failed(&report)))
}

/// What another kernel might record: traps, calls and ends, and no more.
pub fn a_foreign_trace_passes() -> TestResult {
    let (mut records, meta) = fixture(FIXTURE)?;
    let kept = |raw: &Raw| {
        matches!(raw.kind, Kind::ProcessCreated | Kind::ContextSaved | Kind::ContextLoaded | Kind::TrapEntry)
            || matches!(
                raw.kind,
                Kind::TrapReturn | Kind::FaultRedirected | Kind::ProcessExited | Kind::ProcessKilled
            )
    };
    records.retain(kept);
    let report = checked(&records, &meta, None)?;
    ensure(failed(&report).is_empty(), || format!("{:?}", failed(&report)))?;
    let steps = report.findings.iter().find(|finding| finding.name == "steps-boot");
    ensure(steps.is_some_and(|finding| finding.verdict == Verdict::NeverTested), || "steps-boot".into())
}

pub fn the_command_shows_the_records() -> TestResult {
    let folder = support::folder();
    trapline(folder.path(), &["check", FIXTURE])?.expect(0)?;
    let (mut records, meta) = fixture(FIXTURE)?;
    let index = first(&records, Kind::ProcessKilled, DIVIDER);
    records[index].detail = 6;
    write(&folder.path().join("t.trap"), &records, &meta, None)?;
    let text = trapline(folder.path(), &["check", "t.trap"])?.expect(1)?.stdout;
    for word in ["FAIL", "kills", "#DE divide error", "KILLED   #UD", "divider/5"] {
        ensure(text.contains(word), || format!("no {word} in:\n{text}"))?;
    }
    let json = trapline(folder.path(), &["check", "t.trap", "--json"])?.expect(1)?.stdout;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    ensure(json["passed"] == false && json["rules"][0]["verdict"] == "pass", || json.to_string())?;
    let kills = json["rules"].as_array().and_then(|rules| rules.iter().find(|rule| rule["name"] == "kills"));
    ensure(
        kills.is_some_and(|rule| rule["first"]["records"].as_array().is_some_and(|r| r.len() == 2)),
        || json.to_string(),
    )
}

/// Only the host wrote records.
pub fn nothing_to_check() -> TestResult {
    let folder = support::folder();
    let (mut records, meta) = fixture(FIXTURE)?;
    records.retain(|record| record.kind as u8 >= abi::record::FIRST_HOST_KIND);
    write(&folder.path().join("t.trap"), &records, &meta, None)?;
    let skipped: Vec<_> = ["count-interrupts", "count-doorbells", "count-console", "count-exits"]
        .into_iter()
        .flat_map(|rule| ["--skip", rule])
        .collect();
    let text = trapline(folder.path(), &[&["check", "t.trap"][..], &skipped].concat())?.expect(3)?.stdout;
    ensure(text.contains("Nothing to check"), || text.clone())
}

pub fn rules_are_chosen() -> TestResult {
    let folder = support::folder();
    let (mut records, meta) = fixture(FIXTURE)?;
    let index = first(&records, Kind::ProcessKilled, DIVIDER);
    records[index].detail = 6;
    write(&folder.path().join("t.trap"), &records, &meta, None)?;
    let run = |options: &[&str], code| {
        trapline(folder.path(), &[&["check", "t.trap"], options].concat())?.expect(code)
    };
    let text = run(&["--skip", "kills"], 0)?.stdout;
    ensure(!text.contains("kills "), || text.clone())?;
    // Under round robin this rule does not apply.
    let lacking = run(&["--require", "no-preemption"], 1)?.stderr;
    ensure(lacking.contains("no-preemption"), || lacking.clone())?;
    let unknown = run(&["--skip", "kill"], 2)?.stderr;
    ensure(unknown.contains("\"kill\""), || unknown.clone())?;
    trapline(folder.path(), &["check", FIXTURE, "--require", "kills"])?.expect(0).map(drop)
}

/// A kernel whose trap table is in the lower half, and then one that takes system calls in a program.
pub fn a_lower_kernel_passes() -> TestResult {
    let folder = support::folder();
    let (mut records, meta) = fixture(FIXTURE)?;
    for record in records.iter_mut().filter(|record| record.kind == Kind::Gates) {
        // The upper halves of the handlers' addresses.
        record.words.iter_mut().skip(1).step_by(2).for_each(|word| *word = 0);
    }
    let require = |file| ["check", file, "--require", "kernel-code"];
    write(&folder.path().join("t.trap"), &records, &meta, None)?;
    let verdict = |text: &str| text.lines().find(|line| line.contains("kernel-code")).map(str::to_owned);
    let text = trapline(folder.path(), &require("t.trap"))?.stdout;
    ensure(verdict(&text).is_some_and(|line| line.starts_with("pass")), || text.clone())?;
    let load = records.iter().find(|record| record.kind == Kind::SegmentLoaded).ok_or("no segment")?.words[0];
    let index = first(&records, Kind::ContextSaved, COUNTER);
    *records[index].words.last_mut().ok_or("no context")? = load;
    write(&folder.path().join("u.trap"), &records, &meta, None)?;
    let text = trapline(folder.path(), &require("u.trap"))?.expect(1)?.stdout;
    ensure(verdict(&text).is_some_and(|line| line.starts_with("FAIL")), || text.clone())
}
