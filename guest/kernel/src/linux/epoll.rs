//! `epoll`: sets of files to wait for. A process makes a set once, and then waits for its files as often as it wants.
//!
//! Limits: a set has no other sets among its files.

use abi::syscall::errno::{EEXIST, EFAULT, EINVAL, ELOOP, EMFILE, ENOENT, ENOSPC, EPERM};
use abi::syscall::types::EPOLL_EVENT_SIZE;
use abi::syscall::values::*;

use super::files::{self, Kind, Open};
use super::list::List;
use super::poll::{self, set_mask, until_found};
use super::{Outcome, clear, user, zeroed};
use crate::cell::Local;
use crate::layout::USER_END;

const SETS: usize = 32;
/// The most files of a set.
const FILES: usize = 64;

const ONCE: u32 = EPOLLONESHOT as u32;
const EDGE: u32 = EPOLLET as u32;
/// The events that `poll` knows too.
const EVENTS: u32 = 0xFFFF;

/// A file of a set.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watched {
    /// The number of the open file, and the descriptor with which it was added.
    file: usize,
    descriptor: u32,
    events: u32,
    data: u64,
    /// With `EPOLLET`: [`files::changes`] when the file was last returned.
    seen: Option<u64>,
}

struct Set {
    is_used: Local<bool>,
    files: List<Watched, FILES>,
}

static SET: [Set; SETS] = [const { zeroed() }; SETS];

fn set_of(open: &Open) -> Outcome<&'static Set> {
    if open.kind.get() == Kind::Epoll { Ok(&SET[open.object.get() as usize % SETS]) } else { Err(EINVAL) }
}

/// `epoll_create1`.
pub fn create(flags: u64) -> Outcome<u64> {
    let flags = u64::from(flags as u32);
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(EINVAL);
    }
    let number = SET.iter().position(|set| !set.is_used.get()).ok_or(EMFILE)?;
    let descriptor = files::create(Kind::Epoll, number as u32, flags | O_RDWR)?;
    SET[number].is_used.set(true);
    Ok(descriptor)
}

/// Adds a file to a set, changes what is waited for, or removes the file.
pub fn control(set: u64, command: u64, descriptor: u64, event: u64) -> Outcome<u64> {
    let command = u64::from(command as u32);
    let (events, data) = match command {
        EPOLL_CTL_DEL => (0, 0),
        _ => (user::read::<u32>(event)?, user::read::<u64>(event + 4)?),
    };
    let (of, open) = (files::open(set)?, files::open(descriptor)?);
    if !files::can_poll(open) {
        return Err(EPERM);
    }
    let set = set_of(of)?;
    if open.kind.get() == Kind::Epoll {
        // Linux has sets within sets; this kernel does not.
        return Err(if core::ptr::eq(of, open) { EINVAL } else { ELOOP });
    }
    let (file, descriptor) = (files::number(open), descriptor as u32);
    let is_it = |watched: Watched| watched.file == file && watched.descriptor == descriptor;
    let new = Watched { file, descriptor, events, data, seen: None };
    match (command, set.files.iter().position(is_it)) {
        (EPOLL_CTL_ADD, Some(_)) => return Err(EEXIST),
        (EPOLL_CTL_ADD, None) if set.files.is_full() => return Err(ENOSPC),
        (EPOLL_CTL_ADD, None) => set.files.push(new),
        (EPOLL_CTL_DEL | EPOLL_CTL_MOD, None) => return Err(ENOENT),
        (EPOLL_CTL_DEL, Some(_)) => drop(set.files.take(is_it)),
        (EPOLL_CTL_MOD, Some(index)) => set.files.replace(index, new),
        _ => return Err(EINVAL),
    }
    poll::changed();
    Ok(0)
}

/// Waits until files of a set are ready, and stores at most `most` of them in the array.
pub fn wait(set: u64, array: u64, most: u64, until: u64, mask: u64, size: u64) -> Outcome<u64> {
    set_mask(mask, size)?;
    let most = u64::from(most as u32);
    if most == 0 || most > i32::MAX as u64 / EPOLL_EVENT_SIZE {
        return Err(EINVAL);
    }
    array.checked_add(most * EPOLL_EVENT_SIZE).filter(|&end| end <= USER_END).ok_or(EFAULT)?;
    let open = files::open(set)?;
    let set = set_of(open)?;
    files::hold(open, || until_found(until, || look(set, array, most)))
}

/// Stores the files of a set that are ready, and returns how many there are.
fn look(set: &Set, array: u64, most: u64) -> Outcome<u64> {
    let mut found = 0;
    for index in 0..set.files.len() {
        if found == most {
            break;
        }
        let watched = set.files.at(index);
        let open = files::file(watched.file);
        let (now, changes) = (occurred(&watched), files::changes(open));
        let is_old = watched.events & EDGE != 0 && changes.is_some() && changes == watched.seen;
        if now != 0 && !is_old {
            let to = array + found * EPOLL_EVENT_SIZE;
            user::write(to, now)?;
            user::write(to + 4, watched.data)?;
            found += 1;
            let once = watched.events & ONCE != 0;
            let events = if once { watched.events & !EVENTS } else { watched.events };
            set.files.replace(index, Watched { events, seen: changes, ..watched });
        }
    }
    Ok(found)
}

/// The events that are waited for and have occurred. Errors are always among them, unless `EPOLLONESHOT` turned the file off.
fn occurred(watched: &Watched) -> u32 {
    match watched.events & EVENTS {
        0 if watched.events & ONCE != 0 => 0,
        events => files::ready(files::file(watched.file), events as u16).into(),
    }
}

/// The events that `poll` returns for a set, of those requested.
pub fn ready(open: &Open, events: u16) -> u16 {
    let is_ready = set_of(open).is_ok_and(|set| set.files.iter().any(|watched| occurred(&watched) != 0));
    if is_ready { poll::IN & events } else { 0 }
}

/// Removes an open file, which its last descriptor closes, from all sets; if it is a set, the set is free.
pub fn closed(open: &Open) {
    if let Ok(set) = set_of(open) {
        clear(set);
    }
    for set in SET.iter().filter(|set| set.is_used.get()) {
        while set.files.take(|watched| watched.file == files::number(open)).is_some() {}
    }
}
