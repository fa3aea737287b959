//! The build of the guest, under settings of the user's that would break it.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use trapline::images::KERNEL;

use crate::gate::TREE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    let tools = [Need::Tool("rustc"), Need::Tool("cp")];
    suite.needs(
        &tools,
        "the_guest_s_build_minds_no_setting_or_folder_of_the_user",
        minds_no_setting_of_the_user,
    )
}

/// A configuration in which no setting suits the guest.
const CONFIG: &str = r#"
[profile.release]
opt-level = 0
incremental = true
lto = false
overflow-checks = true
panic = "unwind"
[profile.release.package."*"]
opt-level = 0
[build]
target = "wasm32-unknown-unknown"
target-dir = "elsewhere"
rustc-wrapper = "/bin/false"
rustflags = ["-Ctarget-cpu=native"]
[target.x86_64-unknown-linux-gnu]
linker = "/bin/false"
"#;

/// The build script of the package, as cargo runs it, in a folder whose name has a space. The kernel that is built in comes
/// from another folder, and has the same bytes.
fn minds_no_setting_of_the_user() -> TestResult {
    let folder = folder();
    let root = folder.path().join("a folder");
    for place in [".cargo", "home", "vmm", "out"] {
        fs::create_dir_all(root.join(place))?;
    }
    // The package has files where the repository has links.
    let packaged = Path::new(TREE).join("vmm/packaged");
    support::command(Command::new("cp").arg("-rL").arg(packaged).arg(root.join("vmm")), folder.path())?
        .expect(0)?;

    let script = folder.path().join("build");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-o"]).arg(&script).arg(Path::new(TREE).join("vmm/build.rs"));
    support::command(&mut rustc, folder.path())?.expect(0)?;
    let build = |set: fn(&mut Command, &Path)| {
        let mut build = Command::new(&script);
        build
            .current_dir(root.join("vmm"))
            .env("CARGO", env!("CARGO"))
            .env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"))
            .env("CARGO_MANIFEST_DIR", root.join("vmm"))
            .env("OUT_DIR", root.join("out"))
            .env("HOST", "x86_64-unknown-linux-gnu")
            .env("CARGO_CFG_TARGET_OS", "linux")
            .env("CARGO_CFG_TARGET_ARCH", "x86_64");
        set(&mut build, &root);
        support::command(&mut build, folder.path())?.expect(0)?;
        let kernel = fs::read(root.join("out/guest/x86_64-unknown-linux-gnu/release/kernel"))?;
        fs::remove_dir_all(root.join("out"))?;
        Ok::<_, Failed>(kernel)
    };
    let plain = build(|_, _| ())?;
    ensure(plain == KERNEL, || {
        "the kernel differs from the one that is built in, from another folder".into()
    })?;
    fs::write(root.join(".cargo/config.toml"), CONFIG)?;
    fs::write(root.join("home/config.toml"), CONFIG)?;
    let under_settings = build(with_settings)?;
    ensure(plain == under_settings, || "the kernel differs from the one of a plain build".into())
}

/// Settings in the environment, none of which suits the guest.
fn with_settings(build: &mut Command, root: &Path) {
    build
        .env("CARGO_HOME", root.join("home"))
        .env("CARGO_TARGET_DIR", root.join("elsewhere"))
        .env("CARGO_BUILD_TARGET", "wasm32-unknown-unknown")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("RUSTC_WRAPPER", "/bin/false")
        .env("RUSTFLAGS", "-Ctarget-cpu=native");
}
