//! The console: bytes from the guest, written to the host's output a line at a time.
//!
//! After a failed write, the console writes nothing more. The run and its trace continue, and [`Console::take_error`] returns
//! the error.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::ops::RangeInclusive;

use abi::ports::CONSOLE;
use abi::record::HostCounter;

use super::Budget;
use crate::machine::bus::{Device, Flow};

/// A longer line is written in parts of this size, in bytes.
const LINE_MAX: usize = 4096;

/// The console. It writes to `W`, which should not buffer.
#[derive(Debug)]
pub struct Console<'a, W> {
    output: W,
    budget: &'a Budget,
    line: Vec<u8>,
    bytes: u64,
    error: Option<io::Error>,
}

impl<'a, W: Write> Console<'a, W> {
    /// A console that writes to `output`, as much as `budget` allows.
    pub fn new(output: W, budget: &'a Budget) -> Self {
        Console { output, budget, line: Vec::with_capacity(LINE_MAX), bytes: 0, error: None }
    }

    /// Takes bytes, and writes each line that they complete.
    pub fn print(&mut self, bytes: &[u8]) -> Flow {
        let flow = self.budget.take(bytes.len() as u64);
        if flow != Flow::Continue {
            return flow;
        }
        self.bytes += bytes.len() as u64;
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= LINE_MAX {
                self.flush();
            }
        }
        Flow::Continue
    }

    /// Writes bytes of a stream at once, after the bytes that wait.
    pub fn pass(&mut self, bytes: &[u8]) {
        self.line.extend(bytes);
        self.flush();
    }

    /// Writes the bytes that wait. A signal ends the attempt, and the bytes that were not written still wait: a reader
    /// that never reads must not keep a run from its time-out.
    pub fn flush(&mut self) {
        while self.error.is_none() && !self.line.is_empty() {
            match self.output.write(&self.line) {
                Ok(0) => self.error = Some(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.line.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => return,
                Err(error) => self.error = Some(error),
            }
        }
        if self.error.is_some() {
            self.line.clear();
        }
    }

    /// The error of the write that failed, if one did.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }
}

/// The port of the console. The device of the streams shares the console, so it is in a `RefCell`.
impl<W: Write> Device for &RefCell<Console<'_, W>> {
    fn ports(&self) -> RangeInclusive<u16> {
        CONSOLE..=CONSOLE
    }

    /// As in Bochs: a read of the port returns its number, so that a guest can find the console.
    fn read(&mut self, _port: u16, size: u8) -> Option<u32> {
        (size == 1).then_some(CONSOLE.into())
    }

    fn write(&mut self, _port: u16, size: u8, value: u32) -> Flow {
        if size == 1 { self.borrow_mut().print(&[value as u8]) } else { Flow::BadAccess }
    }

    fn counts(&self) -> Vec<(HostCounter, u64)> {
        vec![(HostCounter::ConsoleBytes, self.borrow().bytes)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts writes as its list of answers says: an answer of n accepts n bytes.
    #[derive(Default)]
    struct Pipe {
        answers: Vec<io::Result<usize>>,
        taken: Vec<u8>,
        calls: usize,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            let answer = if self.answers.is_empty() { Ok(bytes.len()) } else { self.answers.remove(0) };
            let taken = answer?.min(bytes.len());
            self.taken.extend(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn console(answers: Vec<io::Result<usize>>) -> Console<'static, Pipe> {
        let budget = Box::leak(Box::new(Budget::new(u64::MAX)));
        Console::new(Pipe { answers, ..Default::default() }, budget)
    }

    fn say(console: &mut Console<'_, Pipe>, text: &str) {
        assert_eq!(console.print(text.as_bytes()), Flow::Continue);
    }

    #[test]
    fn a_line_is_one_write_and_the_rest_waits_for_the_end() {
        let mut console = console(vec![]);
        say(&mut console, "hello\nworld");
        assert_eq!((console.output.taken.as_slice(), console.output.calls), (b"hello\n".as_slice(), 1));
        console.flush();
        assert_eq!(console.output.taken, b"hello\nworld");
        assert_eq!(console.bytes, 11);
    }

    #[test]
    fn a_short_write_goes_on_and_a_signal_leaves_the_rest_waiting() {
        let mut console = console(vec![Ok(2), Err(ErrorKind::Interrupted.into())]);
        say(&mut console, "hello\n");
        assert_eq!(console.output.taken, b"he");
        console.flush();
        assert_eq!(console.output.taken, b"hello\n");
    }

    #[test]
    fn after_a_failed_write_nothing_is_written_and_bytes_are_still_counted() {
        let mut console = console(vec![Err(ErrorKind::StorageFull.into())]);
        say(&mut console, "a\nb\nc\n");
        assert_eq!((console.output.calls, console.bytes), (1, 6));
        assert_eq!(console.take_error().map(|error| error.kind()), Some(ErrorKind::StorageFull));
    }

    #[test]
    fn other_sizes_are_refused() {
        let console = RefCell::new(console(vec![]));
        let mut port = &console;
        for size in [0, 2, 4] {
            assert_eq!(port.write(CONSOLE, size, 65), Flow::BadAccess);
        }
        assert_eq!(port.read(CONSOLE, 1), Some(0xE9));
        assert_eq!(console.borrow().bytes, 0);
        assert_eq!(port.write(CONSOLE, 1, 10), Flow::Continue);
        assert_eq!(console.borrow().output.taken, b"\n");
    }
}
