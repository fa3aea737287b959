//! The CPU: the only module with assembly, but for [`crate::hosts`].

pub mod apic;
pub mod boot;
pub mod context;
pub mod cpu;
pub mod entry;
pub mod gdt;
pub mod idt;
pub mod mem;
pub mod trap_frame;
