//! Registers: their values are the same after every interrupt, call and switch.
//!
//! To prove that the test finds faults, it also runs kernels with a fault: copies of the real one, with one instruction of the
//! return or of the switch replaced.

use std::process::Command;

use abi::record::REGISTERS;
use iced_x86::{Instruction, Mnemonic, Register};
use libtest_mimic::Failed;
use trace::What;

use crate::kernel::Code;
use crate::run::{run, run_on};
use crate::support::{self, TestResult, ensure};

/// Rounds of a canary: about two seconds for two of them and a hog, which is far less where all is emulated.
fn rounds() -> u64 {
    if support::is_emulated_host() { 60 } else { 1200 }
}

pub fn none_is_wrong() -> TestResult {
    let rounds = rounds();
    let [first, second] = [1, 2].map(|seed| format!("canary {seed} {rounds}"));
    let run = run(&[&first, &second, "hog 300", "--quantum", "1ms"], 0)?;
    let sung = run.output.stdout.matches(&format!("no register wrong in {rounds} rounds")).count();
    ensure(sung == 2, || format!("{:#?}", run.output))?;
    for process in [1, 2] {
        let preempted =
            |what: &&What| matches!(what, What::ContextSaved { reason: abi::record::Reason::Preempted, .. });
        let times = run.of(process).filter(preempted).count();
        ensure(times >= 10, || format!("canary {process} was preempted {times} times only"))?;
    }
    Ok(())
}

/// How often a canary may crash before it reports a wrong register: a tick before its check may change a pointer that it
/// needs.
const ATTEMPTS: usize = 8;

/// Runs two canaries on a kernel with a fault: in one of a few runs they must print `words`.
fn spoiled_says(kernel: &Code, words: &str) -> TestResult {
    let arguments = ["canary 1 400", "canary 2 400", "--quantum", "1ms", "--timeout", "10s"];
    let attempt = || run_on(kernel, &arguments, 32)?.says(words);
    (1..ATTEMPTS).map(|_| attempt()).find(Result::is_ok).unwrap_or_else(attempt)
}

/// The way out pops the registers and then skips two words, vector and error code: the instruction that does.
fn skip(kernel: &Code) -> Result<Instruction, Failed> {
    let skips = |instruction: &Instruction| {
        instruction.mnemonic() == Mnemonic::Add && instruction.op0_register() == Register::RSP
    };
    let way_out = kernel.function("timer_interrupt_common")?;
    way_out
        .into_iter()
        .find(skips)
        .ok_or("the return from the timer's interrupt does not skip vector and error code".into())
}

/// Kernels that pop these two words into a register instead.
pub fn spoiled_general_register() -> TestResult {
    for (name, pop) in REGISTERS.into_iter().zip(POPS) {
        let mut spoiled = Code::built_in()?;
        let skip = skip(&spoiled)?;
        spoiled.replace(&skip, &[pop, pop].concat());
        spoiled_says(&spoiled, &format!("canary: register {name} wrong"))?;
    }
    Ok(())
}

/// A kernel that inverts the carry flag on the return, by a jump through a stub that no trap uses.
pub fn spoiled_flags() -> TestResult {
    // add rsp, 16; xor qword ptr [rsp + 16], 1; iretq
    const DETOUR: [u8; 12] = [0x48, 0x83, 0xC4, 0x10, 0x48, 0x83, 0x74, 0x24, 0x10, 0x01, 0x48, 0xCF];
    const JUMP: u8 = 0xE9;
    let mut spoiled = Code::built_in()?;
    let unused = spoiled.function("spurious_stub")?[0];
    let skip = skip(&spoiled)?;
    let distance = unused.ip().wrapping_sub(skip.ip() + 5) as u32;
    spoiled.replace(&unused, &DETOUR);
    spoiled.replace(&skip, &[&[JUMP][..], &distance.to_le_bytes()].concat());
    spoiled_says(&spoiled, "canary: register rflags wrong")
}

/// `pop` of each register, in the order of [`REGISTERS`].
const POPS: [&[u8]; 15] = [
    &[0x41, 0x5F], // r15
    &[0x41, 0x5E],
    &[0x41, 0x5D],
    &[0x41, 0x5C],
    &[0x41, 0x5B],
    &[0x41, 0x5A],
    &[0x41, 0x59],
    &[0x41, 0x58], // r8
    &[0x5D],       // rbp
    &[0x5F],       // rdi
    &[0x5E],       // rsi
    &[0x5A],       // rdx
    &[0x59],       // rcx
    &[0x5B],       // rbx
    &[0x58],       // rax
];

/// A switch that forgets to store or to load the x87 and XMM registers, by whatever instruction this host takes.
pub fn spoiled_xmm_register() -> TestResult {
    let instructions = [[Mnemonic::Fxsave64, Mnemonic::Xsave64], [Mnemonic::Fxrstor64, Mnemonic::Xrstor64]];
    for forgotten in instructions {
        let mut spoiled = Code::built_in()?;
        let count = spoiled.remove(&forgotten);
        ensure(count > 1, || format!("the kernel has {count} of {forgotten:?}"))?;
        spoiled_says(&spoiled, "canary: register xmm")?;
    }
    Ok(())
}

pub fn spoiled_ymm_register() -> TestResult {
    spoiled_component(0b011, "canary: register ymm")
}

pub fn spoiled_mask_register() -> TestResult {
    spoiled_component(0b1100_0111, "canary: register k")
}

/// The upper halves of ZMM0 to ZMM15, and the registers from ZMM16 on, are components of their own.
pub fn spoiled_zmm_register() -> TestResult {
    spoiled_component(0b1010_0111, "canary: register zmm")?;
    spoiled_component(0b0110_0111, "canary: register zmm")
}

/// A switch that loads only these components of XCR0: between XSAVE and XRSTOR, `mov al, components` takes the place of
/// FNINIT.
fn spoiled_component(components: u8, words: &str) -> TestResult {
    const MOV_AL: u8 = 0xB0;
    let mut spoiled = Code::built_in()?;
    let is_fninit = |instruction: &Instruction| instruction.mnemonic() == Mnemonic::Fninit;
    let places: Vec<_> = spoiled.instructions().filter(is_fninit).collect();
    ensure(places.len() > 1, || "the kernel has no FNINIT".into())?;
    places.iter().for_each(|place| spoiled.replace(place, &[MOV_AL, components]));
    spoiled_says(&spoiled, words)
}

/// Two runs of an ordinary C program, each with a pattern of its own in a YMM register.
pub fn ymm_of_c() -> TestResult {
    let folder = support::folder();
    let program = folder.path().join("ymm");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-mavx", "-o"]).arg(&program);
    gcc.arg(format!("{}/../tests/fixtures/ymm.c", env!("CARGO_MANIFEST_DIR")));
    support::command(&mut gcc, folder.path())?.expect(0)?;
    let [first, second] = ["A", "B"].map(|letter| format!("{} {letter}", program.display()));
    let run = run(&[&first, &second, "--quantum", "1ms"], 0)?;
    for (process, letter) in [(1, "A"), (2, "B")] {
        run.says(&format!("{letter}: low half wrong 000, high half wrong 0000 bytes"))?;
        let preempted =
            |what: &&What| matches!(what, What::ContextSaved { reason: abi::record::Reason::Preempted, .. });
        let times = run.of(process).filter(preempted).count();
        ensure(times >= 10, || format!("{letter} was preempted {times} times only"))?;
    }
    Ok(())
}

/// A switch that forgets to load the base of FS or of GS.
pub fn spoiled_base() -> TestResult {
    for (forgotten, name) in [(Mnemonic::Wrfsbase, "fs base"), (Mnemonic::Wrgsbase, "gs base")] {
        let mut spoiled = Code::built_in()?;
        ensure(spoiled.remove(&[forgotten]) > 0, || format!("the kernel has no {forgotten:?}"))?;
        spoiled_says(&spoiled, &format!("canary: register {name} wrong"))?;
    }
    Ok(())
}

/// A switch that forgets to load one of the selectors.
pub fn spoiled_selector() -> TestResult {
    for (register, name) in
        [(Register::DS, "ds"), (Register::ES, "es"), (Register::FS, "fs"), (Register::GS, "gs")]
    {
        let mut spoiled = Code::built_in()?;
        let is_load = |instruction: &Instruction| {
            instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == register
        };
        let loads: Vec<_> = spoiled.instructions().filter(is_load).collect();
        ensure(!loads.is_empty(), || format!("the kernel does not load {name}"))?;
        loads.iter().for_each(|load| spoiled.replace(load, &[]));
        spoiled_says(&spoiled, &format!("canary: register {name} wrong"))?;
    }
    Ok(())
}

/// A switch that leaves the pointer to the last x87 operand where the CPU does not load it.
pub fn spoiled_operand_pointer() -> TestResult {
    let mut spoiled = Code::built_in()?;
    ensure(spoiled.remove(&[Mnemonic::Fninit]) > 0, || "the kernel does not clear the pointers".into())?;
    spoiled_says(&spoiled, "canary: register x87 operand wrong")
}
