//! The port bus: it finds the device that owns a port and counts what nobody owns.
//!
//! A write to a port without an owner is counted and dropped, never logged: a guest can write to ports
//! a hundred thousand times a second.

use std::ops::RangeInclusive;

use abi::record::{Ending, HostCounter};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The way.
    pub ending: Ending,
    /// The guest's status, KVM's code, or 0.
    pub status: u64,
    /// What happened, as a sentence; none where the ending says it all.
    pub message: Option<String>,
}

/// What becomes of the run after a port write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The guest runs on.
    Continue,
    /// The device knows no such access; the guest runs on.
    BadAccess,
    /// The run is over.
    End(End),
}

/// Something that owns ports.
pub trait Device {
    /// The guest read `size` bytes (1, 2 or 4; 0 for a string instruction) from `port`. `None`: the device
    /// knows no such access.
    fn read(&mut self, port: u16, size: u8) -> Option<u32>;
    /// The guest wrote `size` bytes (as above) to `port`.
    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow;
}

/// The bus. Devices are lent to it for the length of a run.
#[derive(Default)]
pub struct Bus<'a> {
    devices: Vec<(RangeInclusive<u16>, &'a mut dyn Device)>,
    unowned_writes: u64,
    unowned_reads: u64,
    bad_accesses: u64,
}

impl<'a> Bus<'a> {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `ports` to `device`. Of two owners of a port the first one has it.
    pub fn attach(&mut self, ports: RangeInclusive<u16>, device: &'a mut dyn Device) {
        self.devices.push((ports, device));
    }

    /// A write by the guest.
    pub fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        let Some(device) = self.owner(port) else {
            self.unowned_writes += 1;
            return Flow::Continue;
        };
        let flow = device.write(port, size, value);
        self.bad_accesses += u64::from(flow == Flow::BadAccess);
        flow
    }

    /// A read by the guest; all ones where nobody answers.
    pub fn read(&mut self, port: u16, size: u8) -> u32 {
        let Some(device) = self.owner(port) else {
            self.unowned_reads += 1;
            return abi::ports::NOBODY;
        };
        let value = device.read(port, size);
        self.bad_accesses += u64::from(value.is_none());
        value.unwrap_or(abi::ports::NOBODY)
    }

    /// What the bus counted.
    pub fn counts(&self) -> [(HostCounter, u64); 3] {
        [
            (HostCounter::UnownedWrites, self.unowned_writes),
            (HostCounter::UnownedReads, self.unowned_reads),
            (HostCounter::BadSize, self.bad_accesses),
        ]
    }

    fn owner(&mut self, port: u16) -> Option<&mut &'a mut dyn Device> {
        self.devices.iter_mut().find(|(ports, _)| ports.contains(&port)).map(|(_, device)| device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes 4-byte accesses only and remembers the last one.
    #[derive(Default)]
    struct Latch(u32);

    impl Device for Latch {
        fn read(&mut self, _port: u16, size: u8) -> Option<u32> {
            (size == 4).then_some(self.0)
        }
        fn write(&mut self, _port: u16, size: u8, value: u32) -> Flow {
            if size != 4 {
                return Flow::BadAccess;
            }
            self.0 = value;
            Flow::Continue
        }
    }

    #[test]
    fn an_owner_sees_what_is_written_and_answers_what_is_read() {
        let mut latch = Latch::default();
        let mut bus = Bus::new();
        bus.attach(0x10..=0x13, &mut latch);
        assert_eq!(bus.write(0x10, 4, 7), Flow::Continue);
        assert_eq!(bus.read(0x13, 4), 7);
        assert_eq!(bus.counts().map(|(_, count)| count), [0, 0, 0]);
    }

    #[test]
    fn ports_without_an_owner_read_all_ones_and_are_counted() {
        let mut bus = Bus::new();
        assert_eq!(bus.write(0x80, 1, 1), Flow::Continue);
        assert_eq!(bus.write(0x80, 1, 1), Flow::Continue);
        assert_eq!(bus.read(0x80, 4), u32::MAX);
        assert_eq!(bus.counts().map(|(_, count)| count), [2, 1, 0]);
    }

    #[test]
    fn a_wrong_size_is_counted_and_changes_nothing() {
        let mut latch = Latch(9);
        let mut bus = Bus::new();
        bus.attach(0x10..=0x13, &mut latch);
        assert_eq!(bus.write(0x10, 1, 7), Flow::BadAccess);
        assert_eq!(bus.read(0x10, 2), u32::MAX);
        assert_eq!(bus.read(0x10, 4), 9);
        assert_eq!(bus.counts().map(|(_, count)| count), [0, 0, 2]);
    }
}
