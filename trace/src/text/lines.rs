//! Single events as the view has them, each with its number.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::view::{Options, Text};
use crate::file::{Event, Meta, Origin};

/// Room for the number of an event, up to 999999 of them.
const NUMBER_WIDTH: usize = 8;
/// The most columns that other texts put before these lines.
const INDENT_MAX: usize = 6;

/// Where a [`Text`] writes; emptied after each event.
#[derive(Clone, Debug, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes events of one trace.
pub(super) struct Lines {
    buffer: Buffer,
    text: Text<Buffer>,
}

impl Lines {
    /// Lines of a run, for texts of at most `width` columns. `created` are the events that created its processes, for their names.
    pub(super) fn new(meta: &Meta, created: &[Event], width: usize) -> Lines {
        let buffer = Buffer::default();
        let columns = width.saturating_sub(const { INDENT_MAX + NUMBER_WIDTH });
        let options = Options { columns, ..Options::default() };
        let text = Text::new(meta, options, buffer.clone());
        let mut lines = Lines { buffer, text };
        created.iter().for_each(|event| drop(lines.unnumbered(event)));
        lines
    }

    /// An event: `#17     26005.863  hello/1  tick  number 1`; `h#` is the host's. It can be several lines, each with its
    /// end.
    pub(super) fn line(&mut self, event: &Event) -> String {
        let mark = if event.origin == Origin::Host { "h#" } else { "#" };
        let mut number = format!("{mark}{}", event.sequence);
        let mut text = String::new();
        for line in self.unnumbered(event).lines() {
            text.push_str(&format!("{number:NUMBER_WIDTH$}{line}\n"));
            number.clear();
        }
        text
    }

    fn unnumbered(&mut self, event: &Event) -> String {
        // It writes to memory, which cannot fail.
        let _ = self.text.event(event);
        String::from_utf8_lossy(&std::mem::take(&mut *self.buffer.0.borrow_mut())).into_owned()
    }
}
