//! Every system call that the sandbox allows is needed: without it, one of the commands below dies.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::Failed;
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use trapline::engine::kvm;
use trapline::sandbox::{Role, UNSEEN};

use crate::handmade;
use crate::inside::was_killed;
use crate::support::{Need, Suite, TestResult, binary, ensure, fill, folder, path_of, trapline, wait};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        // How often the writer's buffers grow, and so whether the writer moves them, depends on the load of the host.
        .needs(
            &[Need::Kvm, Need::TwoCpus, Need::Tool("busybox")],
            "sandbox::every_call_of_a_run_is_needed",
            every_call_of_a_run_is_needed,
        )
        .kvm("sandbox::every_call_of_a_reader_is_needed", every_call_of_a_reader_is_needed)
        .kvm("sandbox::every_call_of_an_export_is_needed", every_call_of_an_export_is_needed)
}

/// The longest time that a command may take.
const LIMIT: Duration = Duration::from_secs(60);
/// A program that makes many records.
const BUSY: &str = "counter 1000000";

/// Runs a command that may not use a call. Returns whether the command died because of that.
type Case = fn(&Without) -> Result<bool, Failed>;

/// The binary, with one call removed from its sandbox.
struct Without<'a> {
    folder: &'a Path,
    call: &'a str,
}

impl Without<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--sandbox-without", self.call]).current_dir(self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn dies(&self, arguments: &[&str]) -> Result<bool, Failed> {
        ended(&mut self.command(arguments).spawn()?)
    }
}

fn ended(child: &mut Child) -> Result<bool, Failed> {
    Ok(was_killed(wait(child, LIMIT)?))
}

/// Removes each call of these roles in turn.
fn every_call_is_needed(roles: &[Role], cases: &[Case]) -> TestResult {
    let folder = folder();
    let folder = folder.path();
    trapline(folder, &["run", "--trace", "t.trap"])?.expect(0)?;
    fs::copy(folder.join("t.trap"), folder.join("t2.trap"))?;
    let names: BTreeSet<&str> = roles.iter().flat_map(|role| role.calls()).map(|call| call.name).collect();
    let mut idle = Vec::new();
    for call in names.into_iter().filter(|name| UNSEEN.iter().all(|(unseen, _)| unseen != name)) {
        let mut died = false;
        for case in cases {
            died = died || case(&Without { folder, call })?;
        }
        if !died {
            idle.push(call);
        }
    }
    ensure(idle.is_empty(), || format!("nothing needs {idle:?}"))
}

fn every_call_of_a_run_is_needed() -> TestResult {
    let cases: &[Case] = &[
        |trapline| trapline.dies(&["run", "--force", "--trace", "t.trap"]),
        |trapline| trapline.dies(&["run", "hog", "--timeout", "200ms", "--force", "--trace", "t.trap"]),
        |trapline| {
            let quick = ["--quantum", "200us", "--timeout", "2s"];
            trapline.dies(&[&["run", BUSY, "hog", "--force", "--trace", "t.trap"][..], &quick].concat())
        },
        a_late_reader_of_the_trace,
        input,
        |trapline| {
            std::fs::write(trapline.folder.join("halt"), handmade::kernel(&handmade::HALT))?;
            trapline.dies(&["run", "hello", "--kernel", "halt", "--force", "--trace", "t.trap"])
        },
        |trapline| {
            stopped(trapline.command(&["run", "hello", "--force", "--trace", "t.trap"]), Stream::Output)
        },
        // A large trace, however slow the machine is.
        |trapline| {
            let yields =
                ["polite 2000", "polite 2000", "--policy", "cooperative", "--force", "--trace", "t.trap"];
            trapline.dies(&[&["run"][..], &yields].concat())
        },
    ];
    let roles = [Role::Run(kvm::CALLS), Role::Input(kvm::INTERRUPT_CALLS), Role::Writer];
    every_call_is_needed(&roles, cases)
}

/// A program reads its standard input to the end.
fn input(trapline: &Without) -> Result<bool, Failed> {
    let cat = format!("{} cat", path_of("busybox")?);
    let arguments = ["run", &cat, "--timeout", "10s", "--force", "--trace", "t.trap"];
    let (reader, mut writer) = std::io::pipe()?;
    let mut child = trapline.command(&arguments).stdin(reader).spawn()?;
    writer.write_all(b"hello")?;
    drop(writer);
    ended(&mut child)
}

/// Many records wait for the reader of a FIFO.
fn a_late_reader_of_the_trace(trapline: &Without) -> Result<bool, Failed> {
    let fifo = trapline.folder.join("fifo");
    if !fifo.exists() {
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    }
    // The FIFO is open on both sides, so that neither side waits for the other.
    let mut reader = File::options().read(true).write(true).open(&fifo)?;
    let quick = ["--quantum", "200us", "--batch", "1", "--timeout", "3s"];
    let mut child =
        trapline.command(&[&["run", BUSY, "hog", "--trace", "fifo"][..], &quick].concat()).spawn()?;
    sleep(Duration::from_secs(2));
    let has_ended = Arc::new(AtomicBool::new(false));
    let reads = std::thread::spawn({
        let has_ended = Arc::clone(&has_ended);
        move || while !has_ended.load(Relaxed) && reader.read(&mut [0; 1 << 16]).is_ok() {}
    });
    let died = ended(&mut child);
    has_ended.store(true, Relaxed);
    // A byte ends the read in which the thread may be blocked.
    fs::write(&fifo, "x")?;
    let _ = reads.join();
    died
}

#[derive(PartialEq)]
enum Stream {
    Output,
    Error,
}

/// The command waits for the reader of a stream, is stopped and continued, and then the reader closes the stream.
fn stopped(mut command: Command, stream: Stream) -> Result<bool, Failed> {
    let (reader, writer) = std::io::pipe()?;
    fill(&writer)?;
    let mut child =
        if stream == Stream::Output { command.stdout(writer) } else { command.stderr(writer) }.spawn()?;
    drop(command);
    sleep(Duration::from_millis(300));
    let process = Pid::from_raw(child.id() as i32);
    kill(process, Signal::SIGSTOP)?;
    sleep(Duration::from_millis(50));
    kill(process, Signal::SIGCONT)?;
    sleep(Duration::from_millis(50));
    drop(reader);
    ended(&mut child)
}

fn every_call_of_a_reader_is_needed() -> TestResult {
    let cases: &[Case] = &[
        |trapline| trapline.dies(&["view", "t.trap", "--around", "99999999"]),
        |trapline| trapline.dies(&["view", "t.trap"]),
        |trapline| trapline.dies(&["stat", "t.trap", "t.trap", "t.trap"]),
        |trapline| trapline.dies(&["check", "t.trap"]),
        |trapline| {
            fs::write(trapline.folder.join("expect.toml"), "[[expect]]\nrules = [\"all\"]\n")?;
            trapline.dies(&["expect", "t.trap", "-f", "expect.toml", "--format", "junit"])
        },
        followed,
        with_a_pager,
        // The text is larger than 1 MiB.
        |trapline| trapline.dies(&[&["stat"][..], &["t.trap"; 200]].concat()),
        |trapline| stopped(trapline.command(&["view", "t.trap", "--around", "99999999"]), Stream::Error),
    ];
    every_call_is_needed(&[Role::Read], cases)
}

/// The file has no end yet.
fn followed(trapline: &Without) -> Result<bool, Failed> {
    let whole = fs::read(trapline.folder.join("t.trap"))?;
    fs::write(trapline.folder.join("open.trap"), &whole[..whole.len() / 2])?;
    let mut child = trapline.command(&["view", "open.trap", "--follow"]).spawn()?;
    sleep(Duration::from_millis(600));
    child.kill()?;
    ended(&mut child)
}

fn with_a_pager(trapline: &Without) -> Result<bool, Failed> {
    let terminal = openpty(None, None)?;
    let mut child = trapline.command(&["view", "t.trap"]);
    let mut child = child.env("TRAPLINE_PAGER", "cat > /dev/null").stdout(terminal.slave).spawn()?;
    ended(&mut child)
}

fn every_call_of_an_export_is_needed() -> TestResult {
    let cases: &[Case] = &[
        |trapline| {
            let _ = fs::remove_file(trapline.folder.join("new.csv"));
            trapline.dies(&["export", "t.trap", "--format", "csv", "-o", "new.csv"])
        },
        |trapline| {
            fs::write(trapline.folder.join("old.csv"), "")?;
            trapline.dies(&["export", "t.trap", "--format", "csv", "-o", "old.csv", "--force"])
        },
        |trapline| {
            let arguments = ["export", "t.trap", "--format", "ctf", "-o", "ctf", "--force"];
            Ok(trapline.dies(&arguments)? || trapline.dies(&arguments)?)
        },
        |trapline| trapline.dies(&["export", "t.trap", "--format", "perfetto", "-o", "p", "--force"]),
        |trapline| trapline.dies(&["export", "t.trap", "--format", "trace-cmd", "-o", "d", "--force"]),
        |trapline| trapline.dies(&["report", "t.trap", "--force"]),
        |trapline| trapline.dies(&["recover", "t.trap", "-o", "new.trap", "--force"]),
        |trapline| stopped(trapline.command(&["recover", "t.trap", "-o", "t2.trap"]), Stream::Error),
    ];
    every_call_is_needed(&[Role::Make], cases)
}
