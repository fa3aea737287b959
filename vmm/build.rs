//! Builds the guest (kernel and user programs) and embeds it, so that the one binary runs its main job with no
//! other file. Nothing is fetched: the guest depends on nothing outside this tree.
//!
//! In the repository, the guest is built where it is. Cargo packages no folder with a manifest of its own, so the package
//! has the guest's files under other names in `packaged` (in the repository: links), and the build copies them back to
//! their places first.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The targets that the guest is compiled for, made freestanding by the flags of `guest/rustflags`. Naming one keeps those
/// flags from the guest's own build scripts. It is the first, except on a host whose toolchain has only the other one.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"];
/// The folders with the guest's sources, under the repository's root. The `target` of a manual build is not a source.
const SOURCES: [&str; 7] = [
    "guest/abi/src",
    "guest/bench",
    "guest/kernel",
    "guest/programs",
    "guest/Cargo.toml",
    "guest/Cargo.lock",
    "guest/rustflags",
];

/// The guest's files in `packaged`, and their places.
const PACKAGED: [(&str, &str); 16] = [
    ("abi", "guest/abi/src"),
    ("guest.toml", "guest/Cargo.toml"),
    ("guest.lock", "guest/Cargo.lock"),
    ("rustflags", "guest/rustflags"),
    ("bench", "guest/bench/src"),
    ("bench.toml", "guest/bench/Cargo.toml"),
    ("bench-build.rs", "guest/bench/build.rs"),
    ("bench.ld", "guest/bench/kernel.ld"),
    ("kernel", "guest/kernel/src"),
    ("kernel.toml", "guest/kernel/Cargo.toml"),
    ("kernel.ld", "guest/kernel/kernel.ld"),
    ("kernel-build.rs", "guest/kernel/build.rs"),
    ("programs", "guest/programs/src"),
    ("programs.toml", "guest/programs/Cargo.toml"),
    ("programs.ld", "guest/programs/programs.ld"),
    ("programs-build.rs", "guest/programs/build.rs"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-check-cfg=cfg(kvm)");
    if !has_kvm() {
        return Ok(());
    }
    println!("cargo::rustc-cfg=kvm");
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let repository = package.join("..");
    let root = if repository.join("guest/Cargo.toml").exists() {
        repository.canonicalize()?
    } else {
        unpack(&package.join("packaged"), &out.join("source"))?
    };
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let guest = root.join("guest");
    let built = build_guest(&guest, &out.join("guest"), &[])?;
    // No one debugs this kernel, so its file has no symbols.
    let options = ["--package=kernel", "--features=untraced", "--config=profile.release.strip=true"];
    let untraced = build_guest(&guest, &out.join("untraced"), &options)?;
    fs::write(out.join("images.rs"), images(&built, &untraced, &guest.join("programs/src/bin"))?)?;
    Ok(())
}

/// Whether this build can run guests: `cfg(kvm)`, for the systems on which `Cargo.toml` has the KVM crates. Elsewhere the
/// program has the commands that read traces, and no guest.
fn has_kvm() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && env::var_os("CARGO_CFG_TRAPLINE_NO_KVM").is_none()
}

/// Puts the packaged files of the guest in their places under `root`.
fn unpack(packaged: &Path, root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", packaged.display());
    for (from, to) in PACKAGED {
        copy(&packaged.join(from), &root.join(to))?;
    }
    // That of the package `trapline-abi` takes values from a workspace that is not here.
    let version = variable("CARGO_PKG_VERSION")?;
    let manifest =
        format!("[package]\nname = \"trapline-abi\"\nversion = \"{version}\"\nedition = \"2024\"\n");
    fs::write(root.join("guest/abi/Cargo.toml"), manifest)?;
    Ok(root.into())
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().ok_or("a file is in a folder")?)?;
        fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
        return Ok(());
    }
    fs::read_dir(from)?.try_for_each(|entry| {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))
    })
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}, which cargo sets for build scripts: {error}"))
}

/// Builds the guest's workspace, or the part of it that `options` name, and returns the directory of its executables.
///
/// The settings of the outer build (flags, clippy as the compiler, profiles, another target directory) would break the guest.
/// They come from the environment, and from cargo's configuration in `CARGO_HOME`, the current directory and those above
/// it. So this cargo gets an empty `CARGO_HOME`, which is enough as the guest has no dependencies to fetch, and runs in `/`.
fn build_guest(guest: &Path, target_dir: &Path, options: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let host = variable("HOST")?;
    let target = TARGETS.into_iter().find(|target| *target == host).unwrap_or(TARGETS[0]);
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir("/").args(["build", "--release", "--frozen", "--target", target]).args(options);
    cargo.arg("--manifest-path").arg(guest.join("Cargo.toml")).arg("--target-dir").arg(target_dir);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") || text.starts_with("RUSTC_") {
            cargo.env_remove(&name);
        }
    }
    // Panic messages hold the paths of source files. Without the folder, every folder builds the same bytes: cargo hashes
    // only the paths of packages outside the workspace, and `guest/abi` is a link to the one that would be.
    let mut flags = flags(&guest.join("rustflags"))?;
    flags.push(format!("--remap-path-prefix={}=", guest.parent().unwrap_or(guest).display()));
    if target.ends_with("musl") {
        // Rust has the startup files of musl, and would link them too.
        flags.push("-Clink-self-contained=no".into());
    }
    cargo.env("CARGO_HOME", target_dir.join("cargo")).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = cargo.output()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        println!(
            "cargo::error=The guest kernel and programs in {} do not build; the messages of the compiler are above.",
            guest.display()
        );
        return Err(format!("cargo build in {}: {}", guest.display(), output.status).into());
    }
    Ok(target_dir.join(target).join("release"))
}

/// The flags of a file with one a line, and comments.
fn flags(file: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
}

/// The source text of the embedded images: the kernels, the program that measures, and the programs by name.
fn images(built: &Path, untraced: &Path, sources: &Path) -> Result<String, Box<dyn Error>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(sources)? {
        let source = entry?.path();
        if source.extension().is_some_and(|extension| extension == "rs") {
            let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            programs.push((name, idea(&source)?));
        }
    }
    programs.sort();

    let mut text = String::new();
    let guests = [
        ("KERNEL", "The kernel's ELF file", built.join("kernel")),
        ("UNTRACED_KERNEL", "The ELF file of the kernel that keeps no records", untraced.join("kernel")),
        ("BENCH_KERNEL", "The ELF file of the kernel of `trapline bench`", built.join("bench-kernel")),
        ("BENCH_PROGRAM", "The ELF file of the program of `trapline bench`", built.join("bench-program")),
    ];
    for (name, what, file) in guests {
        writeln!(text, "/// {what}.\npub static {name}: &[u8] = {};", embedded(&file))?;
    }
    writeln!(text, "/// The programs, by name.\npub static PROGRAMS: &[Program] = &[")?;
    for (name, idea) in programs {
        writeln!(
            text,
            "    Program {{ name: {name:?}, idea: {idea:?}, elf: {} }},",
            embedded(&built.join(&name))
        )?;
    }
    writeln!(text, "];")?;
    Ok(text)
}

/// An expression for the bytes of a file, aligned so that its headers can be read in place.
fn embedded(file: &Path) -> String {
    format!("&Aligned(*include_bytes!({:?})).0", file.display().to_string())
}

/// The idea that a program shows: the first line of its documentation.
fn idea(source: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(source)?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("//! "));
    Ok(first.ok_or_else(|| format!("{} does not start with a line `//! IDEA`", source.display()))?.to_owned())
}
