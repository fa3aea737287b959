//! The expected output of a process: what its calls write to descriptors 1 and 2, as far as the trace holds it.

use std::collections::BTreeMap;

use abi::record::ARGUMENTS;
use abi::syscall::Call;

use super::{Failure, Seen, Watch, Whole};
use crate::analysis::filter::is_called;
use crate::file::{Event, What};

/// The name that stands for all processes.
const ALL: &str = "*";
/// The byte in place of missing bytes. Text that people write in a TOML file does not have it.
const GAP: u8 = 0;
/// The advice for a text with missing bytes.
const CUT: &str = "; the trace has only the first 32 bytes of each write, and `...` stands for the rest: keep what the \
                   programs print with `trapline run ... > out.txt`, and use `output = \"*\"` with `--output out.txt`";
/// The most text that is kept, in bytes.
const KEPT_MAX: usize = 1 << 20;
/// The most text that a message shows, in characters.
const SHOWN_MAX: usize = 400;

/// What the text must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Is(String),
    /// The text contains these strings, in this order.
    Contains(Vec<String>),
    /// The text contains none of these strings.
    Lacks(Vec<String>),
}

/// A write whose data records are still arriving.
#[derive(Debug, Default)]
struct Write {
    /// For writev: the array is not complete yet.
    is_array: bool,
    text: Vec<u8>,
}

/// The text that processes write, as far as the trace holds it.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    arguments: BTreeMap<u16, [u64; ARGUMENTS.len()]>,
    writes: BTreeMap<u16, Write>,
    /// The text, with a [`GAP`] where bytes are missing.
    pub(super) text: Vec<u8>,
}

/// Whether a text has missing bytes.
pub(super) fn is_cut(text: &str) -> bool {
    text.contains(char::from(GAP))
}

/// The output of some processes.
pub(super) struct Output<'a> {
    process: &'a str,
    wanted: &'a Wanted,
    recorded: Recorded,
}

impl<'a> Output<'a> {
    pub(super) fn new(process: &'a str, wanted: &'a Wanted) -> Self {
        Output { process, wanted, recorded: Recorded::default() }
    }
}

impl Watch for Output<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        if self.process == ALL || is_called(seen.event, seen.names, self.process) {
            self.recorded.add(seen.event);
        }
    }

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        let kept = whole.output.filter(|_| self.process == ALL);
        let recorded = String::from_utf8_lossy(&self.recorded.text);
        let is_cut = kept.is_none() && is_cut(&recorded);
        let message = match (self.wanted.judge(kept.unwrap_or(&recorded)), self.wanted) {
            (Err(message), Wanted::Is(_) | Wanted::Contains(_)) if is_cut => message + CUT,
            (Err(message), _) => message,
            (Ok(()), Wanted::Lacks(_)) if is_cut => {
                format!("the recorded part does not contain the text{CUT}")
            }
            (Ok(()), Wanted::Contains(_)) => return Ok(()),
            (Ok(()), _) => return if kept.is_none() { whole.complete() } else { Ok(()) },
        };
        Err(Failure::new(message, None))
    }
}

impl Recorded {
    pub(super) fn add(&mut self, event: &Event) {
        match event.what {
            What::TrapEntry { frame, .. } => {
                self.arguments.insert(event.process, frame.arguments());
            }
            What::SystemCall { number } if number == Call::write as u64 || number == Call::writev as u64 => {
                let arguments = self.arguments.get(&event.process).copied().unwrap_or_default();
                let is_array = number == Call::writev as u64;
                if matches!(arguments, [1 | 2, ..]) {
                    self.writes.insert(event.process, Write { is_array, text: vec![] });
                }
            }
            What::Data { argument: 1, size, bytes } => {
                if let Some(write) = self.writes.get_mut(&event.process) {
                    write.add(size, bytes.of(size));
                }
            }
            What::SystemCallResult { result, .. } => {
                if let Some(write) = self.writes.remove(&event.process).filter(|_| result > 0) {
                    let room = KEPT_MAX.saturating_sub(self.text.len());
                    self.text.extend(write.text.iter().take(room));
                }
            }
            _ => {}
        }
    }
}

impl Write {
    fn add(&mut self, size: u32, bytes: &[u8]) {
        let is_whole = bytes.len() >= size as usize;
        if self.is_array {
            // The array of writev arrives in pieces, each with the size of the remaining part.
            self.is_array = !is_whole;
            return;
        }
        self.text.extend_from_slice(bytes);
        if !is_whole {
            self.text.push(GAP);
        }
    }
}

impl Wanted {
    fn judge(&self, text: &str) -> Result<(), String> {
        match self {
            Wanted::Is(wanted) if wanted == text => Ok(()),
            Wanted::Is(wanted) => {
                let mut lines = (1_usize..).zip(wanted.split('\n').zip(text.split('\n')));
                Err(match lines.find(|(_, (wanted, is))| wanted != is) {
                    Some((line, (wanted, is))) => {
                        format!("line {line} is {}, expected {}", shown(is), shown(wanted))
                    }
                    None => format!("the output is {}, expected {}", shown(text), shown(wanted)),
                })
            }
            Wanted::Contains(parts) => {
                let mut rest = text;
                for (index, part) in parts.iter().enumerate() {
                    let Some((_, after)) = rest.split_once(part.as_str()) else {
                        let after = if index == 0 { "" } else { " after the previous text" };
                        return Err(format!(
                            "{} is not in the output{after}; the output is {}",
                            shown(part),
                            shown(text)
                        ));
                    };
                    rest = after;
                }
                Ok(())
            }
            Wanted::Lacks(parts) => match parts.iter().find(|part| text.contains(part.as_str())) {
                Some(part) => Err(format!("{} is in the output; the output is {}", shown(part), shown(text))),
                None => Ok(()),
            },
        }
    }
}

/// Text in quotes, with each gap as `...`. A long text is cut.
fn shown(text: &str) -> String {
    let text = text.replace(char::from(GAP), "...");
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}
