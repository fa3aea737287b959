//! Time-out and Ctrl-C: getting a vCPU back from whatever the guest does with it.
//!
//! A signal makes KVM_RUN return, but one that comes just before KVM_RUN would be lost. So the handler also
//! sets `immediate_exit` in the vCPU's run page, which KVM_RUN checks before it enters the guest. The points
//! in time at which a kick can come:
//!
//! 1. Before a [`Target`] exists: the reason is kept, and [`Target::new`] sets `immediate_exit`.
//! 2. Between two KVM_RUNs, while the host handles an exit: the next KVM_RUN returns at once with EINTR.
//! 3. Between the last instruction of the host and the entry of the guest: KVM sees `immediate_exit`, or the
//!    signal as pending; EINTR.
//! 4. In the guest, in ring 0 with interrupts off included: the signal takes the CPU out of it; EINTR.
//! 5. While the host waits for a slow reader of its output: the write returns with EINTR, and 2 follows.
//! 6. After the [`Target`] is gone: the reason is kept and nobody is kicked.
//!
//! `immediate_exit` stays set, so no order of these loses a kick. From the first signal on another one follows
//! every `REPEAT_SECONDS`, so that 5 holds for each later write too.
//!
//! Limits: one vCPU a process, as these statics belong to the process, and it runs in the thread that started
//! the [`Watch`]. The time-out's signal goes to that thread; the others go to a process, and find that thread
//! as long as it is the only one.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use abi::record::Stop;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{alarm, gettid};

/// How long after a signal SIGALRM follows, and again, in seconds.
const REPEAT_SECONDS: u32 = 1;
/// The signals that interrupt a run.
const INTERRUPTS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// `immediate_exit` of the vCPU that runs, or null.
static TARGET: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// The first [`Stop`] that came, or 0.
static REASON: AtomicU32 = AtomicU32::new(0);

/// Signals are watched as long as this lives; the timer runs as long.
#[derive(Debug)]
pub struct Watch {
    _timer: Option<Timer>,
}

impl Watch {
    /// Catches SIGINT, SIGTERM and SIGHUP (those that are not ignored already, as under `nohup`) and starts
    /// the time-out.
    pub fn start(timeout: Option<Duration>) -> Result<Watch, Errno> {
        REASON.store(0, Ordering::SeqCst);
        catch(Signal::SIGALRM)?;
        for signal in INTERRUPTS {
            let before = catch(signal)?;
            if matches!(before.handler(), SigHandler::SigIgn) {
                // SAFETY: it puts back the action that was there.
                unsafe { sigaction(signal, &before) }?;
            }
        }
        let timer = timeout.map(start_timer).transpose()?;
        Ok(Watch { _timer: timer })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        alarm::cancel();
    }
}

/// Why the run was stopped from outside, if it was.
pub fn reason() -> Option<Stop> {
    Stop::try_from(REASON.load(Ordering::SeqCst)).ok()
}

/// A vCPU that kicks hit as long as this lives.
#[derive(Debug)]
pub struct Target(());

impl Target {
    /// # Safety
    /// `immediate_exit` must be that byte of a mapped `kvm_run` that outlives the target, and be accessed
    /// by nobody else meanwhile but the kernel.
    pub unsafe fn new(immediate_exit: NonNull<u8>) -> Target {
        TARGET.store(immediate_exit.as_ptr(), Ordering::SeqCst);
        if reason().is_some() {
            kick();
        }
        Target(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        TARGET.store(std::ptr::null_mut(), Ordering::SeqCst);
    }
}

/// Catches `signal`, and returns what was done with it before.
fn catch(signal: Signal) -> Result<SigAction, Errno> {
    // No SA_RESTART: a write that waits for a slow reader must come back.
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    SigSet::from(signal).thread_unblock()?;
    // SAFETY: `on_signal` only touches atomics and calls alarm(2): both are async-signal-safe.
    unsafe { sigaction(signal, &action) }
}

fn start_timer(timeout: Duration) -> Result<Timer, Errno> {
    let event = SigEvent::new(SigevNotify::SigevThreadId {
        signal: Signal::SIGALRM,
        thread_id: gettid().as_raw(),
        si_value: 0,
    });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
    timer.set(Expiration::OneShot(timeout.into()), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

extern "C" fn on_signal(signal: libc::c_int) {
    stop(if signal == libc::SIGALRM { Stop::TimeOut } else { Stop::Interrupted });
    alarm::set(REPEAT_SECONDS);
}

fn stop(reason: Stop) {
    // The first reason is the reason.
    let _ = REASON.compare_exchange(0, reason as u32, Ordering::SeqCst, Ordering::SeqCst);
    kick();
}

fn kick() {
    let target = TARGET.load(Ordering::SeqCst);
    if !target.is_null() {
        // SAFETY: `Target::new`'s caller promises that a target that is set points to a mapped byte.
        unsafe { AtomicU8::from_ptr(target) }.store(1, Ordering::SeqCst);
    }
}

/// Tests that kick take turns, as the statics belong to the process.
#[cfg(test)]
pub(super) static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kick_is_kept_whenever_it_comes_and_the_first_reason_stays() {
        let _turn = TURN.lock();
        let mut immediate_exit = 0_u8;
        let pointer = NonNull::from(&mut immediate_exit);
        // SAFETY: a local byte stands for the run page, and outlives both targets.
        let target = || unsafe { Target::new(pointer) };
        // SAFETY: the byte is alive, and only this thread accesses it.
        let seen = || unsafe { pointer.as_ptr().read_volatile() };

        REASON.store(0, Ordering::SeqCst);
        drop(target());
        assert_eq!((reason(), seen()), (None, 0));

        stop(Stop::TimeOut);
        assert_eq!((reason(), seen()), (Some(Stop::TimeOut), 0), "no target: kept, and nobody is kicked");

        let late = target();
        assert_eq!(seen(), 1, "a target that comes later is kicked");
        drop(late);
        stop(Stop::Interrupted);
        assert_eq!(reason(), Some(Stop::TimeOut));
        REASON.store(0, Ordering::SeqCst);
    }
}
