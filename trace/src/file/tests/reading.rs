//! How much of a file is read, and what happens when the file changes meanwhile.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Place, file_of, samples_of, small_file, ticks};
use crate::file::format::{self, CHUNK_MAGIC, CHUNK_SIZE, ChunkHead, Content, IndexEntry, PAYLOAD_MAX, RAW};
use crate::file::samples::{self, Sample};
use crate::file::{Damage, Event, Follow, News, Origin, Part, ReadAt, ReadError, Trace, recover};

/// Bytes that others may change, and a count of those that were read.
#[derive(Clone, Debug, Default)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    read: Arc<AtomicU64>,
}

impl Shared {
    fn new(bytes: &[u8]) -> Shared {
        Shared { bytes: Arc::new(Mutex::new(bytes.to_vec())), read: Arc::default() }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.bytes.lock().unwrap());
    }

    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl ReadAt for Shared {
    fn size(&self) -> io::Result<u64> {
        self.bytes.lock().unwrap().size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.bytes.lock().unwrap().read_at(bytes, offset)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A file of 2 GiB of which four chunks are there, between others that are holes: who reads those, finds them damaged.
#[derive(Clone, Debug, Default)]
struct Sparse {
    parts: Vec<(u64, Vec<u8>)>,
    size: u64,
    read: Arc<AtomicU64>,
}

/// Records of a chunk: more than a mebibyte.
const EACH: u64 = 70_000;

impl Sparse {
    fn new() -> Sparse {
        let mut sparse = Sparse::default();
        sparse.push(format::head(&samples::meta()));
        let mut entries = Vec::new();
        for number in 0..130 {
            let tsc = 1000 + number * EACH;
            let entry = IndexEntry { offset: sparse.size, tsc, records: EACH as u32, origin: Origin::Guest };
            entries.extend(entry.to_bytes());
            if [0, 70, 71, 129].contains(&number) {
                let samples: Vec<u8> = ticks(EACH)
                    .into_iter()
                    .flat_map(|tick| Sample { tsc: tick.tsc + number * EACH, ..tick }.to_bytes())
                    .collect();
                sparse.push(chunk(Content::Records(Origin::Guest), number * EACH, EACH, &samples));
            } else {
                sparse.size += (CHUNK_SIZE + PAYLOAD_MAX) as u64;
            }
        }
        let index = sparse.size;
        sparse.push(chunk(Content::Index, 0, 0, &entries));
        sparse.push(format::end_mark(index).to_vec());
        sparse
    }

    fn push(&mut self, bytes: Vec<u8>) {
        let at = self.size;
        self.size += bytes.len() as u64;
        self.parts.push((at, bytes));
    }
}

fn chunk(content: Content, first: u64, records: u64, payload: &[u8]) -> Vec<u8> {
    let size = payload.len() as u32;
    let totals = if content == Content::Index { 130 * EACH } else { first + records };
    let mut chunk = [&[0; CHUNK_SIZE], payload].concat();
    ChunkHead {
        content,
        encoding: RAW,
        stored: size,
        decoded: size,
        records: records as u32,
        first,
        guest_total: totals,
        host_total: 0,
    }
    .seal(&mut chunk);
    chunk
}

impl ReadAt for Sparse {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        bytes.fill(0);
        for (start, part) in &self.parts {
            for (at, byte) in (*start..).zip(part).filter(|(at, _)| *at >= offset) {
                let Some(to) = bytes.get_mut((at - offset) as usize) else { break };
                *to = *byte;
            }
        }
        let count = bytes.len().min((self.size - offset) as usize);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[test]
fn a_part_of_a_large_file_is_read_and_not_the_rest() {
    let sparse = Sparse::new();
    assert!(sparse.size > 2_000_000_000);
    // The rate of the samples is 2 GHz.
    let parts = [
        Part { events: 70 * EACH + 400..70 * EACH + 500, ..Part::default() },
        Part { nanoseconds: 35 * EACH + 200..35 * EACH + 250, ..Part::default() },
    ];
    for part in parts {
        let sparse = Sparse { read: Arc::default(), ..sparse.clone() };
        let trace = Trace::from_source(sparse.clone(), "sparse").expect("a trace with an index");
        assert_eq!(trace.total(Origin::Guest), 130 * EACH);
        let events: Vec<u64> = trace.events_near(&part).map(|event| event.sequence).collect();
        assert!(events.starts_with(&[0, 1, 2]) && events.contains(&(70 * EACH)), "{}", events.len());
        assert_eq!((trace.damage_so_far(), trace.intact().is_ok()), (&[][..], true));
        let read = sparse.read.load(Ordering::Relaxed);
        assert!(read < 8 << 20, "{read} bytes were read");
    }
}

#[test]
fn a_part_has_all_its_events() {
    let bytes = file_of(&samples::every_kind(), 7);
    let trace = Trace::from_source(bytes, "t").expect("a whole file");
    let all: Vec<Event> = trace.events().collect();
    assert_eq!(trace.damage(), []);
    for from in 0..all.len() as u64 {
        for part in [
            Part { events: from..from + 3, ..Part::default() },
            Part { nanoseconds: from * 1000..from * 1000 + 2500, ..Part::default() },
        ] {
            let is_in = |event: &&Event| {
                let by_number = part.events == Part::default().events
                    || event.origin == Origin::Guest && part.events.contains(&event.sequence);
                by_number && part.nanoseconds.contains(&event.nanoseconds)
            };
            let near: Vec<Event> = trace.events_near(&part).collect();
            assert!(all.iter().filter(is_in).all(|event| near.contains(event)), "{part:?}");
        }
    }
}

/// Opening reads head and index; reading, each chunk once; asking for the damage, the whole file once more.
#[test]
fn chunks_are_read_when_their_records_are() {
    let bytes = file_of(&ticks(300_000), 1000);
    let size = bytes.len() as u64;
    let shared = Shared::new(&bytes);
    let trace = Trace::from_source(shared.clone(), "t").expect("a whole file");
    let opened = shared.read();
    let index = 24 * 300 + format::HEAD_SIZE as u64;
    assert!(opened < 3 * (index + (256 << 10)) && opened < size / 2, "{opened} of {size} bytes");
    assert_eq!(trace.events().count(), 300_000);
    let read = shared.read() - opened;
    assert!(read <= size + size / 50, "{read} of {size} bytes");
    assert_eq!(trace.damage(), []);
    assert!(shared.read() - opened - read <= size + 100);
}

#[test]
fn a_file_that_is_cut_or_changed_while_it_is_read_is_an_error() {
    let bytes = file_of(&ticks(300), 10);
    let read_after = |asks: bool, change: &dyn Fn(&mut Vec<u8>)| {
        let shared = Shared::new(&bytes);
        let trace = Trace::from_source(shared.clone(), "t.trap").expect("a whole file");
        assert!(!asks || trace.damage().is_empty());
        let mut events = trace.events();
        assert_eq!(events.by_ref().take(100).count(), 100);
        shared.change(change);
        let count = 100 + events.count();
        (count, trace.intact().err(), trace.damage().len())
    };
    for asks in [true, false] {
        assert!(matches!(read_after(asks, &|_| {}), (300, None, 0)));
        let (count, error, _) = read_after(asks, &|bytes| bytes.truncate(1000));
        assert!(matches!(error, Some(ReadError::Read { .. })), "{error:?}");
        assert!(
            count < 300 && error.unwrap().to_string().contains("t.trap was cut short while Trapline read it")
        );
    }
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    };
    let (count, error, _) = read_after(true, &flip);
    assert!(count < 300 && matches!(error, Some(ReadError::Changed { .. })), "{error:?}");
    // Without knowing what it was, a change is damage like any other.
    assert!(matches!(read_after(false, &flip), (290, None, 2)));
}

#[test]
fn a_file_that_is_cut_while_it_is_recovered_leaves_nothing() {
    let shared = Shared::new(&file_of(&ticks(300), 10));
    let trace = Trace::from_source(shared.clone(), "t").expect("a whole file");
    assert_eq!(trace.damage(), []);
    shared.change(|bytes| bytes.truncate(1000));
    let place = Place::new();
    recover(&trace, &place.file(), false).expect_err("most of it is gone");
    assert!(!place.file().exists());
}

/// Follows until nothing is new.
fn take(follow: &mut Follow, events: &mut Vec<Event>) -> News {
    loop {
        let news = follow.look().expect("it can be read");
        events.extend(&mut *follow);
        if news != News::Some {
            return news;
        }
    }
}

#[test]
fn a_file_that_grows_is_followed_and_read_once() {
    let (bytes, events, starts) = small_file();
    for piece in [1, 7, 64, 1000, bytes.len()] {
        let shared = Shared::new(&bytes[..starts[0]]);
        let mut follow = Follow::from_source(shared.clone(), "t").expect("a head");
        let (mut followed, mut news) = (Vec::new(), News::None);
        for piece in bytes[starts[0]..].chunks(piece) {
            assert_eq!(news, News::None);
            shared.change(|bytes| bytes.extend_from_slice(piece));
            news = take(&mut follow, &mut followed);
        }
        assert_eq!((news, follow.damage(), followed.len()), (News::Over, &[][..], events.len()));
        assert!(followed.iter().all(|event| events.contains(event)));
        assert_eq!(shared.read(), bytes.len() as u64, "in pieces of {piece}");
    }
    let mut whole = Vec::new();
    let mut follow = Follow::from_source(bytes, "t").expect("a head");
    assert_eq!(take(&mut follow, &mut whole), News::Over);
    assert!(whole.iter().eq(&events), "a whole file is read in the order of time");
}

#[test]
fn a_damaged_file_is_followed_past_its_damage() {
    let (bytes, events, starts) = small_file();
    for at in (starts[1]..starts[3]).step_by(5) {
        for piece in [13, 500, bytes.len()] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let shared = Shared::new(&damaged[..starts[0]]);
            let mut follow = Follow::from_source(shared.clone(), "t").expect("a head");
            let (mut followed, mut news) = (Vec::new(), News::None);
            for piece in damaged[starts[0]..].chunks(piece) {
                shared.change(|bytes| bytes.extend_from_slice(piece));
                news = take(&mut follow, &mut followed);
            }
            let trace = Trace::from_source(damaged, "t").expect("whole chunks");
            assert_eq!((news, follow.damage()), (News::Over, trace.damage()), "flip at {at}");
            assert_eq!(followed.len(), trace.events().count());
            assert!(followed.len() < events.len());
        }
    }
}

/// The writer cuts off what it could not write, and closes the file: at any byte of the chunk that failed.
#[test]
fn a_chunk_that_is_taken_back_is_not_waited_for() {
    let (bytes, _, starts) = small_file();
    let last = *starts.last().expect("the index");
    let kept = starts[starts.len() - 3];
    let closed = [&bytes[..kept], &chunk(Content::Index, 0, 0, &[]), &format::end_mark(kept as u64)].concat();
    for cut in kept..last {
        let shared = Shared::new(&bytes[..cut]);
        let mut follow = Follow::from_source(shared.clone(), "t").expect("a head");
        let mut followed = Vec::new();
        // What was read already ends in the end mark that took its place, or where that starts.
        let looks_the_same = (closed.len() - format::END_MAGIC.len()..=closed.len()).contains(&cut);
        assert_eq!(take(&mut follow, &mut followed), News::None);
        shared.change(|bytes| bytes.clone_from(&closed));
        if looks_the_same || starts.iter().any(|&start| start > kept && start <= cut) {
            continue;
        }
        assert_eq!(take(&mut follow, &mut followed), News::Over, "cut at {cut}");
        let gap = |damage: &Damage| matches!(damage, Damage::Gap { .. });
        assert!(follow.damage().iter().all(gap), "{:?}", follow.damage());
    }
}

#[test]
fn a_followed_file_that_is_cut_is_an_error() {
    let (bytes, _, starts) = small_file();
    let shared = Shared::new(&bytes[..starts[3]]);
    let mut follow = Follow::from_source(shared.clone(), "t").expect("a head");
    take(&mut follow, &mut Vec::new());
    shared.change(|bytes| bytes.truncate(starts[2]));
    assert!(matches!(follow.look(), Err(ReadError::Read { .. })));
}

/// An index that is wrong, with a right CRC, costs no record.
#[test]
fn what_an_index_says_wrongly_is_found_by_a_walk() {
    let bytes = file_of(&ticks(30), 10);
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&CHUNK_MAGIC)).collect();
    let index = starts[3];
    let mut wrong = bytes.clone();
    // The first two chunks exchange two records, so that the sum is right.
    wrong[index + CHUNK_SIZE + 16] = 8;
    wrong[index + CHUNK_SIZE + format::INDEX_ENTRY_SIZE + 16] = 12;
    let head = ChunkHead::peek(&wrong[index..]).expect("the index");
    let end = index + head.size().expect("a size");
    head.seal(&mut wrong[index..end]);
    let trace = Trace::from_source(wrong, "t").expect("a trace");
    assert_eq!(samples_of(&trace), ticks(30));
    assert_eq!(trace.damage(), []);
}

#[test]
fn an_empty_trace_has_no_event() {
    let place = Place::new();
    samples::write_file(&place.file(), &[], 1);
    let trace = Trace::open(&place.file()).expect("a trace");
    assert_eq!((trace.events().count(), trace.events_near(&Part::default()).count()), (0, 0));
    assert_eq!(trace.damage(), []);
    let bytes = fs::read(place.file()).expect("the file");
    let mut follow = Follow::from_source(bytes, "t").expect("a head");
    assert_eq!(take(&mut follow, &mut Vec::new()), News::Over);
}

/// The clock looks at the first chunk too, and finds the damage before the events are read.
#[test]
fn a_damaged_first_chunk_costs_no_other() {
    let mut bytes = file_of(&ticks(30), 10);
    let start = bytes.windows(8).position(|at| at == CHUNK_MAGIC).expect("a chunk");
    bytes[start + CHUNK_SIZE] ^= 1;
    let trace = Trace::from_source(bytes, "t").expect("a trace");
    assert_eq!((trace.events().count(), trace.intact().is_ok()), (20, true));
}
