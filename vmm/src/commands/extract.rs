//! `trapline extract`: the embedded kernel and programs as files, for other VMMs and for debuggers.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Usage;
use crate::images;

/// The kernel's file.
const KERNEL_NAME: &str = "kernel.elf";

const EXAMPLE: &str = "\
Example with QEMU, which exits with 1 where Trapline exits with 0:
  trapline extract guest
  qemu-system-x86_64 -M microvm -accel tcg -m 64 \\
    -nographic -nodefaults -no-reboot \\
    -device isa-debugcon,iobase=0xe9,chardev=console -chardev stdio,id=console \\
    -device isa-debug-exit,iobase=0x508,iosize=4 \\
    -kernel guest/kernel.elf -initrd guest/hello";

/// Write the built-in kernel and programs to a directory.
///
/// The kernel boots by PVH, so other virtual machine monitors can run it. Debuggers and disassemblers can read all of the
/// files.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The directory to write to; created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let directory = &args.directory;
    let programs = images::PROGRAMS.iter().map(|program| (program.name, program.elf));
    let files: Vec<(PathBuf, &[u8])> = std::iter::once((KERNEL_NAME, images::KERNEL))
        .chain(programs)
        .map(|(name, bytes)| (directory.join(name), bytes))
        .collect();
    if let Some((taken, _)) = files.iter().find(|(path, _)| !args.force && path.exists()) {
        let taken = taken.display();
        return Err(
            Usage(format!("{taken} already exists: choose another DIR, or overwrite with --force")).into()
        );
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut output = io::stdout().lock();
    for (path, bytes) in files {
        write(&path, bytes, args.force).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(output, "{}", path.display())?;
    }
    Ok(super::OK)
}

fn write(path: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Executable: the programs speak Linux's system calls, so strace and gdb can run them on the host too.
    options.write(true).create_new(!force).create(force).truncate(force).mode(0o755);
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_once_and_overwritten_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let mut args = Args { directory: directory.path().join("guest"), force: false };
        assert_eq!(execute(&args).unwrap(), 0);
        let kernel = args.directory.join(KERNEL_NAME);
        assert_eq!(fs::read(&kernel).unwrap(), images::KERNEL);

        fs::write(&kernel, "mine").unwrap();
        let error = execute(&args).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(&kernel).unwrap(), b"mine");

        args.force = true;
        execute(&args).unwrap();
        assert_eq!(fs::read(&kernel).unwrap(), images::KERNEL);
    }
}
