//! Samples of how long an operation takes, for both guests.

use core::arch::asm;

use abi::bench::{Header, Row, SAMPLES};

use crate::now;

/// A sample is meaningful when it takes so many times what the clock takes: then an error of the clock is a few percent.
const MEANINGFUL: u64 = 32;
/// The most operations in a sample. Twice as many collected port writes fit into KVM's ring of 170.
const EACH_MAX: u64 = 64;
/// How often the clock and the loop are measured; the shortest time counts.
const OWN_TIMES: u64 = 32;

/// The samples of a row, as the host reads them.
#[repr(C)]
pub struct Samples {
    header: Header,
    cycles: [u64; SAMPLES],
}

impl Samples {
    /// No samples yet. `each` and `own` are as in the header.
    pub fn new(row: Row, each: u64, own: u64) -> Samples {
        let header = Header { row: row as u64, count: 0, each, own, lost: 0 };
        Samples { header, cycles: [0; SAMPLES] }
    }

    /// Measures an operation `count` times, by samples of as many operations as make it meaningful. `between` runs after
    /// each sample and is not measured.
    pub fn measure(
        row: Row,
        count: usize,
        mut operation: impl FnMut(),
        mut between: impl FnMut(),
    ) -> Samples {
        let (mut each, clock) = (1, own(1));
        while each < EACH_MAX {
            let cycles = time(each, &mut operation);
            between();
            if cycles >= MEANINGFUL * clock {
                break;
            }
            each *= 2;
        }
        let mut samples = Samples::new(row, each, own(each));
        for _ in 0..count {
            let cycles = time(each, &mut operation);
            between();
            samples.take(cycles);
        }
        samples
    }

    /// Adds a sample: the time of `each` operations, with that of clock and loop.
    pub fn take(&mut self, cycles: u64) {
        self.push(cycles.saturating_sub(self.header.own) / self.header.each);
    }

    /// Adds a sample as it is. One too many is dropped.
    pub fn push(&mut self, cycles: u64) {
        if let Some(slot) = self.cycles.get_mut(self.header.count as usize) {
            *slot = cycles;
            self.header.count += 1;
        }
    }

    /// Counts an interrupt that did not come.
    #[allow(dead_code, reason = "the program sees no interrupt")]
    pub fn lose(&mut self, count: u64) {
        self.header.lost += count;
    }

    /// The header and the samples.
    pub fn bytes(&self) -> &[u8] {
        let size = size_of::<Header>() + 8 * self.header.count as usize;
        // SAFETY: the struct is made of 64-bit numbers without padding, and has room for `count` samples.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size) }
    }
}

/// Cycles of so many operations, and of the clock and the loop around them.
#[inline(always)]
fn time(each: u64, mut operation: impl FnMut()) -> u64 {
    let start = now();
    for _ in 0..each {
        operation();
        // SAFETY: no instruction. Without it the compiler would drop a loop that does nothing.
        unsafe { asm!("", options(nostack, preserves_flags)) }
    }
    now() - start
}

/// What the clock and a loop of so many rounds take.
pub fn own(each: u64) -> u64 {
    (0..OWN_TIMES).map(|_| time(each, || ())).min().unwrap_or(0)
}
