//! The contract between guest and host, and nothing else: what a kernel must say for Trapline to watch it.
//!
//! Everything here is a number that both sides must agree on. It knows neither side: no KVM, no file
//! format, no policy. A change that an older kernel or host would misread raises [`VERSION`].

#![no_std]

pub mod boot;
pub mod bundle;
pub mod elf;
pub mod exit;
pub mod ports;
pub mod program;
pub mod record;
pub mod syscall;

/// The version of everything in this crate. The guest sends it when it attaches its trace buffer.
pub const VERSION: u16 = 2;
