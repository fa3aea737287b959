//! The file as a whole: written, read, cut, flipped.

mod reading;

use std::fs;
use std::path::PathBuf;

use abi::record::Kind;
use tempfile::TempDir;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::file::samples::{self, Sample, any_sample, cases};
use crate::file::{Damage, Event, OpenError, Origin, Record, Trace, What, WriteError, Writer, format};

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory for the test"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("t.trap")
    }

    fn open(&self, bytes: &[u8]) -> Result<Trace, OpenError> {
        fs::write(self.file(), bytes).expect("a file for the test");
        Trace::open(&self.file())
    }
}

/// The bytes of a file of samples, `each` to a chunk.
fn file_of(samples: &[Sample], each: usize) -> Vec<u8> {
    let place = Place::new();
    samples::write_file(&place.file(), samples, each);
    fs::read(place.file()).expect("the file that was written")
}

fn as_sample(record: &Record<'_>) -> Sample {
    let Record { tsc, kind, process, detail, .. } = *record;
    Sample { tsc, kind, process, detail, words: record.words().collect() }
}

/// All records of a trace.
fn samples_of(trace: &Trace) -> Vec<Sample> {
    let (mut records, mut samples) = (trace.records(), Vec::new());
    while let Some(record) = records.next() {
        samples.push(as_sample(&record));
    }
    samples
}

fn ticks(count: u64) -> Vec<Sample> {
    let tick =
        |n| Sample { tsc: 1000 + n, kind: Kind::Tick as u8, process: 1, detail: n as u32, words: vec![] };
    (0..count).map(tick).collect()
}

#[test]
fn every_kind_comes_back() {
    let samples = samples::every_kind();
    let kinds = |kind: &Kind| samples.iter().any(|sample| sample.kind == *kind as u8);
    assert!(Kind::ALL.iter().all(kinds), "a kind has no sample");
    for each in [1, 3, samples.len()] {
        let trace = Place::new().open(&file_of(&samples, each)).expect("a whole file");
        assert_eq!(trace.damage(), []);
        assert_eq!(trace.meta(), &samples::meta());
        assert_eq!(samples_of(&trace), samples);
        for (event, sample) in trace.events().zip(&samples) {
            assert_eq!(event.what.kind(), sample.kind);
            assert!(!matches!(event.what, What::Unknown { .. }), "{sample:?}");
            assert_eq!(event.nanoseconds, (sample.tsc - 1_000_000) / 2);
        }
    }
}

#[test]
fn sequence_numbers_count_an_origin() {
    let trace = Place::new().open(&file_of(&samples::every_kind(), 4)).expect("a whole file");
    for origin in [Origin::Guest, Origin::Host] {
        let numbers = trace.events().filter(|event| event.origin == origin).map(|event| event.sequence);
        assert!(numbers.eq(0..trace.events().filter(|event| event.origin == origin).count() as u64));
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn any_record_survives_and_decodes(mut samples in vec(any_sample(), 1..1000)) {
        (0..).zip(&mut samples).for_each(|(tsc, sample)| sample.tsc = tsc);
        let trace = Place::new().open(&file_of(&samples, 300)).expect("a whole file");
        prop_assert_eq!(trace.damage(), []);
        prop_assert_eq!(&samples_of(&trace), &samples);
        prop_assert!(trace.events().zip(&samples).all(|(event, sample)| event.what.kind() == sample.kind));
    }
}

#[test]
fn a_record_that_lacks_words_is_unknown_and_one_with_more_is_not() {
    let mut samples = samples::every_kind();
    // Data and gates are lists of any length.
    let has_words = |sample: &Sample| {
        !sample.words.is_empty() && ![Kind::Data as u8, Kind::Gates as u8].contains(&sample.kind)
    };
    samples.retain(has_words);
    samples.iter_mut().for_each(|sample| sample.words.truncate(sample.words.len() - 1));
    let trace = Place::new().open(&file_of(&samples, 1)).expect("a whole file");
    assert!(trace.events().all(|event| matches!(event.what, What::Unknown { .. })));

    let mut samples = samples::every_kind();
    samples.iter_mut().for_each(|sample| sample.words.push(1));
    let trace = Place::new().open(&file_of(&samples, 1)).expect("a whole file");
    assert!(trace.events().all(|event| !matches!(event.what, What::Unknown { .. })));
}

/// The file, the events that it holds, and where each chunk of it ends.
fn small_file() -> (Vec<u8>, Vec<Event>, Vec<usize>) {
    let bytes = file_of(&samples::every_kind(), 7);
    let trace = Place::new().open(&bytes).expect("a whole file");
    let at_magic = |at: &usize| bytes[*at..].starts_with(&format::CHUNK_MAGIC);
    let starts: Vec<usize> = (0..bytes.len()).filter(at_magic).collect();
    (bytes, trace.events().collect(), starts)
}

#[test]
fn a_file_cut_at_any_byte_opens_up_to_its_last_whole_chunk() {
    let (bytes, events, starts) = small_file();
    let place = Place::new();
    for cut in 0..bytes.len() {
        let opened = place.open(&bytes[..cut]);
        if cut < starts[0] {
            assert!(
                matches!(opened, Err(OpenError::Cut { .. } | OpenError::NotATrace { .. })),
                "cut at {cut}"
            );
            continue;
        }
        let trace = opened.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let found: Vec<_> = trace.events().collect();
        assert!(found.iter().all(|event| events.contains(event)), "cut at {cut}: a wrong event");
        let end_of_last = starts.iter().copied().filter(|&start| start <= cut).max().expect("a chunk");
        let whole =
            if cut < bytes.len() - format::END_SIZE { end_of_last } else { bytes.len() - format::END_SIZE };
        match trace.damage() {
            [Damage::NotClosed] => assert!(starts.contains(&cut) || cut == whole),
            [Damage::Tail { offset, bytes, .. }] => {
                assert_eq!((*offset, *bytes), (whole as u64, (cut - whole) as u64))
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
        let whole_chunks = Place::new().open(&bytes[..whole]).expect("whole chunks");
        assert_eq!(whole_chunks.events().count(), found.len(), "cut at {cut}");
    }
}

#[test]
fn a_flip_of_any_byte_is_seen_and_costs_a_chunk_at_most() {
    let (bytes, events, starts) = small_file();
    let place = Place::new();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let trace = place.open(&flipped).unwrap_or_else(|error| panic!("flip at {at}: {error}"));
        assert!(!trace.damage().is_empty(), "flip at {at}");
        let untimed = |event: Event| Event { nanoseconds: 0, ..event };
        let known: Vec<_> = events.iter().copied().map(untimed).collect();
        let found: Vec<_> = trace.events().map(untimed).collect();
        assert!(found.iter().all(|event| known.contains(event)), "flip at {at}: a wrong event");
        let index = *starts.last().expect("the index");
        let most = if at < starts[0] || at >= index { 0 } else { 7 };
        assert!(events.len() - found.len() <= most, "flip at {at}");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn noise_never_panics(noise in vec(any::<(Index, u8)>(), 1..20), length in any::<Index>()) {
        let (mut bytes, ..) = small_file();
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        if let Ok(trace) = Place::new().open(&bytes) {
            trace.events().for_each(drop);
        }
    }
}

#[test]
fn a_missing_chunk_is_a_gap() {
    let bytes = file_of(&ticks(30), 10);
    let at_magic = |at: &usize| bytes[*at..].starts_with(&format::CHUNK_MAGIC);
    let starts: Vec<usize> = (0..bytes.len()).filter(at_magic).collect();
    for (missing, first) in [(0, 0), (1, 10), (2, 20)] {
        let without = [&bytes[..starts[missing]], &bytes[starts[missing + 1]..]].concat();
        let trace = Place::new().open(&without).expect("whole chunks");
        let gap = Damage::Gap { origin: Origin::Guest, first, records: 10 };
        assert!(trace.damage().contains(&gap), "{:?}", trace.damage());
    }
}

#[test]
fn chunks_out_of_place_are_put_in_order() {
    let bytes = file_of(&ticks(30), 10);
    let at_magic = |at: &usize| bytes[*at..].starts_with(&format::CHUNK_MAGIC);
    let starts: Vec<usize> = (0..bytes.len()).filter(at_magic).collect();
    let chunk = |number: usize| &bytes[starts[number]..starts[number + 1]];
    let (head, end) = (&bytes[..starts[0]], &bytes[starts[3]..]);
    for order in [&[1, 0, 2][..], &[2, 1, 0], &[0, 0, 1, 2], &[0, 1, 2, 0], &[1, 0, 2, 1]] {
        let chunks: Vec<&[u8]> = order.iter().map(|&number| chunk(number)).collect();
        let trace = Place::new().open(&[head, &chunks.concat(), end].concat()).expect("whole chunks");
        assert_eq!(samples_of(&trace), ticks(30), "{order:?}");
        let is_out_of_order = |damage: &Damage| matches!(damage, Damage::OutOfOrder { .. });
        // They show that they are not in place; to report a missing number would be wrong.
        assert!(!trace.damage().is_empty(), "{order:?}");
        assert!(
            trace.damage()[..trace.damage().len() - 1].iter().all(is_out_of_order),
            "{:?}",
            trace.damage()
        );
    }
}

/// The host's chunk, which comes behind the guest's, shows how many records that had.
#[test]
fn chunks_tell_what_is_missing_of_the_other_origin() {
    let clock = Sample { tsc: 1, kind: Kind::HostClock as u8, process: 0, detail: 0, words: vec![1, 2] };
    let samples = [ticks(10), ticks(10), vec![clock]].concat();
    let mut bytes = file_of(&samples, 10);
    let at_magic = |at: &usize| bytes[*at..].starts_with(&format::CHUNK_MAGIC);
    let starts: Vec<usize> = (0..bytes.len()).filter(at_magic).collect();
    bytes[starts[1] + format::CHUNK_SIZE] ^= 1;
    bytes.truncate(starts[3]);
    let trace = Place::new().open(&bytes).expect("whole chunks");
    let gap = Damage::Gap { origin: Origin::Guest, first: 10, records: 10 };
    assert!(trace.damage().contains(&gap), "{:?}", trace.damage());
}

#[test]
fn whole_chunks_are_found_however_far_behind_a_damaged_head() {
    let bytes = file_of(&ticks(30), 10);
    let start = bytes.windows(8).position(|at| at == format::CHUNK_MAGIC).expect("a chunk");
    let mut head = bytes[..start].to_vec();
    head[format::HEAD_SIZE] ^= 1;
    let far = [&head, &vec![0; format::FIRST_CHUNK_WITHIN], &bytes[start..]].concat();
    let trace = Place::new().open(&far).expect("whole chunks");
    assert_eq!(samples_of(&trace), ticks(30));

    head.extend([0; 100]);
    let trace = Place::new().open(&head).expect("a damaged head");
    assert!(matches!(trace.damage(), [Damage::Head, Damage::Tail { .. }]), "{:?}", trace.damage());
}

#[test]
fn a_file_that_is_no_longer_where_it_was_made_is_an_error() {
    let gone = |theft: fn(&std::path::Path)| {
        let place = Place::new();
        let writer = Writer::create(&place.file(), false, &samples::meta()).expect("a new file");
        theft(&place.file());
        writer.finish()
    };
    assert!(gone(|_| {}).is_ok());
    let removed = gone(|path| fs::remove_file(path).expect("a file"));
    assert!(matches!(removed, Err(WriteError::Gone { .. })), "{removed:?}");
    let replaced = gone(|path| {
        Writer::create(path, true, &samples::meta()).expect("another file").finish().expect("room");
    });
    assert!(matches!(replaced, Err(WriteError::Gone { .. })), "{replaced:?}");
}

#[test]
fn a_guest_that_lies_is_reported() {
    let place = Place::new();
    let mut writer = Writer::create(&place.file(), false, &samples::meta()).expect("a new file");
    let tick = ticks(1)[0].to_bytes();
    samples::write_guest(&mut writer, &[&tick[..], &[0xff; 13]].concat(), 1);
    samples::write_guest(&mut writer, &tick, 5);
    writer.flush().expect("room");
    samples::write_guest(&mut writer, &tick, u64::MAX);
    samples::write_guest(&mut writer, &tick, u64::MAX);
    writer.flush().expect("room");
    let mut forged = tick.clone();
    forged[8] = Kind::HostEnd as u8;
    samples::write_guest(&mut writer, &forged, 1);
    writer.host_record(9, Kind::HostCount, 0, 10, &[4]).expect("room");
    writer.finish().expect("room");
    let trace = Trace::open(&place.file()).expect("whole chunks");
    let has = |like: fn(&Damage) -> bool| trace.damage().iter().any(like);
    assert!(has(|damage| matches!(damage, Damage::Malformed { bytes: 13, .. })));
    assert!(has(|damage| matches!(damage, Damage::Miscounted { said: 5, found: 1, .. })));
    assert!(has(|damage| matches!(damage, Damage::Malformed { bytes: 16, .. })));
    assert!(has(|damage| matches!(damage, Damage::LostByGuest { records: 4 })));
    assert!(has(|damage| matches!(damage, Damage::Gap { .. })));
    assert_eq!(trace.events().filter(|event| event.origin == Origin::Guest).count(), 4);
}

#[test]
fn other_versions_are_refused_or_skipped() {
    let mut bytes = file_of(&ticks(1), 1);
    let start = match format::open_head(&bytes) {
        format::HeadState::Whole(_, start) => start,
        other => panic!("{other:?}"),
    };
    let unknown = format::ChunkHead {
        content: format::Content::Other(9),
        ..format::ChunkHead::peek(&bytes[start..]).expect("a chunk")
    };
    let end = start + format::CHUNK_SIZE + unknown.stored as usize;
    unknown.seal(&mut bytes[start..end]);
    let trace = Place::new().open(&bytes).expect("a chunk of a later version is not an error");
    assert!(trace.damage().contains(&Damage::UnknownChunk { offset: start as u64, records: 1 }));

    for other in [format::VERSION - 1, format::VERSION + 1] {
        set_version(&mut bytes, other);
        let error = Place::new().open(&bytes).expect_err("another version");
        assert!(matches!(error, OpenError::Version { version, .. } if version == other));
        let message = error.to_string();
        assert!(message.contains(&format!("version {other} ")), "{message}");
        assert!(message.contains(&format!("version {}:", format::VERSION)), "{message}");
    }
}

fn set_version(bytes: &mut [u8], version: u16) {
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    let end = format::HEAD_SIZE + format::u32_at(bytes, 12) as usize;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), &bytes[format::HEAD_SIZE..end]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
}

/// A file whose chunks are all raw, without an end.
fn raw(samples: &[Sample], each: usize) -> Vec<u8> {
    let mut bytes = format::head(&samples::meta());
    let mut totals = [0_u64; 2];
    for some in samples.chunks(each) {
        for origin in [Origin::Host, Origin::Guest] {
            let own: Vec<_> = some.iter().filter(|sample| sample.origin() == origin).collect();
            let mut chunk = vec![0; format::CHUNK_SIZE];
            own.iter().for_each(|sample| chunk.extend(sample.to_bytes()));
            let (first, size) = (totals[origin as usize], (chunk.len() - format::CHUNK_SIZE) as u32);
            totals[origin as usize] += own.len() as u64;
            format::ChunkHead {
                content: format::Content::Records(origin),
                encoding: format::RAW,
                stored: size,
                decoded: size,
                records: own.len() as u32,
                first,
                guest_total: totals[0],
                host_total: totals[1],
            }
            .seal(&mut chunk);
            bytes.extend(chunk);
        }
    }
    bytes
}

#[test]
fn raw_chunks_are_read() {
    let samples = samples::every_kind();
    let trace = Place::new().open(&raw(&samples, 5)).expect("whole chunks");
    assert_eq!(trace.damage(), [Damage::NotClosed]);
    assert_eq!(samples_of(&trace), samples);
}

#[test]
fn a_compact_chunk_that_is_none_costs_its_rest_alone() {
    let mut bytes = file_of(&ticks(30), 10);
    let at_magic = |at: &usize| bytes[*at..].starts_with(&format::CHUNK_MAGIC);
    let start = (0..bytes.len()).filter(at_magic).nth(1).expect("a second chunk");
    let head = format::ChunkHead::peek(&bytes[start..]).expect("a chunk");
    assert_eq!(head.encoding, format::COMPACT);
    let end = start + format::CHUNK_SIZE + head.stored as usize;
    // A mask with a bit that no cell has, where the last record was.
    bytes[end - 12..end - 8].copy_from_slice(&[0, 8, 0xff, 0xff]);
    head.seal(&mut bytes[start..end]);
    let trace = Place::new().open(&bytes).expect("right CRCs");
    assert!(matches!(
        trace.damage(),
        [Damage::Malformed { .. }, Damage::Miscounted { said: 10, found: 9, .. }]
    ));
    assert_eq!(trace.events().count(), 29);
}

/// Each of many magics claims all that follows as its chunk: reading must not compute a CRC of all that for each.
#[test]
fn a_file_full_of_chunk_starts_opens_in_time() {
    let (bytes, ..) = small_file();
    let mut hostile = bytes.clone();
    let mut start = [0; format::CHUNK_SIZE];
    start[..8].copy_from_slice(&format::CHUNK_MAGIC);
    start[12..16].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    (0..4 << 20 >> 6).for_each(|_| hostile.extend_from_slice(&start));
    let trace = Place::new().open(&hostile).expect("a damaged file");
    assert_eq!(trace.events().count(), Place::new().open(&bytes).expect("a file").events().count());
}

#[test]
fn an_existing_file_is_replaced_only_if_asked() {
    let place = Place::new();
    fs::write(place.file(), "precious").expect("a file");
    let refused = Writer::create(&place.file(), false, &samples::meta()).expect_err("it exists");
    assert!(refused.to_string().contains("t.trap") && refused.to_string().contains("--force"), "{refused}");
    assert_eq!(fs::read(place.file()).expect("it is still there"), b"precious");
    Writer::create(&place.file(), true, &samples::meta()).expect("replaced").finish().expect("room");
    assert_eq!(Trace::open(&place.file()).expect("a trace").damage(), []);
}

#[test]
fn a_full_device_says_how_much_is_missing() {
    let full = std::path::Path::new("/dev/full");
    let error = Writer::create(full, false, &samples::meta()).expect_err("no room for the head");
    assert!(matches!(error, WriteError::Create { .. }), "{error}");
    assert!(error.to_string().contains("/dev/full"));
}

#[test]
fn a_copy_that_fails_takes_nothing() {
    let place = Place::new();
    let mut writer = Writer::create(&place.file(), false, &samples::meta()).expect("a new file");
    let refused = writer.guest_records(16, 1, |_| Err("not mapped"));
    assert!(matches!(refused, Ok(Err("not mapped"))));
    samples::write(&mut writer, &ticks(1)[0]);
    writer.finish().expect("room");
    let trace = Trace::open(&place.file()).expect("a trace");
    assert_eq!((trace.damage(), trace.events().count()), (&[][..], 1));
}

/// The format is a promise: these bytes must stay readable, and be what is written, for ever.
#[test]
fn the_bytes_of_a_tiny_chunk() {
    let bytes = file_of(&ticks(1), 1);
    let start = bytes.windows(8).position(|at| at == format::CHUNK_MAGIC).expect("a chunk");
    let chunk = &bytes[start..start + format::CHUNK_SIZE + 16];
    let hex: Vec<String> =
        chunk.chunks(8).map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    assert_eq!(hex, GOLDEN_CHUNK);
    assert_eq!(&bytes[..12], b"TRAPLINE\x03\0\x02\0");
    assert_eq!(bytes[bytes.len() - 16..], format::end_mark((start + chunk.len()) as u64));
}

const GOLDEN_CHUNK: [&str; 10] = [
    "c56368756e6b0d0a",
    "1508790d10000000",
    "0000000010000000",
    "0000000000000000",
    "0100000000000000",
    "0100000000000000",
    "0000000000000000",
    "0000000000000000",
    "e803000000000000",
    "0b00010000000000",
];
