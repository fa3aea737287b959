//! The port bus: it finds the device that owns a port, and counts accesses of ports without an owner.
//!
//! A write to a port without an owner is counted and dropped. It is never logged: a guest can write to ports
//! a hundred thousand times a second.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use abi::record::{Ending, HostCounter};
use thiserror::Error;

/// The most ports without an owner whose writes are counted separately.
pub const PORTS_MAX: usize = 8;

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

/// What happens to the run after a port write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The guest continues.
    Continue,
    /// The device has no such access; the guest continues.
    BadAccess,
    /// The run is over.
    End(End),
}

/// What the host sees of a guest that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The records that the guest has made; none without a trace.
    pub records: Option<u64>,
    /// The process of the last of them; 0 is the kernel.
    pub process: Option<u16>,
    /// The guest waits for standard input.
    pub waits_for_input: bool,
}

/// Called several times a second while the guest waits, with a function that looks at the guest.
pub type Viewer = Box<dyn FnMut(&dyn Fn() -> Look)>;

/// A device on the bus. Only the device defines its ports, its counts and what it does at the end of a run.
pub trait Device {
    /// The ports that it owns.
    fn ports(&self) -> RangeInclusive<u16>;
    /// The guest read `size` bytes (1, 2 or 4; 0 for a string instruction) from `port`. `None`: the device
    /// has no such access.
    fn read(&mut self, port: u16, size: u8) -> Option<u32>;
    /// The guest wrote `size` bytes (as above) to `port`.
    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow;
    /// Adds what the device sees of the guest.
    fn look(&self, _look: &mut Look) {}
    /// The guest has stopped and does not run again: the device takes what the guest left for it.
    fn stop(&mut self) {}
    /// What the device counted.
    fn counts(&self) -> Vec<(HostCounter, u64)> {
        Vec::new()
    }
}

/// Two devices use the same port.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "ports {:#x} to {:#x} overlap with ports {:#x} to {:#x}, which another device owns",
    new.start(), new.end(), taken.start(), taken.end()
)]
pub struct Overlap {
    /// The ports of the device that was refused.
    pub new: RangeInclusive<u16>,
    /// The ports of the device that is on the bus.
    pub taken: RangeInclusive<u16>,
}

/// The bus. It borrows the devices for the length of a run.
#[derive(Default)]
pub struct Bus<'a> {
    devices: Vec<(RangeInclusive<u16>, &'a mut dyn Device)>,
    unowned_writes: u64,
    written: BTreeMap<u16, u64>,
    unowned_reads: u64,
    bad_accesses: u64,
    viewer: Option<Viewer>,
}

impl<'a> Bus<'a> {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what [`Bus::look`] calls.
    pub fn show(&mut self, viewer: Option<Viewer>) {
        self.viewer = viewer;
    }

    /// Lets the viewer look at the guest, which waits.
    pub fn look(&mut self) {
        let devices = &self.devices;
        let look = || {
            let mut look = Look::default();
            devices.iter().for_each(|(_, device)| device.look(&mut look));
            look
        };
        if let Some(viewer) = &mut self.viewer {
            viewer(&look);
        }
    }

    /// Connects a device, and refuses one whose ports overlap with those of another.
    pub fn attach(&mut self, device: &'a mut dyn Device) -> Result<(), Overlap> {
        let new = device.ports();
        let overlaps = |taken: &RangeInclusive<u16>| new.start() <= taken.end() && taken.start() <= new.end();
        match self.devices.iter().map(|(taken, _)| taken).find(|taken| overlaps(taken)) {
            Some(taken) => Err(Overlap { new, taken: taken.clone() }),
            None => {
                self.devices.push((new, device));
                Ok(())
            }
        }
    }

    /// A write by the guest.
    pub fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        let Some(device) = self.owner(port) else {
            self.unowned_writes += 1;
            if self.written.len() < PORTS_MAX || self.written.contains_key(&port) {
                *self.written.entry(port).or_default() += 1;
            }
            return Flow::Continue;
        };
        let flow = device.write(port, size, value);
        self.bad_accesses += u64::from(flow == Flow::BadAccess);
        flow
    }

    /// A read by the guest. A port without an owner returns all ones.
    pub fn read(&mut self, port: u16, size: u8) -> u32 {
        let Some(device) = self.owner(port) else {
            self.unowned_reads += 1;
            return abi::ports::NO_DEVICE;
        };
        let value = device.read(port, size);
        self.bad_accesses += u64::from(value.is_none());
        value.unwrap_or(abi::ports::NO_DEVICE)
    }

    /// Stops every device, after the guest has stopped.
    pub fn stop(&mut self) {
        self.devices.iter_mut().for_each(|(_, device)| device.stop());
    }

    /// What the bus and its devices counted.
    pub fn counts(&self) -> Vec<(HostCounter, u64)> {
        let own = [
            (HostCounter::UnownedWrites, self.unowned_writes),
            (HostCounter::UnownedReads, self.unowned_reads),
            (HostCounter::BadSize, self.bad_accesses),
        ];
        own.into_iter().chain(self.device_counts()).collect()
    }

    /// The writes to the first few ports without an owner, by port.
    pub fn unowned_writes(&self) -> &BTreeMap<u16, u64> {
        &self.written
    }

    /// What its devices counted. For an engine that does not see accesses to other ports, these are all counts.
    pub fn device_counts(&self) -> Vec<(HostCounter, u64)> {
        self.devices.iter().flat_map(|(_, device)| device.counts()).collect()
    }

    fn owner(&mut self, port: u16) -> Option<&mut &'a mut dyn Device> {
        self.devices.iter_mut().find(|(ports, _)| ports.contains(&port)).map(|(_, device)| device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes 4-byte accesses only, stores the value of the last write, and counts as many bells.
    #[derive(Default)]
    struct Latch(u32);

    impl Device for Latch {
        fn ports(&self) -> RangeInclusive<u16> {
            0x10..=0x13
        }
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
        fn stop(&mut self) {
            self.0 += 1;
        }
        fn counts(&self) -> Vec<(HostCounter, u64)> {
            vec![(HostCounter::Doorbells, self.0.into())]
        }
    }

    /// The values that the bus itself counted.
    fn own_counts(bus: &Bus) -> Vec<u64> {
        bus.counts().into_iter().take(3).map(|(_, count)| count).collect()
    }

    #[test]
    fn an_owner_sees_what_is_written_and_answers_what_is_read() {
        let mut latch = Latch::default();
        let mut bus = Bus::new();
        bus.attach(&mut latch).unwrap();
        assert_eq!(bus.write(0x10, 4, 7), Flow::Continue);
        assert_eq!(bus.read(0x13, 4), 7);
        assert_eq!(own_counts(&bus), [0, 0, 0]);
    }

    #[test]
    fn ports_without_an_owner_read_all_ones_and_are_counted() {
        let mut bus = Bus::new();
        assert_eq!(bus.write(0x80, 1, 1), Flow::Continue);
        assert_eq!(bus.write(0x80, 1, 1), Flow::Continue);
        assert_eq!(bus.read(0x80, 4), u32::MAX);
        assert_eq!(own_counts(&bus), [2, 1, 0]);
        (0x100..0x200).for_each(|port| assert_eq!(bus.write(port, 1, 1), Flow::Continue));
        assert_eq!(own_counts(&bus), [258, 1, 0]);
        assert_eq!((bus.unowned_writes()[&0x80], bus.unowned_writes().len()), (2, PORTS_MAX));
    }

    #[test]
    fn a_wrong_size_is_counted_and_changes_nothing() {
        let mut latch = Latch(9);
        let mut bus = Bus::new();
        bus.attach(&mut latch).unwrap();
        assert_eq!(bus.write(0x10, 1, 7), Flow::BadAccess);
        assert_eq!(bus.read(0x10, 2), u32::MAX);
        assert_eq!(bus.read(0x10, 4), 9);
        assert_eq!(own_counts(&bus), [0, 0, 2]);
    }

    #[test]
    fn overlapping_ports_are_refused() {
        struct At(u16, u16);
        impl Device for At {
            fn ports(&self) -> RangeInclusive<u16> {
                self.0..=self.1
            }
            fn read(&mut self, _port: u16, _size: u8) -> Option<u32> {
                None
            }
            fn write(&mut self, _port: u16, _size: u8, _value: u32) -> Flow {
                Flow::Continue
            }
        }
        for (first, last, free) in
            [(0, 0xF, true), (0x14, 0x20, true), (0, 0x10, false), (0x13, 0x13, false), (0, 0xFFFF, false)]
        {
            let (mut latch, mut other) = (Latch::default(), At(first, last));
            let mut bus = Bus::new();
            bus.attach(&mut latch).unwrap();
            let attached = bus.attach(&mut other);
            assert_eq!(attached.is_ok(), free, "{first:#x} to {last:#x}: {attached:?}");
        }
    }

    #[test]
    fn the_bus_stops_its_devices_and_collects_their_counts() {
        let mut latch = Latch(8);
        let mut bus = Bus::new();
        bus.attach(&mut latch).unwrap();
        bus.stop();
        assert_eq!(bus.counts().last(), Some(&(HostCounter::Doorbells, 9)));
    }
}
