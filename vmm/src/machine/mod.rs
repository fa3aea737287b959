//! KVM: what the host can do, guest memory, PVH boot, one vCPU and its run loop.
//!
//! This module handles ports, but not the devices behind them: devices implement [`bus::Device`]. It writes no file: it
//! returns the host's records of a run as [`run::HostRecord`]s.

pub mod boot;
pub mod bus;
pub mod clock;
pub mod host;
pub mod kernel;
pub mod kick;
pub mod layout;
pub mod run;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod vcpu;
