//! Trapline's host side: a hypervisor on KVM that watches a tiny guest kernel trap, and keeps what it saw.
//!
//! The rooms, from the ground up; each uses only what stands above it. Traces are the business of the crate `trace`:
//!
//! - [`machine`]: KVM: memory, boot, vCPU, run loop.
//! - [`devices`]: what sits on the port bus.
//! - [`images`]: the guest kernel and programs that are built into this binary.
//! - [`commands`]: the command line, a file a subcommand.

pub mod commands;
pub mod devices;
pub mod images;
pub mod machine;
