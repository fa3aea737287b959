//! The x87, SSE, AVX and AVX-512 registers: each process has its own, and the switch exchanges them.
//!
//! They are kept in an area of one page a process. How they get there depends on the host: see [`Method`]. The probe
//! finds it, once, at boot.

use crate::arch::cpu;
use crate::cell::Local;
use crate::hosts::user_mode;
use crate::layout::{DIRECT_MAP, KERNEL_BASE, PAGE};
use crate::memory::address_space::AddressSpace;
use crate::memory::physical;

/// How registers get into an area and back. A mask has bits of XCR0, whose upper half is not used.
#[derive(Clone, Copy)]
pub enum Method {
    /// By XSAVE and XRSTOR in user mode, where the kernel's own root table has the code for it and all areas.
    InUserMode { mask: u32 },
    /// By XSAVE and XRSTOR. CR4.OSXSAVE is 1, XCR0 is the mask.
    Xsave { mask: u32 },
    /// By FXSAVE and FXRSTOR. CR4.OSXSAVE is 0, so AVX is #UD in user mode (SDM vol. 1, 13.2): there is no other state.
    Fxsave,
}

/// The components of XCR0 (SDM vol. 1, 13.1) that FXSAVE stores.
pub const X87_AND_SSE: u32 = 0b11;

/// The area of a process.
#[derive(Clone, Copy)]
pub struct Area {
    /// Its physical address.
    frame: u64,
    /// Its address where the instructions of the [`Method`] run. Each area has another one.
    at: u64,
}

impl Area {
    /// Of a process that does not exist.
    pub const NONE: Self = Self { frame: 0, at: 0 };

    fn new(slot: u16, frame: u64) -> Self {
        let at = match METHOD.get() {
            Method::InUserMode { .. } => user_mode::area(slot),
            _ => DIRECT_MAP + frame,
        };
        Self { frame, at }
    }
}

#[repr(align(4096))]
struct Page(Local<[u64; PAGE as usize / 8]>);

/// The area, with number 0, of registers that no process needs again: those at boot, and those of a process that ended.
static UNUSED: Page = Page(Local::new([0; PAGE as usize / 8]));
static METHOD: Local<Method> = Local::new(Method::Fxsave);
/// The address of the area whose registers the CPU has.
static LOADED: Local<u64> = Local::new(0);

fn unused() -> Area {
    Area::new(0, UNUSED.0.pointer() as u64 - KERNEL_BASE)
}

/// Before the first process runs: no process needs what the CPU has.
pub fn initialize(method: Method) {
    METHOD.set(method);
    let unused = unused();
    if let Method::InUserMode { mask } = method {
        user_mode::map_area(unused.at, unused.frame);
        // SAFETY: the area is mapped, and what was stored is loaded again. Where this fails it panics the kernel.
        unsafe { user_mode::exchange(unused.at, unused.at, mask) }
    }
    LOADED.set(unused.at);
}

/// The components that an area holds, as bits of XCR0.
pub fn components() -> u64 {
    let components = match METHOD.get() {
        Method::Fxsave => X87_AND_SSE,
        Method::Xsave { mask } | Method::InUserMode { mask } => mask,
    };
    components.into()
}

impl Area {
    /// Where the kernel sees it.
    pub fn bytes(self) -> *mut u8 {
        physical(self.frame)
    }

    /// Its registers become those after a reset. XSTATE_BV, in the header, then says that no component is there, and XRSTOR
    /// initializes each (SDM vol. 1, 13.8); but it takes MXCSR from the area, and FXRSTOR takes all from it. `is_zero`: all of it is zero before.
    pub fn clear(self, is_zero: bool) {
        const SIZE: usize = 512 + 64;
        const FCW: usize = 0;
        const MXCSR: usize = 24 / 4;
        // SAFETY: an area is a page of its own.
        unsafe {
            if !is_zero {
                self.bytes().write_bytes(0, SIZE);
            }
            self.bytes().cast::<u32>().add(FCW).write(0x037F);
            self.bytes().cast::<u32>().add(MXCSR).write(0x1F80);
        }
    }
}

/// Stores the registers that the CPU has in the area they belong to. It has no process's then, until the next [`switch`]; as
/// there, the root table and the kernel stack in the TSS may be others afterwards.
pub fn store() {
    // SAFETY: that area is always there.
    unsafe { switch(unused()) }
}

/// Makes an area for the process in slot `id` in a frame of its address space, its registers as after a reset. `None`: no memory.
pub fn create(id: u16, space: &mut AddressSpace) -> Option<Area> {
    let area = Area::new(id, space.allocate()?);
    area.clear(true);
    if let Method::InUserMode { .. } = METHOD.get() {
        user_mode::map_area(area.at, area.frame);
    }
    Some(area)
}

/// Forgets the area of a process that ended, before its frame is given back.
pub fn forget(area: Area) {
    if LOADED.get() == area.at {
        LOADED.set(unused().at);
    }
    if let Method::InUserMode { .. } = METHOD.get() {
        user_mode::unmap_area(area.at);
    }
}

/// Gives the CPU the registers in `to`, and stores those that it has in the area they belong to. The root table that is
/// loaded and the kernel stack in the TSS may be others afterwards: the caller sets both.
///
/// # Safety
/// `to` is an area that [`create`] made and that [`forget`] did not take back.
#[inline(always)]
pub unsafe fn switch(to: Area) {
    let (store, load) = (LOADED.replace(to.at), to.at);
    if store == load {
        return;
    }
    // SAFETY: both areas are there: the caller's promise, and `forget` takes care of the other. The address space for user
    // mode has the kernel's half, the code and all areas.
    unsafe {
        match METHOD.get() {
            Method::InUserMode { mask } => user_mode::exchange(store, load, mask),
            Method::Xsave { mask } => cpu::exchange_xsave(store, load, mask),
            Method::Fxsave => cpu::exchange_fxsave(store, load),
        }
    }
}
