//! The registers that AVX and AVX-512 add, as XSAVE stores them (SDM volume 1, 13.4 and 13.5).

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::registers::{Difference, Floating, first_difference};

const X87_AND_SSE: u32 = 0b11;
/// The other components: a bit of XCR0 and a size in bytes each.
const YMM: (u32, usize) = (2, 256);
const MASKS: (u32, usize) = (5, 64);
const ZMM_HIGH: (u32, usize) = (6, 512);
const ZMM: (u32, usize) = (7, 1024);
const COMPONENTS: [(u32, usize); 4] = [YMM, MASKS, ZMM_HIGH, ZMM];
/// Where XSAVE stores each of these.
static OFFSETS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

/// The components that this program may use, as bits of XCR0; 0: there is no AVX.
///
/// CPUID is asked once: a virtual machine leaves the CPU for it.
pub fn components() -> u32 {
    const UNKNOWN: u32 = u32::MAX;
    static KNOWN: AtomicU32 = AtomicU32::new(UNKNOWN);
    if KNOWN.load(Ordering::Relaxed) == UNKNOWN {
        KNOWN.store(find_components(), Ordering::Relaxed);
        for (index, (bit, _)) in COMPONENTS.into_iter().enumerate() {
            OFFSETS[index].store(__cpuid_count(0xD, bit).ebx as usize, Ordering::Relaxed);
        }
    }
    KNOWN.load(Ordering::Relaxed)
}

fn find_components() -> u32 {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let xcr0: u32;
    // SAFETY: XGETBV reads XCR0; CPUID has OSXSAVE.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") xcr0, out("edx") _, options(nomem, nostack)) };
    let known = xcr0 & COMPONENTS.into_iter().fold(X87_AND_SSE, |bits, (bit, _)| bits | 1 << bit);
    if known & 1 << YMM.0 == 0 { 0 } else { known }
}

/// The upper halves of YMM0 to YMM15, the mask registers, the upper halves of ZMM0 to ZMM15, and ZMM16 to ZMM31. What the
/// CPU does not have stays 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Wide {
    ymm: [[u64; 2]; 16],
    masks: [u64; 8],
    zmm_high: [[[u64; 2]; 2]; 16],
    zmm: [[[u64; 2]; 4]; 16],
}

const _: () = assert!(size_of::<Wide>() == YMM.1 + MASKS.1 + ZMM_HIGH.1 + ZMM.1);

impl Wide {
    /// All registers 0.
    pub const ZERO: Wide =
        Wide { ymm: [[0; 2]; 16], masks: [0; 8], zmm_high: [[[0; 2]; 2]; 16], zmm: [[[0; 2]; 4]; 16] };

    /// A value from `next` in every register that there is.
    pub fn pattern(mut next: impl FnMut() -> u64) -> Wide {
        const AVX512BW: u32 = 1 << 30;
        let mut pattern = Wide::ZERO;
        let has = |(bit, _): (u32, usize)| components() & 1 << bit != 0;
        if has(YMM) {
            pattern.ymm.as_flattened_mut().fill_with(&mut next);
        }
        if has(MASKS) {
            // 64 bits only where there are vectors of 64 bytes.
            let bits = if __cpuid_count(7, 0).ebx & AVX512BW != 0 { u64::MAX } else { 0xFFFF };
            pattern.masks.fill_with(|| next() & bits);
        }
        if has(ZMM_HIGH) {
            pattern.zmm_high.as_flattened_mut().as_flattened_mut().fill_with(&mut next);
        }
        if has(ZMM) {
            pattern.zmm.as_flattened_mut().as_flattened_mut().fill_with(&mut next);
        }
        pattern
    }

    /// The first register of `found` that is not as it is here.
    pub fn difference(&self, found: &Wide) -> Option<Difference> {
        let masks = || {
            let [ours, theirs] = [self.masks, found.masks].map(|masks| masks.map(|mask| [mask, 0]));
            first_difference("k", 0, 1, &ours, &theirs)
        };
        first_difference("ymm", 0, 1, &self.ymm, &found.ymm)
            .or_else(masks)
            .or_else(|| {
                first_difference("zmm", 0, 2, self.zmm_high.as_flattened(), found.zmm_high.as_flattened())
            })
            .or_else(|| first_difference("zmm", 16, 4, self.zmm.as_flattened(), found.zmm.as_flattened()))
    }
}

/// Memory for XSAVE: a page has room for all components that are used here.
#[repr(C, align(64))]
pub struct Area {
    floating: Floating,
    /// XSTATE_BV: the components that XRSTOR loads from here; the others it initializes.
    header: [u64; 8],
    rest: [u8; 4096 - 576],
}

impl Area {
    /// An area without registers.
    pub const EMPTY: Area = Area { floating: Floating::ZERO, header: [0; 8], rest: [0; 4096 - 576] };

    /// Puts registers into the area.
    pub fn put(&mut self, floating: &Floating, wide: &Wide) {
        self.floating = *floating;
        self.header = [components().into(), 0, 0, 0, 0, 0, 0, 0];
        self.each(|place, at| {
            // SAFETY: both hold the bytes of a component.
            unsafe { place.copy_from_nonoverlapping((&raw const *wide).cast::<u8>().add(at.start), at.len()) }
        });
    }

    /// The registers in the area.
    pub fn registers(&mut self) -> (Floating, Wide) {
        let mut wide = Wide::ZERO;
        self.each(|place, at| {
            // SAFETY: as for `put`.
            unsafe { place.copy_to_nonoverlapping((&raw mut wide).cast::<u8>().add(at.start), at.len()) }
        });
        (self.floating, wide)
    }

    /// Calls `copy` for every component that there is, with its place in the area and its range in [`Wide`].
    fn each(&mut self, mut copy: impl FnMut(*mut u8, Range<usize>)) {
        let area = (&raw mut *self).cast::<u8>();
        let mut start = 0;
        for ((bit, size), offset) in COMPONENTS.into_iter().zip(&OFFSETS) {
            if components() & 1 << bit != 0 {
                let offset = offset.load(Ordering::Relaxed);
                assert!(offset + size <= size_of::<Area>());
                // SAFETY: inside the area.
                copy(unsafe { area.add(offset) }, start..start + size);
            }
            start += size;
        }
    }
}
