//! The options of the sandbox. Every command that handles a guest or a trace has them.

use std::path::{Path, PathBuf};

use super::complain;
use crate::sandbox::{Files, Mode, Role, Sandbox};

/// The options. They are no group: its name, that of the type, is the one of the command's own options.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Args {
    /// What happens to a system call that the sandbox does not allow. enforce: it ends Trapline. log: it runs, and
    /// Linux logs it (see `dmesg`)
    #[arg(long, value_name = "MODE", value_enum, default_value_t = When::Enforce, require_equals = true)]
    sandbox: When,
    /// Use no sandbox. A guest or a file that exploits a bug in Trapline can then do everything that you may do
    #[arg(long, conflicts_with = "sandbox")]
    no_sandbox: bool,
    /// Allow all calls but this one: a test shows with it that the call is needed
    #[arg(long, hide = true, value_name = "CALL")]
    sandbox_without: Option<String>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum When {
    #[default]
    Enforce,
    Log,
}

impl Args {
    /// The sandbox that the options ask for. If they ask for none, prints a warning.
    pub fn sandbox(&self) -> Option<Sandbox> {
        if self.no_sandbox {
            complain(
                "warning: no sandbox: a guest or a file that exploits a bug in Trapline can do everything that you may do",
            );
            return None;
        }
        let mode = match self.sandbox {
            When::Enforce => Mode::Enforce,
            When::Log => Mode::Log,
        };
        Some(Sandbox { mode, without: self.sandbox_without.clone() })
    }

    /// Enters the sandbox for a command that reads these open traces and prints.
    pub fn read(&self, traces: &[PathBuf]) -> anyhow::Result<()> {
        self.enter(Role::Read, traces, None)
    }

    /// Enters the sandbox for a command that reads these open traces and writes `output`.
    pub fn make(&self, traces: &[PathBuf], output: &Path) -> anyhow::Result<()> {
        self.enter(Role::Make, traces, Some(super::output::folder_of(output)))
    }

    fn enter(&self, role: Role, traces: &[PathBuf], make_in: Option<&Path>) -> anyhow::Result<()> {
        let Some(sandbox) = self.sandbox() else { return Ok(()) };
        let read: Vec<PathBuf> = traces.iter().filter(|path| path.is_file()).cloned().collect();
        Ok(sandbox.enter(role, Files { read: &read, make_in })?)
    }
}
