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
//! | `doorbell` | a host that does not stop the CPU at the ports of the doorbell | `trace` |

pub mod doorbell;
pub mod probe;
pub mod rates;
pub mod user_mode;
mod xsave;
