//! Runs that something goes wrong with: everything written before is readable, and what is missing is said.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use abi::record::{BUFFER_MAGIC, BufferHead, Kind};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};
use trapline::trace::{Damage, OpenError, Origin, Trace};

use crate::handmade;
use crate::support::{self, Need, Output, Suite, TestResult, binary, ensure, folder, trapline};

/// How many runs are killed, unless `TRAPLINE_KILLS` says another number.
const KILLS: u32 = 10;
/// The longest time after which a run is killed, in milliseconds.
const KILL_WITHIN_MS: u32 = 400;
/// Two processes that fill a file as fast as the timer allows.
const BUSY: &str = "run hog hog counter --quantum 200us --timeout 3s --trace";

/// An end without an index, in bytes.
const END: u64 = 80;

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("a_killed_run_leaves_what_it_wrote", a_killed_run_leaves_what_it_wrote)
        .kvm("ctrl_c_closes_the_trace", ctrl_c_closes_the_trace)
        .kvm("a_full_device_is_told", a_full_device_is_told)
        .needs(&[Need::Kvm, Need::Namespace], "a_full_disk_is_told", a_full_disk_is_told)
        .kvm("a_quota_is_told", a_quota_is_told)
        .kvm("a_directory_that_becomes_unwritable_costs_nothing", an_unwritable_directory_costs_nothing)
        .kvm("a_closed_pipe_costs_no_record", a_closed_pipe_costs_no_record)
        .kvm("a_pipe_that_does_not_wait_costs_no_output", a_pipe_that_does_not_wait_costs_no_output)
        .kvm("a_triple_fault_keeps_what_waits", a_triple_fault_keeps_what_waits)
        .kvm("a_guest_that_lies_is_told_of", a_guest_that_lies_is_told_of)
}

/// The records of the guest from the first on, without a gap; none: there is no trace yet.
fn whole(path: &Path) -> Result<Option<u64>, libtest_mimic::Failed> {
    let trace = match Trace::open(path) {
        Ok(trace) => trace,
        Err(OpenError::Cut { .. } | OpenError::NotATrace { .. }) => return Ok(None),
        Err(OpenError::Read { .. }) if !path.exists() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let harmless = |damage: &Damage| matches!(damage, Damage::NotClosed | Damage::Tail { .. });
    ensure(trace.damage().iter().all(harmless), || format!("{:?}", trace.damage()))?;
    without_a_gap(&trace).map(Some)
}

/// How many records of the guest a trace has, which are all up to the last of them.
fn without_a_gap(trace: &Trace) -> Result<u64, libtest_mimic::Failed> {
    let numbers = trace.events().filter(|event| event.origin == Origin::Guest).map(|event| event.sequence);
    let count = numbers.clone().count() as u64;
    ensure(numbers.eq(0..count), || "the numbers of the records have a gap".into())?;
    Ok(count)
}

fn a_killed_run_leaves_what_it_wrote() -> TestResult {
    let kills = std::env::var("TRAPLINE_KILLS").map_or(Ok(KILLS), |kills| kills.parse())?;
    let (folder, mut readable) = (folder(), 0);
    for round in 0..kills {
        let path = folder.path().join(format!("{round}.trap"));
        let mut run = Command::new(binary());
        run.args(BUSY.split(' ')).arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn()?;
        // Any moment, and each time another one.
        sleep(Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % (KILL_WITHIN_MS * 1000))));
        run.kill()?;
        run.wait()?;
        readable += u32::from(whole(&path)?.is_some_and(|records| records > 0));
        let _ = fs::remove_file(&path);
    }
    ensure(readable > 0, || format!("of {kills} killed runs none left a record"))
}

fn ctrl_c_closes_the_trace() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let mut run = Command::new(binary());
    run.args(BUSY.split(' ')).arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = run.spawn()?;
    while whole(&path)?.is_none_or(|records| records == 0) {
        sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(run.id() as i32), Signal::SIGINT)?;
    let status = support::wait(&mut run, Duration::from_secs(60))?;
    ensure(status.code() == Some(130), || format!("{status}"))?;
    let trace = Trace::open(&path)?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
}

fn a_full_device_is_told() -> TestResult {
    let folder = folder();
    let output = trapline(folder.path(), &["run", "hello", "--trace", "/dev/full"])?.expect(1)?;
    ensure(output.stderr.contains("/dev/full") && output.stderr.contains("No space"), || {
        format!("{output:#?}")
    })
}

/// Runs a shell line, in which TRAPLINE is a busy run.
fn shell(folder: &Path, wrapper: &[&str], line: &str) -> Result<Output, libtest_mimic::Failed> {
    let line = line.replace("TRAPLINE", &format!("{} {BUSY}", binary().display()));
    let words: Vec<&str> = wrapper.iter().copied().chain(["sh", "-c", &line]).collect();
    support::command(Command::new(words[0]).args(&words[1..]).current_dir(folder), folder)
}

/// The run says that and how many records are missing, the file says the same, and what came before is whole.
fn says_what_is_missing(output: &Output, path: &Path, cause: Errno) -> TestResult {
    let records = output.stderr.split("; ").nth(1).and_then(|rest| rest.split(' ').next());
    let missing = records.and_then(|records| records.parse::<u64>().ok());
    let told = output.stderr.contains(cause.desc()) && missing.is_some_and(|missing| missing > 0);
    ensure(told, || format!("{output:#?}"))?;
    let trace = Trace::open(path)?;
    ensure(without_a_gap(&trace)? > 0, || "nothing before it is readable".into())?;
    let gap = |damage: &Damage| match damage {
        Damage::Gap { records, .. } => Some(*records),
        _ => None,
    };
    let (gaps, other): (Vec<_>, Vec<_>) = trace.damage().iter().partition(|damage| gap(damage).is_some());
    let in_file: u64 = gaps.into_iter().filter_map(gap).sum();
    ensure(other == [&Damage::NotWritten { error: cause as i32 }], || format!("{:?}", trace.damage()))?;
    ensure(Some(in_file) == missing, || format!("{missing:?} are missing, the file says {in_file}"))
}

fn a_full_disk_is_told() -> TestResult {
    let folder = folder();
    fs::create_dir(folder.path().join("disk"))?;
    let line = "mount -t tmpfs -o size=32k none disk && { TRAPLINE disk/t.trap; code=$?; cp disk/t.trap .; exit $code; }";
    let output = shell(folder.path(), &["unshare", "-m"], line)?.expect(1)?;
    says_what_is_missing(&output, &folder.path().join("t.trap"), Errno::ENOSPC)
}

fn a_quota_is_told() -> TestResult {
    const LIMIT: u64 = 32 << 10; // the head and some chunks
    let folder = folder();
    let line = format!("ulimit -f {}; exec TRAPLINE t.trap", LIMIT / 512);
    let output = shell(folder.path(), &[], &line)?.expect(1)?;
    let path = folder.path().join("t.trap");
    if Trace::open(&path)?.damage() != [Damage::NotClosed] {
        return says_what_is_missing(&output, &path, Errno::EFBIG);
    }
    // No file system keeps room up to a limit of this kind.
    let left = LIMIT - fs::metadata(&path)?.len();
    ensure(left < END, || format!("the file is not closed, with {left} bytes to spare"))
}

fn an_unwritable_directory_costs_nothing() -> TestResult {
    let folder = folder();
    fs::create_dir(folder.path().join("d"))?;
    let line =
        "TRAPLINE d/t.trap & pid=$!; sleep 0.5; chmod 555 d; wait $pid; code=$?; chmod 755 d; exit $code";
    shell(folder.path(), &[], line)?.expect(36)?;
    let trace = Trace::open(&folder.path().join("d/t.trap"))?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
}

fn a_closed_pipe_costs_no_record() -> TestResult {
    let folder = folder();
    shell(folder.path(), &[], "{ TRAPLINE t.trap; echo $? > code; } | true")?;
    let code = fs::read_to_string(folder.path().join("code"))?;
    ensure(code.trim() == "36", || format!("exit code {code}"))?;
    let trace = Trace::open(&folder.path().join("t.trap"))?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
}

/// Shared terminals and pipes are made non-blocking by others. The console and the summary wait for the reader all the same.
fn a_pipe_that_does_not_wait_costs_no_output() -> TestResult {
    const SMALLEST: i32 = 4096;
    let folder = folder();
    let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SMALLEST))?;
    let long = format!("arguments {}", ["x".repeat(100).as_str(); 9].join(" "));
    let mut command = Command::new(binary());
    command.args(["run", "--trace", "t.trap"]).args([long.as_str(); 9]).current_dir(folder.path());
    let mut run = command.stdout(writer).spawn()?;
    // It owns the other end of the pipe.
    drop(command);
    // The pipe is full by now, or will be.
    sleep(Duration::from_millis(200));
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty()))?;
    let output = std::io::read_to_string(File::from(reader))?;
    ensure(run.wait()?.success(), || output.clone())?;
    ensure(output.len() > SMALLEST as usize, || "the pipe was never full".into())?;
    ensure(output.matches("argc = 10").count() == 9, || output.clone())?;
    ensure(output.contains("The trace is in"), || output.clone())
}

/// Where the handmade guests have their buffer, and how many bytes of records it takes.
const BUFFER: u32 = 0x30_0000;
const CAPACITY: u32 = 4096;

/// A guest of 32-bit instructions.
#[derive(Default)]
struct Guest(Vec<u8>);

impl Guest {
    /// One with a buffer and `records` records in it, attached.
    fn new(records: u32) -> Guest {
        let mut guest = Guest::default();
        guest.store(BUFFER, BUFFER_MAGIC);
        guest.store(BUFFER + 4, u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16);
        guest.store(BUFFER + 8, CAPACITY);
        for record in 0..records {
            // Memory is zeros, and a tick has no words.
            guest.store(BUFFER + BufferHead::SIZE as u32 + 16 * record + 8, Kind::Tick as u32);
        }
        guest.store(BUFFER + 12, 16 * records);
        guest.store(BUFFER + 16, records);
        guest.out(abi::ports::ATTACH, BUFFER >> 12);
        guest
    }

    /// `mov dword [address], value`
    fn store(&mut self, address: u32, value: u32) {
        self.0.extend([0xC7, 0x05]);
        self.0.extend([address, value].map(u32::to_le_bytes).as_flattened());
    }

    /// `mov dx, port`; `mov eax, value`; `out dx, eax`
    fn out(&mut self, port: u16, value: u32) {
        self.0.extend([0x66, 0xBA]);
        self.0.extend(port.to_le_bytes());
        self.0.push(0xB8);
        self.0.extend(value.to_le_bytes());
        self.0.push(0xEF);
    }

    /// Runs it; it says how that ended, and the trace.
    fn run(self, folder: &Path) -> Result<(Output, Trace), libtest_mimic::Failed> {
        fs::write(folder.join("guest.elf"), handmade::kernel(&self.0))?;
        let arguments =
            ["run", "hello", "--kernel", "guest.elf", "--trace", "t.trap", "--force", "--timeout", "20s"];
        let output = trapline(folder, &arguments)?.expect(33)?;
        Ok((output, Trace::open(&folder.join("t.trap"))?))
    }
}

fn guest_records(trace: &Trace) -> usize {
    trace.events().filter(|event| event.origin == Origin::Guest).count()
}

fn a_triple_fault_keeps_what_waits() -> TestResult {
    let folder = folder();
    let records = CAPACITY / 16;
    let mut guest = Guest::new(records);
    // An empty trap table (`lidt [BUFFER - 16]`), and an instruction that traps (`ud2`).
    guest.0.extend([0x0F, 0x01, 0x1D]);
    guest.0.extend((BUFFER - 16).to_le_bytes());
    guest.0.extend([0x0F, 0x0B]);
    let (output, trace) = guest.run(folder.path())?;
    ensure(output.stderr.contains("triple fault"), || format!("{output:#?}"))?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))?;
    ensure(guest_records(&trace) == records as usize, || format!("{} records", guest_records(&trace)))
}

/// What a guest writes into its buffer, what the host says then, and how many records are kept of three.
type Lie = (u32, u32, &'static str, usize);

fn a_guest_that_lies_is_told_of() -> TestResult {
    let folder = folder();
    let body = BUFFER + BufferHead::SIZE as u32;
    let lies: [Lie; 5] = [
        (BUFFER + 12, u32::MAX, "", 0),
        (BUFFER + 16, 1_000_000, "counts 1000000 new records", 3),
        (BUFFER + 12, 40, "", 2),
        (body + 16 + 8, Kind::Tick as u32 | 0xFF00, "", 1),
        (BUFFER + 16, 2, "counts 2 new records", 3),
    ];
    for (address, value, words, kept) in lies {
        let mut guest = Guest::new(3);
        guest.store(address, value);
        let used = if address == BUFFER + 12 { value } else { 48 };
        guest.out(abi::ports::DOORBELL, used);
        guest.out(abi::ports::EXIT, 0);
        let (output, trace) = guest.run(folder.path())?;
        ensure(output.stderr.contains(words), || format!("{address:#x}={value:#x}: {output:#?}"))?;
        ensure(guest_records(&trace) == kept, || {
            format!("{address:#x}={value:#x}: {} records, {:?}", guest_records(&trace), trace.damage())
        })?;
    }
    Ok(())
}
