//! Traces made up for tests: a record of every kind, and the files that hold them.

use std::convert::Infallible;
use std::path::Path;

use abi::record::{ARGUMENTS, Ending, FRAME, Kind, WORDS_MAX};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngSeed};

use super::{Meta, Origin, Program, Writer, format};

/// A record that is not encoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) tsc: u64,
    pub(crate) kind: u8,
    pub(crate) process: u16,
    pub(crate) detail: u32,
    pub(crate) words: Vec<u64>,
}

impl Sample {
    pub(crate) fn origin(&self) -> Origin {
        if self.kind >= abi::record::FIRST_HOST_KIND { Origin::Host } else { Origin::Guest }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        format::push_record(&mut bytes, self.tsc, self.kind, self.process, self.detail, &self.words);
        bytes
    }
}

/// "hello" as a name is stored.
pub(crate) const HELLO: [u64; 2] = [u64::from_le_bytes(*b"hello\0\0\0"), 0];
/// A trap frame of user mode as the words of a record: its address, the registers of which only RAX is not 0, and the rest.
pub(crate) fn frame(vector: u64, error_code: u64, rax: u64) -> Vec<u64> {
    let mut words = vec![0; 1 + FRAME.len()];
    words[0] = 0xffff_ffff_8013_1fd8;
    words[15] = rax;
    words[16..].copy_from_slice(&[vector, error_code, 0x40_1007, 0x23, 0x246, 0x7fff_efd0, 0x1b]);
    words
}

/// A trap entry: a frame, RFLAGS of the handler, then CR2 and RIP as they arrived.
pub(crate) fn entry(vector: u64, error_code: u64, rax: u64, arrived: [u64; 2]) -> Vec<u64> {
    [frame(vector, error_code, rax), vec![2], arrived.to_vec()].concat()
}

fn context(r12: u64) -> Vec<u64> {
    vec![0xffff_ffff_8012_0000, 0, 0, r12, 0, 0, 0, 0xffff_ffff_8013_1f00, 0xffff_ffff_8010_2345]
}

/// A record of every kind, and of some in all their forms, a microsecond apart at 2 GHz.
pub(crate) fn every_kind() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |kind: Kind, process: u16, detail: u32, words: &[u64]| {
        let tsc = 1_000_000 + 2000 * samples.len() as u64;
        samples.push(Sample { tsc, kind: kind as u8, process, detail, words: words.to_vec() });
    };
    add(Kind::HostClock, 0, 0, &[5, 1_700_000_000_000_000_000]);
    boot(&mut add);
    add(Kind::Gates, 0, 0x80, &[0x8010_EE00_0008_1000, 0xffff_ffff]);
    add(Kind::Gates, 0, 8, &[0x8010_8E01_0008_0080, 0xffff_ffff, 0x8010_8E00_0008_0090, 0xffff_ffff]);
    add(
        Kind::ProcessCreated,
        1,
        0,
        &[0xffff_ffff_8012_0000, 0x20_0000, 0xffff_ffff_8013_2000, HELLO[0], HELLO[1]],
    );
    add(Kind::SegmentLoaded, 1, 5, &[0x40_1000, 0x2000, 0x1234]);
    add(Kind::SegmentLoaded, 1, 6 | 0x100, &[0x40_3000, 0x1000, 16]);
    add(Kind::StackBuilt, 1, 2, &[0x7fff_0000, 0x7fff_efe0, 0x7fff_efe8]);
    add(Kind::KernelStackFilled, 1, 0, &frame(0xFFFF, 0, 0));
    add(Kind::ContextLoaded, 1, 0, &[context(7), vec![0x20_0000, 0xffff_ffff_8013_2000]].concat());
    add(Kind::TrapReturn, 1, 0, &frame(0xFFFF, 0, 0));
    traps(&mut add);
    add(Kind::ContextSaved, 1, 0, &context(7));
    add(Kind::ContextSaved, 1, 1, &context(8));
    add(Kind::ContextLoaded, 1, 2, &[context(8), vec![0x20_0000, 0xffff_ffff_8013_2000]].concat());
    add(Kind::ContextLoaded, 1, 0, &[context(9), vec![0x20_0000, 0xffff_ffff_8013_2000]].concat());
    add(Kind::Sleep, 1, 0, &[77]);
    add(Kind::Idle, 0, 0, &[]);
    add(Kind::Wake, 1, 0, &[77]);
    add(Kind::ProcessExited, 1, 0, &[3]);
    add(Kind::ProcessKilled, 2, 14 | 6 << 16, &[0x40_1020, 0xdead_0000]);
    add(Kind::ProcessFreed, 1, 0, &[12]);
    add(Kind::LoadFailed, 3, 2, &HELLO);
    let mut called = frame(0xFFFF, 0, 0);
    (called[19], called[20], called[22]) = (8, 2, 0x10);
    add(Kind::Called, 1, 0, &called);
    add(Kind::Returned, 1, 0, &[3]);
    add(Kind::FaultRedirected, 1, 13, &[0x40_1020, 0, 0x40_1100, 0x7fff_ef48]);
    add(Kind::PageResolved, 1, 3 | 1 << 8, &[0x4a_8000, 0x80_1000]);
    add(Kind::Blocked, 1, 0, &[2, u64::MAX]);
    add(Kind::Blocked, 1, 5, &[0, 2_000_000]);
    add(Kind::Woken, 1, 2 << 16, &[2]);
    add(Kind::Cloned, 4, 1, &[0x120_0000]);
    add(Kind::Executed, 4, 0, &[[0x60_0000].as_slice(), &HELLO].concat());
    add(Kind::SignalSent, 4, 11 | 1 << 16, &[-6_i64 as u64, 0]);
    add(Kind::SignalSent, 4, 17 | 1 << 8 | 5 << 16, &[1, 3]);
    add(Kind::SequenceAborted, 4, 0, &[0x40_1020, 0x40_1100]);
    add(Kind::SignalDelivered, 4, 11, &[0x7fff_e000, 0x40_1200, 0x40_1020, 0x7fff_ef48, 7]);
    add(Kind::SignalReturned, 4, 0, &[0x7fff_e000, 0x40_1020, 0x7fff_ef48, 7]);
    add(Kind::ProcessSignaled, 4, 15, &[0, 1]);
    add(Kind::ProcessSignaled, 4, 9, &[abi::record::NO_MEMORY as u64, 0]);
    add(Kind::Deadlock, 0, 0, &[2]);
    add(Kind::Memory, 0, 0, &[14_000, 14_000]);
    add(Kind::KernelPanic, 0, 14, &[0x1, 2, 3, 4, 0x202]);
    add(Kind::KernelPanic, 0, 259, &[0; 5]);
    add(Kind::HostExits, 0, 2, &[10, 20, 30]);
    add(Kind::HostCount, 0, 8, &[9]);
    add(Kind::HostStop, 0, 1, &[]);
    add(Kind::HostEnd, 0, 36, &[Ending::Stopped as u64, 0, 0x40_1000]);
    samples
}

fn boot(add: &mut impl FnMut(Kind, u16, u32, &[u64])) {
    let steps: [&[u64]; 9] = [
        &[0x10_0000, 0x14_0000, 60 << 20],
        &[0x1000, 0x2000],
        &[0x3000, 34],
        &[0xffff_ffff_8010_0000, 0x13_0008_0000_0000, 0x700],
        &[0x8001_0033, 0x620, 0xd01],
        &[2_000_000, 1_000_000, 999_998, 1],
        &[0xE, 6],
        &[0, 10_000, 1024],
        &[1],
    ];
    for (step, words) in (1..).zip(steps) {
        add(Kind::Boot, 0, step, words);
    }
}

fn traps(add: &mut impl FnMut(Kind, u16, u32, &[u64])) {
    add(Kind::TrapEntry, 1, 0xFE, &entry(0xFE, 0, 1, [0, 0x40_1007]));
    add(Kind::TrapEntry, 1, 14, &entry(0xFE, 5, 1, [0x1000, 0x1000]));
    add(Kind::TrapEntry, 1, 14, &entry(14, 6, 1, [0xdead_0000, 0x40_1007]));
    add(Kind::TrapEntry, 1, 13, &entry(13, 0, 1, [0, 0x40_1007]));
    let mut write = entry(0xFE, 0, 1, [0, 0x40_1007]);
    (write[10], write[11], write[12]) = (1, 0x40_1000, 6);
    add(Kind::TrapEntry, 1, 0xFE, &write);
    add(Kind::SystemCall, 1, 0, &[1]);
    add(Kind::Data, 1, 1 | 6 << 8, &[u64::from_le_bytes(*b"hello\n\0\0")]);
    add(Kind::SystemCallResult, 1, 1, &[6]);
    let mut unknown = write.clone();
    for (register, value) in ARGUMENTS.into_iter().zip([1, 2, 3, 4, 5, u64::MAX]) {
        unknown[1 + register] = value;
    }
    add(Kind::TrapEntry, 1, 0xFE, &unknown);
    add(Kind::SystemCall, 1, 0, &[999]);
    add(Kind::SystemCallResult, 1, 999, &[(-38i64) as u64]);
    add(Kind::SystemCallResult, 1, 39, &[1]);
    let mut done = unknown[..1 + FRAME.len()].to_vec();
    done[15] = 6;
    add(Kind::TrapReturn, 1, 0, &done);
    add(Kind::TrapEntry, 1, 0x20, &entry(0x20, 0, 6, [0, 0x40_1007]));
    add(Kind::Tick, 1, 4, &[]);
    add(Kind::TimerArmed, 0, 1, &[10_000, 20_000_000]);
}

/// The run that the samples are of.
pub(crate) fn meta() -> Meta {
    let mut meta = Meta { abi_version: abi::VERSION, trapline_version: "0.1.0".into(), ..Meta::default() };
    meta.tsc_khz = 2_000_000;
    meta.host_cpu = "A CPU".into();
    meta.kvm_backend = "kvm_amd".into();
    meta.programs.push(Program { name: "hello".into(), arguments: vec!["you".into()], ..Program::default() });
    meta.options.policy = "rr".into();
    meta.options.quantum_us = 10_000;
    meta.options.timer = "periodic".into();
    meta
}

/// Writes a sample.
pub(crate) fn write(writer: &mut Writer, sample: &Sample) {
    if sample.origin() == Origin::Host {
        let kind = Kind::try_from(sample.kind).expect("a kind of the host's");
        let Sample { tsc, process, detail, words, .. } = sample;
        writer.host_record(*tsc, kind, *process, *detail, words).expect("room for a record");
        return;
    }
    write_guest(writer, &sample.to_bytes(), 1);
}

/// Writes bytes of the guest.
pub(crate) fn write_guest(writer: &mut Writer, bytes: &[u8], records: u64) {
    let copied = writer.guest_records(bytes.len(), records, |room| {
        room.copy_from_slice(bytes);
        Ok::<(), Infallible>(())
    });
    assert!(matches!(copied, Ok(Ok(()))));
}

/// Writes a trace file of samples, with a new chunk after each `each` of them.
pub(crate) fn write_file(path: &Path, samples: &[Sample], each: usize) {
    let mut writer = Writer::create(path, false, &meta()).expect("a new file");
    for some in samples.chunks(each) {
        some.iter().for_each(|sample| write(&mut writer, sample));
        writer.flush().expect("room for a chunk");
    }
    writer.finish().expect("room for the end");
}

/// How properties are tested: on so many cases, the same ones at every run.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..Config::default() }
}

/// A record of the guest: of any kind, known or not, with any number of words.
pub(crate) fn any_sample() -> impl Strategy<Value = Sample> {
    let words = vec(any::<u64>(), 0..=WORDS_MAX);
    let parts = (any::<u64>(), 1..abi::record::FIRST_HOST_KIND, 0..4_u16, any::<u32>(), words);
    parts.prop_map(|(tsc, kind, process, detail, words)| Sample { tsc, kind, process, detail, words })
}
