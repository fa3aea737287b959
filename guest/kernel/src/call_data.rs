//! Data records: the memory that the arguments of a system call lead to, by their types in the table of `abi`.
//!
//! The host cannot read the memory of a process, so the kernel records what a reader of the trace wants to see: the
//! beginning of data, and every byte of a structure or a file's name. Memory that the process itself could not read is left
//! out.

use abi::record::DATA_MAX;
use abi::syscall::{Call, Extent, Layout, Type};

use crate::arch::mem;
use crate::layout::PAGE;
use crate::trace;

/// The longest structure or name, in bytes; Linux's limit of names.
const WHOLE_MAX: u64 = 4096;
/// The most items of a list that are shown, and one more to say that there are others.
const ITEMS_MAX: u64 = 33;
/// The most strings of a list that are counted.
const STRINGS_MAX: u64 = 4096;

/// How the memory of the process that runs is read: so many bytes from an address on, if it could read them itself.
pub type Reader = fn(u64, u64) -> Option<&'static [u8]>;

/// Records what a call is going to read.
pub fn inputs(read: Reader, call: Call, arguments: &[u64; 6]) {
    record(read, call, call.pointers().inputs, arguments, 0, Type::input);
}

/// Records what a call with this result has written.
pub fn outputs(read: Reader, call: Call, arguments: &[u64; 6], result: u64) {
    record(read, call, call.pointers().outputs, arguments, result, Type::output);
}

fn record(
    read: Reader,
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
            let _ = Memory(read).object(index as u8, arguments[index % 6], layout, extent, result);
        }
    }
}

/// The memory of the process that runs.
struct Memory(Reader);

impl Memory {
    fn object(&self, argument: u8, pointer: u64, layout: Layout, extent: Extent, result: u64) -> Option<()> {
        match extent {
            Extent::Bytes(0) => Some(()),
            Extent::Bytes(size) if matches!(layout, Layout::Bytes(_) | Layout::Noise(_)) => {
                self.beginning(argument, pointer, size)
            }
            Extent::Bytes(size) => whole(argument, (self.0)(pointer, size.min(WHOLE_MAX))?),
            Extent::Text if layout == Layout::Path => whole(argument, self.text(pointer)?),
            Extent::Text => self.beginning(argument, pointer, self.text(pointer)?.len() as u64),
            Extent::Strings => self.strings(argument, pointer, layout == Layout::Strings),
            Extent::Vectors(count) => {
                let is_read = result > 0;
                self.vectors(argument, pointer, count, if is_read { result } else { u64::MAX })
            }
        }
    }

    /// One record of bytes of which the rest is of no interest.
    fn beginning(&self, argument: u8, address: u64, size: u64) -> Option<()> {
        let shown = (self.0)(address, size.min(DATA_MAX as u64))?;
        trace::data(argument, size, shown);
        Some(())
    }

    /// The bytes up to a zero byte.
    fn text(&self, address: u64) -> Option<&'static [u8]> {
        let mut size = 0;
        while size < WHOLE_MAX {
            let from = address.checked_add(size)?;
            let page = (self.0)(from, PAGE - from % PAGE)?;
            // SAFETY: all of the slice can be read.
            let found = unsafe { mem::text_size(page.as_ptr(), page.len()) };
            size += found as u64;
            if found < page.len() {
                return (self.0)(address, size);
            }
        }
        None
    }

    /// The pointers, which say how many there are, and the strings that the first of them lead to.
    fn strings(&self, argument: u8, list: u64, with_text: bool) -> Option<()> {
        let string = |index| self.word(list.checked_add(8 * index)?);
        let mut count = 0;
        while string(count)? != 0 && count < STRINGS_MAX {
            count += 1;
        }
        trace::data(argument, 8 * count, (self.0)(list, (8 * count).min(DATA_MAX as u64))?);
        for index in 0..if with_text { count.min(ITEMS_MAX) } else { 0 } {
            let address = string(index)?;
            let size = self.text(address)?.len() as u64;
            self.beginning(argument, address, size)?;
        }
        Some(())
    }

    /// The array, and what the first of its items lead to, of `left` bytes in all.
    fn vectors(&self, argument: u8, array: u64, count: u64, mut left: u64) -> Option<()> {
        const ITEM: u64 = 16;
        let shown = count.min(ITEMS_MAX);
        whole(argument, (self.0)(array, ITEM * shown)?)?;
        for index in 0..shown {
            let at = array + ITEM * index;
            let (address, length) = (self.word(at)?, self.word(at + 8)?);
            let size = length.min(left);
            left -= size;
            if size > 0 {
                self.beginning(argument, address, size)?;
            }
        }
        Some(())
    }

    fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes((self.0)(address, 8)?.try_into().ok()?))
    }
}

/// All bytes: each record says how many there are from its own on.
fn whole(argument: u8, bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.get(..WHOLE_MAX as usize).unwrap_or(bytes);
    loop {
        let (shown, more) = rest.split_at_checked(DATA_MAX).unwrap_or((rest, &[]));
        trace::data(argument, rest.len() as u64, shown);
        if more.is_empty() {
            return Some(());
        }
        rest = more;
    }
}
