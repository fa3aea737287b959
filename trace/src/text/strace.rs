//! System calls and signals as `strace -f -ttt -T -o FILE` writes them, for the tools that read that.
//!
//! A process is its number in the trace, times are CLOCK_REALTIME, a fault is the signal that Linux would have sent. The
//! first line of a process is the `execve` that a shell would have made. Events that strace cannot know (ticks, switches,
//! boot) are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use abi::record::{ARGUMENTS, Bytes};
use abi::syscall::{Call, errno};

use crate::file::{Event, Meta, What};

/// strace's own: where results are aligned.
const RESULT_COLUMN: usize = 40;
/// strace's own: the most bytes of a string, and the most strings of a list, that it shows.
const SHOWN_MAX: usize = 32;
/// Linux's clocks by number, as strace names them.
const CLOCKS: [&str; 12] = [
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
    "CLOCK_SGI_CYCLE",
    "CLOCK_TAI",
];
/// The end of user memory on Linux; it does not tell user mode what of the kernel's half is present.
const USER_END: u64 = 1 << 47;

/// `write!` to a String, which cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        { let _ = write!($out, $($arguments)*); }
    };
}

/// A call that has not come back.
#[derive(Debug)]
struct Pending {
    number: u64,
    arguments: [u64; 6],
    start: u64,
    /// What the pointers lead to, by argument.
    data: [Option<Data>; 6],
    /// Its beginning was written already, as unfinished.
    is_unfinished: bool,
}

#[derive(Clone, Copy, Debug)]
struct Data {
    bytes: Bytes,
    size: u32,
}

/// A process that is being made: when that began, and its name.
#[derive(Debug)]
struct Making {
    start: u64,
    environment: u64,
}

/// Writes events as strace would.
#[derive(Debug)]
pub struct Strace<W> {
    out: W,
    /// Command lines in the order of processes: a record has only 16 bytes of the name.
    programs: Vec<Vec<String>>,
    /// CLOCK_REALTIME at the start of the trace, in nanoseconds.
    epoch: u64,
    calls: BTreeMap<u16, Pending>,
    /// The process whose call has begun without a line of its own, if there is one. All others have theirs: the next
    /// line of another process comes after it.
    without_line: Option<u16>,
    /// The arguments that the last trap frame of a process holds.
    arguments: BTreeMap<u16, [u64; ARGUMENTS.len()]>,
    making: BTreeMap<u16, Making>,
    line: String,
    /// How many open calls were looked at for one to be written as unfinished.
    #[cfg(test)]
    looked_at: u64,
}

impl<W: Write> Strace<W> {
    /// Lines of the processes of one run.
    pub fn new(meta: &Meta, out: W) -> Self {
        let command = |program: &crate::file::Program| {
            std::iter::once(&program.name).chain(&program.arguments).cloned().collect()
        };
        let programs = meta.programs.iter().map(command).collect();
        let (calls, arguments, making) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            out,
            programs,
            epoch: 0,
            calls,
            without_line: None,
            arguments,
            making,
            line: String::new(),
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Writes what strace would say of an event, if anything. A line is there if the event that it begins with is wanted,
    /// and then it is whole.
    pub fn event(&mut self, event: &Event, is_wanted: bool) -> io::Result<()> {
        let (process, now) = (event.process, event.nanoseconds);
        match event.what {
            What::HostClock { realtime_ns, .. } if self.epoch == 0 => {
                self.epoch = realtime_ns.saturating_sub(now);
                Ok(())
            }
            What::ProcessCreated { .. } if is_wanted => {
                self.making.insert(process, Making { start: now, environment: 0 });
                Ok(())
            }
            What::StackBuilt { argc, argv, .. } => {
                if let Some(making) = self.making.get_mut(&process) {
                    making.environment =
                        argv.wrapping_add(u64::from(argc).saturating_add(1).saturating_mul(8));
                }
                Ok(())
            }
            What::KernelStackFilled { .. } => self.executed(process, now),
            What::TrapEntry { frame, .. } => {
                self.arguments.insert(process, frame.arguments());
                Ok(())
            }
            What::SystemCall { .. } if !is_wanted => {
                self.calls.remove(&process);
                Ok(())
            }
            What::SystemCall { number } => {
                let arguments = self.arguments.get(&process).copied().unwrap_or_default();
                self.interrupt_others(process)?;
                let call = Pending { number, arguments, start: now, data: [None; 6], is_unfinished: false };
                self.calls.insert(process, call);
                self.without_line = Some(process);
                Ok(())
            }
            What::Data { argument, size, bytes } => {
                let data =
                    self.calls.get_mut(&process).and_then(|call| call.data.get_mut(usize::from(argument)));
                data.into_iter().for_each(|data| *data = Some(Data { bytes, size }));
                Ok(())
            }
            What::SystemCallResult { result, .. } => self.result(process, now, result),
            What::ProcessExited { status } => {
                self.ended(process, now)?;
                if is_wanted {
                    self.tell(process, now, &format!("+++ exited with {status} +++"))
                } else {
                    Ok(())
                }
            }
            What::ProcessKilled { vector, error_code, rip, cr2 } if is_wanted => {
                let (name, rest) = signal(vector, error_code, rip, cr2);
                self.tell(process, now, &format!("--- {name} {{si_signo={name}, {rest}}} ---"))?;
                self.tell(process, now, &format!("+++ killed by {name} +++"))
            }
            What::FaultRedirected { vector, error_code, rip, cr2, .. } if is_wanted => {
                let (name, rest) = signal(vector, error_code, rip, cr2);
                self.tell(process, now, &format!("--- {name} {{si_signo={name}, {rest}}} ---"))
            }
            _ => Ok(()),
        }
    }

    /// Passes on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the calls that never came back.
    pub fn finish(&mut self) -> io::Result<()> {
        self.interrupt_others(0)?;
        self.out.flush()
    }

    fn executed(&mut self, process: u16, now: u64) -> io::Result<()> {
        let Some(Making { start, environment }) = self.making.remove(&process) else { return Ok(()) };
        self.line_start(process, start);
        let words = self.programs.get(usize::from(process).wrapping_sub(1)).map_or(&[][..], Vec::as_slice);
        put_execve(&mut self.line, words, environment);
        self.line_end(Some(0), Some(now.saturating_sub(start)))
    }

    fn result(&mut self, process: u16, now: u64, result: i64) -> io::Result<()> {
        let Some(call) = self.calls.remove(&process) else { return Ok(()) };
        self.call_start(process, now, &call)?;
        call.put_end(&mut self.line, result);
        self.line_end(Some(result), Some(now.saturating_sub(call.start)))
    }

    /// The call by which a process ended does not come back.
    fn ended(&mut self, process: u16, now: u64) -> io::Result<()> {
        let Some(call) = self.calls.remove(&process) else { return Ok(()) };
        self.call_start(process, now, &call)?;
        self.line.push_str(") ");
        self.line_end(None, None)
    }

    /// The line of a call that is over, up to what is known only now.
    fn call_start(&mut self, process: u16, now: u64, call: &Pending) -> io::Result<()> {
        self.interrupt_others(process)?;
        if call.is_unfinished {
            self.line_start(process, now);
            put!(self.line, "<... {} resumed>", name(call.number));
        } else {
            self.line_start(process, call.start);
            call.put_beginning(&mut self.line);
        }
        Ok(())
    }

    /// A line of its own.
    fn tell(&mut self, process: u16, now: u64, text: &str) -> io::Result<()> {
        self.interrupt_others(process)?;
        self.line_start(process, now);
        writeln!(self.out, "{}{text}", self.line)
    }

    /// Writes the call of another process that is under way as unfinished, before a line of `process`.
    fn interrupt_others(&mut self, process: u16) -> io::Result<()> {
        let Some(other) = self.without_line.take_if(|other| *other != process) else { return Ok(()) };
        let Self { calls, line, out, epoch, .. } = self;
        let mut open = calls.range_mut(other..=other);
        #[cfg(test)]
        let mut open = open.inspect(|_| self.looked_at += 1);
        let Some((_, call)) = open.next() else { return Ok(()) };
        call.is_unfinished = true;
        line.clear();
        put_prefix(line, other, epoch.saturating_add(call.start));
        call.put_beginning(line);
        writeln!(out, "{line} <unfinished ...>")
    }

    fn line_start(&mut self, process: u16, nanoseconds: u64) {
        self.line.clear();
        put_prefix(&mut self.line, process, self.epoch.saturating_add(nanoseconds));
    }

    /// The result, in its column, and the time that the call took.
    fn line_end(&mut self, result: Option<i64>, took: Option<u64>) -> io::Result<()> {
        let width = self.line.chars().count();
        let padding = RESULT_COLUMN.saturating_sub(width);
        put!(self.line, "{:padding$}= ", "");
        match result {
            None => self.line.push('?'),
            Some(result @ -4095..0) => {
                let error = result.saturating_neg();
                match errno::name(error).zip(errno::text(error)) {
                    Some((name, text)) => put!(self.line, "-1 {name} ({text})"),
                    None => put!(self.line, "-1 (errno {error})"),
                }
            }
            Some(value) => put!(self.line, "{value}"),
        }
        if let Some(took) = took {
            put!(self.line, " <{}.{:06}>", took / 1_000_000_000, took % 1_000_000_000 / 1000);
        }
        writeln!(self.out, "{}", self.line)
    }
}

fn put_prefix(line: &mut String, process: u16, ns: u64) {
    put!(line, "{process:<5} {}.{:06} ", ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
}

fn name(number: u64) -> String {
    match Call::from_number(number) {
        Some(call) if call != Call::trapline_on_fault => call.name().to_owned(),
        _ => format!("syscall_{number:#x}"),
    }
}

impl Pending {
    /// What is known when the call is made.
    fn put_beginning(&self, out: &mut String) {
        put!(out, "{}(", name(self.number));
        let [first, second, third, ..] = self.arguments;
        match Call::from_number(self.number) {
            Some(Call::write) => {
                put!(out, "{}, ", first as i32);
                self.put_text(out, 1, second, third);
                put!(out, ", {third}");
            }
            Some(Call::read) => put!(out, "{}, ", first as i32),
            Some(Call::nanosleep) => {
                self.put_time(out, 0, first);
                out.push_str(", ");
            }
            Some(Call::clock_gettime) => match CLOCKS.get(first as u32 as usize) {
                Some(name) => put!(out, "{name}, "),
                None => put!(out, "{:#x} /* CLOCK_??? */, ", first as u32),
            },
            Some(Call::exit | Call::exit_group) => put!(out, "{}", first as i32),
            Some(Call::getpid | Call::sched_yield) => {}
            _ => {
                // As C's `%#lx`.
                let words =
                    self.arguments.map(|word| if word == 0 { "0".into() } else { format!("{word:#x}") });
                out.push_str(&words.join(", "));
            }
        }
    }

    /// What is known when it is done.
    fn put_end(&self, out: &mut String, result: i64) {
        let [_, second, third, ..] = self.arguments;
        match Call::from_number(self.number) {
            Some(Call::read) => {
                match result {
                    // Standard input is at its end.
                    0 => self.put_text(out, 1, second, 0),
                    _ => put_pointer(out, second),
                }
                put!(out, ", {third}");
            }
            Some(Call::nanosleep) => put_pointer(out, second),
            Some(Call::clock_gettime) => self.put_time(out, 1, second),
            _ => {}
        }
        out.push_str(") ");
    }

    fn put_text(&self, out: &mut String, argument: usize, pointer: u64, size: u64) {
        match self.data.get(argument).copied().flatten() {
            Some(Data { bytes, size }) => {
                let shown = bytes.of(size);
                put_string(out, shown, shown.len() < size as usize);
            }
            None if size == 0 && pointer != 0 => out.push_str("\"\""),
            None => put_pointer(out, pointer),
        }
    }

    fn put_time(&self, out: &mut String, argument: usize, pointer: u64) {
        let words = self
            .data
            .get(argument)
            .copied()
            .flatten()
            .and_then(|data| data.bytes.of(data.size).as_chunks::<8>().0.try_into().ok());
        let Some::<[[u8; 8]; 2]>([seconds, nanoseconds]) = words else { return put_pointer(out, pointer) };
        let (seconds, nanoseconds) = (i64::from_le_bytes(seconds), u64::from_le_bytes(nanoseconds));
        put!(out, "{{tv_sec={seconds}, tv_nsec={nanoseconds}}}");
    }
}

fn put_execve(out: &mut String, words: &[String], environment: u64) {
    out.push_str("execve(");
    put_string(out, words.first().map_or(&[], |word| word.as_bytes()), false);
    out.push_str(", [");
    for (index, word) in words.iter().take(SHOWN_MAX).enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        let shown = word.as_bytes().get(..SHOWN_MAX).unwrap_or(word.as_bytes());
        put_string(out, shown, shown.len() < word.len());
    }
    out.push_str(if words.len() > SHOWN_MAX { ", ..." } else { "" });
    put!(out, "], {environment:#x} /* 0 vars */) ");
}

fn put_pointer(out: &mut String, pointer: u64) {
    if pointer == 0 { out.push_str("NULL") } else { put!(out, "{pointer:#x}") }
}

/// A string as C has it, with strace's dots where it goes on.
fn put_string(out: &mut String, bytes: &[u8], goes_on: bool) {
    out.push('"');
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x0B => out.push_str("\\v"),
            0x0C => out.push_str("\\f"),
            0x20..0x7F => out.push(byte.into()),
            // As short as can be, unless a digit follows that could be one more of it.
            _ if matches!(rest.as_slice().first(), Some(b'0'..=b'7')) => put!(out, "\\{byte:03o}"),
            _ => put!(out, "\\{byte:o}"),
        }
    }
    out.push_str(if goes_on { "\"..." } else { "\"" });
}

/// The signal that Linux sends for an exception, and what strace says of its siginfo.
fn signal(vector: u8, error_code: u16, rip: u64, cr2: u64) -> (&'static str, String) {
    const PROTECTION: u16 = 1;
    let at = |code: &str, address: u64| {
        let mut text = format!("si_code={code}, si_addr=");
        put_pointer(&mut text, address);
        text
    };
    match vector {
        0 => ("SIGFPE", at("FPE_INTDIV", rip)),
        1 => ("SIGTRAP", at("TRAP_TRACE", rip)),
        3 => ("SIGTRAP", at("SI_KERNEL", 0)),
        6 => ("SIGILL", at("ILL_ILLOPN", rip)),
        14 => {
            let known = error_code & PROTECTION != 0 && cr2 < USER_END;
            ("SIGSEGV", at(if known { "SEGV_ACCERR" } else { "SEGV_MAPERR" }, cr2))
        }
        17 => ("SIGBUS", at("BUS_ADRALN", 0)),
        16 | 19 => ("SIGFPE", at("FPE_FLTINV", rip)),
        12 => ("SIGBUS", at("SI_KERNEL", 0)),
        _ => ("SIGSEGV", at("SI_KERNEL", 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Origin, Trace, samples};

    #[test]
    fn strings_are_as_in_c() {
        let mut out = String::new();
        put_string(&mut out, b"a\"\\\n\x01\x012\x018\xff", true);
        assert_eq!(out, r#""a\"\\\n\1\0012\18\377"..."#);
    }

    /// A trace may leave a call of every process open. A line then costs no look at all of them.
    #[test]
    fn open_calls_of_other_processes_cost_nothing() {
        const PROCESSES: u16 = 1000;
        let mut strace = Strace::new(&Meta::default(), io::sink());
        for process in (0..PROCESSES).chain(0..PROCESSES) {
            let what = What::SystemCall { number: 1 };
            let event = Event { sequence: 0, origin: Origin::Guest, tsc: 0, nanoseconds: 0, process, what };
            strace.event(&event, true).expect("a sink takes all");
        }
        assert_eq!(strace.calls.len(), usize::from(PROCESSES));
        assert!(strace.looked_at < 2 * u64::from(PROCESSES), "{}", strace.looked_at);
    }

    #[test]
    fn a_call_with_its_text_is_a_line() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 1000);
        let trace = Trace::open(&path).expect("a whole file");
        let mut out = Vec::new();
        let mut strace = Strace::new(trace.meta(), &mut out);
        trace.events().for_each(|event| strace.event(&event, true).expect("a Vec takes all"));
        strace.finish().expect("a Vec takes all");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "1     1700000000.000012 execve(\"hello\", [\"hello\", \"you\"], 0x7ffff000 /* 0 vars */) = 0 <0.000004>",
                "1     1700000000.000024 write(1, \"hello\\n\", 6) = 6 <0.000002>",
                "1     1700000000.000028 syscall_0x3e7(0x1, 0x2, 0x3, 0x4, 0x5, 0xffffffffffffffff) = -1 ENOSYS \
                 (Function not implemented) <0.000001>",
            ]
        );
        assert!(lines.contains(&"2     1700000000.000043 +++ killed by SIGSEGV +++"), "{text}");
    }
}
