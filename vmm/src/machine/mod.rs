//! KVM: what the host can do, guest memory, PVH boot, one vCPU and its run loop.
//!
//! This module knows ports and not what is behind one: devices implement [`bus::Device`]. It writes no file: the
//! host's own records of a run are returned as [`run::HostRecord`]s.

pub mod boot;
pub mod bus;
pub mod clock;
pub mod host;
mod kernel;
pub mod kick;
pub mod layout;
pub mod run;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod vcpu;
