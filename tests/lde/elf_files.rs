//! ELF files that others load: programs that run under Linux, and kernels that QEMU boots.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use trapline::images;

use crate::handmade::P_MEMSZ;
use crate::support::{self, TestResult, ensure};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name).display().to_string()
}

/// Section headers that are not there, or whose place in the file's header holds code.
pub fn sections_are_not_needed() -> TestResult {
    for name in ["user-stale-shoff.elf", "user-tiny-code-in-shoff.elf"] {
        crate::run::run(&[&fixture(name)], 0)?.says("ok\n")?;
    }
    Ok(())
}

/// The note of the entry point before another note, and ELF32: both kernels print a K.
pub fn kernels_that_others_boot() -> TestResult {
    for name in ["kernel-two-notes-xen-first.elf", "kernel-elf32.elf"] {
        crate::run::run(&["hello", "--kernel", &fixture(name)], 0)?.says("K")?;
    }
    Ok(())
}

pub fn an_entry_point_without_code_is_refused() -> TestResult {
    let folder = support::folder();
    let arguments = ["run", "hello", "--kernel", &fixture("kernel-entry-nowhere.elf")];
    let output = support::trapline(folder.path(), &arguments)?.expect(2)?;
    ensure(output.stderr.contains("entry point 0x30000000"), || format!("{output:#?}"))
}

/// More memory than the guest has: the message names the option that helps.
pub fn a_large_bss_names_the_option() -> TestResult {
    let folder = support::folder();
    let mut file = std::fs::read(fixture("user-stale-shoff.elf"))?;
    file[P_MEMSZ..P_MEMSZ + 8].copy_from_slice(&(256_u64 << 20).to_le_bytes());
    std::fs::write(folder.path().join("large"), file)?;
    let output = support::trapline(folder.path(), &["run", "./large"])?.expect(2)?;
    ensure(output.stderr.contains("--memory"), || format!("{output:#?}"))?;
    ensure(!folder.path().join("trapline-1.trap").exists(), || "a trace was left".into())
}

/// Paths with blanks and bytes that are no UTF-8, and arguments as the shell splits them.
pub fn names_need_not_be_text() -> TestResult {
    let folder = support::folder();
    let arguments = images::program("arguments").ok_or("there is no such program")?.elf;
    let name = OsStr::from_bytes(b"my \xFF prog");
    std::fs::write(folder.path().join(name), arguments)?;
    let path = PathBuf::from(".").join(name);
    let with = |text: &str| {
        let mut word = path.clone().into_os_string();
        word.push(text);
        word
    };
    let run = |words: &[&OsStr]| {
        let mut trapline = Command::new(support::binary());
        trapline.args(["run", "--force", "--trace", "t.trap"]).args(words).current_dir(folder.path());
        support::command(&mut trapline, folder.path())?.expect(0)
    };
    let output = run(&[&with(" 1 two")])?;
    ensure(output.stdout.contains("argc = 3 ") && output.stdout.contains("argv[2] = two\n"), || {
        format!("{output:#?}")
    })?;
    let output = run(&["--".as_ref(), path.as_os_str(), "a b".as_ref(), "".as_ref(), "--force".as_ref()])?;
    for line in ["argc = 4 ", "argv[1] = a b\n", "argv[2] = \n", "argv[3] = --force\n"] {
        ensure(output.stdout.contains(line), || format!("no {line:?}: {output:#?}"))?;
    }
    Ok(())
}
