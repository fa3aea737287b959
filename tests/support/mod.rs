//! What the whole-program tests share: a suite that skips what this host cannot run and says so, and the
//! `trapline` binary under a time limit.
//!
//! A test that needs KVM is named `kvm::...`. Where there is none it is reported as ignored, with its name and the
//! reason; with `TRAPLINE_REQUIRE_KVM=1` it fails instead. The same goes for tests that need a program that is not
//! installed (`TRAPLINE_REQUIRE_TOOLS=1`). The unit tests in the library need neither.

#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::Kvm;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What a test gives.
pub type TestResult = Result<(), Failed>;

/// The longest that one run of the binary may take before it counts as hanging; emulated hosts are slow.
const LIMIT: Duration = Duration::from_secs(120);

/// The tests of one target.
#[derive(Default)]
pub struct Suite(Vec<Trial>);

impl Suite {
    /// A test that runs anywhere.
    pub fn pure(mut self, name: &str, test: fn() -> TestResult) -> Self {
        self.0.push(Trial::test(name, test));
        self
    }

    /// A test that needs `/dev/kvm`.
    pub fn kvm(self, name: &str, test: fn() -> TestResult) -> Self {
        self.needs(&[Need::Kvm], name, test)
    }

    /// A test that needs `/dev/kvm`, of what a host that stops the guest for long spoils: it may be tried again.
    pub fn kvm_in_time(self, name: &str, test: fn() -> TestResult) -> Self {
        const TRIES: usize = 3;
        let missing = Need::Kvm.missing();
        let Suite(mut trials) = self;
        trials.push(Trial::ignorable_test(format!("kvm::{name}"), move || match missing {
            None => {
                (1..TRIES).find_map(|_| test().ok()).map_or_else(test, Ok).map(|()| Completion::Completed)
            }
            Some(reason) => Need::Kvm.answer(reason),
        }));
        Suite(trials)
    }

    /// A test that needs other programs.
    pub fn tools(self, tools: &[&'static str], name: &str, test: fn() -> TestResult) -> Self {
        let needs: Vec<Need> = tools.iter().copied().map(Need::Tool).collect();
        self.needs(&needs, name, test)
    }

    /// A test that needs a mount namespace of its own.
    pub fn namespace(self, name: &str, test: fn() -> TestResult) -> Self {
        self.needs(&[Need::Namespace], name, test)
    }

    /// A test that needs all of these. It is skipped where one is missing, but fails where that one is required.
    pub fn needs(mut self, needs: &[Need], name: &str, test: fn() -> TestResult) -> Self {
        let name = if needs.contains(&Need::Kvm) { format!("kvm::{name}") } else { name.into() };
        let missing = needs.iter().find_map(|need| Some((*need, need.missing()?)));
        self.0.push(Trial::ignorable_test(name, move || match missing {
            None => test().map(|()| Completion::Completed),
            Some((need, reason)) => need.answer(reason),
        }));
        self
    }

    /// Runs the tests as the command line says, and exits.
    pub fn run(self) -> ! {
        libtest_mimic::run(&Arguments::from_args(), self.0).exit()
    }
}

/// What a test needs of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// KVM behind `/dev/kvm`.
    Kvm,
    /// A program.
    Tool(&'static str),
    /// A module of Python.
    Module(&'static str),
    /// A file.
    File(&'static str),
    /// A mount namespace, which takes root.
    Namespace,
    /// A disk in a file, with a file system of this name, in a mount namespace.
    Disk(&'static str),
    /// A back end of KVM that lets the guest's kernel keep the selectors of its programs.
    Selectors,
    /// A CPU whose `fxrstor` does not load the x87 pointers.
    FxsaveLeak,
}

impl Need {
    /// Why the host does not have it; None: it does.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::Kvm => kvm_missing(),
            Need::Tool(tool) => (!installed(tool)).then(|| format!("{tool} is not installed")),
            Need::Module(module) => module_missing(module),
            Need::File(file) => (!Path::new(file).is_file()).then(|| format!("there is no {file}")),
            Need::Namespace => namespace_missing(),
            Need::Disk(kind) => disk_missing(kind),
            Need::Selectors => selectors_missing(),
            Need::FxsaveLeak => fxsave_leak_missing(),
        }
    }

    /// What a test gives that lacks it: it is skipped, or fails where that is required.
    fn answer(self, reason: String) -> Result<Completion, Failed> {
        match self.required_by() {
            Some(variable) => Err(format!("{reason}, and {variable}=1").into()),
            None => Ok(Completion::ignored_with(reason)),
        }
    }

    /// The variable by which the environment says that it must be there, if it does.
    fn required_by(self) -> Option<&'static str> {
        let variable = match self {
            Need::Kvm => "TRAPLINE_REQUIRE_KVM",
            Need::Tool(_) | Need::Module(_) | Need::File(_) => "TRAPLINE_REQUIRE_TOOLS",
            Need::Namespace | Need::Disk(_) | Need::Selectors | Need::FxsaveLeak => return None,
        };
        std::env::var_os(variable).is_some_and(|value| value == "1").then_some(variable)
    }
}

/// Why there is no KVM here; None: there is. Only opening tells (permission bits lie), and only KVM answers.
fn kvm_missing() -> Option<String> {
    match Kvm::new() {
        Err(error) => Some(format!("/dev/kvm: {}", std::io::Error::from(error))),
        Ok(kvm) if kvm.get_api_version() != KVM_API_VERSION as i32 => {
            Some("/dev/kvm is not a KVM device".into())
        }
        Ok(_) => None,
    }
}

/// Why there can be no mount namespace here; None: there can.
fn namespace_missing() -> Option<String> {
    match Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("a mount namespace takes root".into()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// A shell line that makes a disk of the file `image`, which is empty until it is written, and mounts it as `disk`.
pub fn disk(kind: &str) -> String {
    format!("truncate -s 128M image && mkfs.{kind} -q image && mkdir disk && mount -o loop image disk")
}

/// Why there can be no disk with such a file system here; None: there can.
fn disk_missing(kind: &str) -> Option<String> {
    let folder = folder();
    let line = format!("{} && umount disk", disk(kind));
    let mut shell = Command::new("unshare");
    let output = command(shell.args(["-m", "sh", "-c", &line]).current_dir(&folder), folder.path());
    let works = output.is_ok_and(|output| output.code == 0);
    (!works).then(|| format!("a disk takes root, a loop device and mkfs.{kind}"))
}

/// Why the guest's kernel cannot keep the selectors of its programs; None: it can.
fn selectors_missing() -> Option<String> {
    let keeps_them = trapline::machine::host::back_end() != "kvm_pvm";
    (!keeps_them).then(|| "kvm_pvm keeps the selectors of user mode from the guest's kernel".into())
}

/// Why `fxrstor` here loads the x87 pointers; None: it does not, and Linux says so.
fn fxsave_leak_missing() -> Option<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    (!cpu.contains("fxsave_leak")).then(|| "this CPU loads the x87 pointers with the rest".into())
}

/// Why Python does not have a module; None: it does.
fn module_missing(module: &str) -> Option<String> {
    let import = format!("import {module}");
    let status = Command::new("python3").args(["-c", &import]).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    (!is_there).then(|| format!("Python's module {module} is not installed"))
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
