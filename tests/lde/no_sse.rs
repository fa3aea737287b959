//! The kernel's code uses nothing but the integer instructions of every x86-64 CPU: XMM registers belong to the
//! processes, and there are hosts that emulate ring 0 without the rest.

use std::path::Path;
use std::process::Command;

use iced_x86::{CpuidFeature, Instruction, Mnemonic};
use libtest_mimic::Failed;

use crate::kernel::Code;
use crate::support::{self, TestResult, ensure};

/// What kernel code may use. FXSR and XSAVE have the instructions that move a process's registers; FSGSBASE and RDRAND are
/// used where CPUID has them; `fninit` is the one x87 instruction.
const ALLOWED: [CpuidFeature; 15] = [
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CPUID,
    CpuidFeature::MSR,
    CpuidFeature::TSC,
    CpuidFeature::CMOV,
    CpuidFeature::FXSR,
    CpuidFeature::XSAVE,
    CpuidFeature::FSGSBASE,
    CpuidFeature::RDRAND,
    CpuidFeature::PAUSE,
];

/// Multi-byte NOPs, which linkers and compilers pad with, have a feature bit of their own. A CPU without TZCNT takes its
/// bytes for BSF, and compilers write it where both give the same.
fn is_allowed(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Nop
        || instruction.mnemonic() == Mnemonic::Ud2
        || instruction.mnemonic() == Mnemonic::Tzcnt
        || instruction.mnemonic() == Mnemonic::Fninit
        || instruction.cpuid_features().iter().all(|feature| ALLOWED.contains(feature))
}

fn forbidden(code: &Code) -> Vec<String> {
    // Code that the kernel runs in user mode.
    let user: Vec<u64> =
        code.function("user_code").into_iter().flatten().map(|instruction| instruction.ip()).collect();
    let forbidden = code.instructions().filter(|instruction| !is_allowed(instruction));
    let forbidden = forbidden.filter(|instruction| !user.contains(&instruction.ip()));
    forbidden.map(|instruction| format!("{:#x}: {instruction}", instruction.ip())).collect()
}

pub fn kernel_is_free_of_it() -> TestResult {
    let code = Code::built_in()?;
    let count = code.instructions().count();
    ensure(count > 1000, || format!("only {count} instructions found"))?;
    let forbidden = forbidden(&code);
    ensure(forbidden.is_empty(), || forbidden.join("\n"))
}

pub fn a_patched_one_is_seen() -> TestResult {
    const XORPS: [u8; 3] = [0x0F, 0x57, 0xC0];
    let mut code = Code::built_in()?;
    let main = code.function("kernel_main")?;
    let room = main.iter().find(|instruction| instruction.len() >= XORPS.len());
    code.replace(room.ok_or("kernel_main has only short instructions")?, &XORPS);
    let forbidden = forbidden(&code);
    ensure(forbidden.len() == 1 && forbidden[0].contains("xorps"), || forbidden.join("\n"))
}

pub fn a_built_one_is_seen() -> TestResult {
    let code = Code::of(kernel_with_sse()?)?;
    ensure(!forbidden(&code).is_empty(), || "a kernel built with SSE has none".into())
}

/// Builds the kernel as ever, but for the flags that keep SSE out.
fn kernel_with_sse() -> Result<Vec<u8>, Failed> {
    const WITHOUT_SSE: &str = "-Ctarget-feature=-sse,-sse2";
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-with-sse");
    let flags = std::fs::read_to_string(guest.join("rustflags"))?;
    ensure(flags.contains(WITHOUT_SSE), || format!("guest/rustflags has no {WITHOUT_SSE}"))?;
    let flags: Vec<&str> =
        flags.lines().filter(|line| !line.starts_with('#') && *line != WITHOUT_SSE).collect();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&guest).args([
        "build",
        "--release",
        "--frozen",
        "--package",
        "kernel",
        "--target",
        TARGET,
    ]);
    cargo
        .arg("--target-dir")
        .arg(&built)
        .env("RUSTFLAGS", flags.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    support::command(&mut cargo, support::folder().path())?.expect(0)?;
    Ok(std::fs::read(built.join(TARGET).join("release/kernel"))?)
}

/// The prebuilt `core::fmt` uses SSE; none of it may be in the kernel.
pub fn no_formatting() -> TestResult {
    let code = Code::built_in()?;
    let formatting: Vec<&str> = code.names().filter(|name| name.contains("4core3fmt")).collect();
    ensure(formatting.is_empty(), || formatting.join("\n"))
}
