//! The guest kernel and the demo programs, built by `build.rs` and embedded, so that one binary is enough.

/// A user program that is built in.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is there to show, in one line.
    pub idea: &'static str,
    /// Its ELF file.
    pub elf: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// The built-in program of this name.
pub fn program(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}
