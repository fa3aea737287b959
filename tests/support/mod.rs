//! What the whole-program tests share: a suite that skips what this host cannot run and says so, and the
//! `trapline` binary under a time limit.
//!
//! A test that needs KVM is named `kvm::...`. Where there is no KVM it is reported as ignored, with its name and the
//! reason; with `TRAPLINE_REQUIRE_KVM=1` it fails instead. The same goes for tests that need a program that is not
//! installed (`TRAPLINE_REQUIRE_TOOLS=1`). The unit tests in the library need neither.
//!
//! No test waits without bound: see [`limit`]. With `TRAPLINE_LOGS=FOLDER` a failed test leaves its own folders there.

#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::Kvm;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

pub mod limit;
pub mod stall;
pub mod terminal;

/// What a test returns.
pub type TestResult = Result<(), Failed>;

/// The longest that one run of the binary may take before it counts as hanging; emulated hosts are slow.
const LIMIT: Duration = Duration::from_secs(120);

/// The tests of one target.
#[derive(Default)]
pub struct Suite(Vec<Trial>);

impl Suite {
    /// A test that runs anywhere.
    pub fn pure(self, name: &str, test: fn() -> TestResult) -> Self {
        self.needs(&[], name, test)
    }

    /// A test that needs `/dev/kvm`.
    pub fn kvm(self, name: &str, test: fn() -> TestResult) -> Self {
        self.needs(&[Need::Kvm], name, test)
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
    pub fn needs(
        self,
        needs: &[Need],
        name: &str,
        test: impl FnOnce() -> TestResult + Send + 'static,
    ) -> Self {
        self.add(needs, name, move || test().map(|()| Completion::Completed))
    }

    /// Like [`Suite::needs`]: a test that a host which stalls for long may fail. See [`stall::retried`].
    pub fn in_time(self, needs: &[Need], name: &str, test: fn() -> TestResult) -> Self {
        self.add(needs, name, move || stall::retried(test))
    }

    fn add(
        mut self,
        needs: &[Need],
        name: &str,
        test: impl FnOnce() -> Result<Completion, Failed> + Send + 'static,
    ) -> Self {
        let name = if needs.contains(&Need::Kvm) { format!("kvm::{name}") } else { name.into() };
        let missing = needs.iter().find_map(|need| Some((*need, need.missing()?)));
        let label = name.clone();
        self.0.push(Trial::ignorable_test(name, move || match missing {
            None => with_folders(|| limit::limited(&label, test)),
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
    /// This back end of KVM.
    BackEnd(&'static str),
    /// A program.
    Tool(&'static str),
    /// An example of the library, which is built beside the command.
    Example(&'static str),
    /// A module of Python.
    Module(&'static str),
    /// A file.
    File(&'static str),
    /// Rust's standard library for this target.
    Target(&'static str),
    /// A mount namespace, which takes root.
    Namespace,
    /// A disk in a file, with a file system of this name, in a mount namespace.
    Disk(&'static str),
    /// Landlock in the kernel.
    Landlock,
    /// Two CPUs, so that the threads of a run run at once.
    TwoCpus,
    /// A back end of KVM that lets the guest's kernel keep the selectors of its programs.
    Selectors,
    /// A CPU with AVX.
    Avx,
    /// A CPU with AVX-512.
    Avx512,
    /// A CPU whose `fxrstor` does not load the x87 pointers.
    FxsaveLeak,
}

impl Need {
    /// Why the host does not have it; None: it does.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::Kvm => kvm_missing(),
            Need::BackEnd(name) => back_end_missing(name),
            Need::Tool(tool) => (!installed(tool)).then(|| format!("{tool} is not installed")),
            Need::Example(name) => {
                let build = "cargo build --release --workspace --examples";
                (!example(name).is_file()).then(|| format!("the example {name} is not built: {build}"))
            }
            Need::Module(module) => module_missing(module),
            Need::File(file) => (!Path::new(file).is_file()).then(|| format!("there is no {file}")),
            Need::Target(target) => target_missing(target),
            Need::Namespace => namespace_missing(),
            Need::Disk(kind) => disk_missing(kind),
            Need::Landlock => landlock_missing(),
            Need::TwoCpus => (cpus() < 2).then(|| "there is one CPU".into()),
            Need::Selectors => selectors_missing(),
            Need::Avx => (!std::is_x86_feature_detected!("avx")).then(|| "this CPU has no AVX".into()),
            Need::Avx512 => {
                (!std::is_x86_feature_detected!("avx512f")).then(|| "this CPU has no AVX-512".into())
            }
            Need::FxsaveLeak => fxsave_leak_missing(),
        }
    }

    /// What a test returns that lacks it: it is skipped, or fails where that is required.
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
            Need::Tool(_) | Need::Example(_) | Need::Module(_) | Need::File(_) => "TRAPLINE_REQUIRE_TOOLS",
            Need::BackEnd(_)
            | Need::Target(_)
            | Need::Namespace
            | Need::Disk(_)
            | Need::Landlock
            | Need::TwoCpus
            | Need::Selectors
            | Need::FxsaveLeak
            | Need::Avx
            | Need::Avx512 => return None,
        };
        std::env::var_os(variable).is_some_and(|value| value == "1").then_some(variable)
    }
}

/// Why there is no KVM here; `None` if there is. The permission bits of the device can be wrong, so it is opened.
fn kvm_missing() -> Option<String> {
    match Kvm::new() {
        Err(error) => Some(format!("/dev/kvm: {}", std::io::Error::from(error))),
        Ok(kvm) if kvm.get_api_version() != KVM_API_VERSION as i32 => {
            Some("/dev/kvm is not a KVM device".into())
        }
        Ok(_) => None,
    }
}

/// Why nothing can be compiled for this target; None: it can.
fn target_missing(target: &str) -> Option<String> {
    let folder = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let is_there = folder.is_ok_and(|folder| {
        String::from_utf8(folder.stdout).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
    });
    (!is_there).then(|| format!("Rust's target {target} is not installed"))
}

/// Why KVM does not have this back end; None: it does.
fn back_end_missing(name: &str) -> Option<String> {
    let back_end = trapline::machine::host::back_end();
    (back_end != name).then(|| format!("it compares with values of {name}, and this host has {back_end}"))
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

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Why Landlock cannot be used; None: it can.
fn landlock_missing() -> Option<String> {
    const ASK_VERSION: i32 = 1;
    // SAFETY: the request reads no memory; it returns a number.
    let version = unsafe { nix::libc::syscall(nix::libc::SYS_landlock_create_ruleset, 0, 0, ASK_VERSION) };
    (version < 1).then(|| "this kernel has no Landlock".into())
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

/// The installed browser for the tests of the report; if none is installed, the one to install.
pub fn browser() -> &'static str {
    ["chromium", "google-chrome"].into_iter().find(|name| installed(name)).unwrap_or("chromium")
}

fn installed(tool: &str) -> bool {
    path_of(tool).is_ok()
}

/// The path of an installed program.
pub fn path_of(tool: &str) -> Result<String, Failed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(tool));
    let found = files.find(|file| file.is_file()).ok_or_else(|| format!("{tool} is not on PATH"))?;
    Ok(found.to_string_lossy().into_owned())
}

/// True on emulated hardware, where everything takes fifty times as long.
pub fn is_emulated_host() -> bool {
    std::env::var_os("TRAPLINE_HOST").is_some_and(|host| host == "B")
}

thread_local! {
    /// The folders of the test that this thread runs, where `TRAPLINE_LOGS` keeps those of a failed one.
    static FOLDERS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// A folder that is removed with the value, or where `TRAPLINE_LOGS` is set, after the test if it passes.
pub fn folder() -> tempfile::TempDir {
    let folder = match std::env::var_os("TRAPLINE_LOGS") {
        None => tempfile::tempdir(),
        Some(logs) => tempfile::Builder::new().prefix("test-").disable_cleanup(true).tempdir_in(logs),
    };
    let folder = folder.expect("a temporary folder");
    FOLDERS.with_borrow_mut(|folders| folders.push(folder.path().into()));
    folder
}

/// Runs a test, and removes the folders that it leaves unless it fails. The message of one that fails names them.
fn with_folders(test: impl FnOnce() -> Result<Completion, Failed>) -> Result<Completion, Failed> {
    FOLDERS.take();
    let result = test();
    let kept: Vec<PathBuf> = FOLDERS.take().into_iter().filter(|folder| folder.exists()).collect();
    match result {
        Err(error) if !kept.is_empty() => {
            Err(format!("{}\nits folders: {kept:?}", error.message().unwrap_or_default()).into())
        }
        result => {
            kept.iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
            result
        }
    }
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("TRAPLINE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_trapline").into(), PathBuf::from)
}

/// An example of the library.
pub fn example(name: &str) -> PathBuf {
    binary().with_file_name("examples").join(name)
}

/// What a command did.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; a signal is a failure of the test.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
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

/// Compiles a program of `tests/linux` or of its `programs` into `folder`, as a static one.
pub fn compile(compiler: &str, name: &str, folder: &Path) -> Result<PathBuf, Failed> {
    let program = folder.join(name);
    let place = |folder| format!("{}/../tests/{folder}/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let sources = [place("linux"), place("linux/programs")];
    let source = sources.iter().find(|source| Path::new(source).exists()).unwrap_or(&sources[0]);
    let mut gcc = Command::new(compiler);
    gcc.args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(&program).arg(source);
    command(&mut gcc, folder)?.expect(0)?;
    Ok(program)
}

/// Runs a program of `tests/linux`, which must end with `code`; its trace is `trace` in `folder`.
pub fn run_linux(program: &str, code: i32, folder: &Path, trace: &str) -> TestResult {
    compile("gcc", program, folder)?;
    trapline(folder, &["run", "--trace", trace, "--", &format!("./{program}")])?.expect(code)?;
    Ok(())
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

/// Fills a pipe; writes to it wait from then on.
pub fn fill(mut pipe: &std::io::PipeWriter) -> TestResult {
    use std::io::Write;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    while pipe.write(&[b'x'; 4096]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(())
}

/// Runs a test on so many values, the same ones at every run; `TRAPLINE_RANDOM_SEED=N` chooses others. For a value that
/// fails, some smaller ones are tried, and the smallest that fails is reported.
pub fn property<S: Strategy>(cases: u32, values: &S, test: impl Fn(S::Value) -> TestResult) -> TestResult {
    let seed = std::env::var("TRAPLINE_RANDOM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let rng_seed = RngSeed::Fixed(seed);
    let config =
        Config { cases, max_shrink_iters: 64, failure_persistence: None, rng_seed, ..Config::default() };
    let fail = |error: Failed| TestCaseError::fail(error.message().unwrap_or_default().to_owned());
    let run = TestRunner::new(config).run(values, |value| test(value).map_err(fail));
    run.map_err(|error| format!("seed {seed}: {error}").into())
}

/// Fails with `message` unless `condition` holds.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> TestResult {
    if condition { Ok(()) } else { Err(message().into()) }
}
