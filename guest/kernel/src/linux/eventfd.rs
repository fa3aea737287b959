//! `eventfd`: a counter that a process can wait for as for a file. The offset of the open file is its value, and the object
//! the number of reads and writes.

use abi::record::Wait;
use abi::syscall::errno::{EAGAIN, EINVAL};
use abi::syscall::values::{EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, O_RDWR};

use super::files::{self, Kind, Open};
use super::task::{wait, wake_all};
use super::{Outcome, poll, signal, user};
use crate::process::NEVER;

/// A read and a write transfer a number of 64 bits.
const SIZE: u64 = 8;
const VALUE_MAX: u64 = u64::MAX - 1;

/// `eventfd2`.
pub fn create(value: u64, flags: u64) -> Outcome<u64> {
    let flags = flags & u64::from(u32::MAX);
    if flags & !(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK) != 0 {
        return Err(EINVAL);
    }
    let kind = if flags & EFD_SEMAPHORE != 0 { Kind::Semaphore } else { Kind::Counter };
    let descriptor = files::create(kind, 0, flags & !EFD_SEMAPHORE | O_RDWR)?;
    files::open(descriptor)?.offset.set(value as u32 as u64);
    Ok(descriptor)
}

/// Waits until `change` returns a new value, and returns the difference.
fn change(open: &Open, size: u64, change: impl Fn(u64) -> Option<u64>) -> Outcome<u64> {
    if size < SIZE {
        return Err(EINVAL);
    }
    let number = files::number(open) as u64;
    loop {
        let before = open.offset.get();
        if let Some(value) = change(before) {
            open.offset.set(value);
            open.object.set(open.object.get().wrapping_add(1));
            wake_all(Wait::Event, number, NEVER, |_| true);
            poll::changed();
            return Ok(before.abs_diff(value));
        }
        if open.is_nonblocking() {
            return Err(EAGAIN);
        }
        wait(Wait::Event, number, NEVER).map_err(signal::restart_after)?;
    }
}

/// Takes 1 from a semaphore, and the whole value from another counter.
pub fn read(open: &Open, buffer: u64, size: u64) -> Outcome<u64> {
    let is_semaphore = open.kind.get() == Kind::Semaphore;
    let rest = |value: u64| value.checked_sub(1).map(|less| if is_semaphore { less } else { 0 });
    user::write(buffer, change(open, size, rest)?).map(|()| SIZE)
}

pub fn write(open: &Open, buffer: u64, size: u64) -> Outcome<u64> {
    let added: u64 = if size < SIZE { 0 } else { user::read(buffer)? };
    if added > VALUE_MAX {
        return Err(EINVAL);
    }
    change(open, size, |value| value.checked_add(added).filter(|&sum| sum <= VALUE_MAX)).map(|_| SIZE)
}

/// The events that `poll` returns for a counter, of those requested.
pub fn ready(open: &Open, events: u16) -> u16 {
    let value = open.offset.get();
    let input = if value > 0 { poll::IN } else { 0 };
    let output = if value < VALUE_MAX { poll::OUT } else { 0 };
    (input | output) & events
}
