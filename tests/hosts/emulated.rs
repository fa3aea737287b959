//! `--accel qemu`: the same kernel and programs on a CPU that QEMU emulates, with a trace that is as whole as one of KVM.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

const QEMU: &str = "qemu-system-x86_64";
/// The longest that a test waits for another process.
const LIMIT: Duration = Duration::from_secs(60);

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .tools(&[QEMU], "emulated_tour", tour)
        .tools(&[QEMU], "emulated_linux_program", linux_program)
        .tools(&[QEMU], "emulated_time_out", time_out)
        .tools(&[QEMU], "emulated_interrupt", interrupt)
        .tools(&[QEMU], "emulated_cpu_ends_with_trapline", ends_with_trapline)
        .tools(&[QEMU], "emulated_triple_fault", triple_fault)
        .tools(&[QEMU], "emulated_stream_is_imported", stream_is_imported)
        .needs(&[Need::Kvm, Need::Tool(QEMU)], "emulated_is_the_same_as_kvm", same_as_kvm)
        .pure("emulator_missing", missing)
        .pure("emulator_too_old", too_old)
        .pure("emulator_dies_at_its_start", dies)
}

fn tour() -> TestResult {
    let folder = folder();
    let run = trapline(folder.path(), &["run", "--accel", "qemu", "--trace", "t.trap"])?.expect(0)?;
    ensure(run.stderr.contains(" ms, emulated (switches"), || format!("the summary says: {}", run.stderr))?;
    let check = trapline(folder.path(), &["check", "t.trap"])?.expect(0)?;
    ensure(check.stdout.contains(" 0 fail"), || check.stdout.clone())?;
    for (command, words) in [
        ("view", &["(emulated by QEMU ", "emulated us"][..]),
        ("stat", &["emulated by QEMU ", "Who had the CPU (emulated)", "System calls (emulated)"]),
        ("protocol", &["emulated"]),
    ] {
        let said = trapline(folder.path(), &[command, "t.trap"])?.expect(0)?.stdout;
        for word in words {
            ensure(said.contains(word), || format!("{command} does not say {word:?}: {said:.2000}"))?;
        }
    }
    let strace = trapline(folder.path(), &["view", "--format", "strace", "t.trap"])?.expect(0)?.stdout;
    ensure(strace.contains("/* 0 vars; all times are emulated */"), || format!("{strace:.2000}"))?;
    for (format, word) in
        [("perfetto", "hello (emulated)"), ("trace-cmd", "all times are emulated"), ("csv", "")]
    {
        let export = ["export", "t.trap", "--force", "--format", format, "-o", "out"];
        let said = trapline(folder.path(), &export)?.expect(0)?.stderr;
        ensure(said.contains("all times are emulated"), || said.clone())?;
        let file = String::from_utf8_lossy(&std::fs::read(folder.path().join("out"))?).into_owned();
        ensure(file.contains(word), || format!("{format} does not say {word:?}"))?;
    }
    Ok(())
}

/// The commands of `trapline import --help`, as they stand there.
fn stream_is_imported() -> TestResult {
    let folder = folder();
    let folder = folder.path();
    trapline(folder, &["extract", "guest"])?.expect(0)?;
    let help = trapline(folder, &["import", "--help"])?.expect(0)?.stdout;
    let commands = help
        .split_once("`trapline extract guest`:\n")
        .and_then(|(_, rest)| rest.split_once("QEMU exits with"));
    let (qemu, import) =
        commands.and_then(|(commands, _)| commands.split_once("  trapline ")).ok_or("no commands")?;
    let run =
        support::command(Command::new("sh").args(["-c", qemu]).current_dir(folder), folder)?.expect(1)?;
    ensure(run.stdout.starts_with("hello: "), || run.stdout.clone())?;
    trapline(folder, &import.split_whitespace().collect::<Vec<_>>())?.expect(0)?;
    let check = trapline(folder, &["check", "hello.trap"])?.expect(0)?.stdout;
    ensure(check.contains(" 0 fail"), || check)?;
    let view = trapline(folder, &["view", "hello.trap"])?.expect(0)?;
    // QEMU passes no name of a program to the kernel.
    let is_right = view.stdout.contains("emulated us")
        && view.stdout.contains("exit     with 0")
        && view.stderr.is_empty();
    ensure(is_right, || format!("{view:#?}"))
}

fn linux_program() -> TestResult {
    let folder = folder();
    let source = folder.path().join("hi.s");
    let hi = "_start: mov $1,%eax; mov $1,%edi; lea text(%rip),%rsi; mov $3,%edx; syscall; mov $231,%eax; xor %edi,%edi; \
              syscall; text: .ascii \"hi\\n\"";
    std::fs::write(&source, format!(".globl _start\n{hi}\n"))?;
    let build = ["-static", "-nostdlib", "-o", "hi", "hi.s"];
    support::command(Command::new("cc").args(build).current_dir(&folder), folder.path())?.expect(0)?;
    let run = ["run", "--accel", "qemu", "--trace", "t.trap", "./hi"];
    let run = trapline(folder.path(), &run)?.expect(0)?;
    ensure(run.stdout == "hi\n", || run.stdout.clone())?;
    trapline(folder.path(), &["check", "t.trap"])?.expect(0)?;
    Ok(())
}

/// The processes did the same; only times differ.
fn same_as_kvm() -> TestResult {
    let folder = folder();
    for programs in [&["counter 100", "hello", "polite", "wild"][..], &[]] {
        for (accel, trace) in [("kvm", "k.trap"), ("qemu", "q.trap")] {
            let run = ["run", "--force", "--accel", accel, "--trace", trace];
            let code = if programs.is_empty() { 0 } else { 32 };
            trapline(folder.path(), &[&run, programs].concat())?.expect(code)?;
        }
        trapline(folder.path(), &["diff", "k.trap", "q.trap"])?.expect(0)?;
    }
    Ok(())
}

fn time_out() -> TestResult {
    let folder = folder();
    let run = ["run", "--accel", "qemu", "--timeout", "1s", "--trace", "t.trap", "hog", "hello"];
    let run = trapline(folder.path(), &run)?.expect(36)?;
    ensure(run.stderr.contains("stopped by the time-out"), || run.stderr.clone())?;
    trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop)
}

/// A guest that runs until something outside ends it, and that has printed a line.
fn start_hog(folder: &Path) -> Result<std::process::Child, Failed> {
    let out = folder.join("out");
    let child = Command::new(support::binary())
        .args(["run", "--accel", "qemu", "--trace", "t.trap", "hello", "hog"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out)?)
        .spawn()?;
    until("the guest prints", || std::fs::read(&out).is_ok_and(|text| !text.is_empty()))?;
    Ok(child)
}

fn until(what: &str, holds: impl Fn() -> bool) -> TestResult {
    let start = Instant::now();
    while !holds() {
        ensure(start.elapsed() < LIMIT, || format!("{what}: not in {LIMIT:?}"))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn interrupt() -> TestResult {
    let folder = folder();
    let mut child = start_hog(folder.path())?;
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let status = support::wait(&mut child, LIMIT)?;
    ensure(status.code() == Some(130), || format!("it ended with {status}"))?;
    trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop)
}

/// No process or file is left of a run whose Trapline was killed.
fn ends_with_trapline() -> TestResult {
    let folder = folder();
    let mut child = start_hog(folder.path())?;
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let qemu = std::fs::read_to_string(children)?.trim().to_owned();
    ensure(Path::new("/proc").join(&qemu).is_dir() && !qemu.is_empty(), || format!("no QEMU: {qemu:?}"))?;
    child.kill()?;
    child.wait()?;
    until("QEMU ends", || {
        let status = std::fs::read_to_string(format!("/proc/{qemu}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    })
}

/// Without limits, `vandal` destroys the trap table: no fault has a handler after that.
fn triple_fault() -> TestResult {
    let folder = folder();
    // lidt of a table of no bytes, and a fault.
    let source = ".globl _start\n_start: lidt none(%rip); ud2\nnone: .skip 10\n";
    std::fs::write(folder.path().join("crash.s"), source)?;
    let build = ["-static", "-nostdlib", "-o", "crash", "crash.s"];
    support::command(Command::new("cc").args(build).current_dir(&folder), folder.path())?.expect(0)?;
    let run = ["run", "--accel", "qemu", "--policy", "direct", "--timeout", "60s", "./crash"];
    let run = trapline(folder.path(), &run)?.expect(33)?;
    ensure(run.stderr.contains("triple fault"), || run.stderr.clone())
}

/// `trapline run --accel qemu` where this script is the only QEMU, or none is.
fn with_qemu(script: Option<&str>) -> Result<support::Output, Failed> {
    let folder = folder();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin)?;
    if let Some(script) = script {
        let file = bin.join(QEMU);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o755))?;
    }
    let mut run = Command::new(support::binary());
    run.args(["run", "--accel", "qemu", "hello"]).env("PATH", bin).current_dir(folder.path());
    let output = support::command(&mut run, folder.path())?;
    ensure(!folder.path().join("trapline-1.trap").exists(), || {
        "a run that did not start left a trace".into()
    })?;
    Ok(output)
}

fn says(output: &support::Output, words: &[&str]) -> TestResult {
    words.iter().try_for_each(|word| ensure(output.stderr.contains(word), || output.stderr.clone()))
}

fn missing() -> TestResult {
    says(&with_qemu(None)?.expect(77)?, &["no qemu-system-x86_64 on PATH", "apt-get install qemu-system-x86"])
}

fn too_old() -> TestResult {
    let old = with_qemu(Some("echo 'QEMU emulator version 4.2.1 (Debian)'"))?.expect(77)?;
    says(&old, &["version 4.2.1", "5.0 or later"])?;
    says(&with_qemu(Some("echo hello"))?.expect(77)?, &["prints \"hello\""])
}

fn dies() -> TestResult {
    let script = "[ \"$1\" = --version ] && echo 'QEMU emulator version 9.0.0' && exit\necho 'no such machine' >&2; exit 3";
    says(
        &with_qemu(Some(script))?.expect(1)?,
        &["ended before it started the guest", "exit status: 3", "no such machine"],
    )
}
