//! What the kernel does because hosts differ.
//!
//! It stands apart from the core, because no step of limited direct execution is in it. On a host that behaves as the manuals of
//! the CPU say, where ring 0 runs at full speed, the kernel could do without it, and programs would only lack AVX. The core
//! calls it at few places:
//!
//! | file | for | called by |
//! | --- | --- | --- |
//! | `probe` | a host where traps of user mode arrive as other traps | `main` at boot, `trap` for each trap of user mode |
//! | `xsave` | what the host lets programs use of AVX and AVX-512 | `probe` |
//! | `user_mode` | a host where only user mode can exchange the vector registers, and copies memory faster | `fpu`, `frames` |
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
