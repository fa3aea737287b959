//! Which memory a kernel records for a system call: what the arguments lead to, by their types in the table.
//!
//! A host cannot read the memory of a process, so the kernel records what a reader of the trace wants to see: the
//! beginning of data, and every byte of a structure or of a file's name. Memory that the process itself could not read is
//! left out.

use super::{Call, Extent, Layout, Type};
use crate::program::PAGE;
use crate::record::DATA_MAX;

/// The longest structure or name, in bytes; Linux's limit of names.
const WHOLE_MAX: u64 = 4096;
/// The most items of a list that are shown, and one more to say that there are others.
const ITEMS_MAX: u64 = 33;
/// The most strings of a list that are counted.
const STRINGS_MAX: u64 = 4096;

/// The memory of the process that makes the call, and the trace.
pub trait Memory {
    /// `size` bytes from `address` on. `None`: the process could not read all of them.
    fn bytes(&self, address: u64, size: u64) -> Option<&'static [u8]>;

    /// How many bytes come before the first zero byte; all, if none is zero.
    fn text_size(&self, bytes: &[u8]) -> usize;

    /// Records the beginning of `size` bytes that an argument leads to: at most [`DATA_MAX`].
    fn record(&self, argument: u8, size: u64, beginning: &[u8]);
}

/// Records what a call is going to read.
pub fn inputs(memory: &impl Memory, call: Call, arguments: &[u64; 6]) {
    record(memory, call, call.pointers().inputs, arguments, 0, Type::input);
}

/// Records what a call with this result has written.
pub fn outputs(memory: &impl Memory, call: Call, arguments: &[u64; 6], result: u64) {
    record(memory, call, call.pointers().outputs, arguments, result, Type::output);
}

fn record(
    memory: &impl Memory,
    call: Call,
    mut pointers: u8,
    arguments: &[u64; 6],
    result: u64,
    layout_of: fn(Type) -> Option<Layout>,
) {
    while pointers != 0 {
        let index = pointers.trailing_zeros() as usize;
        pointers &= pointers - 1;
        let Some(of) = call.signature().arguments.get(index) else { return };
        if let Some(layout) = of.of_call(arguments).and_then(layout_of) {
            let extent = layout.extent(arguments, result);
            // What cannot be read is left out.
            let _ =
                Argument { memory, index: index as u8 }.object(arguments[index % 6], layout, extent, result);
        }
    }
}

/// An argument that leads to memory.
struct Argument<'a, M: Memory> {
    memory: &'a M,
    index: u8,
}

impl<M: Memory> Argument<'_, M> {
    fn object(&self, pointer: u64, layout: Layout, extent: Extent, result: u64) -> Option<()> {
        match extent {
            Extent::Bytes(0) => Some(()),
            Extent::Bytes(size) if matches!(layout, Layout::Bytes(_) | Layout::Noise(_)) => {
                self.beginning(pointer, size)
            }
            Extent::Bytes(size) => self.whole(self.memory.bytes(pointer, size.min(WHOLE_MAX))?),
            Extent::Text if layout == Layout::Path => self.whole(self.text(pointer)?),
            Extent::Text => self.beginning(pointer, self.text(pointer)?.len() as u64),
            Extent::Strings => self.strings(pointer, layout == Layout::Strings),
            Extent::Vectors(count) => {
                self.vectors(pointer, count, if result > 0 { result } else { u64::MAX })
            }
        }
    }

    /// One record of bytes of which the rest is of no interest.
    fn beginning(&self, address: u64, size: u64) -> Option<()> {
        self.memory.record(self.index, size, self.memory.bytes(address, size.min(DATA_MAX as u64))?);
        Some(())
    }

    /// All bytes: each record says how many there are from its own on.
    fn whole(&self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes.get(..WHOLE_MAX as usize).unwrap_or(bytes);
        loop {
            let (shown, more) = rest.split_at_checked(DATA_MAX).unwrap_or((rest, &[]));
            self.memory.record(self.index, rest.len() as u64, shown);
            if more.is_empty() {
                return Some(());
            }
            rest = more;
        }
    }

    /// The bytes up to a zero byte.
    fn text(&self, address: u64) -> Option<&'static [u8]> {
        let mut size = 0;
        while size < WHOLE_MAX {
            let from = address.checked_add(size)?;
            let page = self.memory.bytes(from, PAGE - from % PAGE)?;
            let found = self.memory.text_size(page);
            size += found as u64;
            if found < page.len() {
                return self.memory.bytes(address, size);
            }
        }
        None
    }

    /// The pointers, which say how many there are, and the strings that the first of them lead to.
    fn strings(&self, list: u64, with_text: bool) -> Option<()> {
        let string = |index| self.word(list.checked_add(8 * index)?);
        let mut count = 0;
        while string(count)? != 0 && count < STRINGS_MAX {
            count += 1;
        }
        self.beginning(list, 8 * count)?;
        for index in 0..if with_text { count.min(ITEMS_MAX) } else { 0 } {
            let address = string(index)?;
            self.beginning(address, self.text(address)?.len() as u64)?;
        }
        Some(())
    }

    /// The array, and what the first of its items lead to, of `left` bytes in all.
    fn vectors(&self, array: u64, count: u64, mut left: u64) -> Option<()> {
        const ITEM: u64 = 16;
        let shown = count.min(ITEMS_MAX);
        self.whole(self.memory.bytes(array, ITEM * shown)?)?;
        for index in 0..shown {
            let at = array + ITEM * index;
            let (address, length) = (self.word(at)?, self.word(at + 8)?);
            let size = length.min(left);
            left -= size;
            if size > 0 {
                self.beginning(address, size)?;
            }
        }
        Some(())
    }

    fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.memory.bytes(address, 8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::*;

    /// Memory from address 0 on, and the records: argument, size and first bytes of each.
    struct Small(&'static [u8], RefCell<Vec<(u8, u64, Vec<u8>)>>);

    impl Memory for Small {
        fn bytes(&self, address: u64, size: u64) -> Option<&'static [u8]> {
            self.0.get(address as usize..address.checked_add(size)? as usize)
        }

        fn text_size(&self, bytes: &[u8]) -> usize {
            bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())
        }

        fn record(&self, argument: u8, size: u64, beginning: &[u8]) {
            self.1.borrow_mut().push((argument, size, beginning.to_vec()));
        }
    }

    fn records(memory: &'static [u8], look: impl FnOnce(&Small)) -> Vec<(u8, u64, Vec<u8>)> {
        let small = Small(memory, RefCell::default());
        look(&small);
        small.1.into_inner()
    }

    #[test]
    fn data_is_recorded_by_its_beginning_and_a_structure_whole() {
        static MEMORY: [u8; 8192] = [7; 8192];
        let written = records(&MEMORY, |memory| inputs(memory, Call::write, &[1, 16, 100, 0, 0, 0]));
        assert_eq!(written, [(1, 100, [7; DATA_MAX].to_vec())]);
        let slept = records(&MEMORY, |memory| inputs(memory, Call::nanosleep, &[8, 0, 0, 0, 0, 0]));
        assert_eq!(slept, [(0, 16, [7; 16].to_vec())]);
        let read = records(&MEMORY, |memory| outputs(memory, Call::read, &[0, 0, 100, 0, 0, 0], 3));
        assert_eq!(read, [(1, 3, [7; 3].to_vec())]);
    }

    #[test]
    fn memory_that_cannot_be_read_is_left_out() {
        let none = records(&[0; 8], |memory| inputs(memory, Call::write, &[1, 4, 100, 0, 0, 0]));
        assert_eq!(none, []);
        let far = records(&[0; 8], |memory| inputs(memory, Call::nanosleep, &[u64::MAX, 0, 0, 0, 0, 0]));
        assert_eq!(far, []);
    }
}
