//! KVM: a host that can, guest memory, PVH boot, one vCPU and its run loop.
//!
//! This room knows what a port is and nothing of what sits behind one: devices implement
//! [`bus::Device`]. It writes no file: what the host itself has to tell of a run leaves as
//! [`run::HostRecord`]s.

pub mod boot;
pub mod bus;
pub mod clock;
pub mod host;
pub mod kick;
pub mod layout;
pub mod run;
mod stats;
#[cfg(test)]
mod tests;
pub mod vcpu;
