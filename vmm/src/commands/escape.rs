//! `--escape`: output of the guest with its control characters in a visible form, because a terminal obeys them.
//!
//! The form is that of `cat -v`: `^[` is the byte 27, `^?` is 127, and `M-` stands for the highest bit. Tabs and ends of
//! lines stay. UTF-8 is not decoded, because it can encode control characters too.

use std::io::{self, Write};

/// How many bytes one write takes at most.
const PART: usize = 1024;

/// The stream itself, or one that shows control characters.
pub fn stream(to: impl Write + 'static, is_escaped: bool) -> Box<dyn Write> {
    if is_escaped { Box::new(Escaped { to, rest: Vec::new() }) } else { Box::new(to) }
}

struct Escaped<W> {
    to: W,
    /// The end of a form that was written in part.
    rest: Vec<u8>,
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.rest.is_empty() {
            match self.to.write(&self.rest)? {
                0 => return Ok(0),
                written => drop(self.rest.drain(..written)),
            }
        }
        let (mut shown, mut ends) = (Vec::new(), Vec::new());
        for &byte in bytes.iter().take(PART) {
            show(byte, &mut shown);
            ends.push(shown.len());
        }
        let written = self.to.write(&shown)?;
        let count = ends.partition_point(|&end| end < written) + usize::from(written > 0);
        if let Some(end) = count.checked_sub(1).and_then(|last| ends.get(last)) {
            self.rest.extend(&shown[written..*end]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Appends the form of a byte.
fn show(byte: u8, to: &mut Vec<u8>) {
    const HIGH: u8 = 0x80;
    const CONTROL: u8 = 0x40;
    if byte == b'\n' || byte == b'\t' {
        return to.push(byte);
    }
    if byte & HIGH != 0 {
        to.extend(b"M-");
    }
    match byte & !HIGH {
        low @ (..=0x1F | 0x7F) => to.extend([b'^', low ^ CONTROL]),
        low => to.push(low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts at most so many bytes at once.
    struct Slow(usize, Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.1.extend(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_stream_gets_each_form_once() {
        for size in 1..=9 {
            let mut escaped = Escaped { to: Slow(size, Vec::new()), rest: Vec::new() };
            escaped.write_all(b"a\x1b[31m\tb\n\x9b\xff\x00").unwrap();
            escaped.write_all(b".").unwrap();
            assert_eq!(String::from_utf8_lossy(&escaped.to.1), "a^[[31m\tb\nM-^[M-^?^@.", "{size}");
        }
    }
}
