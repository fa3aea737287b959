//! Trapline's host side: a hypervisor on KVM that watches a tiny guest kernel trap, and records what it does.
//!
//! To run a guest from Rust, start at [`run`]. The modules, from the ground up; each uses only those above it. Traces
//! belong to the crate `trace`:
//!
//! - [`machine`]: KVM: memory, boot, vCPU, run loop.
//! - [`devices`]: the devices on the port bus.
//! - [`images`]: the guest kernel and programs that are built into this binary.
//! - [`sandbox`]: restricts what a thread that handles the bytes of a guest or a file may do.
//! - [`engine`]: what runs a guest: KVM or QEMU.
//! - [`run`]: a run, from programs and settings to its outcome.
//! - [`mod@bench`]: what traps and exits cost on this host.
//! - [`commands`]: the command line, one file per subcommand.
//!
//! All but [`commands`] need Linux on x86-64 (`cfg(kvm)`, set by `build.rs`). Elsewhere only the commands that read traces
//! work.

#[cfg(kvm)]
pub mod bench;
pub mod commands;
#[cfg(kvm)]
pub mod devices;
#[cfg(kvm)]
pub mod engine;
#[cfg(kvm)]
pub mod images;
#[cfg(kvm)]
pub mod machine;
#[cfg(kvm)]
pub mod run;
#[cfg(kvm)]
pub mod sandbox;
