//! Runs that something goes wrong with: everything written before is readable, and what is missing is said.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use abi::record::{BUFFER_MAGIC, BufferHead, Ending, Kind};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo, pipe2};
use trace::{Damage, OpenError, Origin, Trace, What, format};

use crate::handmade;
use crate::stat::FIXTURE;
use crate::support::{self, Need, Output, Suite, TestResult, binary, ensure, folder, trapline};

/// How many runs are killed, unless `TRAPLINE_KILLS` says another number.
const KILLS: u32 = 10;
/// The longest time after which a run is killed, unless the host takes longer than half of it to the first record.
const KILL_WITHIN: Duration = Duration::from_millis(400);
/// What the end of a trace file takes at most: a chunk of the record of the run's end, and the end mark.
const END: usize = 128;
/// Two processes that fill a file as fast as the timer allows.
const BUSY: &str = "run hog hog counter --quantum 200us --timeout 3s --trace";

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("a_killed_run_leaves_what_it_wrote", a_killed_run_leaves_what_it_wrote)
        .kvm("a_signal_that_ends_a_run_closes_the_trace", a_signal_closes_the_trace)
        .kvm("a_run_that_was_stopped_goes_on", a_run_that_was_stopped_goes_on)
        .kvm("a_full_device_is_reported", a_full_device_is_reported)
        .needs(&[Need::Kvm, Need::Namespace], "a_full_disk_is_reported", a_full_disk_is_reported)
        .needs(
            &[Need::Kvm, Need::Tool("prlimit")],
            "a_limit_at_any_byte_is_reported",
            a_limit_at_any_byte_is_reported,
        )
        .needs(&[Need::Tool("prlimit")], "a_recovery_without_room_leaves_nothing", a_recovery_without_room)
        .needs(&[Need::Kvm, Need::Disk("btrfs")], "a_quota_is_reported", a_quota_is_reported)
        .kvm("a_file_that_is_removed_is_reported", a_file_that_is_removed_is_reported)
        .kvm("a_file_that_is_truncated_is_reported", a_file_that_is_truncated_is_reported)
        .kvm("a_fifo_has_it_all", a_fifo_has_it_all)
        .kvm("a_fifo_that_is_closed_is_reported", a_fifo_that_is_closed_is_reported)
        .kvm("standard_output_is_no_place_for_a_trace", standard_output_is_no_place_for_a_trace)
        .kvm("a_directory_that_becomes_unwritable_costs_nothing", an_unwritable_directory_costs_nothing)
        .kvm("a_closed_pipe_costs_no_record", a_closed_pipe_costs_no_record)
        .kvm("a_pipe_that_does_not_wait_costs_no_output", a_pipe_that_does_not_wait_costs_no_output)
        .kvm("a_triple_fault_keeps_what_waits", a_triple_fault_keeps_what_waits)
        .kvm("a_guest_that_lies_is_reported", a_guest_that_lies_is_reported)
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
    let numbers = trace.events().filter(|event| event.origin == Origin::Guest).map(|event| event.sequence);
    let count = numbers.clone().count() as u64;
    ensure(numbers.eq(0..count), || "the numbers of the records have a gap".into())?;
    Ok(Some(count))
}

fn a_killed_run_leaves_what_it_wrote() -> TestResult {
    let kills = std::env::var("TRAPLINE_KILLS").map_or(Ok(KILLS), |kills| kills.parse())?;
    let (folder, mut readable) = (folder(), 0);
    let start = Instant::now();
    let mut first = busy(&folder.path().join("first.trap"))?;
    let within = KILL_WITHIN.max(2 * start.elapsed());
    first.kill()?;
    first.wait()?;
    for round in 0..kills {
        let path = folder.path().join(format!("{round}.trap"));
        let mut run = Command::new(binary());
        run.args(BUSY.split(' ')).arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn()?;
        // Any moment, and each time another one.
        sleep(within.mul_f64(f64::from(round.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX)));
        run.kill()?;
        run.wait()?;
        readable += u32::from(whole(&path)?.is_some_and(|records| records > 0));
        let _ = fs::remove_file(&path);
    }
    ensure(readable > 0, || format!("of {kills} killed runs none left a record"))
}

/// A busy run that has written something, to `path`.
fn busy(path: &Path) -> Result<Child, libtest_mimic::Failed> {
    let mut run = Command::new(binary());
    let run = run.args(BUSY.split(' ')).arg(path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    while whole(path)?.is_none_or(|records| records == 0) {
        sleep(Duration::from_millis(10));
    }
    Ok(run)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

fn a_signal_closes_the_trace() -> TestResult {
    let folder = folder();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let path = folder.path().join(format!("{signal}.trap"));
        let mut run = busy(&path)?;
        kill(pid(&run), signal)?;
        let status = support::wait(&mut run, Duration::from_secs(60))?;
        ensure(status.code() == Some(130), || format!("{signal}: {status}"))?;
        let trace = Trace::open(&path)?;
        ensure(trace.damage().is_empty(), || format!("{signal}: {:?}", trace.damage()))?;
    }
    Ok(())
}

fn a_run_that_was_stopped_goes_on() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let mut run = busy(&path)?;
    for _ in 0..5 {
        kill(pid(&run), Signal::SIGSTOP)?;
        ensure(whole(&path)?.is_some(), || "what was written is not readable".into())?;
        kill(pid(&run), Signal::SIGCONT)?;
        sleep(Duration::from_millis(20));
    }
    let status = support::wait(&mut run, Duration::from_secs(60))?;
    ensure(status.code() == Some(36), || format!("{status}"))?;
    let trace = Trace::open(&path)?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
}

fn a_full_device_is_reported() -> TestResult {
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

/// The run says that and how many records are missing, and what came before is whole. Returns whether the file says the
/// same: it must, unless it has no room for its end.
fn says_what_is_missing(
    output: &Output,
    path: &Path,
    cause: &str,
    errno: Errno,
) -> Result<bool, libtest_mimic::Failed> {
    let records = output.stderr.split("; ").nth(1).and_then(|rest| rest.split(' ').next());
    let Some(missing) = records.and_then(|records| records.parse::<u64>().ok()) else {
        return Err(format!("{output:#?}").into());
    };
    ensure(output.code == 1 && output.stderr.contains(cause), || format!("{output:#?}"))?;
    let trace = Trace::open(path)?;
    let gap = |damage: &Damage| match damage {
        Damage::Gap { records, .. } => *records,
        _ => 0,
    };
    let reported: u64 = trace.damage().iter().map(gap).sum();
    let is_silent = matches!(trace.damage(), [Damage::NotClosed | Damage::Tail { .. }]);
    ensure(
        is_silent || reported == missing && trace.events().any(|event| event.what == failed(errno)),
        || format!("{missing} are missing: {:?}", trace.damage()),
    )?;
    let guest = trace.events().filter(|event| event.origin == Origin::Guest).map(|event| event.sequence);
    let count = guest.clone().count() as u64;
    ensure(guest.eq(0..count), || "what came before has a gap".into())?;
    Ok(!is_silent || missing == 0)
}

/// The end of a run whose trace could not be written.
fn failed(errno: Errno) -> What {
    What::HostEnd { exit_code: 1, ending: Ending::TraceFailed, status: errno as u64, rip: 0 }
}

fn a_full_disk_is_reported() -> TestResult {
    let folder = folder();
    fs::create_dir(folder.path().join("disk"))?;
    let line = "mount -t tmpfs -o size=32k none disk && { TRAPLINE disk/t.trap; code=$?; cp disk/t.trap .; exit $code; }";
    let output = shell(folder.path(), &["unshare", "-m"], line)?;
    let path = folder.path().join("t.trap");
    let is_reported = says_what_is_missing(&output, &path, "No space left", Errno::ENOSPC)?;
    ensure(is_reported, || "the file does not say what it lacks".into())
}

/// `trapline ARGUMENTS` where no file may be longer than `limit` bytes. What it says goes to pipes, which may.
fn limited(folder: &Path, limit: usize, arguments: &[&str]) -> Result<Output, libtest_mimic::Failed> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={limit}")).arg(binary()).args(arguments).current_dir(folder);
    let output = command.output()?;
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let code = output.status.code().ok_or_else(|| format!("{}: {stderr}", output.status))?;
    Ok(Output { code, stdout, stderr })
}

/// Where the limit is decides what has no room: the head, some chunk, the index, the end mark.
fn a_limit_at_any_byte_is_reported() -> TestResult {
    let folder = folder();
    let run = |limit| limited(folder.path(), limit, &["run", "hello", "--force", "--trace", "t.trap"]);
    let path = folder.path().join("t.trap");
    run(1 << 30)?.expect(0)?;
    let old = fs::read(&path)?;
    let size = old.len();
    let head = format::HEAD_SIZE + format::u32_at(&old, 12) as usize;
    for limit in [0, 1, head - 1] {
        let output = run(limit)?.expect(1)?;
        ensure(output.stderr.contains("File too large"), || format!("{limit}: {output:#?}"))?;
        ensure(fs::read(&path)? == old, || format!("{limit}: the old trace is gone"))?;
    }
    let (mut reported, steps) = (0, if support::is_emulated_host() { 3 } else { 15 });
    for limit in (0..steps).map(|step| head + (size - head) * step / steps) {
        let output = run(limit)?;
        // No run is as long as the other.
        if output.code == 0 {
            ensure(Trace::open(&path)?.damage().is_empty(), || format!("{limit} of {size}: {output:#?}"))?;
            continue;
        }
        let is_reported = says_what_is_missing(&output, &path, "File too large", Errno::EFBIG)
            .map_err(|error| format!("{limit} of {size}: {}", error.message().unwrap_or_default()))?;
        // No room can be kept under such a limit, so the last chunk that fits may leave too little for the end.
        let written = fs::metadata(&path)?.len() as usize;
        ensure(is_reported || limit < written + END, || {
            format!("{limit} of {size}: the file does not say it")
        })?;
        reported += u32::from(is_reported);
    }
    ensure(reported > 0, || "no run lacked room".into())
}

fn a_recovery_without_room() -> TestResult {
    let folder = folder();
    let size = fs::read(FIXTURE)?.len();
    for limit in (0..40).map(|step| size * step / 40) {
        let output = limited(folder.path(), limit, &["recover", FIXTURE, "-o", "new.trap"])?.expect(1)?;
        ensure(output.stderr.contains("new.trap") && output.stderr.contains("File too large"), || {
            format!("{limit} of {size}: {output:#?}")
        })?;
        ensure(!folder.path().join("new.trap").exists(), || format!("{limit} of {size}: something is left"))?;
    }
    Ok(())
}

/// A file system whose quota binds root too. It counts what it needs itself.
fn a_quota_is_reported() -> TestResult {
    let folder = folder();
    let line = format!(
        "{} && btrfs quota enable disk && btrfs subvolume create disk/d && btrfs qgroup limit 256k disk/d && \
         {{ {} run 'polite 100000000' --timeout 60s --trace disk/d/t.trap; code=$?; cp disk/d/t.trap .; exit $code; }}",
        support::disk("btrfs"),
        binary().display()
    );
    let output = shell(folder.path(), &["unshare", "-m"], &line)?;
    let path = folder.path().join("t.trap");
    let is_reported = says_what_is_missing(&output, &path, "quota exceeded", Errno::EDQUOT)?;
    ensure(is_reported, || "the file does not say what it lacks".into())
}

fn a_file_that_is_removed_is_reported() -> TestResult {
    type Theft = fn(&Path) -> std::io::Result<()>;
    let thefts: [Theft; 3] = [
        |path| fs::remove_file(path),
        |path| fs::rename(path, path.with_extension("moved")),
        |path| {
            fs::copy(path, path.with_extension("new"))
                .and_then(|_| fs::rename(path.with_extension("new"), path))
        },
    ];
    let folder = folder();
    for (number, theft) in thefts.iter().enumerate() {
        let path = folder.path().join(format!("{number}.trap"));
        let run = busy(&path)?;
        theft(&path)?;
        kill(pid(&run), Signal::SIGINT)?;
        let output = run.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.code() == Some(1) && said.contains("moved, removed or replaced"), || {
            format!("{number}: {output:#?}")
        })?;
    }
    let moved = Trace::open(&folder.path().join("1.moved"))?;
    ensure(moved.damage().is_empty(), || format!("{:?}", moved.damage()))
}

fn a_file_that_is_truncated_is_reported() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let run = busy(&path)?;
    File::options().write(true).open(&path)?.set_len(0)?;
    kill(pid(&run), Signal::SIGINT)?;
    let output = run.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(!output.status.success() && said.contains("guest records from number 0 on are missing"), || {
        format!("{output:#?}")
    })
}

/// The tour, which else reads its trace back.
fn a_fifo_has_it_all() -> TestResult {
    let folder = folder();
    let path = folder.path().join("fifo");
    mkfifo(&path, Mode::S_IRWXU)?;
    let reader =
        Command::new("cat").arg(&path).stdout(File::create(folder.path().join("t.trap"))?).spawn()?;
    // Until the reader has opened it, a run is refused.
    let run = || trapline(folder.path(), &["run", "--trace", "fifo"]);
    let mut output = run()?;
    while output.stderr.contains("has no reader") {
        output = run()?;
    }
    output.expect(32)?;
    ensure(reader.wait_with_output()?.status.success(), || "cat failed".into())?;
    let trace = Trace::open(&folder.path().join("t.trap"))?;
    ensure(trace.damage().is_empty() && guest_records(&trace) > 1000, || format!("{:?}", trace.damage()))
}

fn a_fifo_that_is_closed_is_reported() -> TestResult {
    let folder = folder();
    let line = "mkfifo fifo; head -c 20000 fifo >/dev/null & while ! TRAPLINE fifo 2>err; do \
                grep -q 'no reader' err || { cat err >&2; exit 1; }; done";
    let output = shell(folder.path(), &[], line)?.expect(1)?;
    ensure(output.stderr.contains("Broken pipe") && output.stderr.contains("records are missing"), || {
        format!("{output:#?}")
    })
}

fn standard_output_is_no_place_for_a_trace() -> TestResult {
    let folder = folder();
    let output = shell(folder.path(), &[], "{ TRAPLINE /dev/stdout; echo $? > code; } | cat")?;
    let code = fs::read_to_string(folder.path().join("code"))?;
    ensure(code.trim() == "2" && output.stdout.is_empty(), || format!("{code} {output:#?}"))?;
    ensure(output.stderr.contains("standard output"), || format!("{output:#?}"))
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

/// Shared terminals and pipes are made non-blocking by others. The console waits for the reader all the same.
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
    ensure(output.matches("argc = 10").count() == 9, || output.clone())
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

fn a_guest_that_lies_is_reported() -> TestResult {
    let folder = folder();
    let body = BUFFER + BufferHead::SIZE as u32;
    let lies: [Lie; 5] = [
        (BUFFER + 12, u32::MAX, "", 0),
        (BUFFER + 16, 1_000_000, "counted 1000000 new records", 3),
        (BUFFER + 12, 40, "", 2),
        (body + 16 + 8, Kind::Tick as u32 | 0xFF00, "", 1),
        (BUFFER + 16, 2, "counted 2 new records", 3),
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
