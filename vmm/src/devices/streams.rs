//! Standard output and error of the guest's programs: the host copies the bytes from guest memory.
//!
//! Each write of a program arrives whole and is written at once. After a failed write to a stream, nothing more is
//! written to it; the run and its trace continue.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::ops::RangeInclusive;

use abi::ports::{OUTPUT, Output, STDERR, STDOUT, TO_CONSOLE};
use abi::record::HostCounter;
use vm_memory::{Bytes, GuestAddress};

use super::{Budget, Console};
use crate::machine::bus::{Device, Flow};
use crate::machine::layout::Memory;

/// The most bytes that a guest may print at once: one page. A larger size is an error of the guest.
const SIZE_MAX: u32 = 4096;

/// Standard output and standard error.
#[derive(Debug)]
pub struct Streams<'a, 'b, W, E> {
    memory: &'a Memory,
    console: &'a RefCell<Console<'b, W>>,
    errors: Stream<E>,
    budget: &'a Budget,
    bytes: u64,
}

impl<'a, 'b, W: Write, E: Write> Streams<'a, 'b, W, E> {
    /// Creates the streams of a guest with this memory. Standard output is that of the console. Together they may print
    /// as much as `budget` allows.
    pub fn new(
        memory: &'a Memory,
        console: &'a RefCell<Console<'b, W>>,
        errors: E,
        budget: &'a Budget,
    ) -> Self {
        Streams { memory, console, errors: Stream::new(errors), budget, bytes: 0 }
    }

    /// The bytes that the guest prints, and the stream. `None`: the guest violates the contract.
    fn take(&self, address: u32) -> Option<(Vec<u8>, u32)> {
        let mut words = [0; size_of::<Output>()];
        self.memory.read_slice(&mut words, GuestAddress(address.into())).ok()?;
        let word = |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        let from = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (size, stream) = (word(8), word(12));
        if size > SIZE_MAX || stream > STDERR {
            return None;
        }
        let mut bytes = vec![0; size as usize];
        self.memory.read_slice(&mut bytes, GuestAddress(from)).ok()?;
        Some((bytes, stream))
    }
}

impl<W: Write, E: Write> Device for Streams<'_, '_, W, E> {
    fn ports(&self) -> RangeInclusive<u16> {
        OUTPUT..=OUTPUT + 3
    }

    fn read(&mut self, _port: u16, _size: u8) -> Option<u32> {
        None
    }

    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        let taken = if (port, size) == (OUTPUT, 4) { self.take(value) } else { None };
        let Some((bytes, stream)) = taken else { return Flow::BadAccess };
        if stream == TO_CONSOLE {
            return self.console.borrow_mut().print(&bytes);
        }
        let flow = self.budget.take(bytes.len() as u64);
        if flow != Flow::Continue {
            return flow;
        }
        self.bytes += bytes.len() as u64;
        if stream == STDOUT {
            self.console.borrow_mut().pass(&bytes);
        } else {
            self.errors.write(&bytes);
        }
        Flow::Continue
    }

    fn counts(&self) -> Vec<(HostCounter, u64)> {
        vec![(HostCounter::StreamBytes, self.bytes)]
    }
}

/// One stream.
#[derive(Debug)]
struct Stream<W> {
    to: W,
    error: Option<io::Error>,
}

impl<W: Write> Stream<W> {
    fn new(to: W) -> Self {
        Stream { to, error: None }
    }

    /// Writes all bytes. A signal ends the attempt and the rest is lost: a reader that never reads must not keep a run
    /// from its time-out.
    fn write(&mut self, mut bytes: &[u8]) {
        while self.error.is_none() && !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => self.error = Some(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => return,
                Err(error) => self.error = Some(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::layout::{MEMORY_MIN_MIB, reserve};

    const AT: u64 = 0x8000;
    const TEXT: u64 = 0x9000;

    /// Writes `size` bytes at [`TEXT`] to a stream. Returns the action of the device, and both streams.
    fn print(size: u32, stream: u32) -> (Flow, Vec<u8>, Vec<u8>) {
        let memory = reserve(MEMORY_MIN_MIB).unwrap();
        memory.write_slice(b"hello", GuestAddress(TEXT)).unwrap();
        memory.write_slice(&TEXT.to_le_bytes(), GuestAddress(AT)).unwrap();
        memory.write_slice(&size.to_le_bytes(), GuestAddress(AT + 8)).unwrap();
        memory.write_slice(&stream.to_le_bytes(), GuestAddress(AT + 12)).unwrap();
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let budget = Budget::new(5);
        let console = RefCell::new(Console::new(&mut output, &budget));
        let flow = Streams::new(&memory, &console, &mut errors, &budget).write(OUTPUT, 4, AT as u32);
        drop(console);
        (flow, output, errors)
    }

    #[test]
    fn each_stream_gets_its_bytes() {
        assert_eq!(print(5, 1), (Flow::Continue, b"hello".to_vec(), vec![]));
        assert_eq!(print(4, 2), (Flow::Continue, vec![], b"hell".to_vec()));
        assert_eq!(print(5, 0), (Flow::Continue, vec![], vec![]), "the console waits for the end of a line");
    }

    #[test]
    fn what_breaks_the_contract_is_refused() {
        for (size, stream) in [(5, 3), (4097, 1), (u32::MAX, 1)] {
            assert_eq!(print(size, stream), (Flow::BadAccess, vec![], vec![]));
        }
        let memory = reserve(MEMORY_MIN_MIB).unwrap();
        let budget = Budget::new(5);
        let console = RefCell::new(Console::new(Vec::new(), &budget));
        let mut streams = Streams::new(&memory, &console, Vec::new(), &budget);
        for (port, size, value) in [(OUTPUT, 2, AT as u32), (OUTPUT + 1, 4, AT as u32), (OUTPUT, 4, u32::MAX)]
        {
            assert_eq!(streams.write(port, size, value), Flow::BadAccess);
        }
    }
}
