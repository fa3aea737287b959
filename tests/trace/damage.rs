//! A real file, cut and flipped at random: no panic, no wrong event, and every whole chunk is recovered.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use trapline::trace::{Damage, Event, Origin, Trace, recover};

use crate::support::{self, Suite, TestResult, ensure, folder, trapline};

/// How many files are made of one.
const FILES: u64 = 1000;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("a_thousand_cuts_and_flips", a_thousand_cuts_and_flips)
        .kvm("commands_read_what_is_left_and_warn", commands_read_what_is_left_and_warn)
}

/// Numbers that look random and are the same at every run (splitmix64).
fn random(seed: u64) -> u64 {
    let mut number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

type Known = HashMap<(Origin, u64), Event>;

/// An event without what a damaged head or a lost first record change.
fn untimed(event: Event) -> Event {
    Event { nanoseconds: 0, ..event }
}

fn a_thousand_cuts_and_flips() -> TestResult {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    let whole = fs::read(file("t.trap"))?;
    let trace = Trace::open(&file("t.trap"))?;
    let events = trace.events().map(untimed);
    let known: Known = events.map(|event| ((event.origin, event.sequence), event)).collect();
    for seed in 0..FILES {
        let mut bytes = whole.clone();
        let at = random(2 * seed) as usize % bytes.len();
        if seed % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (random(2 * seed + 1) % 8);
        }
        fs::write(file("damaged.trap"), &bytes)?;
        check(&known, &file("damaged.trap"), &file("new.trap"))
            .map_err(|error| format!("seed {seed}, byte {at}: {}", error.message().unwrap_or_default()))?;
    }
    Ok(())
}

/// Nothing in a damaged file is wrong, it says what is missing, and recovering it gives the same.
fn check(known: &Known, damaged: &Path, new: &Path) -> TestResult {
    let Ok(trace) = Trace::open(damaged) else { return Ok(()) };
    ensure(!trace.damage().is_empty(), || "the damage is not told".into())?;
    let found: Vec<Event> = trace.events().map(untimed).collect();
    for event in &found {
        let same = known.get(&(event.origin, event.sequence)) == Some(event);
        ensure(same, || format!("no such event: {event:?}"))?;
    }
    let gap = |damage: &Damage| match damage {
        Damage::Gap { records, .. } => *records as usize,
        _ => 0,
    };
    let missing: usize = trace.damage().iter().map(gap).sum();
    let cut = trace.damage().iter().any(|damage| matches!(damage, Damage::Tail { .. } | Damage::NotClosed));
    ensure(cut || found.len() + missing == known.len(), || {
        format!("{} events and {missing} missing are not {}", found.len(), known.len())
    })?;

    recover(&trace, new, true)?;
    let recovered = Trace::open(new)?;
    ensure(recovered.events().map(untimed).eq(found), || "recovering changed something".into())?;
    ensure(cut || missing > 0 || recovered.damage().len() <= trace.damage().len(), || {
        format!("{:?}", recovered.damage())
    })
}

fn commands_read_what_is_left_and_warn() -> TestResult {
    let folder = folder();
    let run = |arguments: &[&str]| trapline(folder.path(), arguments);
    run(&["run", "--trace", "t.trap"])?.expect(0)?;
    let mut bytes = fs::read(folder.path().join("t.trap"))?;
    bytes.truncate(bytes.len() * 3 / 4);
    fs::write(folder.path().join("t.trap"), &bytes)?;

    let viewed = run(&["view", "t.trap"])?.expect(0)?;
    ensure(viewed.stderr.contains("cut short") && viewed.stdout.contains("hello"), || {
        format!("{viewed:#?}")
    })?;
    let recovered = run(&["recover", "t.trap", "-o", "new.trap"])?.expect(0)?;
    ensure(recovered.stdout.contains("cut short"), || format!("{recovered:#?}"))?;
    let again = run(&["recover", "t.trap", "-o", "new.trap"])?.expect(2)?;
    ensure(again.stderr.contains("--force"), || format!("{again:#?}"))?;
    run(&["recover", "t.trap", "-o", "new.trap", "--force"])?.expect(0)?;
    run(&["recover", "t.trap", "-o", "./t.trap", "--force"])?.expect(2)?;
    let viewed_again = run(&["view", "new.trap"])?.expect(0)?;
    ensure(viewed_again.stdout == viewed.stdout, || "the text of the new file differs".into())?;
    ensure(viewed_again.stderr.contains("recovered from a damaged file"), || format!("{viewed_again:#?}"))?;
    support::ensure(fs::read(folder.path().join("t.trap"))? == bytes, || "the damaged file changed".into())
}
