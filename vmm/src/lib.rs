//! Trapline's host side: a hypervisor on KVM that watches a tiny guest kernel trap, and keeps what it saw.
//!
//! The rooms, from the ground up; each uses only what stands above it:
//!
//! - [`trace`]: the trace file and its events. No KVM in it.
//! - [`analysis`]: what events mean: summary, protocol, rules, times, filters.
//! - [`export`]: events in other forms: text, a page, files for other tools.
//! - [`machine`]: KVM: memory, boot, vCPU, run loop.
//! - [`devices`]: what sits on the port bus.
//! - [`images`]: the guest kernel and programs that are built into this binary.
//! - [`commands`]: the command line, a file a subcommand.

pub mod analysis;
pub mod commands;
pub mod devices;
pub mod export;
pub mod images;
pub mod machine;
pub mod trace;
