//! `eventfd`: a counter that a process can wait for as for a file.

use abi::record::Wait;
use abi::syscall::errno::{EAGAIN, EINVAL, ENFILE};
use abi::syscall::values::EFD_SEMAPHORE;

use super::files::{self, Kind, O_CLOEXEC, O_NONBLOCK, O_RDWR, Open};
use super::task::{wait, wake_all};
use super::{Outcome, poll, signal, user, zeroed};
use crate::cell::Local;
use crate::process::NEVER;

const COUNTERS: usize = 64;
/// A read and a write transfer a number of 64 bits.
const SIZE: u64 = 8;
const VALUE_MAX: u64 = u64::MAX - 1;

struct Counter {
    is_used: Local<bool>,
    /// A read subtracts 1, and otherwise the whole value.
    is_semaphore: Local<bool>,
    value: Local<u64>,
    /// The number of reads and writes.
    changes: Local<u64>,
}

static COUNTER: [Counter; COUNTERS] = [const { zeroed() }; COUNTERS];

fn of(open: &Open) -> &'static Counter {
    &COUNTER[open.object.get() as usize % COUNTERS]
}

/// `eventfd2`.
pub fn create(value: u64, flags: u64) -> Outcome<u64> {
    const SEMAPHORE: u32 = EFD_SEMAPHORE as u32;
    let flags = flags as u32;
    if flags & !(SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(EINVAL);
    }
    let number = COUNTER.iter().position(|counter| !counter.is_used.get()).ok_or(ENFILE)?;
    let descriptor = files::create(Kind::Counter, number as u32, flags & !SEMAPHORE | O_RDWR)?;
    let counter = &COUNTER[number];
    counter.is_used.set(true);
    counter.is_semaphore.set(flags & SEMAPHORE != 0);
    counter.value.set(value as u32 as u64);
    Ok(descriptor)
}

/// Waits until `change` returns a new value of the counter.
fn change(open: &Open, size: u64, change: impl Fn(u64) -> Option<u64>) -> Outcome<u64> {
    if size < SIZE {
        return Err(EINVAL);
    }
    let (number, counter) = (open.object.get().into(), of(open));
    loop {
        let before = counter.value.get();
        if let Some(value) = change(before) {
            counter.value.set(value);
            counter.changes.set(counter.changes.get() + 1);
            wake_all(Wait::Event, number, NEVER, |_| true);
            poll::changed();
            return Ok(before.abs_diff(value));
        }
        if open.flags.get() & O_NONBLOCK != 0 {
            return Err(EAGAIN);
        }
        wait(Wait::Event, number, NEVER).map_err(signal::restart_after)?;
    }
}

pub fn read(open: &Open, buffer: u64, size: u64) -> Outcome<u64> {
    let is_semaphore = of(open).is_semaphore.get();
    let taken =
        change(open, size, |value| value.checked_sub(1).map(|less| if is_semaphore { less } else { 0 }))?;
    user::write(buffer, taken).map(|()| SIZE)
}

pub fn write(open: &Open, buffer: u64, size: u64) -> Outcome<u64> {
    let added: u64 = if size < SIZE { 0 } else { user::read(buffer)? };
    if added > VALUE_MAX {
        return Err(EINVAL);
    }
    change(open, size, |value| value.checked_add(added).filter(|&sum| sum <= VALUE_MAX)).map(|_| SIZE)
}

/// Makes a counter free, after its last descriptor is closed.
pub fn closed(open: &Open) {
    of(open).is_used.set(false);
}

/// The number of reads and writes.
pub fn changes(open: &Open) -> u64 {
    of(open).changes.get()
}

/// The events that `poll` returns for a counter, of those requested.
pub fn ready(open: &Open, events: u16) -> u16 {
    let value = of(open).value.get();
    let input = if value > 0 { poll::IN } else { 0 };
    let output = if value < VALUE_MAX { poll::OUT } else { 0 };
    (input | output) & events
}
