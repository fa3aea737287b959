//! The contract between guest and host: what a kernel must do so that Trapline can trace it.
//!
//! Everything here is a number or a layout that both sides must agree on. It depends on neither side: no KVM, no file
//! format, no policy. A change that an older kernel or host would misread increments [`VERSION`].

#![no_std]

pub mod bench;
pub mod boot;
pub mod bundle;
pub mod elf;
pub mod exit;
pub mod hardware;
pub mod ports;
pub mod program;
pub mod pvh;
pub mod record;
pub mod syscall;

/// The version of everything in this crate. The guest sends it when it attaches its trace buffer.
pub const VERSION: u16 = 2;
