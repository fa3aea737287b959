//! Clocks, sleep and alarms.

use abi::record::Wait;
use abi::syscall::errno::EINVAL;

use super::task::{self, Woken, wait};
use super::{Outcome, signal, user};
use crate::arch::cpu;
use crate::process::NEVER;
use crate::{scheduler, timer};

pub const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest time that is counted, a hundred years. A longer time is treated as this one.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

/// Seconds and nanoseconds, or seconds and microseconds in a `timeval`.
pub type Time = [u64; 2];

/// The time that a clock shows, in nanoseconds.
fn now(number: u64) -> Outcome<u64> {
    Ok(match number as u32 {
        // CLOCK_REALTIME, CLOCK_REALTIME_COARSE
        0 | 5 => timer::realtime_ns(),
        // CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME
        1 | 4 | 6 | 7 => timer::monotonic_ns(),
        // CLOCK_PROCESS_CPUTIME_ID
        2 => timer::clock().ns_of_cycles(group_cycles()),
        // CLOCK_THREAD_CPUTIME_ID
        3 => timer::clock().ns_of_cycles(cycles_of_current()),
        _ => return Err(EINVAL),
    })
}

/// The CPU cycles that the threads of the current group used.
pub fn group_cycles() -> u64 {
    let group = task::group();
    let threads = group.tasks().map(|(id, _)| crate::process::get(id).cycles.get());
    threads.fold(group.cycles.get(), u64::wrapping_add).wrapping_add(cpu::tsc())
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
pub fn sleep(clock: Option<u64>, flags: u64, request: u64, remaining: u64) -> Outcome<u64> {
    let number = clock.unwrap_or(1);
    const ABSOLUTE: u64 = 1;
    let time: Time = user::read(request)?;
    let ns = ns_of(time)?;
    let until = if flags & ABSOLUTE != 0 {
        when(number, ns)?
    } else {
        now(number)?;
        timer::after_ns(ns)
    };
    while cpu::tsc() < until {
        match wait(Wait::Sleep, 0, until) {
            Ok(Woken::TimeOut) => break,
            Ok(Woken::Event) => {}
            Err(error) => {
                if flags & ABSOLUTE == 0 {
                    let left = timer::clock().ns_of_cycles(until.saturating_sub(cpu::tsc()));
                    user::write_if_asked(remaining, split(left))?;
                }
                return Err(if flags & ABSOLUTE != 0 { signal::restart_after(error) } else { error });
            }
        }
    }
    Ok(0)
}

/// Sets the alarm of the group. Returns the remaining time of the old alarm and its interval, in nanoseconds.
fn set_alarm(ns: u64, interval_ns: u64) -> [u64; 2] {
    let group = task::group();
    let next = if ns == 0 { NEVER } else { timer::after_ns(ns) };
    let old = group.alarm.replace(next);
    let old_interval = group.alarm_interval.replace(timer::clock().cycles_of_ns(interval_ns));
    signal::alarms_changed(old != NEVER, next != NEVER);
    // Tasks that wait must use the new time of the alarm.
    group.tasks().for_each(|(id, _)| task::rouse(id));
    [remaining(old), timer::clock().ns_of_cycles(old_interval)]
}

fn remaining(alarm: u64) -> u64 {
    if alarm == NEVER { 0 } else { timer::clock().ns_of_cycles(alarm.saturating_sub(cpu::tsc())).max(1) }
}

pub fn alarm(seconds: u64) -> Outcome<u64> {
    let [left, _] = set_alarm(u64::from(seconds as u32) * NS_PER_SECOND, 0);
    // Rounded as Linux does, but never to 0 while there is an alarm.
    Ok(if left == 0 { 0 } else { ((left + NS_PER_SECOND / 2) / NS_PER_SECOND).max(1) })
}

const ITIMER_REAL: u64 = 0;

fn timeval(ns: u64) -> Time {
    let [seconds, ns] = split(ns);
    [seconds, ns / 1000]
}

pub fn setitimer(which: u64, new: u64, old: u64) -> Outcome<u64> {
    if which != ITIMER_REAL {
        return Err(EINVAL);
    }
    let [interval, next]: [Time; 2] = user::read(new)?;
    let [left, interval] = set_alarm(ns_of_timeval(next)?, ns_of_timeval(interval)?);
    user::write_if_asked(old, [timeval(interval), timeval(left)]).map(|()| 0)
}

pub fn getitimer(which: u64, to: u64) -> Outcome<u64> {
    if which != ITIMER_REAL {
        return Err(EINVAL);
    }
    let group = task::group();
    let interval = timer::clock().ns_of_cycles(group.alarm_interval.get());
    user::write(to, [timeval(interval), timeval(remaining(group.alarm.get()))]).map(|()| 0)
}

pub fn times(to: u64) -> Outcome<u64> {
    const NS_PER_CLOCK: u64 = NS_PER_SECOND / super::misc::TICKS_PER_SECOND;
    let clocks = |cycles| timer::clock().ns_of_cycles(cycles) / NS_PER_CLOCK;
    let children = clocks(task::group().children_cycles.get());
    user::write_if_asked(to, [clocks(group_cycles()), 0, children, 0])?;
    Ok(timer::monotonic_ns() / NS_PER_CLOCK)
}

pub fn getrusage(who: u64, to: u64) -> Outcome<u64> {
    let cycles = match who as i32 {
        0 => group_cycles(),
        1 => cycles_of_current(),
        -1 => task::group().children_cycles.get(),
        _ => return Err(EINVAL),
    };
    let mut usage = [0_u64; 18];
    [usage[0], usage[1]] = timeval(timer::clock().ns_of_cycles(cycles));
    user::write(to, usage).map(|()| 0)
}

/// Cycles of the TSC that the current process has run.
pub fn cycles_of_current() -> u64 {
    scheduler::current().cycles.get().wrapping_add(cpu::tsc())
}
