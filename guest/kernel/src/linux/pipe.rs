//! Pipes: a ring of frames for the bytes. A frame is allocated when it is first needed. Two connected sockets are two
//! pipes: each socket reads one and writes the other.

use abi::record::Wait;
use abi::syscall::errno::{
    EAGAIN, EBADF, EINTR, EINVAL, ENFILE, ENOMEM, ENOSYS, ENOTSOCK, EOPNOTSUPP, EPIPE,
};
use abi::syscall::signals::SIGPIPE;
use abi::syscall::values::*;

use super::files::{self, Kind, Open};
use super::frames;
use super::task::{wait, wake_all};
use super::{Outcome, poll, signal, user, zeroed};
use crate::cell::Local;
use crate::layout::PAGE;
use crate::memory::physical;
use crate::process::NEVER;

const PIPES: usize = 256;
const PIPE_FRAMES: usize = 16;
pub const CAPACITY: u64 = PIPE_FRAMES as u64 * PAGE;
/// A write of at most this many bytes is atomic.
const ATOMIC: u64 = 4096;

struct Pipe {
    /// The number of open files for reading, and for writing. If both are 0, the structure is free.
    readers: Local<u32>,
    writers: Local<u32>,
    /// Total number of bytes read, and written. They determine the positions in the ring.
    read: Local<u64>,
    written: Local<u64>,
    frames: [Local<u64>; PIPE_FRAMES],
}

static ALL: [Pipe; PIPES] = [const { zeroed() }; PIPES];

impl Pipe {
    fn waiting(&self) -> u64 {
        self.written.get() - self.read.get()
    }

    /// The bytes of the ring from a position to the end of its frame, at most `most`.
    fn stretch(&self, place: u64, most: u64) -> Outcome<(*mut u8, u64)> {
        let frame = &self.frames[(place / PAGE) as usize % PIPE_FRAMES];
        if frame.get() == 0 {
            frame.set(frames::take().ok_or(ENOMEM)?);
        }
        // SAFETY: an offset within the frame.
        let at = unsafe { physical::<u8>(frame.get()).add((place % PAGE) as usize) };
        Ok((at, most.min(PAGE - place % PAGE)))
    }
}

/// The pipe with a number.
fn of(number: u32) -> &'static Pipe {
    &ALL[number as usize % PIPES]
}

/// The pipe that an open file reads: both ends of a pipe have its number, and a socket has the number of its input.
fn input(open: &Open) -> Option<u32> {
    (open.kind.get() != Kind::PipeWrite).then_some(open.object.get())
}

/// The pipe that an open file writes. The two pipes of two sockets differ in the lowest bit of their numbers.
fn output(open: &Open) -> Option<u32> {
    match open.kind.get() {
        Kind::PipeRead => None,
        Kind::Socket => Some(open.object.get() ^ 1),
        _ => Some(open.object.get()),
    }
}

/// `pipe2`: creates a pipe and two descriptors.
pub fn create(to: u64, flags: u64) -> Outcome<u64> {
    let number = (0..PIPES).find(|&number| is_free(number)).ok_or(ENFILE)? as u32;
    create_two(to, flags, [(Kind::PipeRead, number, O_RDONLY), (Kind::PipeWrite, number, O_WRONLY)])
}

/// `socketpair`: creates two connected sockets. Only streams of the Unix domain are supported.
pub fn create_sockets(domain: u64, kind: u64, protocol: u64, to: u64) -> Outcome<u64> {
    const FLAGS: u64 = SOCK_CLOEXEC | SOCK_NONBLOCK;
    if (domain, kind & !FLAGS, protocol) != (AF_UNIX, SOCK_STREAM, 0) {
        return Err(ENOSYS);
    }
    let are_free = |&number: &usize| is_free(number) && is_free(number + 1);
    let number = (0..PIPES).step_by(2).find(are_free).ok_or(ENFILE)? as u32;
    create_two(to, kind & FLAGS, [(Kind::Socket, number, O_RDWR), (Kind::Socket, number ^ 1, O_RDWR)])
}

fn is_free(number: usize) -> bool {
    let pipe = of(number as u32);
    pipe.readers.get() + pipe.writers.get() == 0
}

/// Creates two open files, and stores their descriptors at `to`.
fn create_two(to: u64, flags: u64, files: [(Kind, u32, u64); 2]) -> Outcome<u64> {
    let flags = u64::from(flags as u32);
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(EINVAL);
    }
    user::reach(to, 8, true)?;
    let first = create_one(flags, files[0])?;
    let second = create_one(flags, files[1]).inspect_err(|_| _ = files::close(first))?;
    user::write(to, [first as u32, second as u32]).map(|()| 0)
}

fn create_one(flags: u64, (kind, number, mode): (Kind, u32, u64)) -> Outcome<u64> {
    let descriptor = files::create(kind, number, flags | mode)?;
    let open = files::open(descriptor)?;
    input(open).into_iter().for_each(|number| of(number).readers.set(of(number).readers.get() + 1));
    output(open).into_iter().for_each(|number| of(number).writers.set(of(number).writers.get() + 1));
    Ok(descriptor)
}

/// Closes an end of a pipe or a socket, after the last descriptor that refers to it.
pub fn closed(open: &Open) {
    if let Some(number) = input(open) {
        leave(number, &of(number).readers, Wait::PipeFull);
    }
    if let Some(number) = output(open) {
        leave(number, &of(number).writers, Wait::PipeEmpty);
    }
}

/// Counts one open file less. The last one frees the pipe; before that, tasks may wait for this end.
fn leave(number: u32, users: &Local<u32>, what: Wait) {
    users.set(users.get() - 1);
    let pipe = of(number);
    if !is_free(number as usize) {
        return wake(what, number);
    }
    for frame in pipe.frames.iter().filter(|frame| frame.get() != 0) {
        frames::release(frame.replace(0));
    }
    pipe.read.set(0);
    pipe.written.set(0);
}

fn wake(what: Wait, number: u32) {
    wake_all(what, number.into(), NEVER, |_| true);
    poll::changed();
}

/// The socket of a descriptor, for a call with these flags.
fn socket(descriptor: u64, flags: u64) -> Outcome<&'static Open> {
    let open = files::open(descriptor)?;
    match open.kind.get() {
        Kind::Socket if flags & !(MSG_DONTWAIT | MSG_NOSIGNAL) == 0 => Ok(open),
        Kind::Socket => Err(EOPNOTSUPP),
        _ => Err(ENOTSOCK),
    }
}

/// `recvfrom`. The other socket has no address.
pub fn receive(descriptor: u64, buffer: u64, count: u64, flags: u64) -> Outcome<u64> {
    let open = socket(descriptor, flags)?;
    files::hold(open, || read(open, buffer, count, flags))
}

/// `sendto`. The socket is connected, so the address does not matter.
pub fn send(descriptor: u64, buffer: u64, count: u64, flags: u64) -> Outcome<u64> {
    let open = socket(descriptor, flags)?;
    files::hold(open, || write(open, buffer, count, flags))
}

/// The number of bytes that can be read.
pub fn size(number: u32) -> u32 {
    of(number).waiting() as u32
}

/// Reads from a pipe or a socket. `flags`: those of `recvfrom`.
pub fn read(open: &Open, buffer: u64, count: u64, flags: u64) -> Outcome<u64> {
    let number = input(open).ok_or(EBADF)?;
    let pipe = of(number);
    if count == 0 {
        return Ok(0);
    }
    while pipe.waiting() == 0 {
        if pipe.writers.get() == 0 {
            return Ok(0);
        }
        if open.is_nonblocking() || flags & MSG_DONTWAIT != 0 {
            return Err(EAGAIN);
        }
        wait(Wait::PipeEmpty, number.into(), NEVER).map_err(signal::restart_after)?;
    }
    let count = count.min(pipe.waiting());
    user::reach(buffer, count, true)?;
    let mut done = 0;
    while done < count {
        let (from, now) = pipe.stretch(pipe.read.get(), count - done)?;
        // SAFETY: the bytes lie in a frame of the pipe, and `reach` made the process's memory accessible.
        unsafe { ((buffer + done) as *mut u8).copy_from_nonoverlapping(from, now as usize) };
        done += now;
        pipe.read.set(pipe.read.get() + now);
    }
    wake(Wait::PipeFull, number);
    Ok(count)
}

/// Writes to a pipe or a socket. `flags`: those of `sendto`.
pub fn write(open: &Open, buffer: u64, count: u64, flags: u64) -> Outcome<u64> {
    let number = output(open).ok_or(EBADF)?;
    let pipe = of(number);
    let mut done = 0;
    while done < count {
        if pipe.readers.get() == 0 {
            if flags & MSG_NOSIGNAL == 0 {
                signal::send_to_self(SIGPIPE);
            }
            return if done == 0 { Err(EPIPE) } else { Ok(done) };
        }
        let room = CAPACITY - pipe.waiting();
        let needed = if count <= ATOMIC { count } else { 1 };
        if room < needed {
            if open.is_nonblocking() || flags & MSG_DONTWAIT != 0 {
                return if done == 0 { Err(EAGAIN) } else { Ok(done) };
            }
            match wait(Wait::PipeFull, number.into(), NEVER) {
                Err(EINTR) if done > 0 => return Ok(done),
                other => other.map_err(signal::restart_after)?,
            };
            continue;
        }
        let now = room.min(count - done);
        let from = user::bytes(buffer + done, now)?;
        put(pipe, from)?;
        done += now;
        wake(Wait::PipeEmpty, number);
    }
    Ok(done)
}

/// Appends bytes, for which there must be room.
fn put(pipe: &Pipe, mut bytes: &[u8]) -> Outcome<()> {
    while !bytes.is_empty() {
        let (to, now) = pipe.stretch(pipe.written.get(), bytes.len() as u64)?;
        let (first, rest) = bytes.split_at(now as usize);
        // SAFETY: `stretch` returned room for so many bytes in a frame of the pipe.
        unsafe { to.copy_from_nonoverlapping(first.as_ptr(), first.len()) };
        pipe.written.set(pipe.written.get() + now);
        bytes = rest;
    }
    Ok(())
}

/// A number that changes when there is more to read, or more room to write, or the other end is closed.
pub fn changes(open: &Open) -> u64 {
    let number = |bytes: u64, others: u32| bytes << 1 | u64::from(others == 0);
    let read = input(open).map_or(0, |pipe| number(of(pipe).written.get(), of(pipe).writers.get()));
    let write = output(open).map_or(0, |pipe| number(of(pipe).read.get(), of(pipe).readers.get()));
    read.wrapping_add(write)
}

/// The events that `poll` returns for an end, of those requested; errors are always returned.
pub fn ready(open: &Open, events: u16) -> u16 {
    let (mut now, mut always) = (0, 0);
    let is_socket = open.kind.get() == Kind::Socket;
    if let Some(pipe) = input(open).map(of) {
        let is_closed = pipe.writers.get() == 0;
        now |= if pipe.waiting() > 0 || (is_closed && is_socket) { POLLIN } else { 0 };
        now |= if is_closed && is_socket { POLLRDHUP } else { 0 };
        always |= if is_closed { POLLHUP } else { 0 };
    }
    if let Some(pipe) = output(open).map(of) {
        let is_closed = pipe.readers.get() == 0;
        now |= if CAPACITY - pipe.waiting() >= ATOMIC || (is_closed && is_socket) { POLLOUT } else { 0 };
        always |= if is_closed && !is_socket { POLLERR } else { 0 };
    }
    now as u16 & events | always as u16
}
