//! System calls: Linux's x86-64 numbers, names, argument types and error values.
//!
//! A program enters the kernel by `syscall` or `int 0x80`, with the number of the call in RAX and up to six arguments in
//! RDI, RSI, RDX, R10, R8 and R9. The kernel leaves the result, or minus an error, in RAX. [`Call`] is the table of
//! all calls, [`types`] says what an argument can be, and [`data`] which memory is recorded for it. [`values`], [`signals`]
//! and [`errno`] are the tables of flags and values, of signals and of errors.
//!
//! The table describes Linux, not the kernel: a kernel answers a call that it lacks with `-ENOSYS`, and the call still
//! has its name and types.

pub mod data;
pub mod errno;
pub mod signals;
mod table;
pub mod types;
pub mod values;

pub use table::Call;
pub use types::{Extent, Layout, Length, Returns, Type};
pub use values::{Names, Set};

/// The vector of the software interrupt that is a system call.
pub const INT_VECTOR: u8 = 0x80;

/// The arguments and the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the call in Linux.
    pub name: &'static str,
    /// The types of its arguments, in order.
    pub arguments: &'static [Type],
    /// The type of its result when it succeeds.
    pub returns: Returns,
}

/// The arguments of a call that may lead to memory, a bit each, argument 0 lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointers {
    /// To memory that the call reads.
    pub inputs: u8,
    /// To memory that the call writes.
    pub outputs: u8,
}

impl Pointers {
    /// No argument leads to memory.
    pub const NONE: Pointers = Pointers { inputs: 0, outputs: 0 };
}

impl Signature {
    /// The arguments that may lead to memory.
    pub const fn pointers(&self) -> Pointers {
        let mut pointers = Pointers::NONE;
        let mut index = 0;
        while index < self.arguments.len() {
            let argument = self.arguments[index];
            pointers.inputs |= (argument.leads_to_memory(true) as u8) << index;
            pointers.outputs |= (argument.leads_to_memory(false) as u8) << index;
            index += 1;
        }
        pointers
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, errno};

    #[test]
    fn a_call_is_found_by_its_whole_number() {
        for &call in Call::ALL {
            assert_eq!(Call::from_number(call as u64), Some(call));
            assert_eq!(Call::from_number(call as u64 | 1 << 32), None);
        }
        assert!(
            [336, 423, 470, 1023, 1025, u64::MAX]
                .into_iter()
                .all(|number| Call::from_number(number).is_none())
        );
        assert_eq!((Call::from_number(158), Call::arch_prctl.name()), (Some(Call::arch_prctl), "arch_prctl"));
    }

    #[test]
    fn every_call_has_six_arguments_or_fewer() {
        assert!(Call::ALL.iter().all(|call| call.arguments() <= 6));
    }

    #[test]
    fn an_error_is_found_by_its_number() {
        assert_eq!(
            (errno::name(errno::ENOSYS), errno::text(38)),
            (Some("ENOSYS"), Some("Function not implemented"))
        );
        assert_eq!(
            (errno::name(41), errno::name(0), errno::name(-1), errno::name(134)),
            (None, None, None, None)
        );
    }
}
