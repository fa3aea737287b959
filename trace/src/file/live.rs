//! The records of a run as events, while they are written.
//!
//! A writer calls it in the thread of the guest, which waits. So the events of a run can be shown in step with what its
//! programs print.

use std::fmt;

use super::format::RAW;
use super::records::{self, Record};
use super::walk::Walk;
use super::{Clock, Event, Meta, Origin};

/// What is done with new events.
pub type Watcher = Box<dyn FnMut(&[Event])>;

/// Decodes records as they come.
pub(super) struct Live {
    watcher: Watcher,
    tsc_khz: u64,
    /// Its start is the first record.
    clock: Option<Clock>,
    guest: (Walk, u64),
    host: (Walk, u64),
    events: Vec<Event>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(meta: &Meta, watcher: Watcher) -> Live {
        let stream = |origin| (Walk::new(origin), 0);
        let (guest, host) = (stream(Origin::Guest), stream(Origin::Host));
        Live { watcher, tsc_khz: meta.tsc_khz, clock: None, guest, host, events: Vec::new() }
    }

    /// Passes on whole records as they lie in a file.
    pub(super) fn take(&mut self, origin: Origin, bytes: &[u8]) {
        let (walk, sequence) = match origin {
            Origin::Guest => &mut self.guest,
            Origin::Host => &mut self.host,
        };
        self.events.clear();
        walk.start(RAW);
        while walk.next_batch(bytes) > 0 {
            while let Some((tsc, head, words)) = walk.take() {
                let record = Record::new(*sequence, origin, tsc, head, words);
                let clock = self.clock.get_or_insert_with(|| Clock::new(tsc, self.tsc_khz));
                self.events.extend(records::decode(&record, clock));
                *sequence = sequence.wrapping_add(1);
            }
        }
        (self.watcher)(&self.events);
    }
}
