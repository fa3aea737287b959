//! A boot in a child process, for a command that may boot again: a process that has entered the sandbox cannot open
//! `/dev/kvm` a second time.
//!
//! The parent handles no byte from the guest. It waits, and forwards the signals that stop a run. The child is stopped
//! when the parent is killed.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Context;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::machine::kick::INTERRUPTS;

/// A shell adds this to the number of the signal that ended a process.
const BY_SIGNAL: u8 = 128;
/// The process number of the child, or 0.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// Whether a signal that stops the run came.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Boots in a child. Returns the exit code and the trace file, which is empty if the child could not create it; the child
/// has then printed the reason.
pub fn in_child(boot: impl FnOnce() -> anyhow::Result<(u8, PathBuf)>) -> anyhow::Result<(u8, PathBuf)> {
    let (mut reader, mut writer) = io::pipe()?;
    // SAFETY: the process has one thread, because every thread of a run is in a child.
    match unsafe { fork() }.context("cannot fork the process that runs the guest")? {
        ForkResult::Child => {
            drop(reader);
            set_pdeathsig(Signal::SIGTERM)?;
            let (code, trace) = boot().unwrap_or_else(|error| (super::report(&error), PathBuf::new()));
            writer.write_all(trace.as_os_str().as_bytes())?;
            std::process::exit(code.into())
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let before = forward_to(child)?;
            let mut trace = Vec::new();
            let read = reader.read_to_end(&mut trace);
            let ended = waitpid(child, None);
            CHILD.store(0, Ordering::SeqCst);
            restore(before);
            read?;
            let code = match ended? {
                WaitStatus::Exited(_, code) => code as u8, // exit(2) keeps 8 bits
                WaitStatus::Signaled(_, signal, _) => BY_SIGNAL + signal as u8, // at most 64
                other => anyhow::bail!("the process that runs the guest did not end: its state is {other:?}"),
            };
            let code = if STOPPED.load(Ordering::SeqCst) { super::INTERRUPTED } else { code };
            Ok((code, OsString::from_vec(trace).into()))
        }
    }
}

/// Forwards the signals that stop a run, except those that this process ignores. Returns the earlier actions of the
/// signals.
fn forward_to(child: Pid) -> anyhow::Result<Vec<(Signal, SigAction)>> {
    CHILD.store(child.as_raw(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    let mut before = Vec::new();
    for signal in INTERRUPTS {
        // SAFETY: `on_signal` touches atomics and calls kill(2), which is async-signal-safe.
        before.push((signal, unsafe { sigaction(signal, &action) }?));
    }
    restore(before.iter().copied().filter(|(_, action)| matches!(action.handler(), SigHandler::SigIgn)));
    Ok(before)
}

fn restore(before: impl IntoIterator<Item = (Signal, SigAction)>) {
    for (signal, action) in before {
        // SAFETY: the action was installed before. sigaction(2) fails only for invalid signals.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    STOPPED.store(true, Ordering::SeqCst);
    let child = CHILD.load(Ordering::SeqCst);
    if let (true, Ok(signal)) = (child != 0, Signal::try_from(signal)) {
        // A child that has just ended needs no signal.
        let _ = kill(Pid::from_raw(child), signal);
    }
}
