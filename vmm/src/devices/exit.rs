//! The exit port: the guest writes its status there, and then the host does not run it again.

use std::ops::RangeInclusive;

use abi::ports::EXIT;
use abi::record::Ending;

use crate::machine::bus::{Device, End, Flow};

/// The exit port. It is write-only.
#[derive(Debug, Default)]
pub struct ExitPort;

impl Device for ExitPort {
    fn ports(&self) -> RangeInclusive<u16> {
        EXIT..=EXIT + 3
    }

    fn read(&mut self, _port: u16, _size: u8) -> Option<u32> {
        None
    }

    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        if (port, size) != (EXIT, 4) {
            return Flow::BadAccess;
        }
        Flow::End(End { ending: Ending::Exited, status: value.into(), message: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_ends_the_run_and_anything_else_does_not() {
        let mut port = ExitPort;
        let end = End { ending: Ending::Exited, status: 32, message: None };
        assert_eq!(port.write(EXIT, 4, 32), Flow::End(end));
        for (at, size) in [(EXIT, 1), (EXIT, 2), (EXIT, 0), (EXIT + 1, 4), (EXIT + 3, 1)] {
            assert_eq!(port.write(at, size, 0), Flow::BadAccess, "{at:#x} {size}");
        }
        assert_eq!(port.read(EXIT, 4), None);
    }
}
