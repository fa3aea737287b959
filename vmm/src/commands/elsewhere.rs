//! The commands that run guests, on systems that cannot run one: each prints what it needs.

use std::ffi::OsString;

use super::{NO_KVM, complain};

/// Not available on this system: needs Linux on x86-64 with KVM.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Ignored
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Prints what is needed; the value is the exit code.
pub fn execute(_args: &Args) -> anyhow::Result<u8> {
    complain(
        "this command needs Linux on x86-64 with KVM: run it there, or in a virtual machine that has them. This system can \
         read the traces, with `trapline view` and the other commands",
    );
    Ok(NO_KVM)
}

/// On this system no error comes from a run.
pub fn exit_code_of(_error: &anyhow::Error) -> Option<u8> {
    None
}

/// The sandbox exists only on Linux.
pub mod sandbox {
    use std::path::{Path, PathBuf};

    /// No options, and no group, whose name would be that of the command's own.
    #[derive(clap::Args, Debug)]
    #[group(skip)]
    pub struct Args {}

    impl Args {
        /// Does nothing.
        pub fn read(&self, _traces: &[PathBuf]) -> anyhow::Result<()> {
            Ok(())
        }

        /// Does nothing.
        pub fn make(&self, _traces: &[PathBuf], _output: &Path) -> anyhow::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: super::Args,
    }

    #[test]
    fn a_run_says_what_it_needs_whatever_its_options() {
        let line = Line::parse_from(["run", "hello", "--policy", "direct", "--", "./mine", "a"]);
        assert_eq!(super::execute(&line.args).unwrap(), super::NO_KVM);
    }
}
