//! `trapline import`: makes a trace from a stream of records that the user's own QEMU wrote to a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use super::{Usage, progress, sandbox};
use trace::{ImportError, import};

const EXAMPLES: &str = "\
To record such a stream with a QEMU of your own, after `trapline extract guest`:
  qemu-system-x86_64 -M microvm -m 64 -accel tcg -cpu max \\
    -nographic -nodefaults -no-reboot \\
    -device isa-debugcon,iobase=0xe9,chardev=console -chardev stdio,id=console \\
    -device isa-debugcon,iobase=0x504,chardev=trace \\
    -chardev file,id=trace,path=hello.stream \\
    -device isa-debug-exit,iobase=0x508,iosize=4 \\
    -kernel guest/kernel.elf -initrd guest/hello -append doorbell=stream
  trapline import hello.stream -o hello.trap
QEMU exits with status 1 if every process exited with status 0.";

/// Make a trace from a stream of records that an emulator such as QEMU wrote to a file.
///
/// The times of such a trace are called emulated, even if the guest ran on KVM.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The stream: what the guest wrote to port 0x504, with doorbell=stream on the kernel's command line
    #[arg(value_name = "STREAM")]
    stream: PathBuf,
    /// The new trace file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the new file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let name = args.stream.display();
    let stream = File::open(&args.stream).map_err(|error| Usage(format!("cannot open {name}: {error}")))?;
    args.sandbox.make(std::slice::from_ref(&args.stream), &args.output)?;
    let records =
        import(&*progress::counted(Arc::new(stream)), &args.output, args.force).map_err(
            |error| match error {
                error @ (ImportError::NoBuffer { .. } | ImportError::Version { .. }) => {
                    Usage(format!("{name}: {error}")).into()
                }
                ImportError::Write(error) => anyhow::Error::from(error),
                error => error.into(),
            },
        );
    let records = records.with_context(|| format!("cannot import {name}"))?;
    progress::finish();
    writeln!(io::stdout(), "{records} records are in {}.", args.output.display())?;
    Ok(super::OK)
}
