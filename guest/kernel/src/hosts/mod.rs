//! What the kernel does only because of the host that it runs on, and that no manual of the CPU asks for.
//!
//! This room stands apart from the core, because nothing in it is a part of limited direct execution: on hardware, or on a host
//! that behaves as the manuals say, the kernel could do without it. The core calls it at few places:
//!
//! | file | for | called by |
//! | --- | --- | --- |
//! | `probe` | a host where traps of user mode arrive as other traps | `main` at boot, `trap` for each trap of user mode |
//! | `xsave` | a host that does not let programs use all that CPUID has | `probe` |
//! | `user_mode` | a host where only user mode can exchange the vector registers | `fpu` |
//! | `rates` | a host that does not say how fast its clocks are | `timer` at boot |
//! | `emulated` | a host where each instruction of ring 0 is slow | `trace` and `trap` for each record |
//! | `doorbell` | a host that does not stop the CPU at the ports of the doorbell | `trace` |

use crate::arch::idt::IDT;
use crate::cell::Local;

pub mod doorbell;
pub mod emulated;
pub mod probe;
pub mod rates;
pub mod user_mode;
mod xsave;

/// The first word of an exception's gate if it leads to `handler`. The second is the same for all handlers, as they are in the
/// same 4 GiB.
fn gate_to(number: u8, handler: u64) -> u64 {
    const OFFSET: u64 = 0xFFFF_0000_0000_FFFF;
    first_word(number).get() & !OFFSET | handler & 0xFFFF | (handler >> 16 & 0xFFFF) << 48
}

/// The first word of an exception's gate.
#[inline(always)]
fn first_word(number: u8) -> &'static Local<u64> {
    // SAFETY: a `Local` is laid out as its value; the table has every number.
    unsafe { &*IDT.pointer().cast::<[Local<u64>; 2]>().add(number.into()).cast() }
}
