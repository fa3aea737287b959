//! What the way through the kernel costs, counted in instructions: a host that emulates ring 0 counts each.

use std::process::Command;

use crate::run::run;
use crate::support::{self, TestResult, ensure};
use abi::record::HostCounter;
use libtest_mimic::Failed;
use trace::What;

/// The most instructions of ring 0 in a system call that does nothing, with its four records, of a Linux program.
const NULL_CALL_MAX: u64 = 181;
const CALLS: u64 = 2000;

/// The difference of two runs leaves out boot and end. There is no timer, so nothing else happens.
pub fn null_call() -> TestResult {
    let [once, twice] = [instructions(CALLS)?, instructions(2 * CALLS)?];
    let each = (twice - once).div_ceil(CALLS);
    ensure(each > 0 && each <= NULL_CALL_MAX, || {
        format!("{each} instructions a call, at most {NULL_CALL_MAX}")
    })
}

/// How many instructions KVM emulates in a run with so many calls.
fn instructions(calls: u64) -> Result<u64, Failed> {
    let folder = support::folder();
    let program = folder.path().join("null");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-mgeneral-regs-only", "-o"])
        .arg(&program);
    gcc.arg(format!("{}/../tests/fixtures/null.c", env!("CARGO_MANIFEST_DIR")));
    support::command(&mut gcc, folder.path())?.expect(0)?;
    let run = run(&[&format!("{} {calls}", program.display()), "--policy", "cooperative"], 0)?;
    let count = run.events.iter().find_map(|event| match event.what {
        What::HostCount { counter: HostCounter::KvmEmulated, value } => Some(value),
        _ => None,
    });
    count.ok_or_else(|| "KVM does not count emulated instructions".into())
}
