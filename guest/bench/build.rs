//! Hands each guest's script to the linker.

fn main() {
    let here = env!("CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=kernel.ld");
    println!("cargo::rustc-link-arg-bin=bench-kernel=-T{here}/kernel.ld");
    println!("cargo::rustc-link-arg-bin=bench-program=-T{here}/../programs/programs.ld");
}
