//! Protection: the kernel refuses what programs may not do, and no other process is affected.

use abi::exit::{ALL_WELL, KERNEL_PANIC, PROCESS_FAILED};
use abi::syscall::Call;
use abi::syscall::errno::ENOSYS;
use trace::{Boot, What};

use crate::kernel::Code;
use crate::run::{DIVIDE_ERROR, run, run_on};
use crate::support::{TestResult, ensure};

pub fn forgeries() -> TestResult {
    let run = run(&["forger"], 0)?;
    run.says(" forgeries, 0 unexpected results")?;
    let mut calls = run.of(1);
    while let Some(what) = calls.next() {
        let What::SystemCall { number, .. } = *what else { continue };
        let result = calls.find_map(|what| match what {
            What::SystemCallResult { result, .. } => Some(*result),
            What::ProcessExited { .. } => Some(0),
            _ => None,
        });
        let known = Call::from_number(number).is_some();
        ensure(known || result == Some(-ENOSYS), || format!("call {number:#x} gave {result:?}"))?;
    }
    Ok(())
}

pub fn thieves() -> TestResult {
    let run = run(&["thief", "thief", "--quantum", "1ms"], 0)?;
    run.says("process 1 finds 1\n")?;
    run.says("process 2 finds 2\n")
}

/// The trace has the addresses of the trap stubs. A program that knows them cannot use them either.
pub fn jumps() -> TestResult {
    let boot = run(&["hello"], 0)?;
    let handlers = boot.events.iter().flat_map(|event| match event.what {
        What::Gates { first, table } => table.from(first).map(|gate| gate.handler).collect(),
        What::Boot(Boot::SyscallHandler { lstar, .. }) => vec![lstar],
        _ => vec![],
    });
    // Each stub, and the middle of it.
    let places: Vec<String> =
        handlers.flat_map(|stub| [stub, stub + 2]).map(|place| format!("{place:#x}")).collect();
    for places in places.chunks(16) {
        let jumper = format!("jumper {}", places.join(" "));
        run(&[&jumper], 0)?.says("jumper: 0 unexpected results")?;
    }
    Ok(())
}

pub fn privileged() -> TestResult {
    let run = run(&["privileged"], 0)?;
    run.says("privileged: popf of IF and IOPL: ignored")?;
    run.says("privileged: 0 were allowed")
}

pub fn page_ends() -> TestResult {
    run(&["pages"], 0)?.says(", 0 unexpected results")
}

/// Kernels in which the stub of #DE says #DF or #MC: a division by zero in user mode must then panic the kernel, though
/// the saved CS is the process's.
pub fn aborts() -> TestResult {
    const STUB_PUSHES: [u8; 4] = [0x6A, 0, 0x6A, DIVIDE_ERROR];
    for vector in [8, 18] {
        let mut changed = Code::built_in()?;
        let stub = changed.function("trap_stubs")?[0];
        changed.replace(&stub, &[&STUB_PUSHES[..3], &[vector]].concat());
        let run = run_on(&changed, &["divider"], KERNEL_PANIC as i32)?;
        run.says("panic: an exception in kernel mode")?;
    }
    Ok(())
}

/// Programs that do what they may not, and the exit code of a run with them.
const MISBEHAVERS: [(&str, u32); 18] = [
    ("divider", PROCESS_FAILED),
    ("wild", PROCESS_FAILED),
    ("wild 0xffffffff80200000", PROCESS_FAILED),
    ("rogue", PROCESS_FAILED),
    ("overflow", PROCESS_FAILED),
    ("vandal interrupts", PROCESS_FAILED),
    ("vandal write", PROCESS_FAILED),
    ("vandal text", PROCESS_FAILED),
    ("vandal table", PROCESS_FAILED),
    ("vandal data", PROCESS_FAILED),
    ("vandal off", PROCESS_FAILED),
    ("vandal segment", PROCESS_FAILED),
    ("deep 100 3", PROCESS_FAILED),
    ("forger", ALL_WELL),
    ("thief", ALL_WELL),
    ("jumper", ALL_WELL),
    ("privileged", ALL_WELL),
    ("pages", ALL_WELL),
];

pub fn no_process_harms_another() -> TestResult {
    for (program, code) in MISBEHAVERS {
        for policy in ["rr", "cooperative"] {
            let programs = ["canary 1 5", program, "counter 10", "--quantum", "1ms", "--policy", policy];
            let run = run(&programs, code as i32)?;
            run.exits(1, 0)?;
            run.exits(3, 0)?;
            run.says("counter: 1 + ... + 1000000 = 500000500000, right")?;
            run.says("canary: no register wrong in 5 rounds")?;
        }
    }
    Ok(())
}
