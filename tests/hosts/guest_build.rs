//! The build of the guest, under settings of the user's that would break it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;
use tempfile::TempDir;
use trapline::images::KERNEL;

use crate::gate::TREE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder};

const GLIBC: &str = "x86_64-unknown-linux-gnu";
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    let tools = [Need::Tool("rustc"), Need::Tool("cp")];
    suite
        .needs(
            &tools,
            "the_guest_s_build_minds_no_setting_or_folder_of_the_user",
            minds_no_setting_of_the_user,
        )
        .needs(&[tools[0], tools[1], Need::Target(MUSL)], "the_guest_builds_on_a_host_with_musl", with_musl)
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

/// The build script of the package, as cargo runs it, in a folder whose name has a space.
struct Build {
    folder: TempDir,
}

impl Build {
    fn new() -> Result<Build, Failed> {
        let build = Build { folder: folder() };
        let root = build.root();
        for place in [".cargo", "home", "vmm", "out"] {
            fs::create_dir_all(root.join(place))?;
        }
        // The package has files where the repository has links.
        let packaged = Path::new(TREE).join("vmm/packaged");
        let mut cp = Command::new("cp");
        support::command(cp.arg("-rL").arg(packaged).arg(root.join("vmm")), build.folder.path())?
            .expect(0)?;
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-o"]).arg(build.script()).arg(Path::new(TREE).join("vmm/build.rs"));
        support::command(&mut rustc, build.folder.path())?.expect(0)?;
        Ok(build)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("a folder")
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("build")
    }

    /// Builds on this host, and returns the kernel.
    fn kernel(&self, host: &str, set: fn(&mut Command, &Path)) -> Result<Vec<u8>, Failed> {
        let root = self.root();
        let mut build = Command::new(self.script());
        build
            .current_dir(root.join("vmm"))
            .env("CARGO", env!("CARGO"))
            .env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"))
            .env("CARGO_MANIFEST_DIR", root.join("vmm"))
            .env("OUT_DIR", root.join("out"))
            .env("HOST", host)
            .env("CARGO_CFG_TARGET_OS", "linux")
            .env("CARGO_CFG_TARGET_ARCH", "x86_64");
        set(&mut build, &root);
        support::command(&mut build, self.folder.path())?.expect(0)?;
        let kernel = fs::read(root.join("out/guest").join(host).join("release/kernel"))?;
        fs::remove_dir_all(root.join("out"))?;
        Ok(kernel)
    }
}

/// The kernel that is built in comes from another folder, and has the same bytes.
fn minds_no_setting_of_the_user() -> TestResult {
    let build = Build::new()?;
    let plain = build.kernel(GLIBC, |_, _| ())?;
    ensure(plain == KERNEL, || {
        "the kernel differs from the one that is built in, from another folder".into()
    })?;
    fs::write(build.root().join(".cargo/config.toml"), CONFIG)?;
    fs::write(build.root().join("home/config.toml"), CONFIG)?;
    let under_settings = build.kernel(GLIBC, with_settings)?;
    ensure(plain == under_settings, || "the kernel differs from the one of a plain build".into())
}

/// Of musl, Rust has a `_start` of its own.
fn with_musl() -> TestResult {
    Build::new()?.kernel(MUSL, |_, _| ())?;
    Ok(())
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
