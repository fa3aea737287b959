//! `scripts/test` and `scripts/install`: is every skipped test named, is every test program counted, does any failure fail
//! the gate, and is what is missing installed or named? Scripts play cargo and the package manager.
//!
//! Also the limit and the stalls of `tests/support`, which every other test relies on.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use tempfile::TempDir;
use trace::Trace;

use crate::missing::HIDE;
use crate::support::{self, Need, Output, Suite, TestResult, ensure, folder, limit, stall};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .namespace("the_gate_names_what_was_skipped", names_what_was_skipped)
        .namespace("the_gate_fails_with_a_test", fails_with_a_test)
        .namespace("the_gate_fails_with_a_crash", fails_with_a_crash)
        .namespace("the_gate_fails_with_a_lint", fails_with_a_lint)
        .namespace("the_gate_fails_without_a_tool_that_is_required", fails_without_a_tool)
        .needs(
            &[Need::Kvm, Need::Tool("bash"), Need::Namespace],
            "the_gate_fails_when_no_kvm_test_ran",
            fails_when_no_kvm_test_ran,
        )
        .pure("what_is_missing_is_named_in_a_line_to_copy", what_is_missing_is_named)
        .pure("what_is_missing_is_installed_with_sudo", what_is_missing_is_installed)
        .pure("a_test_that_waits_for_ever_fails", a_test_that_waits_for_ever_fails)
        .pure("a_stall_is_seen", a_stall_is_seen)
        .tools(&["xz"], "the_fuzz_corpus_is_of_this_format", the_fuzz_corpus_is_of_this_format)
}

/// The emulated machine has KVM, and neither bash nor the source tree.
pub const KVM_AND_BASH: [Need; 2] = [Need::Kvm, Need::Tool("bash")];
/// The root of the source tree.
pub const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What libtest and libtest-mimic print where there is no KVM.
const SKIPPED: &str = "\
test trace::a ... ok
test machine::b ... ignored, needs much time
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test kvm::c    ... ignored (/dev/kvm: No such file or directory (os error 2))
test d         ... ok
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

/// A folder of programs that scripts play.
pub fn players(scripts: &[(&str, &str)]) -> Result<TempDir, Failed> {
    let folder = folder();
    for (name, script) in scripts {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

/// Runs `scripts/test` in a mount namespace, after the shell words `before`, where `cargo COMMAND` prints `text` and ends
/// with `status`, and all other programs that it calls succeed. It runs in a copy of the scripts.
/// The user has flags that the tests cannot be built with.
fn gate(before: &str, command: &str, text: &str, status: u8) -> Result<Output, Failed> {
    let flags = "[ \"$1\" != test ] || [ -z \"$RUSTFLAGS$CARGO_ENCODED_RUSTFLAGS\" ] || exit 1";
    let cargo = format!("{flags}\n[ \"$1\" = {command} ] || exit 0\ncat <<'END'\n{text}END\nexit {status}");
    let names = [("rustc", "echo /"), ("shellcheck", ""), ("actionlint", ""), ("g++", "")];
    let players = players(&[&[("cargo", cargo.as_str())][..], &names].concat())?;
    let tree = folder();
    std::fs::create_dir(tree.path().join("scripts"))?;
    std::fs::create_dir(tree.path().join("guest"))?;
    std::fs::write(tree.path().join("guest/rustflags"), "")?;
    std::fs::copy(format!("{TREE}/scripts/test"), tree.path().join("scripts/test"))?;
    // Without its compiler, the viewer is skipped.
    let viewer = tree.path().join("scripts/viewer");
    std::fs::write(&viewer, "#!/bin/sh\necho no compiler\nexit 77\n")?;
    std::fs::set_permissions(&viewer, Permissions::from_mode(0o755))?;
    for name in ["compare", "fuzz", "install"] {
        std::os::unix::fs::symlink("/bin/true", tree.path().join("scripts").join(name))?;
    }
    let path = format!("{}:{}", players.path().display(), std::env::var("PATH")?);
    let line = format!("{before} scripts/test --no-emulated");
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &line]).current_dir(tree.path()).env("PATH", path);
    shell.env("RUSTFLAGS", "-Cwrong").env("CARGO_ENCODED_RUSTFLAGS", "-Cwrong");
    for name in ["TRAPLINE_REQUIRE_TOOLS", "TRAPLINE_LOGS", "GITHUB_STEP_SUMMARY"] {
        shell.env_remove(name);
    }
    support::command(&mut shell, players.path())
}

fn says(output: &Output, line: &str) -> TestResult {
    ensure(output.stdout.lines().any(|found| found == line), || format!("no line {line:?}: {output:#?}"))
}

fn last_line(output: &Output, line: &str) -> TestResult {
    ensure(output.stdout.lines().last() == Some(line), || format!("the end is not {line:?}: {output:#?}"))
}

fn names_what_was_skipped() -> TestResult {
    let output = gate(HIDE, "test", SKIPPED, 0)?.expect(0)?;
    says(&output, "skipped: kvm::c: /dev/kvm: No such file or directory (os error 2)")?;
    says(&output, "skipped: machine::b: needs much time")?;
    says(&output, "skipped: tests on the viewer built here: no compiler")?;
    last_line(&output, "2 passed, 0 failed, 3 skipped")
}

fn fails_with_a_test() -> TestResult {
    let text = "test e ... FAILED\ntest result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured\n";
    let output = gate(HIDE, "test", text, 101)?.expect(1)?;
    says(&output, "FAILED: e")?;
    last_line(&output, "4 passed, 2 failed, 1 skipped")
}

fn fails_with_a_crash() -> TestResult {
    let output = gate(HIDE, "test", "", 101)?.expect(1)?;
    last_line(&output, "0 passed, 1 failed, 1 skipped")
}

fn fails_with_a_lint() -> TestResult {
    let output = gate(HIDE, "fmt", "", 1)?.expect(1)?;
    says(&output, "FAILED: format")?;
    says(&output, "FAILED: format of the guest")
}

/// A path without the player of the linter, which is nowhere else either.
fn fails_without_a_tool() -> TestResult {
    let without = "rm \"${PATH%%:*}/actionlint\"; PATH=${PATH%%:*}:/usr/bin:/bin;";
    let optional = gate(&format!("{without} {HIDE}"), "test", "", 0)?.expect(0)?;
    says(&optional, "skipped: lints of the workflows: actionlint is not installed")?;
    last_line(&optional, "0 passed, 0 failed, 2 skipped")?;
    let required = format!("{without} export TRAPLINE_REQUIRE_TOOLS=1; {HIDE}");
    let output = gate(&required, "test", "", 0)?.expect(1)?;
    says(&output, "FAILED: lints of the workflows")
}

/// KVM is here, and the test programs do not use it.
fn fails_when_no_kvm_test_ran() -> TestResult {
    let text = "test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n";
    let output = gate("exec", "test", text, 0)?.expect(1)?;
    says(&output, "FAILED: KVM was used")?;
    last_line(&output, "1 passed, 1 failed, 1 skipped")
}

/// A system with apt-get, where no program that `scripts/install` looks for is installed.
struct Bare {
    players: TempDir,
    tree: TempDir,
}

impl Bare {
    /// The scripts play `id`, and what runs a command as root.
    fn new(scripts: &[(&str, &str)]) -> Result<Bare, Failed> {
        let apt = ("apt-get", "echo \"$*\" >>\"$0.log\"");
        let players = players(&[scripts, &[apt]].concat())?;
        // What the script itself calls; not the programs that it looks for.
        for program in ["awk", "bash", "cat", "cmp", "dirname", "env", "mktemp", "rm", "sh", "tail", "true"] {
            let place = Command::new("bash").args(["-c", &format!("type -P {program}")]).output()?.stdout;
            let place = String::from_utf8(place)?;
            std::os::unix::fs::symlink(place.trim(), players.path().join(program))?;
        }
        let tree = folder();
        std::fs::create_dir(tree.path().join("scripts"))?;
        let script = std::fs::read_to_string(format!("{TREE}/scripts/install"))?;
        // The folders of mkfs have links to all programs on some systems.
        let script = script.replace("export PATH=$PATH:/usr/sbin:/sbin\n", "");
        std::fs::write(tree.path().join("scripts/install"), script)?;
        for list in ["packages", "python-modules"] {
            let list = format!("scripts/{list}");
            std::fs::copy(Path::new(TREE).join(&list), tree.path().join(&list))?;
        }
        Ok(Bare { players, tree })
    }

    fn bash(&self, arguments: &[&str]) -> Result<Output, Failed> {
        let mut bash = Command::new("bash");
        bash.args(arguments).current_dir(self.tree.path()).env("PATH", self.players.path());
        support::command(&mut bash, self.tree.path())
    }

    /// The arguments of each apt-get so far, one per line.
    fn installed(&self) -> String {
        std::fs::read_to_string(self.players.path().join("apt-get.log")).unwrap_or_default()
    }
}

/// The line to copy, run by a user with and without sudo and by root, installs everything. Without Python there is no second
/// line for its modules.
fn what_is_missing_is_named() -> TestResult {
    let user = ("id", "echo 1000");
    let asks = ("sudo", "[ \"$1\" != -n ] && exec \"$@\"");
    let su = ("su", "[ \"$1 $2\" = '- -c' ] && exec sh -c \"$3\"");
    let root = ("id", "echo 0");
    for (scripts, option) in
        [(&[user, asks][..], None), (&[user, su][..], None), (&[root][..], Some("--check"))]
    {
        let system = Bare::new(scripts)?;
        let arguments: Vec<&str> = ["scripts/install"].into_iter().chain(option).collect();
        let output = system.bash(&arguments)?.expect(1)?;
        let line = output.stderr.strip_prefix("install: missing; to install: ").unwrap_or_default();
        ensure(line.lines().count() == 1 && system.installed().is_empty(), || format!("{output:#?}"))?;
        system.bash(&["-c", line])?.expect(0)?;
        let installed = system.installed();
        let is_right = installed.starts_with("update -qq\ninstall -y --no-install-recommends ")
            && ["strace", "python3-pip"].iter().all(|package| installed.contains(package));
        ensure(is_right, || format!("{line}: {installed}"))?;
    }
    Ok(())
}

fn what_is_missing_is_installed() -> TestResult {
    let sudo = ("sudo", "[ \"$1\" != -n ] || shift; exec \"$@\"");
    let system = Bare::new(&[("id", "echo 1000"), sudo])?;
    system.bash(&["scripts/install", "strace", "cpio"])?.expect(0)?;
    let installed = system.installed();
    ensure(installed == "update -qq\ninstall -y --no-install-recommends cpio strace\n", || installed.clone())
}

/// The child of a shell holds the pipe, and nothing but the limit ends it.
fn a_test_that_waits_for_ever_fails() -> TestResult {
    let start = Instant::now();
    let result = limit::limited_to(Duration::from_millis(200), "waits", || {
        Ok(Command::new("sh").args(["-c", "sleep 1000; true"]).output()?)
    });
    let message = result.err().and_then(|error| error.message().map(ToOwned::to_owned)).unwrap_or_default();
    ensure(message.contains("took more than 200ms"), || message.clone())?;
    ensure(start.elapsed() < Duration::from_secs(100), || format!("{:?}", start.elapsed()))
}

/// A child stops this program, as a machine under this one would.
fn a_stall_is_seen() -> TestResult {
    let folder = folder();
    let line = format!("kill -STOP {0}; sleep 0.3; kill -CONT {0}", std::process::id());
    let stop = || support::command(Command::new("sh").args(["-c", &line]), folder.path());
    let (output, stall) = stall::watched(stop);
    output?.expect(0)?;
    ensure(stall > Duration::from_millis(200), || format!("{stall:?}"))
}

/// The reader refuses inputs of another format's version as soon as it opens them, and fuzzing would find nothing.
fn the_fuzz_corpus_is_of_this_format() -> TestResult {
    let folder = folder();
    let kept = Path::new(TREE).join("fuzz/corpus/trace.tar.xz");
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(kept).arg("trace/hello.trap").current_dir(folder.path());
    support::command(&mut tar, folder.path())?.expect(0)?;
    let remedy = "run scripts/fuzz --renew";
    let trace = Trace::open(&folder.path().join("trace/hello.trap"));
    let trace = trace.map_err(|error| format!("{error}; {remedy}"))?;
    let events = trace.events().count();
    ensure(trace.damage().is_empty() && events > 50, || {
        format!("{events} events, {:?}; {remedy}", trace.damage())
    })
}
