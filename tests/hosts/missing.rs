//! Hosts without a usable KVM, for several reasons: exit code 77, and the message that fits.

use std::process::Command;

use crate::support::{self, Suite, TestResult, ensure, folder};

/// Exit code for a host without KVM: the one that test harnesses read as "skipped".
const NO_KVM: i32 = 77;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .namespace("no_device", no_device)
        .namespace("not_a_kvm_device", not_a_kvm_device)
        .namespace("a_file_in_place_of_the_device", a_file_in_place_of_the_device)
        .namespace("no_permission", no_permission)
        .namespace("no_devices_on_its_file_system", no_devices_on_its_file_system)
        .namespace("skipped_tests_are_named", skipped_tests_are_named)
        .namespace("required_tests_fail", required_tests_fail)
}

/// Hides `/dev/kvm` behind an empty folder of devices, for the command that follows.
pub const HIDE: &str = "mount -t tmpfs none /dev && exec";
/// Puts another device in its place.
const REPLACE: &str = "mount -t tmpfs none /dev && mknod /dev/kvm c 1 3 && exec";
/// Puts an empty file in its place.
const FILE: &str = "mount -t tmpfs none /dev && touch /dev/kvm && exec";
/// Leaves a node of the right kind that only root may open.
const FORBID: &str = "mount -t tmpfs none /dev && mknod -m 600 /dev/kvm c 10 232 && exec";

/// Runs a shell line in a mount namespace of its own.
fn elsewhere(line: &str) -> Result<support::Output, libtest_mimic::Failed> {
    let folder = folder();
    support::command(
        Command::new("unshare").args(["-m", "sh", "-c", line]).current_dir(folder.path()),
        folder.path(),
    )
}

fn run_says(line: &str, words: &[&str]) -> TestResult {
    for arguments in ["run hello", "doctor"] {
        let line = line
            .replace("TRAPLINE", &support::binary().display().to_string())
            .replace("ARGUMENTS", arguments);
        let output = elsewhere(&line)?.expect(NO_KVM)?;
        let said = format!("{}{}", output.stdout, output.stderr);
        for word in words.iter().chain(&["trapline run --accel qemu"]) {
            ensure(said.contains(word), || format!("`{arguments}` does not say {word:?}: {said}"))?;
        }
    }
    Ok(())
}

fn no_device() -> TestResult {
    run_says(&format!("{HIDE} TRAPLINE ARGUMENTS"), &["/dev/kvm does not exist"])
}

fn not_a_kvm_device() -> TestResult {
    run_says(&format!("{REPLACE} TRAPLINE ARGUMENTS"), &["/dev/kvm is not a KVM device"])
}

fn a_file_in_place_of_the_device() -> TestResult {
    run_says(&format!("{FILE} TRAPLINE ARGUMENTS"), &["/dev/kvm is not a KVM device"])
}

fn no_permission() -> TestResult {
    // The binary may lie where another user cannot look.
    run_says(
        &format!(
            "mount -t tmpfs none /mnt && cp TRAPLINE /mnt/trapline && mkdir -m 777 /mnt/work && cd /mnt/work && {FORBID} \
             setpriv --reuid 65534 --regid 65534 --clear-groups /mnt/trapline ARGUMENTS"
        ),
        &["/dev/kvm", "permission", "chmod 660", "usermod -aG kvm"],
    )
}

fn no_devices_on_its_file_system() -> TestResult {
    let line = "mount -t tmpfs -o nodev none /dev && mknod /dev/kvm c 10 232 && exec TRAPLINE ARGUMENTS";
    run_says(line, &["permission", "nodev"])
}

/// This very test program, where it finds no KVM.
fn itself(environment: &str) -> Result<support::Output, libtest_mimic::Failed> {
    let me = std::env::current_exe()?;
    elsewhere(&format!("{HIDE} env {environment} {} kvm::", me.display()))
}

fn skipped_tests_are_named() -> TestResult {
    let output = itself("TRAPLINE_REQUIRE_KVM=0")?.expect(0)?;
    let name = "test kvm::runs_eleven_bytes_of_machine_code ";
    let line = output.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let reason = "ignored (/dev/kvm: No such file or directory";
    ensure(line.contains(reason), || format!("{output:#?}"))?;
    ensure(output.stdout.contains("ok. 0 passed; 0 failed; "), || format!("{output:#?}"))
}

fn required_tests_fail() -> TestResult {
    let output = itself("TRAPLINE_REQUIRE_KVM=1")?.expect(101)?;
    ensure(output.stdout.contains("TRAPLINE_REQUIRE_KVM=1"), || format!("{output:#?}"))
}
