//! Real files, cut, flipped and torn: no panic, no wrong event, every whole chunk is there, and every command warns.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Strategy, any};
use proptest::sample::Index;
use serde_json::Value;
use trace::{Damage, Event, Origin, Trace, format, recover};

use crate::stat::FIXTURE;
use crate::support::{self, Need, Output, Suite, TestResult, ensure, folder, trapline};

/// How many files are cut, and how many flipped.
const FILES: u32 = 1000;
/// How many are damaged in each other way.
const FILES_OF_OTHERS: u32 = 200;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("a_thousand_cuts_and_flips", a_thousand_cuts_and_flips)
        .pure(
            "damage::every_command_reads_what_is_left_and_warns",
            every_command_reads_what_is_left_and_warns,
        )
        .needs(
            &[Need::Example("read")],
            "damage::the_example_reads_what_is_left_and_warns",
            the_example_reads_what_is_left_and_warns,
        )
        .pure("damage::a_recovered_file_reads_as_the_damaged_one", a_recovered_file_reads_as_the_damaged_one)
        .pure("damage::what_never_ends_and_is_no_trace_is_given_up", what_never_ends_is_given_up)
}

type Key = (Origin, u64);

/// A whole file, and where its parts are, found by their sizes alone: the reader that is tested has no part in it.
struct Whole {
    bytes: Vec<u8>,
    chunks: Vec<Range<usize>>,
    events: HashMap<Key, Event>,
}

impl Whole {
    fn of(path: &Path) -> Result<Whole, libtest_mimic::Failed> {
        let bytes = fs::read(path)?;
        let mut at = format::HEAD_SIZE + format::u32_at(&bytes, 12) as usize;
        let mut chunks = Vec::new();
        while at < bytes.len() - format::END_SIZE {
            let end = at + format::CHUNK_SIZE + format::u32_at(&bytes, at + 12) as usize;
            chunks.push(at..end);
            at = end;
        }
        let events = Trace::open(path)?.events().map(|event| (key(&event), untimed(event))).collect();
        Ok(Whole { bytes, chunks, events })
    }

    /// The numbers of the records in a chunk; the index has none.
    fn records(&self, chunk: usize) -> impl Iterator<Item = Key> + use<> {
        let at = self.chunks[chunk].start;
        let origin = [Some(Origin::Guest), Some(Origin::Host)].get(usize::from(self.bytes[at + 16])).copied();
        let (first, records) = (format::u64_at(&self.bytes, at + 24), format::u32_at(&self.bytes, at + 32));
        let numbers = first..first + u64::from(records);
        origin
            .flatten()
            .into_iter()
            .flat_map(move |origin| numbers.clone().map(move |number| (origin, number)))
    }

    /// A file of chunks in some order, with the head and the end that they had.
    fn with(&self, chunks: &[usize]) -> Vec<u8> {
        let mut bytes = self.bytes[..self.chunks[0].start].to_vec();
        chunks.iter().for_each(|&chunk| bytes.extend_from_slice(&self.bytes[self.chunks[chunk].clone()]));
        bytes.extend_from_slice(&self.bytes[self.bytes.len() - format::END_SIZE..]);
        bytes
    }

    /// The chunks that are still as and where they were.
    fn untouched(&self, damaged: &[u8]) -> Vec<usize> {
        let is_there = |chunk: &Range<usize>| damaged.get(chunk.clone()) == Some(&self.bytes[chunk.clone()]);
        (0..self.chunks.len()).filter(|&chunk| is_there(&self.chunks[chunk])).collect()
    }
}

fn key(event: &Event) -> Key {
    (event.origin, event.sequence)
}

/// An event without what a damaged head or a lost first record change.
fn untimed(event: Event) -> Event {
    Event { nanoseconds: 0, ..event }
}

/// A damaged file, and the chunks that are whole in it.
type Damaged = (Vec<u8>, Vec<usize>);
/// A way to do damage. Places are where [`Index`] finds them in whatever is damaged.
#[derive(Clone, Debug)]
enum Harm {
    Cut(Index),
    Flipped(Index, u8),
    Noisy(Vec<(Index, u8)>),
    /// Blocks that never reached the disk: the first, and how many.
    Torn(Index, usize),
    WithoutChunk(Index),
    /// The chunk, and where it is again.
    WithChunkTwice(Index, Index),
    Shuffled(Index, Index),
}

/// Each way, and how many files it is tried on.
fn harms() -> [(u32, BoxedStrategy<Harm>); 7] {
    let place = any::<Index>;
    [
        (FILES, place().prop_map(Harm::Cut).boxed()),
        (FILES, (place(), 0..8_u8).prop_map(|(at, bit)| Harm::Flipped(at, bit)).boxed()),
        (FILES_OF_OTHERS, vec(any::<(Index, u8)>(), 1..=20).prop_map(Harm::Noisy).boxed()),
        (FILES_OF_OTHERS, (place(), 1..=16_usize).prop_map(|(at, blocks)| Harm::Torn(at, blocks)).boxed()),
        (FILES_OF_OTHERS, place().prop_map(Harm::WithoutChunk).boxed()),
        (FILES_OF_OTHERS, (place(), place()).prop_map(|(chunk, at)| Harm::WithChunkTwice(chunk, at)).boxed()),
        (FILES_OF_OTHERS, (place(), place()).prop_map(|(one, other)| Harm::Shuffled(one, other)).boxed()),
    ]
}

impl Harm {
    fn apply(&self, whole: &Whole) -> Damaged {
        const BLOCK: usize = 512;
        let size = whole.bytes.len();
        let mut chunks: Vec<usize> = (0..whole.chunks.len()).collect();
        // The last chunk is the index. Without it no reader can know of records after the other chunks.
        let last = chunks.len() - 1;
        match self {
            Harm::Cut(at) => in_place(whole, |bytes| bytes.truncate(at.index(size))),
            Harm::Flipped(at, bit) => in_place(whole, |bytes| bytes[at.index(size)] ^= 1 << bit),
            Harm::Noisy(noise) => in_place(whole, |bytes| {
                noise.iter().for_each(|(at, byte)| bytes[at.index(size)] = *byte);
            }),
            Harm::Torn(at, blocks) => {
                let start = at.index(size) / BLOCK * BLOCK;
                let end = (start + BLOCK * blocks).min(size);
                in_place(whole, |bytes| bytes[start..end].fill(0))
            }
            Harm::WithoutChunk(chunk) => {
                chunks.remove(chunk.index(last));
                (whole.with(&chunks), chunks)
            }
            Harm::WithChunkTwice(chunk, at) => {
                chunks.insert(at.index(last + 1), chunk.index(last));
                (whole.with(&chunks), chunks)
            }
            Harm::Shuffled(one, other) => {
                chunks.swap(one.index(last), other.index(last));
                (whole.with(&chunks), chunks)
            }
        }
    }
}

fn in_place(whole: &Whole, harm: impl FnOnce(&mut Vec<u8>)) -> Damaged {
    let mut bytes = whole.bytes.clone();
    harm(&mut bytes);
    let untouched = whole.untouched(&bytes);
    (bytes, untouched)
}

fn a_thousand_cuts_and_flips() -> TestResult {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    let whole = Whole::of(&file("t.trap"))?;
    ensure(whole.chunks.len() > 5, || format!("{} chunks are no test", whole.chunks.len()))?;
    for (files, harm) in harms() {
        support::property(files, &harm, |harm| {
            let (bytes, chunks) = harm.apply(&whole);
            fs::write(file("damaged.trap"), &bytes)?;
            check(&whole, &chunks, &file("damaged.trap"), &file("new.trap"))
        })?;
    }
    Ok(())
}

/// A damaged file has the records of its whole chunks and no others, says what is missing, and recovering it returns the
/// same.
fn check(whole: &Whole, chunks: &[usize], damaged: &Path, new: &Path) -> TestResult {
    let expected: HashSet<Key> = chunks.iter().flat_map(|&chunk| whole.records(chunk)).collect();
    let trace = match Trace::open(damaged) {
        Ok(trace) => trace,
        Err(_) if expected.is_empty() => return Ok(()),
        Err(error) => return Err(format!("{} records are lost: {error}", expected.len()).into()),
    };
    let found: Vec<Event> = trace.events().map(untimed).collect();
    for event in &found {
        ensure(whole.events.get(&key(event)) == Some(event), || format!("no such event: {event:?}"))?;
    }
    ensure(found.iter().map(key).collect::<HashSet<Key>>() == expected, || {
        format!("{} events of {} in whole chunks; {:?}", found.len(), expected.len(), trace.damage())
    })?;
    ensure(found.len() == expected.len(), || "a record is there twice".into())?;
    for origin in [Origin::Guest, Origin::Host] {
        let numbers = found.iter().filter(|event| event.origin == origin).map(|event| event.sequence);
        ensure(numbers.is_sorted(), || "records are out of order".into())?;
    }

    // Moving chunks of the two origins past each other does no damage.
    let is_harmed = fs::read(damaged)? != whole.bytes;
    let moved = chunks.iter().collect::<BTreeSet<_>>().len() == whole.chunks.len();
    ensure(!trace.damage().is_empty() || !is_harmed || moved, || "the damage is not reported".into())?;
    let gap = |damage: &Damage| match damage {
        Damage::Gap { records, .. } => *records as usize,
        _ => 0,
    };
    let missing: usize = trace.damage().iter().map(gap).sum();
    let cut = trace.damage().iter().any(|damage| matches!(damage, Damage::Tail { .. } | Damage::NotClosed));
    ensure(cut || found.len() + missing == whole.events.len(), || {
        format!("{} events and {missing} missing are not {}", found.len(), whole.events.len())
    })?;

    recover(&trace, new, true)?;
    let recovered = Trace::open(new)?;
    ensure(recovered.events().map(untimed).eq(found), || "recovering changed something".into())?;
    ensure(recovered.damage().is_empty() == trace.damage().is_empty(), || format!("{:?}", recovered.damage()))
}

/// Damage of every kind to the fixture: its name, the bytes, and what the warning of it says.
fn damaged_files(whole: &Whole) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (bytes, index) = (&whole.bytes, whole.chunks.len() - 1);
    let starts: Vec<usize> = whole.chunks.iter().map(|chunk| chunk.start).collect();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut zeroed = bytes.clone();
    zeroed[whole.chunks[1].clone()].fill(0);
    vec![
        ("cut in a chunk", bytes[..starts[3] + 100].to_vec(), "cut short"),
        ("cut between chunks", bytes[..starts[3]].to_vec(), "was not closed"),
        ("cut in the index", bytes[..starts[index] + 70].to_vec(), "cut short"),
        ("without an end mark", bytes[..bytes.len() - format::END_SIZE].to_vec(), "was not closed"),
        ("flipped in the magic", flipped(3), "the head is damaged"),
        ("flipped in the size of the head", flipped(13), "the head is damaged"),
        ("flipped in the head", flipped(200), "the head is damaged"),
        ("flipped in the head of a chunk", flipped(starts[1] + 14), "are damaged and were skipped"),
        ("flipped in a chunk", flipped(starts[1] + 3000), "202 guest records from number 0 on are missing"),
        ("flipped in the index", flipped(starts[index] + 80), "cut short"),
        ("flipped in the end mark", flipped(bytes.len() - 12), "cut short"),
        ("zeros for a chunk", zeroed, "are damaged and were skipped"),
        ("without a chunk", whole.with(&[0, 2, 3, 4, 5]), "202 guest records from number 0 on are missing"),
        (
            "with a chunk twice",
            whole.with(&[0, 1, 1, 2, 3, 4, 5]),
            "starts with guest record 0, expected 202",
        ),
        ("with chunks swapped", whole.with(&[0, 3, 2, 1, 4, 5]), "starts with guest record 0, expected 476"),
    ]
}

/// Each command that reads a trace, in each of its forms, and the exit codes that it may have.
const COMMANDS: [(&str, &[i32]); 20] = [
    ("view t.trap", &[0]),
    ("view t.trap --format strace", &[0]),
    ("view t.trap --format jsonl", &[0]),
    ("view t.trap --format csv", &[0]),
    ("view t.trap --around 500", &[0]),
    ("stat t.trap", &[0]),
    ("stat t.trap --json", &[0]),
    ("stat t.trap whole.trap", &[0]),
    ("check t.trap", &[0, 1]),
    ("check t.trap --json", &[0, 1]),
    // What was asked for may be gone.
    ("protocol t.trap", &[0, 2]),
    ("protocol t.trap --format json", &[0, 2]),
    ("diff whole.trap t.trap", &[0, 1]),
    ("diff t.trap t.trap", &[0]),
    ("report t.trap --force", &[0]),
    ("export t.trap --force --format ctf -o ctf", &[0]),
    ("export t.trap --force --format trace-cmd -o t.dat", &[0]),
    ("export t.trap --force --format perfetto -o t.pb", &[0]),
    ("export t.trap --force --format csv -o t.csv", &[0]),
    ("recover t.trap --force -o new.trap", &[0]),
];

fn every_command_reads_what_is_left_and_warns() -> TestResult {
    let folder = folder();
    let run = |line: &str| trapline(folder.path(), &line.split(' ').collect::<Vec<_>>());
    let whole = Whole::of(Path::new(FIXTURE))?;
    fs::copy(FIXTURE, folder.path().join("whole.trap"))?;
    let known = objects(&run("view whole.trap --format jsonl")?.expect(0)?)?;
    for (name, bytes, warning) in damaged_files(&whole) {
        fs::write(folder.path().join("t.trap"), &bytes)?;
        for (line, codes) in COMMANDS {
            let output = run(line)?;
            let said = if line.starts_with("recover") { &output.stdout } else { &output.stderr };
            ensure(codes.contains(&output.code) && said.contains(warning), || {
                format!("{name}: {line}: {output:#?}")
            })?;
            if line.ends_with("jsonl") {
                let shown = objects(&output)?;
                ensure(!shown.is_empty() && shown.is_subset(&known), || format!("{name}: {output:#?}"))?;
            }
        }
        support::ensure(fs::read(folder.path().join("t.trap"))? == bytes, || "the file was changed".into())?;
    }
    for (name, bytes) in [("cut in the head", &whole.bytes[..100]), ("empty", &[])] {
        fs::write(folder.path().join("t.trap"), bytes)?;
        for (line, _) in COMMANDS {
            let output = run(line)?;
            ensure(output.code == 2 && output.stderr.contains("t.trap"), || format!("{name}: {output:#?}"))?;
        }
    }
    Ok(())
}

fn the_example_reads_what_is_left_and_warns() -> TestResult {
    let folder = folder();
    for (name, bytes, warning) in damaged_files(&Whole::of(Path::new(FIXTURE))?) {
        fs::write(folder.path().join("t.trap"), &bytes)?;
        let mut example = Command::new(support::example("read"));
        let output = support::command(example.arg("t.trap").current_dir(folder.path()), folder.path())?;
        let output = output.expect(0)?;
        ensure(output.stderr.contains(warning), || format!("{name}: {output:#?}"))?;
    }
    Ok(())
}

/// The events that `--format jsonl` wrote, without what a damaged head or a lost event change: times and names.
fn objects(output: &Output) -> Result<BTreeSet<String>, libtest_mimic::Failed> {
    let mut objects = BTreeSet::new();
    for line in output.stdout.lines() {
        let mut object: serde_json::Map<String, Value> = serde_json::from_str(line)?;
        for timed in ["ns", "name"] {
            object.remove(timed);
        }
        ensure(objects.insert(format!("{object:?}")), || format!("it is there twice: {line}"))?;
    }
    Ok(objects)
}

fn a_recovered_file_reads_as_the_damaged_one() -> TestResult {
    let folder = folder();
    let run = |arguments: &[&str]| trapline(folder.path(), arguments);
    let mut bytes = fs::read(FIXTURE)?;
    bytes.truncate(bytes.len() * 3 / 4);
    fs::write(folder.path().join("t.trap"), &bytes)?;

    let viewed = run(&["view", "t.trap"])?.expect(0)?;
    run(&["recover", "t.trap", "-o", "new.trap"])?.expect(0)?;
    let again = run(&["recover", "t.trap", "-o", "new.trap"])?.expect(2)?;
    ensure(again.stderr.contains("--force"), || format!("{again:#?}"))?;
    run(&["recover", "t.trap", "-o", "new.trap", "--force"])?.expect(0)?;
    run(&["recover", "t.trap", "-o", "./t.trap", "--force"])?.expect(2)?;
    let viewed_again = run(&["view", "new.trap"])?.expect(0)?;
    ensure(viewed_again.stdout == viewed.stdout, || "the text of the new file differs".into())?;
    ensure(viewed_again.stderr.contains("recovered from a damaged file"), || format!("{viewed_again:#?}"))?;
    support::ensure(fs::read(folder.path().join("t.trap"))? == bytes, || "the damaged file changed".into())
}

fn what_never_ends_is_given_up() -> TestResult {
    let folder = folder();
    let output = trapline(folder.path(), &["view", "/dev/zero"])?.expect(2)?;
    ensure(output.stderr.contains("/dev/zero is not a trace file"), || format!("{output:#?}"))
}
