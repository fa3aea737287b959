//! Traces made up for tests: a record of every kind, and the files that hold them.

use std::convert::Infallible;
use std::path::Path;

use abi::record::{Ending, Kind, REGISTERS, WORDS_MAX};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngSeed};

use super::{Meta, Origin, Program, Writer, format};

/// A record before it is bytes.
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
/// CS, SS and RFLAGS of user mode.
const USER: u64 = 0x246 << 32 | 0x1b << 16 | 0x23;
/// A frame of user mode.
const FRAME: [u64; 4] = [0xffff_ffff_8013_1fd8, 0x40_1007, 0x7fff_efd0, USER];

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
    add(Kind::Gate, 0, 0x80 | 0xEE << 8, &[0xffff_ffff_8010_1000]);
    add(Kind::Gate, 0, 8 | 0x8E << 8 | 1 << 16, &[0xffff_ffff_8010_0080]);
    add(
        Kind::ProcessCreated,
        1,
        0,
        &[0xffff_ffff_8012_0000, 0x20_0000, 0xffff_ffff_8013_2000, HELLO[0], HELLO[1]],
    );
    add(Kind::SegmentLoaded, 1, 5, &[0x40_1000, 0x2000, 0x1234]);
    add(Kind::SegmentLoaded, 1, 6 | 0x100, &[0x40_3000, 0x1000, 16]);
    add(Kind::StackBuilt, 1, 2, &[0x7fff_0000, 0x7fff_efe0, 0x7fff_efe8]);
    add(Kind::KernelStackFilled, 1, 0, &FRAME);
    add(Kind::ContextLoaded, 1, 0, &[context(7), vec![0x20_0000, 0xffff_ffff_8013_2000]].concat());
    add(Kind::TrapReturn, 1, 0xFFFF, &[&FRAME[..], &[0]].concat());
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
    add(Kind::Called, 1, 0, &[0x40_1007, 0x7fff_efd0, 2 << 32 | 0x10 << 16 | 8]);
    add(Kind::Returned, 1, 0, &[3]);
    add(Kind::FaultRedirected, 1, 13, &[0x40_1020, 0, 0x40_1100, 0x7fff_ef48]);
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
    let mut registers = [0; REGISTERS.len()];
    registers[14] = 1;
    add(Kind::TrapEntry, 1, 0xFE | 0xFE << 8, &FRAME);
    add(Kind::TrapEntry, 1, 0xFE | 14 << 8 | 5 << 16, &[&FRAME[..], &[0x1000, 0x1000]].concat());
    add(Kind::TrapEntry, 1, 14 | 14 << 8 | 6 << 16, &[&FRAME[..], &[0xdead_0000]].concat());
    add(Kind::TrapEntry, 1, 13 | 13 << 8, &FRAME);
    add(Kind::Registers, 1, 0, &registers);
    add(Kind::SystemCall, 1, 1, &[1, 0x40_1000, 6, 0, 0, 0, 1]);
    add(Kind::Data, 1, 1 | 6 << 8, &[u64::from_le_bytes(*b"hello\n\0\0")]);
    add(Kind::SystemCallResult, 1, 1, &[6]);
    add(Kind::SystemCall, 1, 999, &[1, 2, 3, 4, 5, u64::MAX, 999]);
    add(Kind::SystemCallResult, 1, 999, &[(-38i64) as u64]);
    add(Kind::SystemCallResult, 1, 39, &[1]);
    registers[14] = 6;
    add(Kind::Registers, 1, 1, &registers);
    add(Kind::TrapReturn, 1, 0xFE, &[&FRAME[..], &[6]].concat());
    add(Kind::Registers, 1, 0, &registers);
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

/// Gives a sample to a writer.
pub(crate) fn write(writer: &mut Writer, sample: &Sample) {
    if sample.origin() == Origin::Host {
        let kind = Kind::try_from(sample.kind).expect("a kind of the host's");
        let Sample { tsc, process, detail, words, .. } = sample;
        writer.host_record(*tsc, kind, *process, *detail, words).expect("room for a record");
        return;
    }
    write_guest(writer, &sample.to_bytes(), 1);
}

/// Gives bytes of the guest to a writer.
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
