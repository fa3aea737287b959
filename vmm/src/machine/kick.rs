//! Time-out and Ctrl-C: how the host stops a running vCPU.
//!
//! A signal makes KVM_RUN return, but one that comes just before KVM_RUN would be lost. So the handler also
//! sets `immediate_exit` in the vCPU's run page, which KVM_RUN checks before it enters the guest. The points
//! in time at which a signal can come:
//!
//! 1. Before a [`Target`] exists: the reason is stored, and [`Target::new`] sets `immediate_exit`.
//! 2. Between two KVM_RUNs, while the host handles an exit: the next KVM_RUN returns at once with EINTR.
//! 3. Between the last instruction of the host and the entry of the guest: KVM sees `immediate_exit`, or the
//!    pending signal; EINTR.
//! 4. In the guest, also in ring 0 with interrupts off: the signal causes a VM exit; EINTR.
//! 5. While the host waits for a slow reader of its output: the write returns with EINTR, and 2 follows.
//! 6. After the [`Target`] is gone: the reason is stored, and no vCPU is kicked.
//! 7. After the [`Watch`] is gone: the signal does what it did before.
//!
//! `immediate_exit` stays set, so no order of these loses a kick. After the first signal, SIGALRM follows
//! every `REPEAT_SECONDS`, so that 5 holds for each later write too. The thread that runs the vCPU must get the
//! signal; another thread that gets it forwards it.
//!
//! A signal of its own, SIGURG, comes every 50 ms and only makes KVM_RUN return, so that the host can look at a guest
//! that causes no exit. One that comes outside KVM_RUN has no effect.
//!
//! Limit: these statics belong to the process, so a process runs one guest at a time. A second [`Watch`] waits for the
//! end of the first.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abi::record::Stop;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{alarm, getpid, gettid};
use thiserror::Error;

/// The time from a signal to the SIGALRM that follows it, and from each SIGALRM to the next, in seconds.
const REPEAT_SECONDS: u32 = 1;
/// The signals that interrupt a run.
pub const INTERRUPTS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// The signal that makes KVM_RUN return, so that the host can look at its devices. Its default action is to do nothing.
const LOOK: Signal = Signal::SIGURG;
/// The time between two looks: much longer than what a look costs, about 20 us.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest time-out, a year of 365.25 days.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(31_557_600);

/// Held by the [`Watch`] of the process.
static WATCH: Mutex<()> = Mutex::new(());
/// `immediate_exit` of the vCPU that runs, or null.
static TARGET: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// The first [`Stop`] since the [`Watch`] started, or 0.
static REASON: AtomicU32 = AtomicU32::new(0);
/// SIGALRM is to follow a signal.
static REPEATS: AtomicBool = AtomicBool::new(false);
/// The thread that runs the vCPU.
static THREAD: AtomicI32 = AtomicI32::new(0);

/// Why signals or the time-out cannot be watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// sigaction(2) failed.
    #[error("cannot install a handler for {signal}")]
    Handler {
        /// The signal.
        signal: Signal,
        /// The error of the call.
        source: io::Error,
    },
    /// The timer could not be created or set.
    #[error(
        "cannot start the timer of --timeout (timer_create); `ulimit -i` shows the limit on pending signals, which also \
         limits timers: end other programs of this user, or raise it"
    )]
    Timer {
        /// The error of the call.
        source: io::Error,
    },
}

/// While this value exists, signals stop the guest and the time-out runs. Dropping it restores the former signal actions.
#[derive(Debug)]
pub struct Watch {
    timer: Option<Timer>,
    looks: Option<Timer>,
    /// [`LOOK`], SIGALRM, then [`INTERRUPTS`], each with what was done about it before.
    before: Vec<(Signal, SigAction)>,
    _turn: MutexGuard<'static, ()>,
}

impl Watch {
    /// Catches SIGINT, SIGTERM and SIGHUP (except one that the process ignores, as under `nohup`) and starts
    /// the time-out, at most [`TIMEOUT_MAX`]. The calling thread must run the vCPU.
    pub fn start(timeout: Option<Duration>) -> Result<Watch, WatchError> {
        let turn = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        REASON.store(0, Ordering::SeqCst);
        THREAD.store(gettid().as_raw(), Ordering::SeqCst);
        REPEATS.store(true, Ordering::SeqCst);
        let mut watch = Watch { timer: None, looks: None, before: Vec::new(), _turn: turn };
        for signal in [LOOK, Signal::SIGALRM].into_iter().chain(INTERRUPTS) {
            let before =
                catch(signal).map_err(|error| WatchError::Handler { signal, source: error.into() })?;
            watch.before.push((signal, before));
            if INTERRUPTS.contains(&signal) && matches!(before.handler(), SigHandler::SigIgn) {
                watch.restore(signal);
            }
        }
        let once = |timeout: Duration| Expiration::OneShot(timeout.min(TIMEOUT_MAX).into());
        let timer = timeout.map(|timeout| start_timer(Signal::SIGALRM, once(timeout))).transpose();
        watch.timer = timer.map_err(|error| WatchError::Timer { source: error.into() })?;
        // Without it, a guest that halts for good runs until its time-out.
        watch.looks = start_timer(LOOK, Expiration::Interval(LOOK_EVERY.into())).ok();
        Ok(watch)
    }

    /// Restores the former action of `signal`.
    fn restore(&self, signal: Signal) {
        for (_, action) in self.before.iter().filter(|(of, _)| *of == signal) {
            // SAFETY: the action was there before, and the code that installed it keeps its handler.
            // sigaction(2) fails for wrong signal numbers only, and this one was caught.
            let _ = unsafe { sigaction(signal, action) };
        }
    }
}

impl Drop for Watch {
    /// SIGALRM is the last to be restored, and only when none can come any more: its default action ends the process.
    fn drop(&mut self) {
        drop(self.looks.take());
        INTERRUPTS.into_iter().chain([LOOK]).for_each(|signal| self.restore(signal));
        REPEATS.store(false, Ordering::SeqCst);
        drop(self.timer.take());
        alarm::cancel();
        self.restore(Signal::SIGALRM);
    }
}

/// Why the run was stopped from outside, if it was.
pub fn reason() -> Option<Stop> {
    Stop::try_from(REASON.load(Ordering::SeqCst)).ok()
}

/// While this value exists, a signal kicks its vCPU.
#[derive(Debug)]
pub struct Target(());

impl Target {
    /// # Safety
    /// `immediate_exit` must be that byte of a mapped `kvm_run` that outlives the target, and only the kernel may
    /// access it meanwhile.
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

/// Catches `signal`, and returns its former action.
fn catch(signal: Signal) -> Result<SigAction, Errno> {
    // No SA_RESTART for a signal that stops the run: a write that waits for a slow reader must return.
    let (handler, flags) = match signal {
        LOOK => (SigHandler::Handler(on_look), SaFlags::SA_RESTART),
        _ => (SigHandler::Handler(on_signal), SaFlags::empty()),
    };
    let action = SigAction::new(handler, flags, SigSet::empty());
    SigSet::from(signal).thread_unblock()?;
    // SAFETY: `on_look` does nothing. `on_signal` touches atomics and makes system calls only, and none of them allocates
    // or locks. So both are async-signal-safe.
    unsafe { sigaction(signal, &action) }
}

/// Starts a timer that sends `signal` to the calling thread.
fn start_timer(signal: Signal, when: Expiration) -> Result<Timer, Errno> {
    // `SigevNotify::SigevThreadId` does not exist with musl.
    let mut event = SigEvent::new(SigevNotify::SigevSignal { signal, si_value: 0 }).sigevent();
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_notify_thread_id = gettid().as_raw();
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::from(&event))?;
    timer.set(when, TimerSetTimeFlags::empty())?;
    Ok(timer)
}

/// KVM_RUN returns on any signal that has a handler.
extern "C" fn on_look(_: libc::c_int) {}

extern "C" fn on_signal(signal: libc::c_int) {
    stop(if signal == libc::SIGALRM { Stop::TimeOut } else { Stop::Interrupted });
    if REPEATS.load(Ordering::SeqCst) {
        alarm::set(REPEAT_SECONDS);
        let thread = THREAD.load(Ordering::SeqCst);
        if thread != gettid().as_raw() {
            // SAFETY: tgkill(2) touches no memory of this process.
            unsafe { libc::syscall(libc::SYS_tgkill, getpid().as_raw(), thread, signal) };
        }
    }
}

fn stop(reason: Stop) {
    // The first reason stays.
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

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_kick_is_kept_whenever_it_comes_and_the_first_reason_stays() {
        let _watch = Watch::start(None).unwrap();
        let mut immediate_exit = 0_u8;
        let pointer = NonNull::from(&mut immediate_exit);
        // SAFETY: a local byte stands for the run page, and outlives both targets.
        let target = || unsafe { Target::new(pointer) };
        // SAFETY: the byte is alive, and only this thread accesses it.
        let seen = || unsafe { pointer.as_ptr().read_volatile() };

        drop(target());
        assert_eq!((reason(), seen()), (None, 0));

        stop(Stop::TimeOut);
        assert_eq!((reason(), seen()), (Some(Stop::TimeOut), 0), "no target: the reason is stored only");

        let late = target();
        assert_eq!(seen(), 1, "a target that comes later is kicked");
        drop(late);
        stop(Stop::Interrupted);
        assert_eq!(reason(), Some(Stop::TimeOut));
    }

    #[test]
    fn the_timer_is_set_to_the_time_out() {
        for timeout in [1000, 20_000_000] {
            let watch = Watch::start(Some(Duration::from_secs(timeout))).unwrap();
            let Some(Expiration::OneShot(left)) = watch.timer.as_ref().unwrap().get().unwrap() else {
                panic!("a timer that fires once")
            };
            let left = Duration::from(left).as_secs();
            assert!(left <= timeout && left > timeout - 900, "{left} of {timeout} seconds");
        }
        assert!(Watch::start(None).unwrap().timer.is_none());
    }

    #[test]
    fn a_timer_that_does_not_start_names_the_limit() {
        let error = WatchError::Timer { source: io::Error::from_raw_os_error(libc::EAGAIN) };
        assert!(error.to_string().contains("`ulimit -i`"), "{error}");
    }

    #[test]
    fn signals_do_after_a_watch_what_they_did_before_and_no_alarm_follows() {
        static SEEN: AtomicU32 = AtomicU32::new(0);
        extern "C" fn other(_: libc::c_int) {
            SEEN.fetch_add(1, Ordering::SeqCst);
        }
        let turn = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        let action = SigAction::new(SigHandler::Handler(other), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler touches an atomic only.
        unsafe { sigaction(Signal::SIGHUP, &action) }.unwrap();
        drop(turn);

        let watch = Watch::start(None).unwrap();
        raise(Signal::SIGHUP).unwrap();
        assert_eq!((reason(), SEEN.load(Ordering::SeqCst)), (Some(Stop::Interrupted), 0));
        drop(watch);
        assert_eq!(alarm::cancel(), None, "the alarm of the signal is off");
        raise(Signal::SIGHUP).unwrap();
        assert_eq!(SEEN.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_signal_that_another_thread_gets_reaches_the_vcpus_thread() {
        let _watch = Watch::start(None).unwrap();
        let signal = SigSet::from(Signal::SIGTERM);
        signal.thread_block().unwrap();
        let other = || {
            SigSet::from(Signal::SIGTERM).thread_unblock()?;
            raise(Signal::SIGTERM)
        };
        std::thread::spawn(other).join().unwrap().unwrap();
        // It is pending here, or sigwait(3) would wait for ever.
        assert_eq!(signal.wait(), Ok(Signal::SIGTERM));
        signal.thread_unblock().unwrap();
        assert_eq!(reason(), Some(Stop::Interrupted));
    }
}
