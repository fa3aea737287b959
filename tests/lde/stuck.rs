//! A guest that spins in ring 0 with interrupts off: the host gets the machine back, and the trace is whole.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::handmade;
use crate::run::Run;
use crate::support::{self, Output, TestResult, ensure};

/// `cli`, then a jump to itself.
const SPIN: [u8; 3] = [0xFA, 0xEB, 0xFE];

pub fn hand_made_kernel() -> TestResult {
    let folder = support::folder();
    std::fs::write(folder.path().join("spin.elf"), handmade::kernel(&SPIN))?;
    let arguments = ["run", "hello", "--kernel", "spin.elf", "--timeout", "300ms", "--trace", "t.trap"];
    let output = support::trapline(folder.path(), &arguments)?.expect(36)?;
    let run = Run::read(output, &folder.path().join("t.trap"))?;
    ensure(run.summary.stopped == Some(abi::record::Stop::TimeOut), || format!("{:?}", run.summary))
}

pub fn interrupted() -> TestResult {
    let folder = support::folder();
    let out = folder.path().join("out");
    let arguments = ["run", "vandal interrupts", "--policy", "direct", "--trace", "t.trap"];
    let mut child = Command::new(support::binary())
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(Stdio::null())
        .spawn()?;
    // It prints its line just before it spins.
    while !std::fs::read_to_string(&out)?.contains("vandal: interrupts\n") {
        let ended = child.try_wait()?;
        ensure(ended.is_none(), || format!("it ended by itself: {ended:?}"))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT)?;
    let code = support::wait(&mut child, Duration::from_secs(60))?.code();
    ensure(code == Some(130), || format!("exit code {code:?}"))?;
    let output = Output { code: 130, stdout: std::fs::read_to_string(&out)?, stderr: String::new() };
    let run = Run::read(output, &folder.path().join("t.trap"))?;
    ensure(run.summary.stopped == Some(abi::record::Stop::Interrupted), || format!("{:?}", run.summary))
}
