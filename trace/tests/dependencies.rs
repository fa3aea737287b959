//! What a program compiles that depends on this crate.

use std::process::Command;

/// The names of the crates that this one needs on this system.
fn crates(features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{lib}"]);
    let output = cargo.args(features).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut names: Vec<String> = text.lines().map(str::to_owned).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn no_feature_needs_kvm_or_linux() {
    for features in [&[][..], &["--features", "write,export,report"]] {
        let crates = crates(features);
        assert!(crates.contains(&"crc32c".into()), "{crates:?}");
        for unwanted in ["kvm_bindings", "kvm_ioctls", "vm_memory", "linux_loader", "nix", "libc", "rustix"] {
            assert!(!crates.iter().any(|name| name == unwanted), "{unwanted} in {crates:?}");
        }
    }
}

#[test]
fn a_reader_needs_few_crates() {
    let crates = crates(&[]);
    assert!(crates.len() <= 20, "{crates:?}");
}
