//! Standard input of the guest's programs: the guest asks for bytes, and a thread reads them and interrupts the guest.
//!
//! The thread reads only what the guest asked for, so the bytes that no program reads stay for the next reader on the
//! host. Neither the guest nor the vCPU's thread waits for the read. The device holds at most [`INPUT_MAX`] bytes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::ops::{Range, RangeInclusive};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::ports::{ASK, INPUT, INPUT_END, INPUT_FAILED, INPUT_MAX, INPUT_READY, Input as Place};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vm_memory::{Bytes, GuestAddress};

use crate::machine::bus::{Device, Flow, Look};
use crate::machine::layout::Memory;

/// The answer of the thread to the guest. Its memory is allocated once, so that the thread needs no calls for it in the
/// sandbox.
#[derive(Debug)]
struct Held {
    answer: Answer,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Answer {
    None,
    /// The range of the bytes that the guest has not taken yet.
    Bytes(Range<usize>),
    /// Something can be read: the events of poll(2).
    Ready(u16),
    End,
    Failed(Errno),
}

type Shared = Arc<Mutex<Held>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Held> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device. When it is dropped, its thread ends.
#[derive(Debug)]
pub struct Input<'a> {
    memory: &'a Memory,
    source: OwnedFd,
    held: Shared,
    requests: PipeWriter,
    /// The guest asked for bytes and has not taken any since.
    is_asked: bool,
}

/// The part of the device that its thread runs.
#[derive(Debug)]
pub struct Reader {
    source: OwnedFd,
    held: Shared,
    requests: PipeReader,
    buffer: Vec<u8>,
}

impl<'a> Input<'a> {
    /// Creates a device that reads from `source`, for a guest with this memory, and the part that its thread runs.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(memory: &'a Memory, source: impl AsFd) -> io::Result<(Input<'a>, Reader)> {
        let source = source.as_fd().try_clone_to_owned()?;
        let (receiver, requests) = io::pipe()?;
        let buffer = vec![0; INPUT_MAX as usize];
        let held = Arc::new(Mutex::new(Held { answer: Answer::None, bytes: buffer.clone() }));
        let reader = Reader { source: source.try_clone()?, held: held.clone(), requests: receiver, buffer };
        Ok((Input { memory, source, held, requests, is_asked: false }, reader))
    }

    /// What the guest reads from [`INPUT`].
    fn status(&self) -> u32 {
        match &lock(&self.held).answer {
            Answer::None => events(&self.source, PollTimeout::ZERO).map_or(0, ready),
            Answer::Bytes(rest) => rest.len() as u32,
            Answer::Ready(events) => ready(*events),
            Answer::End => INPUT_END,
            Answer::Failed(error) => INPUT_FAILED | *error as u32,
        }
    }

    /// Copies bytes to the address that the guest named. `None`: the guest violates the contract.
    fn put(&mut self, address: u32) -> Option<()> {
        self.is_asked = false;
        let mut words = [0; size_of::<Place>()];
        self.memory.read_slice(&mut words, GuestAddress(address.into())).ok()?;
        let [to, size] =
            [0, 8].map(|at| u64::from_le_bytes(words[at..at + 8].try_into().unwrap_or_default()));
        let mut held = lock(&self.held);
        let Answer::Bytes(rest) = held.answer.clone() else {
            held.answer = Answer::None;
            return Some(());
        };
        let now = held.bytes[rest.clone()].get(..usize::try_from(size).ok()?)?;
        self.memory.write_slice(now, GuestAddress(to)).ok()?;
        let rest = rest.start + now.len()..rest.end;
        held.answer = if rest.is_empty() { Answer::None } else { Answer::Bytes(rest) };
        Some(())
    }

    /// Asks the thread for bytes. `None`: the guest asks for too many.
    fn ask(&mut self, size: u32) -> Option<()> {
        if size > INPUT_MAX {
            return None;
        }
        self.is_asked = true;
        // A pipe accepts four bytes at once. The write fails only if the thread has ended.
        let _ = self.requests.write_all(&size.to_le_bytes());
        Some(())
    }
}

fn ready(events: u16) -> u32 {
    if events == 0 { 0 } else { INPUT_READY | u32::from(events) }
}

/// The events of a file, when there are any or the wait is over.
fn events(file: &OwnedFd, wait: PollTimeout) -> Result<u16, Errno> {
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, wait)?;
    Ok(polled[0].revents().unwrap_or(PollFlags::POLLIN).bits().cast_unsigned())
}

impl Device for Input<'_> {
    fn ports(&self) -> RangeInclusive<u16> {
        INPUT..=ASK + 3
    }

    fn read(&mut self, port: u16, size: u8) -> Option<u32> {
        ((port, size) == (INPUT, 4)).then(|| self.status())
    }

    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        let done = match (port, size) {
            (INPUT, 4) => self.put(value),
            (ASK, 4) => self.ask(value),
            _ => None,
        };
        done.map_or(Flow::BadAccess, |()| Flow::Continue)
    }

    fn look(&self, look: &mut Look) {
        look.waits_for_input = self.is_asked && matches!(lock(&self.held).answer, Answer::None);
    }
}

impl Reader {
    /// Answers requests, each with an interrupt, until the device is dropped.
    pub fn work(mut self, interrupt: impl Fn()) {
        let mut wanted = None;
        while let Ok([is_asked, is_readable]) = self.wait(wanted.is_some()) {
            if is_asked {
                let mut size = [0; 4];
                if self.requests.read_exact(&mut size).is_err() {
                    return;
                }
                wanted = Some(u32::from_le_bytes(size).max(wanted.unwrap_or(0)));
            } else if is_readable && self.answer(wanted.unwrap_or(0)).is_some() {
                wanted = None;
                interrupt();
            }
        }
    }

    /// Waits until there is a request or, with `for_input`, until there is input.
    fn wait(&self, for_input: bool) -> Result<[bool; 2], Errno> {
        let flags = PollFlags::POLLIN;
        let mut polled = [PollFd::new(self.requests.as_fd(), flags), PollFd::new(self.source.as_fd(), flags)];
        let count = if for_input { 2 } else { 1 };
        poll(&mut polled[..count], PollTimeout::NONE)?;
        Ok(polled.map(|file| file.revents().is_none_or(|events| !events.is_empty())))
    }

    /// Stores the answer for the guest, unless the input is not there any more.
    fn answer(&mut self, size: u32) -> Option<()> {
        let answer = if size == 0 {
            let events = events(&self.source, PollTimeout::ZERO).ok().filter(|events| *events != 0)?;
            Answer::Ready(events)
        } else {
            match nix::unistd::read(&self.source, &mut self.buffer[..size as usize]) {
                Ok(0) => Answer::End,
                Ok(count) => Answer::Bytes(0..count),
                Err(Errno::EAGAIN | Errno::EINTR) => return None,
                Err(error) => Answer::Failed(error),
            }
        };
        let mut held = lock(&self.held);
        if let Answer::Bytes(all) = &answer {
            held.bytes[all.clone()].copy_from_slice(&self.buffer[all.clone()]);
        }
        held.answer = answer;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::machine::layout::{MEMORY_MIN_MIB, reserve};

    const AT: u64 = 0x8000;
    const TEXT: u64 = 0x9000;
    const POLLIN: u32 = 1;

    /// A device that reads from `source`, and the receiver of its interrupts.
    fn device<'a>(memory: &'a Memory, source: &PipeReader) -> (Input<'a>, Receiver<()>) {
        let (input, reader) = Input::new(memory, source).unwrap();
        let (sender, interrupts) = mpsc::channel();
        // A test that has finished does not receive any more.
        std::thread::spawn(move || reader.work(|| sender.send(()).unwrap_or_default()));
        (input, interrupts)
    }

    /// Takes `size` bytes. Returns the action of the device, and the memory to which the bytes go.
    fn take(input: &mut Input, size: u64) -> (Flow, String) {
        input.memory.write_slice(&TEXT.to_le_bytes(), GuestAddress(AT)).unwrap();
        input.memory.write_slice(&size.to_le_bytes(), GuestAddress(AT + 8)).unwrap();
        let flow = input.write(INPUT, 4, AT as u32);
        let mut text = [0; 3];
        input.memory.read_slice(&mut text, GuestAddress(TEXT)).unwrap();
        (flow, String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn bytes_come_when_they_are_asked_for() {
        let memory = reserve(MEMORY_MIN_MIB).unwrap();
        let (source, mut sink) = io::pipe().unwrap();
        let (mut input, interrupts) = device(&memory, &source);
        assert_eq!(input.read(INPUT, 4), Some(0));
        assert_eq!(input.write(ASK, 4, 0), Flow::Continue);
        sink.write_all(b"hello").unwrap();
        interrupts.recv().unwrap();
        assert_eq!(input.read(INPUT, 4), Some(INPUT_READY | POLLIN));

        assert_eq!(input.write(ASK, 4, 3), Flow::Continue);
        interrupts.recv().unwrap();
        assert_eq!(input.read(INPUT, 4), Some(3));
        assert_eq!(take(&mut input, 2), (Flow::Continue, "he\0".into()));
        assert_eq!(input.read(INPUT, 4), Some(1));
        assert_eq!(take(&mut input, 1), (Flow::Continue, "le\0".into()));

        assert_eq!(input.write(ASK, 4, INPUT_MAX), Flow::Continue);
        interrupts.recv().unwrap();
        assert_eq!(input.read(INPUT, 4), Some(2));
        assert_eq!(take(&mut input, 2), (Flow::Continue, "lo\0".into()));
        drop(sink);
        input.write(ASK, 4, 1);
        interrupts.recv().unwrap();
        assert_eq!(input.read(INPUT, 4), Some(INPUT_END));
    }

    #[test]
    fn what_breaks_the_contract_is_refused() {
        let memory = reserve(MEMORY_MIN_MIB).unwrap();
        let (source, mut sink) = io::pipe().unwrap();
        let (mut input, interrupts) = device(&memory, &source);
        sink.write_all(b"abc").unwrap();
        input.write(ASK, 4, 3);
        interrupts.recv().unwrap();
        assert_eq!(take(&mut input, 4).0, Flow::BadAccess, "more than there is");
        for (port, size, value) in [
            (ASK, 4, INPUT_MAX + 1),
            (ASK, 2, 1),
            (INPUT, 4, u32::MAX),
            (INPUT, 1, 0),
            (INPUT + 1, 4, AT as u32),
        ] {
            assert_eq!(input.write(port, size, value), Flow::BadAccess, "{port:#x} {size} {value:#x}");
        }
        assert_eq!((input.read(ASK, 4), input.read(INPUT, 1)), (None, None));
        assert_eq!(take(&mut input, 3), (Flow::Continue, "abc".into()));
    }
}
