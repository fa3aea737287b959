//! Links the kernel by its own script.

fn main() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel.ld");
    println!("cargo:rerun-if-changed=kernel.ld");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=-znostart-stop-gc");
    println!("cargo:rustc-link-arg-bins=--gc-sections");
}
