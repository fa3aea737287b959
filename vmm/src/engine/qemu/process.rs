//! QEMU as a child process: its version, its command line, its start over QMP, its end.
//!
//! QEMU inherits files and sockets as descriptors, so that no file of a run has a name. It runs in its own process group,
//! so Ctrl-C does not reach it, and Linux kills it when Trapline ends for any reason.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use abi::ports::{CONSOLE, DOORBELL, EXIT};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};
use serde_json::Value;
use thiserror::Error;

use crate::machine::clock::host_tsc;
use crate::machine::kick;

/// The program, which is looked for on PATH.
const PROGRAM: &str = "qemu-system-x86_64";
/// The oldest major version that has what [`start`] uses: the machine's property `memory-backend` is the newest part.
const MAJOR_MIN: u32 = 5;
/// The longest wait for an answer of QEMU. It usually takes 0.1 s, but a busy host may delay it.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Why QEMU does not run.
#[derive(Debug, Error)]
pub enum QemuError {
    /// It is not installed.
    #[error(
        "there is no {PROGRAM} on PATH; install QEMU {MAJOR_MIN}.0 or later (Debian, Ubuntu: sudo apt-get install \
         qemu-system-x86; Fedora: sudo dnf install qemu-system-x86)"
    )]
    Missing,
    /// It is too old, or it is another program of this name.
    #[error(
        "`{PROGRAM} --version` prints \"{said}\", but Trapline needs QEMU {MAJOR_MIN}.0 or later; install it in a folder that \
         is earlier on PATH"
    )]
    Version {
        /// The first line of what `--version` prints.
        said: String,
    },
    /// It passes one module to a kernel.
    #[error("QEMU can pass only one module to a kernel, but there are {count}; put them into one bundle")]
    Modules {
        /// How many there are.
        count: usize,
    },
    /// It cannot be started.
    #[error("cannot start {PROGRAM}")]
    Start(#[source] io::Error),
    /// It ended before it ran the guest.
    #[error("{PROGRAM} ended before it started the guest ({status}): {said}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// What it printed on standard error.
        said: String,
    },
    /// It does not answer, or its answer does not follow QMP.
    #[error("{PROGRAM} sent no valid QMP answer on its control socket: {said}")]
    Answer {
        /// What it answered, or the error of the read.
        said: String,
    },
}

impl QemuError {
    /// Whether this host has no QEMU that can run a guest.
    pub fn is_missing(&self) -> bool {
        matches!(self, QemuError::Missing | QemuError::Version { .. })
    }
}

/// The version of the QEMU on PATH, such as `7.2.22`.
pub fn version() -> Result<String, QemuError> {
    let output = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().map_err(not_started)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().next().unwrap_or_default();
    let version = said.strip_prefix("QEMU emulator version ").and_then(|rest| rest.split(' ').next());
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match version.zip(major) {
        Some((version, MAJOR_MIN..)) => Ok(version.into()),
        _ => Err(QemuError::Version { said: said.into() }),
    }
}

fn not_started(error: io::Error) -> QemuError {
    if error.kind() == io::ErrorKind::NotFound { QemuError::Missing } else { QemuError::Start(error) }
}

/// A file in memory, without a name.
pub fn memory_file(name: &str, bytes: &[u8]) -> Result<File, QemuError> {
    let descriptor =
        memfd_create(name, MFdFlags::MFD_CLOEXEC).map_err(|error| QemuError::Start(error.into()))?;
    let mut file = File::from(descriptor);
    file.write_all(bytes).map_err(QemuError::Start)?;
    Ok(file)
}

/// What QEMU boots.
#[derive(Debug)]
pub struct Images<'a> {
    /// The guest's memory.
    pub memory: File,
    /// Its size in MiB.
    pub memory_mib: u64,
    /// The kernel's ELF file.
    pub kernel: File,
    /// The module.
    pub module: File,
    /// The kernel's command line.
    pub command_line: &'a str,
}

/// A QEMU process, which is killed when the value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    errors: File,
    /// The socket of QEMU's monitor, over which it answers in QMP.
    pub control: UnixStream,
    /// A command has no answer yet.
    asked: bool,
    /// Bytes from the control socket that are not yet read as a line.
    received: Vec<u8>,
    /// The events among the answers.
    events: Vec<u8>,
    /// The socket with the bytes that the guest writes to the console.
    pub console: UnixStream,
    /// The socket with the bytes that the guest writes to the doorbell.
    pub bell: UnixStream,
}

/// Starts QEMU with a guest that is paused.
pub fn start(images: Images) -> Result<Process, QemuError> {
    let pair = || UnixStream::pair().map_err(QemuError::Start);
    let ((control, control_end), (console, console_end), (bell, bell_end)) = (pair()?, pair()?, pair()?);
    let errors = memory_file("errors", &[])?;
    let Images { memory, memory_mib, kernel, module, command_line } = images;
    let mut command = Command::new(PROGRAM);
    command
        .args("-nodefaults -no-user-config -display none -no-reboot -S -accel tcg -cpu max".split(' '))
        .args(["-machine", "microvm,memory-backend=ram", "-m", &format!("{memory_mib}M"), "-object"])
        .arg(format!("memory-backend-file,id=ram,size={memory_mib}M,share=on,mem-path={}", path(&memory)))
        .args(["-kernel", &path(&kernel), "-initrd", &path(&module), "-append", command_line])
        .args(chardev("control", &control_end))
        .args(["-mon", "chardev=control,mode=control"])
        .args(chardev("console", &console_end))
        .args(["-device", &format!("isa-debugcon,iobase={CONSOLE:#x},chardev=console")])
        .args(chardev("bell", &bell_end))
        .args(["-device", &format!("isa-debugcon,iobase={DOORBELL:#x},chardev=bell")])
        .args(["-device", &format!("isa-debug-exit,iobase={EXIT:#x},iosize=4")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.try_clone().map_err(QemuError::Start)?)
        .process_group(0);
    let files = [memory, kernel, module].map(OwnedFd::from);
    let sockets = [control_end, console_end, bell_end].map(OwnedFd::from);
    let inherited: Vec<OwnedFd> = files.into_iter().chain(sockets).collect();
    let parent = getpid();
    let prepare = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        inherited.iter().try_for_each(|file| fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).map(drop))?;
        Ok(())
    };
    // SAFETY: between fork and exec, `prepare` makes only system calls, which neither allocate nor lock.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().map_err(not_started)?;
    control.set_read_timeout(Some(ANSWER_LIMIT)).map_err(QemuError::Start)?;
    Ok(Process {
        child,
        errors,
        control,
        asked: false,
        received: Vec::new(),
        events: Vec::new(),
        console,
        bell,
    })
}

fn path(file: &impl AsRawFd) -> String {
    format!("/dev/fd/{}", file.as_raw_fd())
}

fn chardev(name: &str, end: &UnixStream) -> [String; 2] {
    ["-chardev".into(), format!("socket,id={name},fd={}", end.as_raw_fd())]
}

impl Process {
    /// Starts the guest. Returns the host's TSC shortly before the guest's TSC was 0. A signal that ends the run ends the wait
    /// too. The answer to `cont` is read later: a guest that prints at once can fill the console before QEMU answers, and
    /// QEMU then waits until the console is read.
    pub fn run_guest(&mut self) -> Result<u64, QemuError> {
        self.receive("QMP")?;
        self.send("qmp_capabilities")?;
        self.receive("return")?;
        let start = host_tsc();
        self.send("cont")?;
        self.asked = true;
        Ok(start)
    }

    fn send(&mut self, command: &str) -> Result<(), QemuError> {
        writeln!(self.control, "{{\"execute\": \"{command}\"}}").map_err(QemuError::Start)
    }

    /// Asks for the registers, if no command waits for its answer. QEMU may be unable to answer until the console is read, so
    /// this does not wait for the answer.
    pub fn ask_for_registers(&mut self) {
        let command =
            r#"{"execute": "human-monitor-command", "arguments": {"command-line": "info registers"}}"#;
        self.asked = self.asked || writeln!(self.control, "{command}").is_ok();
    }

    /// Reads from the control socket, which has bytes. Returns whether they say that the guest halted with interrupts off: no
    /// interrupt can wake it, and nothing here sends an NMI, SMI or INIT.
    pub fn says_halted_for_good(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.control.read(&mut bytes).unwrap_or(0);
        self.received.extend(bytes.iter().take(count));
        let mut is_halted = false;
        while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            let answer: Value = serde_json::from_slice(&line).unwrap_or_default();
            if answer.get("event").is_some() {
                self.events.extend(line);
            } else {
                self.asked = false;
                let registers = answer.get("return").and_then(Value::as_str).unwrap_or_default();
                is_halted |= shows_halt_for_good(registers);
            }
        }
        is_halted
    }

    /// Waits for an answer with this field, or until a signal ends the run.
    fn receive(&mut self, field: &str) -> Result<(), QemuError> {
        while let Some(line) = self.line()? {
            let answer: Value = serde_json::from_slice(&line).unwrap_or_default();
            if answer.get(field).is_some() {
                return Ok(());
            }
            if answer.get("event").is_none() {
                return Err(QemuError::Answer { said: String::from_utf8_lossy(&line).into_owned() });
            }
            self.events.extend(line);
        }
        Ok(())
    }

    /// The next line from the control socket. `None`: a signal ended the run.
    fn line(&mut self) -> Result<Option<Vec<u8>>, QemuError> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(self.received.drain(..=end).collect()));
            }
            if kick::reason().is_some() {
                return Ok(None);
            }
            let mut bytes = [0; 4096];
            match self.control.read(&mut bytes) {
                Ok(0) => return Err(self.died()),
                Ok(count) => self.received.extend(bytes.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(self.died()),
                Err(error) => return Err(QemuError::Answer { said: error.to_string() }),
            }
        }
    }

    fn died(&mut self) -> QemuError {
        match self.child.wait() {
            Ok(status) => QemuError::Died { status, said: self.complaint() },
            Err(error) => QemuError::Start(error),
        }
    }

    /// What QEMU printed on standard error, in one line.
    pub fn complaint(&mut self) -> String {
        let mut said = Vec::new();
        // A file in memory can be read. If the read fails, there is nothing to show.
        let _ = self.errors.rewind().and_then(|()| self.errors.read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() { "it printed no error".into() } else { lines.join("; ") }
    }

    /// Ends QEMU, if it has not ended by itself, and returns its exit status.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Whether QEMU reported, before it ended, that the guest reset its CPU.
    pub fn was_reset(&mut self) -> bool {
        // If the socket cannot be read, there is no such report.
        self.events.append(&mut self.received);
        let _ = self.control.read_to_end(&mut self.events);
        let needle = b"guest-reset";
        self.events.windows(needle.len()).any(|bytes| bytes == needle)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This fails only if QEMU has already ended.
        let _ = self.end();
    }
}

/// Whether QEMU's text of the registers says that the CPU halted, and that the interrupt flag, bit 9 of RFLAGS, is 0.
fn shows_halt_for_good(registers: &str) -> bool {
    let field = |name| registers.split_whitespace().find_map(|word| word.strip_prefix(name));
    let flags = field("RFL=").or_else(|| field("EFL=")).and_then(|text| u64::from_str_radix(text, 16).ok());
    field("HLT=") == Some("1") && flags.is_some_and(|flags| flags & 1 << 9 == 0)
}

#[cfg(test)]
mod tests {
    use super::shows_halt_for_good;

    #[test]
    fn a_halt_is_for_good_if_interrupts_are_off() {
        for (registers, is_for_good) in [
            ("EIP=00100001 EFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\nES =0010", true),
            ("RIP=0000000000100001 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1", true),
            ("RIP=0000000000100001 RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1", false),
            ("RIP=0000000000100001 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0", false),
            ("", false),
        ] {
            assert_eq!(shows_halt_for_good(registers), is_for_good, "{registers}");
        }
    }
}
