//! Records as typed events.
//!
//! Decoding cannot fail. A record of a kind that this version does not know, or that lacks words, stays as
//! [`What::Unknown`]; words beyond those known come from a later version and are ignored.

pub use abi::record::{Boot, Context, Frame, What};

use abi::hardware::vector::PAGE_FAULT;

use super::{Origin, Record};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number among those of its origin, from 0.
    pub sequence: u64,
    /// Who recorded it.
    pub origin: Origin,
    /// The guest's time stamp counter.
    pub tsc: u64,
    /// Nanoseconds since the first record of the trace; 0 for all if the rate of the TSC is unknown.
    pub nanoseconds: u64,
    /// 0: the kernel; else the process, from 1.
    pub process: u16,
    /// What happened.
    pub what: What,
}

/// A trap, as the handler saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trap {
    /// The vector that it stands for.
    pub vector: u8,
    /// The vector that it arrived with.
    pub arrived: u8,
    /// The trap frame.
    pub frame: Frame,
    /// The error code. Where the trap arrived as another one that has an error code, it is that one's.
    pub error_code: u16,
    /// CR2 of a page fault.
    pub cr2: Option<u64>,
    /// RIP and CR2 as they arrived, where it arrived as another trap.
    pub as_arrived: Option<(u64, u64)>,
}

impl Event {
    /// The trap, if the event is the entry of one.
    #[inline]
    pub fn trap(&self) -> Option<Trap> {
        let What::TrapEntry { arrived, frame, cr2, arrived_rip, .. } = self.what else { return None };
        let (vector, error_code) = (frame.vector as u8, frame.error_code as u16);
        let as_arrived = (vector != arrived).then_some((arrived_rip, cr2));
        let cr2 = (vector == PAGE_FAULT).then_some(cr2);
        Some(Trap { vector, arrived, frame, error_code, cr2, as_arrived })
    }
}

impl Record<'_> {
    /// The record, decoded.
    #[inline]
    pub fn what(&self) -> What {
        What::decode(self.kind, self.detail, self.words.as_chunks().0)
    }
}
