//! Random code on a real vCPU: as a kernel, with the devices attached, and as programs of the built-in kernel.
//!
//! The code is made of pieces: plain random bytes, and instructions that reach the devices, the CPU's tables and the
//! kernel, with operands that are often wrong in a way that matters. The same code runs each time;
//! `TRAPLINE_RANDOM_SEED=N` chooses other code, and a failure names the seed and the smallest code that fails.

use std::cell::RefCell;
use std::time::Duration;

use abi::ports::{ATTACH, CONSOLE, DOORBELL, EXIT, OUTPUT};
use abi::record::{BUFFER_MAGIC, BufferHead, Ending};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use trace::{Meta, Trace, Writer};
use trapline::devices::{Budget, Console, Doorbell, ExitPort, Streams};
use trapline::machine::bus::Bus;
use trapline::machine::layout::{self, MEMORY_MIN_MIB};
use trapline::machine::vcpu::Vm;
use trapline::machine::{boot, host, kick, run};
use trapline::run::{Program, Run};

use crate::handmade::{self, PROGRAM, PROGRAM_DATA};
use crate::support::{Suite, TestResult, ensure, folder, is_emulated_host, property};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("random::kernels_harm_nothing", kernels_harm_nothing)
        .kvm("random::programs_harm_nothing", programs_harm_nothing)
}

/// How many kernels run, and how many groups of programs. Each test takes a second or two, much longer on emulated
/// hardware.
fn cases() -> (u32, u32) {
    if is_emulated_host() { (40, 4) } else { (150, 15) }
}
/// The longest time that a kernel may take. Most kernels end earlier.
const KERNEL_TIME: Duration = Duration::from_micros(500);
/// The longest time that a group of programs may take.
const PROGRAMS_TIME: Duration = Duration::from_millis(150);
/// The number of programs in a group.
const GROUP: usize = 16;

/// The address of the trace buffer of random kernels.
const BUFFER: u32 = 0x20_0000;

type Piece = Vec<u8>;

fn pieces(kinds: impl Strategy<Value = Piece>) -> impl Strategy<Value = Vec<u8>> {
    vec(kinds, 1..24).prop_map(|pieces| pieces.concat())
}

/// Bytes followed by a little-endian operand.
fn with(bytes: &[u8], operand: u32) -> Piece {
    [bytes, &operand.to_le_bytes()].concat()
}

fn bytes() -> impl Strategy<Value = Piece> {
    vec(any::<u8>(), 1..9)
}

/// Numbers that are often boundary values.
fn number() -> impl Strategy<Value = u32> {
    let edges = [0, 1, 24, 4096, BUFFER, BUFFER / 4096, 0x7FFF_FFFF, u32::MAX, BUFFER_MAGIC];
    prop_oneof![select(edges.to_vec()), any::<u32>(), 0_u32..2048]
}

/// 32-bit code of ring 0.
fn kernel_piece() -> impl Strategy<Value = Piece> {
    let port = prop_oneof![
        select(&[ATTACH, DOORBELL, OUTPUT, CONSOLE, EXIT][..]),
        (ATTACH - 4..ATTACH + 20),
        any::<u16>()
    ];
    // mov edx, PORT; mov eax, VALUE; an `in` or `out` of any size, a string too.
    let accesses = [&[0xEE][..], &[0x66, 0xEF], &[0xEF], &[0xEC], &[0xED], &[0x6E], &[0x6F], &[0x6D]];
    let access = (port, number(), select(accesses.to_vec())).prop_map(|(port, value, access)| {
        [with(&[0xBA], port.into()), with(&[0xB8], value), access.to_vec()].concat()
    });
    // mov dword [a word of the buffer's head], VALUE
    let head =
        (0_u32..8, number()).prop_map(|(word, value)| with(&with(&[0xC7, 0x05], BUFFER + 4 * word), value));
    // mov dword [ADDRESS], VALUE; mov eax, [ADDRESS]
    let places = prop_oneof![number(), Just(0xFEE0_0000), Just(0xD000_0000), 0xFEE0_0000_u32..0xFEE0_0400];
    let memory = (places, number()).prop_map(|(address, value)| {
        [with(&with(&[0xC7, 0x05], address), value), with(&[0xA1], address)].concat()
    });
    // mov ecx, MSR; rdmsr, wrmsr, cpuid or a control register.
    let system = [
        &[0x0F, 0x32][..],
        &[0x0F, 0x30],
        &[0x0F, 0xA2],
        &[0x0F, 0x22, 0xC0],
        &[0x0F, 0x22, 0xD8],
        &[0x0F, 0x22, 0xE0],
        &[0x0F, 0x01, 0x11],
        &[0x0F, 0x01, 0x19],
        &[0x0F, 0x00, 0xD8],
        &[0x8E, 0xD0],
        &[0xFB],
        &[0xFA],
        &[0xF4],
        &[0xCC],
        &[0xCF],
        &[0x9D],
    ];
    let registers = prop_oneof![number(), 0xC000_0080_u32..0xC000_0084, Just(0x1B), Just(0x10)];
    let system = (registers, number(), select(system.to_vec())).prop_map(|(register, value, instruction)| {
        [with(&[0xB9], register), with(&[0xB8], value), instruction.to_vec()].concat()
    });
    // A backward jump.
    let jump = (0_u8..40).prop_map(|back| vec![0xEB, 0xFEu8.wrapping_sub(back)]);
    prop_oneof![3 => bytes(), 4 => access, 3 => head, 2 => memory, 2 => system, 1 => jump]
}

/// Attaches a buffer, so that random bells have a buffer.
fn attach() -> Vec<u8> {
    let sizes = u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16;
    let store = |(word, value): (u32, u32)| with(&with(&[0xC7, 0x05], BUFFER + 4 * word), value);
    let mut code = [(0, BUFFER_MAGIC), (1, sizes), (2, 8192)].map(store).concat();
    code.extend(with(&[0xBA], ATTACH.into()));
    code.extend(with(&[0xB8], BUFFER / 4096));
    code.push(0xEF);
    code
}

fn kernels_harm_nothing() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let kernels = (any::<bool>(), pieces(kernel_piece()));
    property(cases().0, &kernels, |(is_attached, code)| {
        let code = if is_attached { [attach(), code].concat() } else { code };
        let memory = layout::reserve(MEMORY_MIN_MIB)?;
        let entry = boot::load(&memory, &handmade::kernel(&code), &[])?;
        let mut vm = Vm::new(&host::open()?, memory.clone())?;
        vm.vcpu.prepare(entry)?;
        let clock = vm.vcpu.clock(vm.vcpu.tsc_khz()?)?;
        let mut doorbell = Doorbell::new(&memory, Writer::create(&path, true, &Meta::default())?, 1 << 20);
        let budget = Budget::new(1 << 20);
        let console = RefCell::new(Console::new(Vec::new(), &budget));
        let mut console_port = &console;
        let mut streams = Streams::new(&memory, &console, Vec::new(), &budget);
        let mut exit = ExitPort;
        let mut bus = Bus::new();
        bus.attach(&mut doorbell)?;
        bus.attach(&mut console_port)?;
        bus.attach(&mut streams)?;
        bus.attach(&mut exit)?;
        let watch = kick::Watch::start(Some(KERNEL_TIME))?;
        let ended = run::run(&mut vm, &mut bus, &clock);
        drop(watch);
        drop(bus);
        let missing = doorbell.missing();
        doorbell.into_trace()?.finish()?;
        let trace = Trace::open(&path)?;
        // The missing records were counted, and nothing else is damaged.
        let found = trace.events().count() as u64;
        let damage = trace.damage();
        ensure(damage.is_empty() || missing > 0, || format!("{damage:?}, {found} events, {:?}", ended.end))
    })
}

/// Addresses that are often wrong in a way that matters.
fn address() -> impl Strategy<Value = u64> {
    let edges = [
        0,
        1,
        PROGRAM,
        PROGRAM_DATA,
        PROGRAM_DATA + 0xFFC,
        0x7FFF_FFFF_E000,
        0x7FFF_FFFF_FFFF,
        0x8000_0000_0000,
        0xFFFF_7FFF_FFFF_FFFF,
        0xFFFF_8000_0000_0000,
        0xFFFF_FFFF_8010_0000,
        u64::MAX,
    ];
    prop_oneof![4 => select(edges.to_vec()), 1 => any::<u64>(), 2 => 0_u64..64]
}

/// 64-bit code of ring 3.
fn program_piece() -> impl Strategy<Value = Piece> {
    // mov rdi, rsi, rdx, r10, r8; mov eax, NUMBER; syscall
    let registers: [[u8; 2]; 5] = [[0x48, 0xBF], [0x48, 0xBE], [0x48, 0xBA], [0x49, 0xBA], [0x49, 0xB8]];
    let load = move |values: [u64; 5]| {
        let each =
            registers.iter().zip(values).map(|(load, value)| [&load[..], &value.to_le_bytes()].concat());
        each.collect::<Vec<_>>().concat()
    };
    let numbers = prop_oneof![0_u32..340, any::<u32>()];
    let call = (proptest::array::uniform5(address()), numbers)
        .prop_map(move |(values, number)| [load(values), with(&[0xB8], number), vec![0x0F, 0x05]].concat());
    let privileged = [
        &[0xF4][..],
        &[0xFA],
        &[0xFB],
        &[0xEC],
        &[0xEF],
        &[0xCC],
        &[0xCD, 0x20],
        &[0xCD, 0x80],
        &[0xCD, 0x08],
        &[0xCD, 0x0E],
        &[0x0F, 0x0B],
        &[0x0F, 0x32],
        &[0x0F, 0x30],
        &[0x0F, 0x07],
        &[0x48, 0x0F, 0x07],
        &[0x48, 0xCF],
        &[0x48, 0xCB],
        &[0x0F, 0x01, 0xF8],
        &[0x0F, 0x01, 0x10],
        &[0x0F, 0x20, 0xD8],
        &[0x0F, 0x06],
        &[0x0F, 0x09],
        &[0x8E, 0xD0],
        &[0x8E, 0xD8],
        &[0x8E, 0xE8],
        &[0xF3, 0xAA],
        &[0xF3, 0xA4],
        &[0x0F, 0xAE, 0x0F],
        &[0x48, 0xF7, 0xF0],
        &[0x9D],
        &[0xC3],
        &[0xFF, 0xE0],
        &[0x0F, 0xA2],
    ];
    // mov rax, rsp, rdi, rcx = VALUE; an instruction
    let privileged = (address(), select(&[0xB8_u8, 0xBC, 0xBF, 0xB9][..]), select(privileged.to_vec()))
        .prop_map(|(value, register, instruction)| {
            [&[0x48, register][..], &value.to_le_bytes(), instruction].concat()
        });
    // push FLAGS; popfq: with the trap flag, the direction flag, AC, NT and IOPL.
    let flags = select(&[0x100_u32, 0x400, 0x4_0000, 0x4000, 0x3000, 0x4_0700, 0xFFFF_FFFF][..])
        .prop_map(|flags| [with(&[0x68], flags), vec![0x9D]].concat());
    let jump = (0_u8..40).prop_map(|back| vec![0xEB, 0xFEu8.wrapping_sub(back)]);
    prop_oneof![2 => bytes(), 4 => call, 3 => privileged, 1 => flags, 1 => jump]
}

/// The kernel survives all programs: it ends by itself or with the time-out.
fn programs_harm_nothing() -> TestResult {
    let folder = folder();
    property(cases().1, &vec(pieces(program_piece()), GROUP), |codes| {
        let mut programs = Vec::new();
        for (number, code) in codes.iter().enumerate() {
            let path = folder.path().join(format!("p{number}"));
            std::fs::write(&path, handmade::program(code))?;
            programs.push(Program::from_file(&path)?);
        }
        let mut run = Run::new(programs);
        run.settings.quantum_us = 1000;
        run.timeout = Some(PROGRAMS_TIME);
        run.max_output = 1 << 20;
        let outcome = run.execute()?;
        let ended = outcome.end.ending;
        let statuses = [abi::exit::ALL_WELL, abi::exit::PROCESS_FAILED, abi::exit::DEADLOCK].map(u64::from);
        let is_fine = match ended {
            Ending::Exited => statuses.contains(&outcome.end.status),
            Ending::Stopped | Ending::OutputLimit => true,
            _ => false,
        };
        ensure(is_fine && outcome.missing == 0, || format!("{outcome:?}"))?;
        let trace = outcome.trace()?;
        ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
    })
}
