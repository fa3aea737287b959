//! Clocks, sleep and alarms.

use abi::record::Wait;
use abi::syscall::errno::EINVAL;
use abi::syscall::values::*;

use super::task::{self, Alarm, Group, wait};
use super::{Outcome, signal, user};
use crate::arch::cpu;
use crate::process::NEVER;
use crate::{timer, trace};

pub const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest time that is counted, a hundred years. A longer time is treated as this one.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

/// Seconds and nanoseconds, or seconds and microseconds in a `timeval`.
pub type Time = [u64; 2];

/// The time that a clock shows, in nanoseconds.
fn now(number: u64) -> Outcome<u64> {
    Ok(match u64::from(number as u32) {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => timer::realtime_ns(),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE => timer::monotonic_ns(),
        CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => timer::monotonic_ns(),
        CLOCK_PROCESS_CPUTIME_ID => timer::clock().ns_of_cycles(group_cycles(task::group())),
        CLOCK_THREAD_CPUTIME_ID => timer::clock().ns_of_cycles(cycles_of(trace::current())),
        _ => timer::clock().ns_of_cycles(cycles_of_clock(number as i32)?),
    })
}

/// The CPU cycles that a clock of a process or thread counts. Its number has the inverted process number (0: the current
/// one, or the current thread) above three bits: 4 for a thread, and 0 to 2 for the kind of CPU time, of which there is only
/// one here.
fn cycles_of_clock(number: i32) -> Outcome<u64> {
    const OF_THREAD: i32 = 4;
    let id = u16::try_from(!(number >> 3)).ok().filter(|_| number & 3 < 3).ok_or(EINVAL)?;
    if number & OF_THREAD == 0 {
        let id = if id == 0 { task::group().id.get() } else { id };
        return task::find_group(id).map(group_cycles).ok_or(EINVAL);
    }
    let id = if id == 0 { trace::current() } else { id };
    let is_own = task::process_of(id).is_some() && task::of(id).group.get() == task::current().group.get();
    if is_own { Ok(cycles_of(id)) } else { Err(EINVAL) }
}

/// The CPU cycles that the threads of a group used.
pub fn group_cycles(group: &'static Group) -> u64 {
    group.tasks().fold(group.cycles.get(), |sum, (id, _)| sum.wrapping_add(cycles_of(id)))
}

/// The CPU cycles that a task used. While it runs, its field has them less the TSC.
pub fn cycles_of(id: u16) -> u64 {
    let since = if id == trace::current() { cpu::tsc() } else { 0 };
    crate::process::get(id).cycles.get().wrapping_add(since)
}

pub fn split(ns: u64) -> Time {
    [ns / NS_PER_SECOND, ns % NS_PER_SECOND]
}

/// Converts a `timespec` to nanoseconds.
pub fn ns_of([seconds, ns]: Time) -> Outcome<u64> {
    if (seconds as i64) < 0 || ns >= NS_PER_SECOND {
        return Err(EINVAL);
    }
    Ok(seconds.min(SECONDS_MAX) * NS_PER_SECOND + ns)
}

/// Converts a `timeval` to nanoseconds.
pub fn ns_of_timeval([seconds, us]: Time) -> Outcome<u64> {
    ns_of([seconds, us.saturating_mul(1000)])
}

/// The TSC at the end of the time-out at `address`; [`NEVER`] for a null pointer.
pub fn deadline(address: u64) -> Outcome<u64> {
    if address == 0 { Ok(NEVER) } else { Ok(timer::after_ns(ns_of(user::read(address)?)?)) }
}

/// The TSC at the time when a clock will show `ns`.
pub fn when(number: u64, ns: u64) -> Outcome<u64> {
    Ok(timer::after_ns(ns.saturating_sub(now(number)?)))
}

pub fn gettime(number: u64, to: u64) -> Outcome<u64> {
    user::write(to, split(now(number)?)).map(|()| 0)
}

pub fn getres(number: u64, to: u64) -> Outcome<u64> {
    now(number)?;
    user::write_if_asked(to, split(1)).map(|()| 0)
}

pub fn gettimeofday(time: u64, zone: u64) -> Outcome<u64> {
    let [seconds, ns] = split(timer::realtime_ns());
    user::write_if_asked(time, [seconds, ns / 1000])?;
    user::write_if_asked(zone, 0_u64).map(|()| 0)
}

pub fn time(to: u64) -> Outcome<u64> {
    let [seconds, _] = split(timer::realtime_ns());
    user::write_if_asked(to, seconds)?;
    Ok(seconds)
}

/// `nanosleep`, and `clock_nanosleep` with its clock and flags.
pub fn sleep(number: u64, flags: u64, request: u64, remaining: u64) -> Outcome<u64> {
    let time: Time = user::read(request)?;
    let ns = ns_of(time)?;
    let until = if flags & TIMER_ABSTIME != 0 {
        when(number, ns)?
    } else {
        now(number)?;
        timer::after_ns(ns)
    };
    while cpu::tsc() < until {
        if let Err(error) = wait(Wait::Sleep, 0, until) {
            if flags & TIMER_ABSTIME != 0 {
                return Err(signal::restart_after(error));
            }
            let left = timer::clock().ns_of_cycles(until.saturating_sub(cpu::tsc()));
            user::write_if_asked(remaining, split(left))?;
            return Err(error);
        }
    }
    Ok(0)
}

/// What the clock of an alarm of `setitimer` shows, in cycles. All CPU time counts as time in user mode.
pub fn of_alarm(group: &'static Group, clock: usize) -> u64 {
    if clock == ITIMER_REAL as usize { cpu::tsc() } else { group_cycles(group) }
}

/// The interval of an alarm of the current group, and the time until its next signal, in nanoseconds; 0: no signal.
fn in_ns(clock: usize, alarm: Alarm) -> [u64; 2] {
    let ns = |cycles| timer::clock().ns_of_cycles(cycles);
    let left = || ns(alarm.next.saturating_sub(of_alarm(task::group(), clock))).max(1);
    [ns(alarm.interval), if alarm.next == NEVER { 0 } else { left() }]
}

/// Sets an alarm of the current group, and returns the old one. Both are in the form of [`in_ns`].
fn set_alarm(clock: usize, [interval, left]: [u64; 2]) -> Outcome<[u64; 2]> {
    let group = task::group();
    let alarm = group.alarms.get(clock).ok_or(EINVAL)?;
    let cycles = |ns| timer::clock().cycles_of_ns(ns);
    let next = if left == 0 { NEVER } else { of_alarm(group, clock).saturating_add(cycles(left)) };
    let old = signal::set_alarm(alarm, Alarm { next, interval: cycles(interval) });
    // Tasks that wait must use the new time of the alarm.
    group.tasks().for_each(|(id, _)| task::rouse(id));
    Ok(in_ns(clock, old))
}

pub fn alarm(seconds: u64) -> Outcome<u64> {
    let [_, left] = set_alarm(ITIMER_REAL as usize, [0, u64::from(seconds as u32) * NS_PER_SECOND])?;
    // Rounded as Linux does, but never to 0 while there is an alarm.
    Ok(if left == 0 { 0 } else { ((left + NS_PER_SECOND / 2) / NS_PER_SECOND).max(1) })
}

fn timeval(ns: u64) -> Time {
    let [seconds, ns] = split(ns);
    [seconds, ns / 1000]
}

pub fn setitimer(clock: u64, new: u64, old: u64) -> Outcome<u64> {
    let [interval, left]: [Time; 2] = user::read(new)?;
    let before = set_alarm(clock as u32 as usize, [ns_of_timeval(interval)?, ns_of_timeval(left)?])?;
    user::write_if_asked(old, before.map(timeval)).map(|()| 0)
}

pub fn getitimer(clock: u64, to: u64) -> Outcome<u64> {
    let clock = clock as u32 as usize;
    let alarm = task::group().alarms.get(clock).ok_or(EINVAL)?;
    user::write(to, in_ns(clock, alarm.get()).map(timeval)).map(|()| 0)
}

pub fn times(to: u64) -> Outcome<u64> {
    const NS_PER_CLOCK: u64 = NS_PER_SECOND / super::misc::TICKS_PER_SECOND;
    let clocks = |cycles| timer::clock().ns_of_cycles(cycles) / NS_PER_CLOCK;
    let children = clocks(task::group().children_cycles.get());
    user::write_if_asked(to, [clocks(group_cycles(task::group())), 0, children, 0])?;
    Ok(timer::monotonic_ns() / NS_PER_CLOCK)
}

pub fn getrusage(who: u64, to: u64) -> Outcome<u64> {
    let cycles = match u64::from(who as u32) {
        RUSAGE_SELF => group_cycles(task::group()),
        RUSAGE_THREAD => cycles_of(trace::current()),
        RUSAGE_CHILDREN => task::group().children_cycles.get(),
        _ => return Err(EINVAL),
    };
    user::write(to, usage(cycles)).map(|()| 0)
}

/// `struct rusage`. All CPU time counts as time in user mode.
pub fn usage(cycles: u64) -> [u64; 18] {
    let mut usage = [0; 18];
    [usage[0], usage[1]] = timeval(timer::clock().ns_of_cycles(cycles));
    usage
}
