//! (to be written: builds the guest)
fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(out.join("images.rs"), "/// The kernel.\npub static KERNEL: &[u8] = &[];\n/// The programs.\npub static PROGRAMS: &[Program] = &[];\n").unwrap();
}
