//! Programs that try to harm the kernel or another process: `attacks.c`, with glibc and with musl.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{self, Need, Suite, TestResult, compile, ensure};

/// Adds the tests of this file.
pub fn add(mut suite: Suite) -> Suite {
    for (library, compiler) in [("glibc", "gcc"), ("musl", "musl-gcc")] {
        let needs = [Need::Kvm, Need::Tool(compiler)];
        suite = suite
            .needs(&needs, &format!("attacks_harm_no_other_process_{library}"), move || attacks(compiler));
    }
    suite
}

/// The machine has little memory, because some attempts use all of it.
fn attacks(compiler: &str) -> TestResult {
    let folder = support::folder();
    let program = compile(compiler, "attacks", folder.path())?;
    let rubbish = write_rubbish(&folder.path().join("rubbish"))?;
    let program = program.to_str().ok_or("a path that is no text")?;
    let mut arguments = vec![
        "run",
        "--timeout",
        "100s",
        "--memory",
        "12M",
        "--trace",
        "t.trap",
        "--file",
        "rubbish",
        "--",
        program,
    ];
    arguments.extend(rubbish.iter().map(String::as_str));
    // Some of its processes are killed.
    let output = support::trapline(folder.path(), &arguments)?.expect(32)?;
    // A call with any sizes fails or does what it says, so this attempt goes on to its end.
    for line in ["\nmappings: status 0\n", "\nthe canary is unharmed\n"] {
        ensure(output.stdout.contains(line), || format!("{line:?}: {output:#?}"))?;
    }
    support::trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop)
}

/// A program of one segment that ends at once: ELF header, program header, `mov eax, 60; syscall`.
fn tiny_program() -> Vec<u8> {
    const START: u64 = 0x40_0000;
    const SIZE: u64 = 64 + 56 + 7;
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = vec![0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0];
    file.extend(words(&[START + SIZE - 7, 64, 0]));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    file.extend(words(&[0, START, START, SIZE, SIZE, 0x1000]));
    file.extend([0xB8, 60, 0, 0, 0, 0x0F, 0x05]);
    file
}

/// Writes files that are no programs, or whose headers lie, and returns their paths.
fn write_rubbish(folder: &Path) -> Result<Vec<String>, libtest_mimic::Failed> {
    /// Where the ELF header has the entry point and the table, and the program header offset, address and sizes.
    const FIELDS: [usize; 6] = [24, 32, 72, 80, 96, 104];
    const VALUES: [u64; 4] = [1, 1 << 46, 0xFFFF_FFFF_8020_0000, u64::MAX];
    let tiny = tiny_program();
    let mut files = vec![tiny.clone(), Vec::new(), b"#!/bin/sh\n".to_vec(), tiny[..64].to_vec()];
    for (field, value) in FIELDS.iter().flat_map(|field| VALUES.map(|value| (*field, value))) {
        let mut file = tiny.clone();
        file[field..field + 8].copy_from_slice(&value.to_le_bytes());
        files.push(file);
    }
    fs::create_dir(folder)?;
    let mut paths = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let path = folder.join(number.to_string());
        fs::write(&path, file)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        paths.push(format!("rubbish/{number}"));
    }
    Ok(paths)
}
