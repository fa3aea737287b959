//! Small runs, and the same with something changed.

use abi::record::{FIRST_RETURN, Kind};
use abi::syscall::Call;

use super::*;
use crate::trace::samples::{Sample, write_file};

const SYSCALL: u32 = abi::record::SYSCALL_VECTOR as u32;
const PAGE_FAULT: u32 = 14;
const TIMER: u32 = 0x20;

fn open(samples: &[Sample]) -> Trace {
    let place = tempfile::tempdir().expect("a directory for the test");
    let path = place.path().join("t.trap");
    write_file(&path, samples, 1000);
    Trace::open(&path).expect("a whole file")
}

fn diff(first: &[Sample], second: &[Sample]) -> Diff {
    Diff::of([&open(first), &open(second)])
}

/// A run under construction: a record each ten cycles.
#[derive(Clone, Default)]
struct Run(Vec<Sample>);

impl Run {
    fn add(&mut self, kind: Kind, process: u16, detail: u32, words: &[u64]) {
        let tsc = 1000 + 10 * self.0.len() as u64;
        self.0.push(Sample { tsc, kind: kind as u8, process, detail, words: words.to_vec() });
    }

    fn create(&mut self, process: u16, name: &[u8; 8]) {
        self.add(Kind::ProcessCreated, process, 0, &[1, 2, 3, u64::from_le_bytes(*name), 0]);
        self.add(Kind::TrapReturn, process, FIRST_RETURN, &[7, 0x40_0000, 0x7000, 0, 0]);
    }

    fn call(&mut self, process: u16, call: Call, argument: u64, result: u64) {
        let frame = [7, 0x40_0010, 0x7000, 0, result];
        self.add(Kind::TrapEntry, process, SYSCALL | SYSCALL << 8, &frame[..4]);
        self.add(Kind::SystemCall, process, call as u32, &[argument, 1, 2, 3, 4, 5, call as u64]);
        if call == Call::ClockGettime {
            self.add(Kind::Data, process, 1 | 8 << 8, &[self.0.len() as u64]);
        }
        self.add(Kind::SystemCallResult, process, call as u32, &[result]);
        self.add(Kind::TrapReturn, process, SYSCALL, &frame);
    }

    fn tick(&mut self, process: u16) {
        self.add(Kind::TrapEntry, process, TIMER | TIMER << 8, &[7, 0x40_0020, 0x7000, 0]);
        self.add(Kind::Tick, process, 1, &[]);
        self.add(Kind::TrapReturn, process, TIMER, &[7, 0x40_0020, 0x7000, 0, 9]);
    }

    fn exit(&mut self, process: u16, status: u64) {
        self.add(Kind::ProcessExited, process, 0, &[status]);
    }
}

/// Two processes of one name and a third, five steps each and more.
fn run() -> Run {
    let mut run = Run::default();
    for (process, name) in [(1, b"twin\0\0\0\0"), (2, b"other\0\0\0"), (3, b"twin\0\0\0\0")] {
        run.create(process, name);
        run.call(process, Call::Write, process.into(), 1);
        run.call(process, Call::ClockGettime, 0, 0);
        run.exit(process, 0);
    }
    run
}

fn outcomes(diff: &Diff) -> Vec<&Outcome> {
    diff.processes.iter().map(|pair| &pair.outcome).collect()
}

#[test]
fn the_same_is_nothing_to_tell() {
    let diff = diff(&run().0, &run().0);
    assert!(diff.is_empty() && diff.is_same_sequence());
    assert_eq!(outcomes(&diff), [&Outcome::Same; 3]);
    // Created, entered, two calls of four and of four records without the clock's data, exited.
    assert_eq!(diff.processes[0].steps, [11, 11]);
}

#[test]
fn chance_is_no_difference() {
    let mut other = Run::default();
    for (process, name) in [(1, b"twin\0\0\0\0"), (2, b"other\0\0\0"), (3, b"twin\0\0\0\0")] {
        other.create(process, name);
    }
    // Another order, later, with a tick, and the trap arrives as another one.
    for process in [3, 1, 2] {
        other.tick(process);
        other.call(process, Call::Write, process.into(), 1);
        other.call(process, Call::ClockGettime, 0, 0);
        other.exit(process, 0);
    }
    for sample in other.0.iter_mut().filter(|sample| sample.kind == Kind::TrapEntry as u8) {
        if sample.detail & 0xFF == SYSCALL {
            sample.detail = SYSCALL | PAGE_FAULT << 8 | 0x15 << 16;
            sample.words.extend([0xffff_8000, 0xffff_8000]);
        }
    }
    let diff = diff(&run().0, &other.0);
    assert_eq!(outcomes(&diff), [&Outcome::Same; 3]);
    assert!(diff.is_same_sequence() && !diff.is_empty());
    assert_eq!(diff.chance.iter().find(|(name, _)| *name == "ticks"), Some(&("ticks", [0, 3])));
}

#[test]
fn each_thing_a_program_did_is_compared() {
    // Of the second process: the record of a kind, and which of its words is another.
    let changes = [
        (Kind::TrapReturn, 1, 2),
        (Kind::TrapReturn, 4, 2),
        (Kind::TrapEntry, 1, 3),
        (Kind::SystemCall, 0, 4),
        (Kind::SystemCall, 6, 4),
        (Kind::SystemCallResult, 0, 5),
        (Kind::ProcessExited, 0, 11),
    ];
    for (kind, word, step) in changes {
        let mut other = run();
        let is = |sample: &&mut Sample| sample.process == 2 && sample.kind == kind as u8;
        let sample = other.0.iter_mut().find(is).expect("the record");
        sample.words[word] += 1;
        let diff = diff(&run().0, &other.0);
        let [Outcome::Same, Outcome::Differs(found), Outcome::Same] = outcomes(&diff)[..] else {
            panic!("{kind:?} {word}: {diff:?}");
        };
        assert_eq!(found.step, step, "{kind:?} {word}");
        assert_eq!(found.before[0].len(), (step as usize - 1).min(CONTEXT));
        assert_eq!([found.from[0][0].what.kind(), found.from[1][0].what.kind()], [kind as u8; 2]);
        assert_ne!(found.from[0][0].what, found.from[1][0].what);
        assert!(!diff.is_same_sequence());
    }
}

#[test]
fn what_a_call_does_not_take_is_not_compared() {
    let mut other = run();
    for sample in other.0.iter_mut().filter(|sample| sample.kind == Kind::SystemCall as u8) {
        sample.words[5] += 1;
    }
    assert!(diff(&run().0, &other.0).is_same_sequence());
}

#[test]
fn processes_are_matched_by_name_and_order() {
    let mut other = Run::default();
    for (process, name, argument) in
        [(1, b"other\0\0\0", 2), (2, b"twin\0\0\0\0", 1), (3, b"twin\0\0\0\0", 3)]
    {
        other.create(process, name);
        other.call(process, Call::Write, argument, 1);
        other.call(process, Call::ClockGettime, 0, 0);
        other.exit(process, 0);
    }
    other.create(4, b"late\0\0\0\0");
    let diff = diff(&run().0, &other.0);
    let guest = |number| Some(Doer::Guest(number));
    let who: Vec<_> = diff.processes.iter().map(|pair| pair.who).collect();
    assert_eq!(who, [[guest(1), guest(2)], [guest(2), guest(1)], [guest(3), guest(3)], [None, guest(4)]]);
    assert_eq!(
        outcomes(&diff),
        [&Outcome::Same, &Outcome::Same, &Outcome::Same, &Outcome::Missing],
        "{:?}",
        diff.processes
    );
}

#[test]
fn what_the_end_of_a_run_cut_off_is_compared_as_far_as_it_went() {
    let cut = run().0[..run().0.len() - 3].to_vec();
    let diff = diff(&run().0, &cut);
    assert_eq!(outcomes(&diff), [&Outcome::Same, &Outcome::Same, &Outcome::CutShort]);
    assert!(diff.is_same_sequence() && !diff.is_empty());
}

#[test]
fn who_ended_early_differs() {
    let mut other = run();
    // The first ends after its first call.
    let clock = other.0.iter().position(|sample| sample.detail == Call::ClockGettime as u32).expect("a call");
    other.0.drain(clock - 1..clock + 4);
    let diff = diff(&run().0, &other.0);
    let Outcome::Differs(found) = &diff.processes[0].outcome else { panic!("{diff:?}") };
    assert_eq!((found.step, found.from[0].len(), found.from[1].len()), (7, 3, 1));
}

#[test]
fn how_a_run_ended_is_compared_unless_it_was_stopped() {
    let ended = |ending: Ending| {
        let mut run = run();
        run.add(Kind::HostEnd, 0, 0, &[ending as u64, 0, 0]);
        run.0
    };
    use abi::record::Ending;
    let same = |first, second| diff(&ended(first), &ended(second)).is_same_sequence();
    assert!(same(Ending::Exited, Ending::Exited));
    assert!(same(Ending::Exited, Ending::Stopped));
    assert!(!same(Ending::Exited, Ending::TripleFault));
}
