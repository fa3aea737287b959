//! Lines of text on standard output, by one `write` each, so that the lines of several processes do not mix.

use crate::syscall;

/// Writes a line made of parts: strings, numbers, [`Hex`].
#[macro_export]
macro_rules! say {
    ($($part:expr),+ $(,)?) => {{
        let mut line = $crate::print::Line::new();
        $($crate::print::Part::append($part, &mut line);)+
        line.end();
    }};
}

/// A line that is being put together.
pub struct Line {
    bytes: [u8; Line::SIZE],
    length: usize,
}

impl Line {
    /// The longest line, in bytes with its newline. A longer one is cut off.
    pub const SIZE: usize = 160;

    /// An empty line.
    #[expect(clippy::new_without_default, reason = "one way to make a line is enough")]
    pub fn new() -> Line {
        Line { bytes: [0; Line::SIZE], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// Writes it, with a newline.
    pub fn end(&mut self) {
        self.length = self.length.min(Line::SIZE - 1);
        self.push(b'\n');
        // There is no other place to report that the console is gone.
        let _ = syscall::write(syscall::STDOUT, self.bytes.get(..self.length).unwrap_or_default());
    }
}

/// What can be a part of a line.
pub trait Part {
    /// Appends it to the line.
    fn append(self, line: &mut Line);
}

impl Part for &str {
    fn append(self, line: &mut Line) {
        self.bytes().for_each(|byte| line.push(byte));
    }
}

impl Part for u64 {
    fn append(self, line: &mut Line) {
        digits(self, 10, line);
    }
}

impl Part for i64 {
    fn append(self, line: &mut Line) {
        if self < 0 {
            line.push(b'-');
        }
        self.unsigned_abs().append(line);
    }
}

/// A number, shown in hexadecimal.
#[derive(Clone, Copy)]
pub struct Hex(pub u64);

impl Part for Hex {
    fn append(self, line: &mut Line) {
        "0x".append(line);
        digits(self.0, 16, line);
    }
}

fn digits(number: u64, base: u64, line: &mut Line) {
    if number >= base {
        digits(number / base, base, line);
    }
    let digit = (number % base) as u8;
    line.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
}
