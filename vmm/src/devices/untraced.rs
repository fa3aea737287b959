//! The trace's ports in a run without a trace.
//!
//! They answer as the doorbell does, so that the kernel finds a host that knows Trapline's ports. If a kernel keeps records
//! anyway, they are dropped.

use std::ops::RangeInclusive;

use abi::ports::{ATTACH, DOORBELL};

use crate::machine::bus::{Device, Flow};

/// The ports, without a trace behind them.
#[derive(Debug, Default)]
pub struct Untraced;

impl Device for Untraced {
    fn ports(&self) -> RangeInclusive<u16> {
        ATTACH..=DOORBELL + 3
    }

    fn read(&mut self, port: u16, size: u8) -> Option<u32> {
        ((port, size) == (ATTACH, 4)).then_some(abi::VERSION.into())
    }

    fn write(&mut self, _port: u16, _size: u8, _value: u32) -> Flow {
        Flow::Continue
    }
}
