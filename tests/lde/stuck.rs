//! A guest that spins in ring 0 with interrupts off: the host gets the machine back, and the trace is whole.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::Run;
use crate::support::{self, Output, TestResult, ensure};

/// `cli`, then a jump to itself.
const SPIN: [u8; 3] = [0xFA, 0xEB, 0xFE];
/// Where the hand-made kernel lies and starts.
const ADDRESS: u64 = 0x10_0000;

/// An ELF file of a header, two program headers, the note of PVH and three bytes of code.
fn spinning_kernel() -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const NOTE_AT: u64 = HEADER + 2 * PROGRAM_HEADER;
    let mut note = Vec::new();
    // Name size, size of what follows it, XEN_ELFNOTE_PHYS32_ENTRY.
    [4_u32, 8, 18].iter().for_each(|word| note.extend(word.to_le_bytes()));
    note.extend(b"Xen\0");
    let code_at = NOTE_AT + note.len() as u64 + 8;
    note.extend((ADDRESS + code_at).to_le_bytes());

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for x86-64.
    [2_u16, 62].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    [ADDRESS + code_at, HEADER, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    let sizes = [HEADER as u16, PROGRAM_HEADER as u16, 2, 64, 0, 0];
    sizes.iter().for_each(|word| file.extend(word.to_le_bytes()));
    let size = code_at + SPIN.len() as u64;
    for (kind, flags, at, size) in [(1_u32, 5_u32, 0, size), (4, 4, NOTE_AT, note.len() as u64)] {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        let words = [at, ADDRESS + at, ADDRESS + at, size, size, 4];
        words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    }
    file.extend(note);
    file.extend(SPIN);
    file
}

pub fn hand_made_kernel() -> TestResult {
    let folder = support::folder();
    std::fs::write(folder.path().join("spin.elf"), spinning_kernel())?;
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
    // Its line is the last that it does before it spins.
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
