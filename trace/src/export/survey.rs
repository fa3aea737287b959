//! What a format with a head needs to know about the whole trace before the first event, and what is missing between events.

use abi::record::Kind;

use crate::file::{Damage, Names, Origin, Trace, What, decode};

/// The latest time that readers accept: they count nanoseconds since 1970 in 63 bits.
const LATEST: u64 = i64::MAX as u64;

/// What one walk over the trace finds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The names of all processes.
    pub(super) names: Names,
    /// Records that are missing, of both origins.
    pub(super) missing: u64,
    /// CLOCK_REALTIME at the start of the trace, in nanoseconds since 1970; `None` where the host recorded no valid one.
    pub(super) epoch_ns: Option<u64>,
    /// What emulated the CPU, if it was emulated.
    pub(super) emulator: Option<String>,
}

impl Survey {
    pub(super) fn of(trace: &Trace) -> Survey {
        let (mut survey, mut missing) = (Survey::default(), Missing::default());
        survey.emulator.clone_from(&trace.meta().emulator);
        let (mut records, clock) = (trace.records(), trace.clock());
        while let Some(record) = records.next() {
            survey.missing = survey.missing.saturating_add(missing.before(record.origin, record.sequence));
            // Few records need to be decoded for this.
            if ![Kind::ProcessCreated as u8, Kind::HostClock as u8].contains(&record.kind) {
                continue;
            }
            let Some(event) = decode(&record, &clock) else { continue };
            survey.names.learn(&event);
            if let (What::HostClock { realtime_ns, .. }, None) = (&event.what, survey.epoch_ns) {
                let epoch = realtime_ns.saturating_sub(event.nanoseconds);
                survey.epoch_ns = Some(epoch).filter(|&epoch| epoch <= LATEST);
            }
        }
        let at_end = [Origin::Guest, Origin::Host].map(|origin| missing.at_end(trace, origin));
        survey.missing = at_end.into_iter().fold(survey.missing, u64::saturating_add);
        survey
    }

    /// A time in nanoseconds that readers accept: one record with a later time would make them refuse the file.
    #[inline]
    pub(super) fn time(&self, nanoseconds: u64) -> u64 {
        nanoseconds.min(LATEST.saturating_sub(self.epoch_ns.unwrap_or(0)))
    }

    /// What a process is called: its program, `kernel` or `host`.
    pub(super) fn name(&self, origin: Origin, process: u16) -> &str {
        match (origin, process) {
            (Origin::Host, _) => "host",
            (Origin::Guest, 0) => "kernel",
            (Origin::Guest, _) => self.names.get(process).unwrap_or("?"),
        }
    }
}

/// Counts the records that are missing, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Missing {
    next: [u64; 2],
}

impl Missing {
    /// How many are missing just before the record of this number, of its origin.
    #[inline]
    pub(super) fn before(&mut self, origin: Origin, sequence: u64) -> u64 {
        let next = origin.of(self.next.each_mut());
        let missing = sequence.saturating_sub(*next);
        *next = sequence.saturating_add(1);
        missing
    }

    /// How many are missing after the last record of an origin, with those that the guest did not number.
    pub(super) fn at_end(&self, trace: &Trace, origin: Origin) -> u64 {
        let cut = trace.total(origin).saturating_sub(origin.of(self.next));
        let lost = trace.damage().iter().filter_map(|damage| match damage {
            Damage::LostByGuest { records } if origin == Origin::Guest => Some(*records),
            _ => None,
        });
        cut.saturating_add(lost.fold(0, u64::saturating_add))
    }
}
