//! The sandbox: restricts the system calls and files of a thread that handles the bytes of a guest or a file.
//!
//! A command has two phases. It *loads*: it opens files and `/dev/kvm`, and makes the VM. Then each of its threads enters
//! the sandbox, before the first instruction of the guest or the first record of a trace: seccomp allows the system calls
//! of its [`Role`] and no others, Landlock (if the kernel has it) allows the named files only, the thread has no
//! capability and cannot gain one, and the descriptors that the process inherited are closed, except the three standard
//! ones. `docs/threat-model.md` says what this protects, and from whom.
//!
//! Limits: a thread cannot leave the sandbox, so only a process that does nothing else afterwards may enter it, such as
//! the command. A [`Run`](crate::run::Run) in a program of your own has no sandbox unless you give it one.

mod calls;

pub use calls::{Call, Only, Role, UNSEEN};

use std::collections::BTreeMap;
use std::fs::ReadDir;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use thiserror::Error;

/// The rights that Landlock controls: those of Linux 6.10 and before. An older kernel controls fewer.
const LANDLOCK: ABI = ABI::V5;

/// What happens to a system call that is not allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It ends the process (SIGSYS).
    #[default]
    Enforce,
    /// It is executed, and Linux logs it: to find which calls a host's C library needs. Files are not restricted.
    Log,
}

/// A sandbox that a thread can enter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// What happens to a call that is not allowed.
    pub mode: Mode,
    /// A call to leave out: a test uses it to show that the call is needed.
    pub without: Option<String>,
}

/// The files that a thread in the sandbox may still open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// To read.
    pub read: &'a [PathBuf],
    /// A folder, for new files in it.
    pub make_in: Option<&'a Path>,
}

/// Why a thread could not enter the sandbox.
#[derive(Debug, Error)]
#[error(
    "cannot enter the sandbox; with `--no-sandbox`, Trapline runs without it and keeps all rights of the user"
)]
pub struct SandboxError {
    #[source]
    cause: Cause,
}

#[derive(Debug, Error)]
enum Cause {
    #[error("seccomp refused the list of system calls")]
    Filter(#[from] seccompiler::BackendError),
    #[error("this kernel has no seccomp")]
    Missing(#[source] io::Error),
    #[error("seccomp cannot be turned on")]
    Seccomp(#[from] seccompiler::Error),
    #[error("Landlock refused the list of files")]
    Landlock(#[from] RulesetError),
    #[error("a file that is needed cannot be opened")]
    File(#[from] PathFdError),
    #[error("the capabilities cannot be dropped")]
    Capabilities(#[from] caps::errors::CapsError),
    #[error("the descriptors in /proc/self/fd cannot be listed")]
    Descriptors(#[source] io::Error),
}

impl<T: Into<Cause>> From<T> for SandboxError {
    fn from(cause: T) -> Self {
        SandboxError { cause: cause.into() }
    }
}

/// Lets the threads that start from now on use the heap of the first. glibc makes a heap for each thread otherwise, and opens
/// `/proc/sys/vm/overcommit_memory` when it first shrinks one, which the sandbox does not allow.
fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call changes a setting of the allocator, which it does under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// A sandbox that can be entered without opening a descriptor.
#[derive(Debug)]
pub struct Prepared {
    entrance: Entrance,
    rules: Option<RulesetCreated>,
    descriptors: ReadDir,
}

/// The part of a sandbox for a thread that opens no file.
#[derive(Debug)]
pub struct Entrance {
    mode: Mode,
    filter: BpfProgram,
}

impl Sandbox {
    /// Makes the filter of a role.
    ///
    /// # Errors
    /// The list of calls does not make a valid filter.
    pub fn entrance(&self, role: Role) -> Result<Entrance, SandboxError> {
        share_one_heap();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let calls = || role.calls().filter(|call| self.without.as_deref() != Some(call.name));
        for call in calls() {
            let rules = rules.entry(call.number).or_default();
            if let Some(only) = call.only {
                rules.push(SeccompRule::new(vec![only.condition()?])?);
            }
        }
        // A call without a condition is allowed with any arguments.
        for call in calls().filter(|call| call.only.is_none()) {
            rules.insert(call.number, Vec::new());
        }
        let forbidden = match self.mode {
            Mode::Enforce => SeccompAction::KillProcess,
            Mode::Log => SeccompAction::Log,
        };
        let filter = SeccompFilter::new(rules, forbidden, SeccompAction::Allow, TargetArch::x86_64)?;
        Ok(Entrance { mode: self.mode, filter: filter.try_into()? })
    }

    /// Gets what the sandbox needs from Linux, so that [`Prepared::enter`] needs no more descriptors.
    ///
    /// # Errors
    /// The kernel has no seccomp, there is no `/proc`, or no descriptor is left.
    pub fn prepare(&self, role: Role) -> Result<Prepared, SandboxError> {
        // SAFETY: the request reads the thread's mode and touches no memory.
        if unsafe { libc::prctl(libc::PR_GET_SECCOMP) } < 0 {
            return Err(Cause::Missing(io::Error::last_os_error()).into());
        }
        let rules = (self.mode == Mode::Enforce).then(no_files).transpose()?;
        let descriptors = std::fs::read_dir("/proc/self/fd").map_err(Cause::Descriptors)?;
        Ok(Prepared { entrance: self.entrance(role)?, rules, descriptors })
    }

    /// Puts the calling thread in the sandbox, as [`Prepared::enter`] does.
    ///
    /// # Errors
    /// Those of the two steps.
    pub fn enter(&self, role: Role, files: Files) -> Result<(), SandboxError> {
        self.prepare(role)?.enter(files)
    }
}

impl Prepared {
    /// Puts the calling thread in the sandbox, and closes the descriptors that the process inherited.
    ///
    /// # Errors
    /// A file does not exist. The thread may then have lost some rights.
    pub fn enter(self, files: Files) -> Result<(), SandboxError> {
        close_inherited(self.descriptors).map_err(Cause::Descriptors)?;
        if let Some(mut rules) = self.rules {
            for path in files.read {
                rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, AccessFs::ReadFile))?;
            }
            if let Some(folder) = files.make_in {
                let all = AccessFs::from_all(LANDLOCK);
                rules = rules.add_rule(PathBeneath::new(PathFd::new(folder)?, all))?;
            }
            rules.restrict_self()?;
        }
        self.entrance.enter()
    }
}

impl Entrance {
    /// Puts the calling thread in the sandbox. Its open files stay open.
    ///
    /// # Errors
    /// The kernel has no seccomp.
    pub fn enter(&self) -> Result<(), SandboxError> {
        use caps::CapSet::{Ambient, Effective, Inheritable, Permitted};
        if self.mode == Mode::Enforce {
            [Ambient, Inheritable, Effective, Permitted]
                .into_iter()
                .try_for_each(|set| caps::clear(None, set))?;
        }
        // This sets no_new_privs too.
        Ok(seccompiler::apply_filter(&self.filter)?)
    }
}

impl Only {
    fn condition(self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let masked = SeccompCmpOp::MaskedEq(self.mask.into());
        SeccompCondition::new(self.argument, SeccompCmpArgLen::Dword, masked, self.value.into())
    }
}

/// The Landlock rules that allow no file and no network.
fn no_files() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .create()
}

/// Closes the inherited descriptors, except the standard streams. Trapline's own descriptors are close-on-exec, because
/// the standard library and KVM make them so. Descriptors that stayed open across exec(2) are not close-on-exec.
fn close_inherited(descriptors: ReadDir) -> io::Result<()> {
    const STANDARD: RawFd = 2;
    let entries = descriptors.collect::<Result<Vec<_>, _>>()?;
    let numbers = entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number > STANDARD) {
        // SAFETY: the number is only looked up. If the descriptor is closed by now, the call returns EBADF.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let flags = fcntl(fd, FcntlArg::F_GETFD).map(FdFlag::from_bits_truncate);
        if flags.is_ok_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC)) {
            nix::unistd::close(number)?;
        }
    }
    Ok(())
}
