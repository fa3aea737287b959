//! Which name a process has, learned from the events as they come.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Event, Origin, What};

/// The names of the processes seen so far.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<u16, Name>);

#[derive(Clone, Debug)]
struct Name {
    name: String,
    /// The name with the number.
    label: String,
}

impl Names {
    /// Remembers the name of a process, if the event creates one. A process without a name is `?`, because some tools do not
    /// accept an empty name.
    #[inline]
    pub fn learn(&mut self, event: &Event) {
        if let What::ProcessCreated { program: name, .. } = event.what {
            let name = Some(text(name)).filter(|name| !name.is_empty()).unwrap_or_else(|| "?".into());
            let label = format!("{name}/{}", event.process);
            self.0.insert(event.process, Name { name, label });
        }
    }

    /// The processes and their names, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        self.0.iter().map(|(&process, known)| (process, known.name.as_str()))
    }

    /// The name of a process, if it is known.
    pub fn get(&self, process: u16) -> Option<&str> {
        self.0.get(&process).map(|known| known.name.as_str())
    }

    /// Who an event is of: `hello/1`, `kernel` or `host`.
    pub fn label(&self, origin: Origin, process: u16) -> Cow<'_, str> {
        match (origin, process) {
            (Origin::Host, _) => "host".into(),
            (Origin::Guest, 0) => "kernel".into(),
            (Origin::Guest, number) => match self.0.get(&number) {
                Some(known) => known.label.as_str().into(),
                None => format!("?/{number}").into(),
            },
        }
    }
}

/// A name as the guest stores it, zero padded, as text that is safe on a terminal.
pub fn text(name: [u8; 16]) -> String {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    printable(&String::from_utf8_lossy(name))
}

/// Text of a file without the characters that control a terminal or a page: control characters, and those that break a line
/// or change the direction of the text after them.
pub fn printable(text: &str) -> String {
    let is_safe = |c: char| {
        // Nearly all text is of these, and this test is quick.
        matches!(c, ' '..='~')
            || !c.is_control()
                && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                && c != char::REPLACEMENT_CHARACTER
    };
    text.replace(|c| !is_safe(c), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_to_print() {
        assert_eq!(text(*b"hello\0\0\0\0\0\0\0\0\0\0\0"), "hello");
        assert_eq!(text(*b"sixteen-letters!"), "sixteen-letters!");
        assert_eq!(text(*b"\x1b[2J\xff\0\0\0\0\0\0\0\0\0\0\0"), "?[2J?");
        assert_eq!(printable("a\u{202e}b\u{2066}c\u{2028}d"), "a?b?c?d");
        assert_eq!(printable("é, 多, שלום"), "é, 多, שלום");
    }
}
