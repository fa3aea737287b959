//! Small runs, and the same with something changed.

use abi::record::{FIRST_RETURN, Kind};
use abi::syscall::Call;

use super::align::CONTEXT;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::file::samples::{self, Sample, write_file};

const SYSCALL: u64 = abi::record::SYSCALL_VECTOR as u64;
const PAGE_FAULT: u64 = 14;
const TIMER: u64 = 0x20;

/// The frame of a trap at `rip`.
fn frame(vector: u64, rip: u64, rax: u64) -> Vec<u64> {
    let mut words = samples::frame(vector, 0, rax);
    (words[18], words[21]) = (rip, 0x7000);
    words
}

/// The entry of a trap that arrived as what it is.
fn entry(vector: u64, rip: u64, rax: u64) -> Vec<u64> {
    [frame(vector, rip, rax), vec![2, 0, rip]].concat()
}

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
        self.add(Kind::TrapReturn, process, 0, &frame(FIRST_RETURN, 0x40_0000, 0));
    }

    fn call(&mut self, process: u16, call: Call, argument: u64, result: u64) {
        let mut entered = entry(SYSCALL, 0x40_0010, call as u64);
        (entered[10], entered[11]) = (argument, 1);
        self.add(Kind::TrapEntry, process, SYSCALL as u32, &entered);
        self.add(Kind::SystemCall, process, 0, &[call as u64]);
        if call == Call::clock_gettime {
            self.add(Kind::Data, process, 1 | 8 << 8, &[self.0.len() as u64]);
        }
        self.add(Kind::SystemCallResult, process, call as u32, &[result]);
        self.add(Kind::TrapReturn, process, 0, &frame(SYSCALL, 0x40_0010, result));
    }

    fn tick(&mut self, process: u16) {
        self.add(Kind::TrapEntry, process, TIMER as u32, &entry(TIMER, 0x40_0020, 9));
        self.add(Kind::Tick, process, 1, &[]);
        self.add(Kind::TrapReturn, process, 0, &frame(TIMER, 0x40_0020, 9));
    }

    fn stack(&mut self, process: u16, start: u64) {
        self.add(Kind::StackBuilt, process, 1, &[start - 0x1000, start, start + 8]);
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
        run.call(process, Call::write, process.into(), 1);
        run.call(process, Call::clock_gettime, 0, 0);
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
        other.call(process, Call::write, process.into(), 1);
        other.call(process, Call::clock_gettime, 0, 0);
        other.exit(process, 0);
    }
    for sample in other.0.iter_mut().filter(|sample| sample.kind == Kind::TrapEntry as u8) {
        if sample.words[16] == SYSCALL {
            sample.detail = PAGE_FAULT as u32;
            (sample.words[17], sample.words[24], sample.words[25]) = (0x15, 0xffff_8000, 0xffff_8000);
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
        // RIP and RAX of the first return.
        (Kind::TrapReturn, 18, 2),
        (Kind::TrapReturn, 15, 2),
        (Kind::TrapEntry, 18, 3),
        (Kind::SystemCall, 0, 4),
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
        let [hunk] = &found.hunks[..] else { panic!("{kind:?} {word}: {found:?}") };
        assert_eq!((hunk.steps, hunk.counts), ([step; 2], [1; 2]), "{kind:?} {word}");
        assert_eq!(hunk.before.len(), (step as usize - 1).min(CONTEXT));
        assert_eq!(hunk.after.len(), (11 - step as usize).min(CONTEXT));
        let [first, second] = hunk.only.each_ref().map(|only| only[0].what);
        assert_eq!([first.kind(), second.kind()], [kind as u8; 2]);
        assert_ne!(first, second);
        assert!(!diff.is_same_sequence());
    }
}

#[test]
fn what_a_call_does_not_take_is_not_compared() {
    let mut other = run();
    for sample in other.0.iter_mut().filter(|sample| sample.kind == Kind::TrapEntry as u8) {
        // R9, which no call here takes.
        sample.words[7] += 1;
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
        other.call(process, Call::write, argument, 1);
        other.call(process, Call::clock_gettime, 0, 0);
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
    let is_clock = |sample: &Sample| {
        sample.kind == Kind::SystemCall as u8 && sample.words == [Call::clock_gettime as u64]
    };
    let clock = other.0.iter().position(is_clock).expect("a call");
    other.0.drain(clock - 1..clock + 4);
    let diff = diff(&run().0, &other.0);
    let Outcome::Differs(found) = &diff.processes[0].outcome else { panic!("{diff:?}") };
    assert_eq!((found.only, found.places), ([4, 0], 1));
    let Hunk { steps, counts, after, .. } = &found.hunks[0];
    assert_eq!((*steps, *counts, after.len()), ([7, 7], [4, 0], 1));
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

/// A process of many calls, each with the number that is given.
fn calls(numbers: impl IntoIterator<Item = u64>) -> Vec<Sample> {
    let mut run = Run::default();
    run.create(1, b"loop\0\0\0\0");
    numbers.into_iter().for_each(|number| run.call(1, Call::write, number, 1));
    run.exit(1, 0);
    run.0
}

fn difference(diff: &Diff) -> &Difference {
    let [Outcome::Differs(found)] = outcomes(diff)[..] else { panic!("{diff:?}") };
    found
}

#[test]
fn steps_are_aligned_behind_a_difference() {
    let different =
        |numbers: &[u64]| difference(&diff(&calls(0..1000), &calls(numbers.iter().copied()))).clone();
    let all: Vec<u64> = (0..1000).collect();
    // One more early, and one less late: four steps each.
    let mut other = all.clone();
    other.insert(10, 5000);
    other.remove(901);
    let found = different(&other);
    assert_eq!((found.only, found.places), ([4, 4], 2));
    // The steps before are two and four each call.
    assert_eq!(found.hunks.iter().map(|hunk| hunk.steps).collect::<Vec<_>>(), [[44, 44], [3604, 3608]]);
    // Two that are near: what is between them is shown once.
    let mut other = all.clone();
    (other[10], other[11]) = (5000, 5001);
    let found = different(&other);
    let shown: Vec<_> = found.hunks.iter().map(|hunk| (hunk.before.len(), hunk.after.len())).collect();
    assert_eq!((found.only, &shown[..]), ([2, 2], &[(3, 3), (0, 3)][..]));
    // Everywhere.
    let found = different(&all.iter().map(|number| number + 5000).collect::<Vec<_>>());
    assert_eq!((found.only, found.places), ([1000; 2], 1000));
    assert!(found.hunks.len() < 10);
}

proptest! {
    #![proptest_config(crate::file::samples::cases(16))]

    #[test]
    fn what_is_in_both_is_as_many_on_each_side([first, second] in numbers()) {
        let found = diff(&calls(first.iter().copied()), &calls(second.iter().copied()));
        let [pair] = &found.processes[..] else { panic!("{found:?}") };
        let [only, other] = match &pair.outcome {
            Outcome::Differs(difference) => difference.only,
            outcome => {
                prop_assert!(first == second, "{outcome:?}");
                [0; 2]
            }
        };
        prop_assert_eq!(pair.steps[0] - only, pair.steps[1] - other);
        // Both have at least a trap, a result and a return for each call of the shorter.
        prop_assert!(4 * only.min(other) <= pair.steps[0].min(pair.steps[1]), "{only} and {other} of {pair:?}");
    }
}

/// Two sequences of numbers that are few or many.
fn numbers() -> impl Strategy<Value = [Vec<u64>; 2]> {
    select(&[2_u64, 3, 50, 5000]).prop_flat_map(|most| [vec(0..most, 0..3000), vec(0..most, 0..3000)])
}

#[test]
fn a_long_insertion_is_found_as_one() {
    // Longer than what is looked at together. Its calls occur nowhere else, so the other's come to lie among them.
    let insert = |from: u64| (0..10).chain(from..from + 9000).chain(10..20);
    let found = difference(&diff(&calls(0..20), &calls(insert(5000)))).clone();
    assert!(found.only[0] <= 10 && found.only[1] - found.only[0] == 36_000, "{found:?}");
    let found = difference(&diff(&calls(insert(5000)), &calls(insert(50_000)))).clone();
    assert_eq!(found.only, [9000; 2]);
    assert!(found.hunks.iter().all(|hunk| hunk.only.iter().all(|events| events.len() < 10)));
}

#[test]
fn addresses_on_the_stack_are_counted_from_its_start() {
    let on_stack = |start: u64, depth: u64| {
        let mut run = Run::default();
        run.create(1, b"deep\0\0\0\0");
        run.stack(1, start);
        let mut words = entry(SYSCALL, 0x40_0010, 1);
        (words[21], words[11]) = (start - depth, start - depth);
        run.add(Kind::TrapEntry, 1, SYSCALL as u32, &words);
        run.add(Kind::SystemCall, 1, 0, &[1]);
        run.0
    };
    let of = |diff: &Diff| match &diff.processes[0].outcome {
        Outcome::Differs(found) => found.only,
        _ => [0; 2],
    };
    // The record of the stack itself differs.
    assert_eq!(of(&diff(&on_stack(0x7000, 16), &on_stack(0x6ff0, 16))), [1; 2]);
    assert_eq!(of(&diff(&on_stack(0x7000, 16), &on_stack(0x7000, 24))), [2; 2]);
}

#[test]
fn a_process_may_have_another_number() {
    let run = |number: u16, answer: u64| {
        let mut run = Run::default();
        run.create(number, b"self\0\0\0\0");
        run.call(number, Call::getpid, 0, answer);
        run.exit(number, 0);
        run.0
    };
    assert!(diff(&run(1, 1), &run(2, 2)).is_same_sequence());
    assert!(!diff(&run(1, 1), &run(2, 3)).is_same_sequence());
}

#[test]
fn of_one_name_those_that_do_the_same_are_a_pair() {
    let mut run = Run::default();
    for (process, argument) in [(1, 7), (2, 8)] {
        run.create(process, b"twin\0\0\0\0");
        run.call(process, Call::write, argument, 1);
        run.exit(process, 0);
    }
    let mut other = run.clone();
    // They change places.
    other.0.iter_mut().for_each(|sample| sample.process = 3 - sample.process);
    let diff = diff(&run.0, &other.0);
    assert_eq!(outcomes(&diff), [&Outcome::Same; 2]);
    let who: Vec<_> = diff.processes.iter().map(|pair| pair.who).collect();
    let guest = |number| Some(Doer::Guest(number));
    assert_eq!(who, [[guest(1), guest(2)], [guest(2), guest(1)]]);
}

/// A thousand processes of the highest numbers; each calls write with the number that `argument` makes of its own.
fn many(argument: fn(u16) -> u64) -> Vec<Sample> {
    let mut run = Run::default();
    for process in u16::MAX - 999..=u16::MAX {
        run.create(process, b"many\0\0\0\0");
        run.call(process, Call::write, argument(process), 1);
        run.exit(process, 0);
    }
    run.0
}

#[test]
fn processes_of_any_number_are_compared() {
    let same = diff(&many(u64::from), &many(u64::from));
    assert_eq!(same.processes.len(), 1000);
    assert!(same.is_same_sequence());
    let other = diff(&many(u64::from), &many(|process| u64::from(process) + u64::from(process == u16::MAX)));
    assert_eq!(other.processes.iter().filter(|pair| pair.outcome != Outcome::Same).count(), 1);
}

#[test]
fn the_first_of_many_differences_are_aligned_and_the_rest_counted() {
    let [first, second] = &[many(|_| 1), many(|_| 2)].map(|samples| open(&samples));
    let diff = Diff::of([first, second]);
    let aligned = diff.processes.iter().filter(|pair| matches!(pair.outcome, Outcome::Differs(_)));
    assert_eq!(aligned.count(), ALIGNED_MAX);
    assert!(!diff.is_same_sequence());
    let text = crate::text::diff::text(&diff, ["a", "b"], [first, second], 100);
    assert!(text.contains("and 976 more processes: 976 differ\n"), "{text}");
    // A process that was cut off is the same as far as it goes, also behind many that differ.
    let (mut long, mut short) = (many(|_| 1), many(|_| 2));
    for samples in [&mut long, &mut short] {
        let mut run = Run(std::mem::take(samples));
        run.create(7, b"last\0\0\0\0");
        run.call(7, Call::getpid, 0, 7);
        *samples = run.0;
    }
    let mut run = Run(long);
    run.exit(7, 0);
    let diff = Diff::of([&open(&run.0), &open(&short)]);
    let last = diff.processes.iter().find(|pair| pair.name == "last").expect("it is in both");
    assert_eq!(last.outcome, Outcome::CutShort);
}
