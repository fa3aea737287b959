//! The devices on the port bus: the trace doorbell, the console, the streams of programs, standard input and the exit port.
//!
//! Devices do not trust the guest: the worst result of any write is the end of the run, with a message that says what the
//! guest did.

mod budget;
mod console;
mod doorbell;
mod exit;
mod input;
mod streams;
mod untraced;

pub use budget::Budget;
pub use console::Console;
pub use doorbell::Doorbell;
pub use exit::ExitPort;
pub use input::{Input, Reader};
pub use streams::Streams;
pub use untraced::Untraced;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::machine::bus::Bus;
    use crate::machine::layout::{MEMORY_MIN_MIB, reserve};
    use trace::{Meta, Writer};

    #[test]
    fn every_device_has_ports_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let trace = Writer::create(&folder.path().join("t.trap"), false, &Meta::default()).unwrap();
        let memory = reserve(MEMORY_MIN_MIB).unwrap();
        let mut doorbell = Doorbell::new(&memory, trace, u64::MAX);
        let budget = Budget::new(0);
        let console = RefCell::new(Console::new(Vec::new(), &budget));
        let mut console_port = &console;
        let mut streams = Streams::new(&memory, &console, Vec::new(), &budget);
        let (mut input, _reader) = Input::new(&memory, std::io::stdin()).unwrap();
        let mut exit = ExitPort;
        let mut bus = Bus::new();
        bus.attach(&mut doorbell).unwrap();
        bus.attach(&mut console_port).unwrap();
        bus.attach(&mut streams).unwrap();
        bus.attach(&mut input).unwrap();
        bus.attach(&mut exit).unwrap();
    }
}
