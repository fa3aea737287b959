//! `poll`, `ppoll`, `select`, `pselect6`: wait until one of several files is ready.

use abi::record::Wait;
use abi::syscall::errno::{EBADF, EINVAL};
use abi::syscall::values::*;

use super::files;
use super::task::{Woken, wait, wake_all_by};
use super::{Outcome, signal, time, user};
use crate::arch::cpu;
use crate::process::NEVER;
use crate::{timer, trace};

/// The events of `struct pollfd`.
pub const IN: u16 = POLLIN as u16;
pub const OUT: u16 = POLLOUT as u16;

/// Wakes the tasks that poll, because the current process changed the state of a file.
pub fn changed() {
    changed_by(trace::current());
}

/// The same, for a change by the process `by` or, for [`KERNEL`](crate::process::KERNEL), by a device.
pub fn changed_by(by: u16) {
    wake_all_by(by, Wait::Poll, 0, NEVER, |_| true);
}

/// Calls `look` until it returns a result other than 0, or the deadline passes.
pub fn until_found(until: u64, mut look: impl FnMut() -> Outcome<u64>) -> Outcome<u64> {
    loop {
        let found = look()?;
        if found > 0 || cpu::tsc() >= until {
            return Ok(found);
        }
        if wait(Wait::Poll, 0, until)? == Woken::TimeOut {
            return look();
        }
    }
}

/// The deadline of a time-out in milliseconds; a negative time-out has none.
pub fn deadline_ms(time_out: u64) -> u64 {
    u64::try_from(time_out as i32).map_or(NEVER, |ms| timer::after_ns(ms * 1_000_000))
}

/// Checks an array of `struct pollfd` once: descriptor, requested events, returned events.
fn look(array: u64, count: u64) -> Outcome<u64> {
    let mut found = 0;
    for index in 0..count {
        let at = array + index * 8;
        let (descriptor, events): (i32, u16) = (user::read(at)?, user::read(at + 4)?);
        let now = match files::open(descriptor as u64) {
            _ if descriptor < 0 => 0,
            Ok(open) => files::ready(open, events),
            Err(_) => POLLNVAL as u16,
        };
        user::write(at + 6, now)?;
        found += u64::from(now != 0);
    }
    Ok(found)
}

pub fn poll(array: u64, count: u64, time_out: u64) -> Outcome<u64> {
    poll_until(array, count, deadline_ms(time_out))
}

fn poll_until(array: u64, count: u64, until: u64) -> Outcome<u64> {
    if count > files::DESCRIPTORS as u64 {
        return Err(EINVAL);
    }
    user::reach(array, count * 8, true)?;
    until_found(until, || look(array, count))
}

pub fn ppoll(array: u64, count: u64, time_out: u64, mask: u64, size: u64) -> Outcome<u64> {
    let until = time::deadline(time_out)?;
    set_mask(mask, size)?;
    poll_until(array, count, until)
}

pub fn set_mask(mask: u64, size: u64) -> Outcome<()> {
    if mask != 0 {
        signal::replace_mask(signal::read_set(mask, size)?);
    }
    Ok(())
}

/// The most words of an `fd_set` that are used.
const SET_WORDS: usize = files::DESCRIPTORS / 64;

/// For each set of `select` (read, write, exceptional): the events to request, and those that make a file ready.
const SET_EVENTS: [(u64, u64); 3] =
    [(POLLIN, POLLIN | POLLERR | POLLHUP), (POLLOUT, POLLOUT | POLLERR), (POLLPRI, 0)];

fn select_until(count: u64, sets: [u64; 3], until: u64) -> Outcome<u64> {
    if (count as i32) < 0 {
        return Err(EINVAL);
    }
    // As in Linux, descriptors that the table cannot have are not looked at.
    let count = (count as usize).min(files::DESCRIPTORS);
    let words = count.div_ceil(64);
    let mut asked = [[0_u64; SET_WORDS]; 3];
    for (set, words_of_set) in sets.iter().zip(&mut asked) {
        if *set != 0 {
            for (index, word) in words_of_set.iter_mut().take(words).enumerate() {
                *word = user::read(set + index as u64 * 8)?;
            }
        }
    }
    let mut found = [[0_u64; SET_WORDS]; 3];
    let total = until_found(until, || {
        found = [[0; SET_WORDS]; 3];
        let mut total = 0;
        for descriptor in 0..count {
            let (word, bit) = (descriptor / 64 % SET_WORDS, 1 << (descriptor % 64));
            for set in 0..3 {
                if asked[set][word] & bit != 0 {
                    let open = files::open(descriptor as u64).map_err(|_| EBADF)?;
                    let (events, any) = SET_EVENTS[set];
                    if files::ready(open, events as u16) & any as u16 != 0 {
                        found[set][word] |= bit;
                        total += 1;
                    }
                }
            }
        }
        Ok(total)
    })?;
    for (set, words_of_set) in sets.iter().zip(&found) {
        if *set != 0 {
            for (index, word) in words_of_set.iter().take(words).enumerate() {
                user::write(set + index as u64 * 8, *word)?;
            }
        }
    }
    Ok(total)
}

/// `select`, whose time-out is a `timeval`.
pub fn select(count: u64, sets: [u64; 3], time_out: u64) -> Outcome<u64> {
    let until = match time_out {
        0 => NEVER,
        address => timer::after_ns(time::ns_of_timeval(user::read(address)?)?),
    };
    select_until(count, sets, until)
}

/// `pselect6`, whose last argument leads to a mask and its size.
pub fn pselect(count: u64, sets: [u64; 3], time_out: u64, mask: u64) -> Outcome<u64> {
    let until = time::deadline(time_out)?;
    if mask != 0 {
        let [mask, size]: [u64; 2] = user::read(mask)?;
        set_mask(mask, size)?;
    }
    select_until(count, sets, until)
}
