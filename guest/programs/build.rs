//! Hands the linker script to the linker, for the programs only.

fn main() {
    println!("cargo::rerun-if-changed=programs.ld");
    println!("cargo::rustc-link-arg-bins=-T{}/programs.ld", env!("CARGO_MANIFEST_DIR"));
}
