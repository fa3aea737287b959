//! Futexes: threads wait until another thread changes a word of memory.
//!
//! A futex in private memory is identified by address space and address. A futex in memory that processes share by `mmap`
//! is identified by its physical address, because each process may see it at another address and all of them map the same
//! frame.

use abi::record::Wait;
use abi::syscall::errno::{EAGAIN, EINTR, EINVAL, ENOSYS, ETIMEDOUT};
use abi::syscall::values::*;

use super::space::SHARED;
use super::task::{self, Task, Woken, wait, wake_all};
use super::{Outcome, signal, time, user};
use crate::memory::address_space::translate;
use crate::process::NEVER;

/// Identifies the futex at an address of the current process. The root table stands for the address space. User addresses
/// have 47 bits, and physical addresses of root tables fewer than 30.
fn key(address: u64) -> Outcome<u64> {
    if !address.is_multiple_of(4) {
        return Err(EINVAL);
    }
    let space = task::space();
    if space.find(address).is_some_and(|mapping| mapping.flags() & SHARED != 0) {
        user::reach(address, 4, false)?;
        return Ok(translate(space.root(), address, false).unwrap_or(0));
    }
    Ok(address | space.root() >> 12 << 47)
}

pub fn futex(address: u64, operation: u64, value: u64, fourth: u64, second: u64, last: u64) -> Outcome<u64> {
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    match command {
        FUTEX_WAIT => wait_at(address, value as u32, u32::MAX, time::deadline(fourth)?),
        FUTEX_WAIT_BITSET => {
            let clock = u64::from(operation & FUTEX_CLOCK_REALTIME == 0);
            let until =
                if fourth == 0 { NEVER } else { time::when(clock, time::ns_of(user::read(fourth)?)?)? };
            wait_at(address, value as u32, last as u32, until)
        }
        FUTEX_WAKE => wake(key(address)?, value, u32::MAX),
        FUTEX_WAKE_BITSET if last as u32 == 0 => Err(EINVAL),
        FUTEX_WAKE_BITSET => wake(key(address)?, value, last as u32),
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            if command == FUTEX_CMP_REQUEUE && user::read::<u32>(address)? != last as u32 {
                return Err(EAGAIN);
            }
            requeue(key(address)?, key(second)?, value as u32, fourth as u32)
        }
        _ => Err(ENOSYS),
    }
}

fn wait_at(address: u64, expected: u32, bits: u32, until: u64) -> Outcome<u64> {
    if bits == 0 {
        return Err(EINVAL);
    }
    let key = key(address)?;
    if user::read::<u32>(address)? != expected {
        return Err(EAGAIN);
    }
    task::current().bits.set(bits);
    match wait(Wait::Futex, key, until) {
        Ok(Woken::TimeOut) => Err(ETIMEDOUT),
        Ok(Woken::Event) => Ok(0),
        // A call with a time-out would wait for the full time again.
        Err(EINTR) if until == NEVER => Err(signal::RESTART),
        Err(error) => Err(error),
    }
}

fn wake(key: u64, most: u64, bits: u32) -> Outcome<u64> {
    let most = u64::from(most as u32).max(1);
    Ok(wake_all(Wait::Futex, key, most, |task| task.bits.get() & bits != 0))
}

/// Wakes at most `most` waiters of one futex, and moves at most `others` to another futex. Returns the number of both.
fn requeue(from: u64, to: u64, most: u32, others: u32) -> Outcome<u64> {
    let woken = wake_all(Wait::Futex, from, most.into(), |_| true);
    let mut moved = 0;
    for (id, _) in task::waiting() {
        let task = task::of(id);
        if moved < u64::from(others) && task.waits.get() == Some((Wait::Futex, from)) {
            task.waits.set(Some((Wait::Futex, to)));
            moved += 1;
        }
    }
    Ok(woken + moved)
}

/// Wakes one waiter of a futex: the thread that owned the word at this address ended, and the word is 0 now.
pub fn wake_one_at(address: u64) {
    if let Ok(key) = key(address) {
        let _ = wake(key, 1, u32::MAX);
    }
}

/// `get_robust_list` of the current task.
pub fn robust_list(head: u64, size: u64) -> Outcome<u64> {
    user::write(head, task::current().robust_list.get())?;
    user::write(size, size_of::<[u64; 3]>()).map(|()| 0)
}

/// Marks the robust futexes of a thread that ends with FUTEX_OWNER_DIED, so that the next thread can take them.
pub fn release_owned(task: &Task) {
    const LIST_MAX: u32 = 2048;
    let head = task.robust_list.replace(0);
    if head == 0 {
        return;
    }
    let Ok([first, offset, pending]) = user::read::<[u64; 3]>(head) else { return };
    let mut entry = first;
    for _ in 0..LIST_MAX {
        if entry & !1 == head {
            break;
        }
        if entry != pending {
            release(task, (entry & !1).wrapping_add(offset));
        }
        let Ok(next) = user::read(entry & !1) else { return };
        entry = next;
    }
    if pending != 0 {
        release(task, (pending & !1).wrapping_add(offset));
    }
}

fn release(task: &Task, address: u64) {
    const WAITERS: u32 = 1 << 31;
    const OWNER_DIED: u32 = 1 << 30;
    const OWNER: u32 = OWNER_DIED - 1;
    if let Ok(word) = user::read::<u32>(address)
        && word & OWNER == task.id.get().into()
    {
        let _ = user::write(address, word & WAITERS | OWNER_DIED);
        if word & WAITERS != 0 {
            wake_one_at(address);
        }
    }
}
