//! Pipes: a ring of frames for the bytes. A frame is allocated when it is first needed.

use abi::record::Wait;
use abi::syscall::errno::{EAGAIN, EINTR, ENFILE, ENOMEM, EPIPE};

use super::files::{self, Kind, O_CLOEXEC, O_NONBLOCK, Open};
use super::frames;
use super::task::{wait, wake_all};
use super::{Outcome, poll, signal, user, zeroed};
use crate::cell::Local;
use crate::layout::PAGE;
use crate::memory::physical;
use crate::process::NEVER;

const PIPES: usize = 256;
const PIPE_FRAMES: usize = 16;
const CAPACITY: u64 = PIPE_FRAMES as u64 * PAGE;
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

/// `pipe2`: creates a pipe and two descriptors.
pub fn create(to: u64, flags: u64) -> Outcome<u64> {
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(abi::syscall::errno::EINVAL);
    }
    user::reach(to, 8, true)?;
    let number = ALL.iter().position(|pipe| pipe.readers.get() + pipe.writers.get() == 0).ok_or(ENFILE)?;
    let pipe = of(number as u32);
    pipe.read.set(0);
    pipe.written.set(0);
    let reader = files::create(Kind::PipeRead, number as u32, flags)?;
    pipe.readers.set(1);
    let writer = files::create(Kind::PipeWrite, number as u32, flags | 1).inspect_err(|_| {
        let _ = files::close(reader);
    })?;
    pipe.writers.set(1);
    user::write(to, [reader as u32, writer as u32])?;
    Ok(0)
}

/// Closes one end of a pipe, after the last descriptor that refers to it.
pub fn close_end(number: u32, writes: bool) {
    let pipe = of(number);
    let ends = if writes { &pipe.writers } else { &pipe.readers };
    ends.set(ends.get() - 1);
    if pipe.readers.get() + pipe.writers.get() == 0 {
        for frame in pipe.frames.iter().filter(|frame| frame.get() != 0) {
            frames::release(frame.replace(0));
        }
        return;
    }
    wake(if writes { Wait::PipeEmpty } else { Wait::PipeFull }, number);
}

fn wake(what: Wait, number: u32) {
    wake_all(what, number.into(), NEVER, |_| true);
    poll::changed();
}

/// The number of bytes that can be read.
pub fn size(number: u32) -> u32 {
    of(number).waiting() as u32
}

pub fn read(open: &Open, buffer: u64, count: u64) -> Outcome<u64> {
    let (number, pipe) = (open.object.get(), of(open.object.get()));
    if count == 0 {
        return Ok(0);
    }
    while pipe.waiting() == 0 {
        if pipe.writers.get() == 0 {
            return Ok(0);
        }
        if open.flags.get() & O_NONBLOCK != 0 {
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

pub fn write(open: &Open, buffer: u64, count: u64) -> Outcome<u64> {
    let (number, pipe) = (open.object.get(), of(open.object.get()));
    let mut done = 0;
    while done < count {
        if pipe.readers.get() == 0 {
            signal::send_to_self(signal::SIGPIPE);
            return if done == 0 { Err(EPIPE) } else { Ok(done) };
        }
        let room = CAPACITY - pipe.waiting();
        let needed = if count <= ATOMIC { count } else { 1 };
        if room < needed {
            if open.flags.get() & O_NONBLOCK != 0 {
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
    let pipe = of(open.object.get());
    let (bytes, others) = match open.kind.get() {
        Kind::PipeRead => (&pipe.written, &pipe.writers),
        _ => (&pipe.read, &pipe.readers),
    };
    bytes.get() << 1 | u64::from(others.get() == 0)
}

/// The events that `poll` returns for an end, of those requested; errors are always returned.
pub fn ready(open: &Open, events: u16) -> u16 {
    const ERR: u16 = 8;
    const HUP: u16 = 16;
    let pipe = of(open.object.get());
    if open.kind.get() == Kind::PipeRead {
        let data = if pipe.waiting() > 0 { poll::IN } else { 0 };
        data & events | if pipe.writers.get() == 0 { HUP } else { 0 }
    } else {
        let room = if CAPACITY - pipe.waiting() >= ATOMIC { poll::OUT } else { 0 };
        room & events | if pipe.readers.get() == 0 { ERR } else { 0 }
    }
}
