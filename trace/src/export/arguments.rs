//! The arguments of system calls, for the forms that show each record by itself.
//!
//! The record of a call has its number alone: its arguments are in the frame of the trap before it. Where that trap's record
//! is missing, they are not known.

use std::collections::BTreeMap;

use abi::record::{ARGUMENTS, Parts};

use crate::file::{Origin, What};

/// Where the arguments are among the words of [`Arguments::parts`]: after the number of the call.
pub(super) const FIRST: usize = 1;
/// The columns that the arguments have.
pub(super) const NAMES: [&str; ARGUMENTS.len()] = ["a0", "a1", "a2", "a3", "a4", "a5"];

/// The argument registers in the last trap of each process.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    last: BTreeMap<u16, [u64; ARGUMENTS.len()]>,
    /// The number of the guest's next record.
    next: u64,
}

impl Arguments {
    /// Reads the next record and returns its parts. The words of a system call are followed by its arguments, if they are known.
    pub(super) fn parts(&mut self, origin: Origin, sequence: u64, process: u16, what: &What) -> Parts {
        let mut parts = what.parts();
        if origin == Origin::Host {
            return parts;
        }
        if sequence != self.next {
            self.last.clear();
        }
        self.next = sequence.wrapping_add(1);
        match what {
            What::TrapEntry { frame, .. } => drop(self.last.insert(process, frame.arguments())),
            What::SystemCall { .. } => {
                if let Some(arguments) = self.last.get(&process) {
                    parts
                        .words
                        .iter_mut()
                        .skip(FIRST)
                        .zip(arguments)
                        .for_each(|(word, &value)| *word = value);
                    parts.count = const { FIRST + ARGUMENTS.len() };
                }
            }
            _ => {}
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Frame;

    #[test]
    fn a_call_has_the_arguments_of_its_own_process() {
        let mut arguments = Arguments::default();
        let frame = Frame { registers: std::array::from_fn(|index| 10 + index as u64), ..Frame::default() };
        let entry = What::TrapEntry { arrived: 0, frame, handler_flags: 0, cr2: 0, arrived_rip: 0 };
        let call = What::SystemCall { number: 1 };
        let mut take = |sequence, process, what| {
            let parts = arguments.parts(Origin::Guest, sequence, process, what);
            parts.words[FIRST..parts.count].to_vec()
        };
        take(0, 1, &entry);
        assert!(take(1, 2, &call).is_empty());
        assert_eq!(take(2, 1, &call), frame.arguments());
        // Where records are missing, the trap of this call is one of them.
        assert!(take(9, 1, &call).is_empty());
    }
}
