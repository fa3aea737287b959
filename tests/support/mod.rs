//! What the whole-program tests share: a suite that skips what this host cannot run and says so, and the
//! `trapline` binary under a time limit.
//!
//! A test that needs KVM is named `kvm::...`. Where `/dev/kvm` cannot be opened it is reported as ignored, with
//! its name and the reason; with `TRAPLINE_REQUIRE_KVM=1` it fails instead. The same goes for tests that need a
//! program that is not installed (`TRAPLINE_REQUIRE_TOOLS=1`).

#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

/// What a test gives.
pub type TestResult = Result<(), Failed>;

/// The longest that one run of the binary may take before it counts as hanging; emulated hosts are slow.
const LIMIT: Duration = Duration::from_secs(120);

/// The tests of one target.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    skipped: Vec<(String, String)>,
}

impl Suite {
    /// A test that runs anywhere.
    pub fn pure(mut self, name: &str, test: fn() -> TestResult) -> Self {
        self.trials.push(Trial::test(name, test));
        self
    }

    /// A test that needs `/dev/kvm`.
    pub fn kvm(self, name: &str, test: fn() -> TestResult) -> Self {
        let missing = kvm_missing();
        self.gated(format!("kvm::{name}"), missing, "TRAPLINE_REQUIRE_KVM", test)
    }

    /// A test that needs other programs.
    pub fn tools(self, tools: &[&str], name: &str, test: fn() -> TestResult) -> Self {
        let missing =
            tools.iter().find(|tool| !installed(tool)).map(|tool| format!("{tool} is not installed"));
        self.gated(name.into(), missing, "TRAPLINE_REQUIRE_TOOLS", test)
    }

    fn gated(
        mut self,
        name: String,
        missing: Option<String>,
        require: &'static str,
        test: fn() -> TestResult,
    ) -> Self {
        self.trials.push(match missing {
            None => Trial::test(name, test),
            Some(reason) if std::env::var_os(require).is_some_and(|value| value == "1") => {
                Trial::test(name, move || Err(format!("{reason}, and {require}=1").into()))
            }
            Some(reason) => {
                self.skipped.push((name.clone(), reason));
                Trial::test(name, test).with_ignored_flag(true)
            }
        });
        self
    }

    /// Runs the tests as the command line says, and exits.
    pub fn run(self) -> ! {
        let arguments = Arguments::from_args();
        // A test that is skipped because its host lacks something cannot be asked for by --ignored.
        let arguments = Arguments { ignored: false, include_ignored: false, ..arguments };
        if !arguments.list {
            let asked =
                |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
            for (name, reason) in self.skipped.iter().filter(|(name, _)| asked(name)) {
                println!("skipped: {name}: {reason}");
            }
        }
        libtest_mimic::run(&arguments, self.trials).exit()
    }
}

/// Why there is no KVM here; None: there is. Only opening tells: permission bits lie.
pub fn kvm_missing() -> Option<String> {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => None,
        Err(error) => Some(format!("/dev/kvm: {error}")),
    }
}

fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// True on emulated hardware, where everything takes fifty times as long.
pub fn is_emulated_host() -> bool {
    std::env::var_os("TRAPLINE_HOST").is_some_and(|host| host == "B")
}

/// A folder that is gone after the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("TRAPLINE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_trapline").into(), PathBuf::from)
}

/// What a command gave.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; a signal is a failure of the test.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Output {
    /// Fails with everything that was printed, unless the exit code is as expected.
    pub fn expect(self, code: i32) -> Result<Self, Failed> {
        if self.code == code { Ok(self) } else { Err(format!("expected exit code {code}: {self:#?}").into()) }
    }
}

/// `trapline ARGUMENTS` in `folder`.
pub fn trapline(folder: &Path, arguments: &[&str]) -> Result<Output, Failed> {
    command(Command::new(binary()).args(arguments).current_dir(folder), folder)
}

/// Runs a command to its end, its output kept in `folder`.
pub fn command(command: &mut Command, folder: &Path) -> Result<Output, Failed> {
    let (out, err) = (folder.join(".stdout"), folder.join(".stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let status = wait(&mut command.spawn()?, LIMIT)?;
    let text = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (stdout, stderr) = (text(out)?, text(err)?);
    match status.code() {
        Some(code) => Ok(Output { code, stdout, stderr }),
        None => Err(format!("{command:?} ended by {status}: {stderr}").into()),
    }
}

/// Waits for a child's end; kills it when that takes too long.
pub fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, Failed> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Err(format!("a command ran for more than {limit:?}").into())
}

/// Fails with `message` unless `condition` holds.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> TestResult {
    if condition { Ok(()) } else { Err(message().into()) }
}
