//! Arguments and results of system calls as text, by their types in the table of `abi`, in the forms of strace 6.1.
//!
//! A type decides how a value is written, so a new call needs nothing here. The memory that pointers lead to comes from
//! the trace's data records ([`Memory`]). Where there are none, the pointer itself is written, as strace does when the
//! memory cannot be read or the call failed.

use abi::syscall::types::EPOLL_EVENT_SIZE;
use abi::syscall::values::*;
use abi::syscall::{Extent, Layout, Returns, Type, errno};

use super::names::{
    STATX_ATTRIBUTES, TERMINAL_CONTROL, TERMINAL_DELAYS, TERMINAL_INPUT, TERMINAL_LOCAL, TERMINAL_OUTPUT,
    TERMINAL_SIZES, TERMINAL_SPEEDS,
};
use crate::analysis::hardware::signal_name;

/// strace's own: the most bytes of a string, and the most items of a list, that it shows.
pub(super) const SHOWN_MAX: usize = 32;
/// The most data records of a call that are kept: as many as the kernel writes.
const PIECES_MAX: usize = 1024;
/// The byte of clone's flags that is a signal.
const CLONE_SIGNAL: u64 = 0xFF;
/// `RLIM64_INFINITY`: no limit.
const NO_LIMIT: u64 = u64::MAX;

/// The memory that the pointers of one call point to: the data records of the call, in order.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<Piece>);

/// A data record.
#[derive(Debug)]
struct Piece {
    argument: u8,
    size: u32,
    shown: Vec<u8>,
}

impl Memory {
    /// Takes in a data record.
    pub(super) fn add(&mut self, argument: u8, size: u32, shown: &[u8]) {
        if self.0.len() < PIECES_MAX {
            self.0.push(Piece { argument, size, shown: shown.to_vec() });
        }
    }

    /// The part of an argument's memory that the trace has.
    fn of(&self, argument: usize) -> Pieces<'_> {
        Pieces { rest: &self.0, argument }
    }
}

/// The pieces of the memory that one argument points to.
#[derive(Clone, Copy)]
struct Pieces<'a> {
    rest: &'a [Piece],
    argument: usize,
}

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<&'a Piece> {
        let at = self.rest.iter().position(|piece| usize::from(piece.argument) == self.argument)?;
        let (piece, rest) = self.rest.get(at..)?.split_first()?;
        self.rest = rest;
        Some(piece)
    }

    /// The beginning of bytes, and whether there are more.
    fn beginning(&mut self) -> Option<(&'a [u8], bool)> {
        let piece = self.next()?;
        Some((&piece.shown, piece.shown.len() < piece.size as usize))
    }

    /// An object of which every byte is in the trace: each piece says how many bytes there are from its own on.
    fn whole(&mut self) -> Option<Bytes> {
        let mut bytes = Vec::new();
        loop {
            let (piece, goes_on) = self.beginning()?;
            bytes.extend_from_slice(piece);
            if !goes_on || piece.is_empty() {
                return Some(Bytes(bytes));
            }
        }
    }
}

/// A structure's bytes. What is missing reads as 0.
struct Bytes(Vec<u8>);

impl Bytes {
    fn number<const N: usize>(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        let found = self.0.get(at..).unwrap_or_default();
        bytes.iter_mut().zip(found.iter().take(N)).for_each(|(to, &byte)| *to = byte);
        u64::from_le_bytes(bytes)
    }

    fn word(&self, index: usize) -> u64 {
        self.number::<8>(index.saturating_mul(8))
    }

    fn int(&self, index: usize) -> u32 {
        self.number::<4>(index.saturating_mul(4)) as u32
    }

    /// Up to a zero byte.
    fn text(&self, at: usize, size: usize) -> &[u8] {
        let bytes = self.0.get(at..).unwrap_or_default();
        let bytes = bytes.get(..size).unwrap_or(bytes);
        bytes.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// A call, with what the trace has of it.
pub(super) struct Known<'a> {
    pub(super) arguments: &'a [u64; 6],
    pub(super) memory: &'a Memory,
    /// Its result, once it has one.
    pub(super) result: Option<i64>,
}

impl Known<'_> {
    /// Writes an argument of this type ([`Type::of_call`]).
    pub(super) fn put(&self, out: &mut String, index: usize, of: Type) {
        let value = self.arguments.get(index).copied().unwrap_or_default();
        let mut pieces = self.memory.of(index);
        match of {
            Type::In(layout) | Type::InOut(layout) => {
                Known { result: None, ..*self }.put_memory(out, value, layout, &mut pieces);
            }
            Type::Out(layout) if self.result.is_some_and(|result| !is_error(result)) => {
                self.put_memory(out, value, layout, &mut pieces);
            }
            Type::Named(name, of) => {
                put!(out, "{name}=");
                self.put(out, index, *of);
            }
            plain => put_plain(out, plain, value),
        }
    }

    fn put_memory(&self, out: &mut String, pointer: u64, layout: Layout, pieces: &mut Pieces<'_>) {
        let result = self.result.unwrap_or_default() as u64;
        let extent = layout.extent(self.arguments, result);
        match layout {
            Layout::Vectors(_) if extent == Extent::Vectors(0) => return out.push_str("[]"),
            Layout::Bytes(_) | Layout::Noise(_) if extent == Extent::Bytes(0) && pointer != 0 => {
                return out.push_str("\"\"");
            }
            Layout::Cpus(_) | Layout::EpollEvents if extent == Extent::Bytes(0) => return out.push_str("[]"),
            Layout::DirectoryEntries if extent == Extent::Bytes(0) => {
                return put!(out, "{pointer:#x} /* 0 entries */");
            }
            // Only a process that was found has a status.
            Layout::WaitStatus if result == 0 => return put_pointer(out, pointer),
            _ => {}
        }
        match layout {
            Layout::Bytes(_) | Layout::Text => match pieces.beginning() {
                Some((bytes, goes_on)) => put_string(out, bytes, goes_on),
                None => put_pointer(out, pointer),
            },
            Layout::Noise(_) => match pieces.beginning() {
                Some((bytes, goes_on)) => put_noise(out, bytes, goes_on),
                None => put_pointer(out, pointer),
            },
            Layout::Strings | Layout::Environment => match pieces.next() {
                Some(list) => put_strings(out, pointer, layout, list.size as usize / 8, pieces),
                None => put_pointer(out, pointer),
            },
            _ => match pieces.whole() {
                Some(bytes) => self.put_object(out, pointer, layout, &bytes, pieces),
                None => put_pointer(out, pointer),
            },
        }
    }

    fn put_object(&self, out: &mut String, pointer: u64, layout: Layout, b: &Bytes, more: &mut Pieces<'_>) {
        let count = b.0.len();
        match layout {
            Layout::Path => put_string(out, &b.0, false),
            Layout::Vectors(_) => {
                // Of a call that reads, the result says how much came in.
                let mut left = self.result.map_or(u64::MAX, |result| result as u64);
                put_list(out, count / 16, |out, index| {
                    let (base, length) =
                        (b.word(index.saturating_mul(2)), b.word(index.saturating_mul(2).saturating_add(1)));
                    let filled = length.min(left);
                    left = left.saturating_sub(filled);
                    out.push_str("{iov_base=");
                    match (filled, (filled > 0).then(|| more.beginning()).flatten()) {
                        (0, _) if base == 0 => out.push_str("NULL"),
                        (0, _) => out.push_str("\"\""),
                        (_, Some((bytes, goes_on))) => put_string(out, bytes, goes_on),
                        (_, None) => put_pointer(out, base),
                    }
                    put!(out, ", iov_len={length}}}");
                });
            }
            Layout::PollFds(_) => put_list(out, count / 8, |out, index| {
                put!(out, "{{fd={}", b.int(index.saturating_mul(2)) as i32);
                let events = b.number::<2>(index.saturating_mul(8).saturating_add(4));
                if b.int(index.saturating_mul(2)) as i32 >= 0 {
                    out.push_str(", events=");
                    put_flags(out, &POLL_EVENTS, events);
                }
                out.push('}');
            }),
            Layout::EpollEvent => put_epoll_event(out, b, 0),
            Layout::EpollEvents => put_list(out, b.0.chunks_exact(EPOLL_EVENT).len(), |out, index| {
                put_epoll_event(out, b, index)
            }),
            Layout::Cpus(_) => {
                let is_in = |cpu: &usize| b.0.get(cpu / 8).is_some_and(|byte| byte >> (cpu % 8) & 1 != 0);
                let cpus: Vec<String> =
                    (0..count.saturating_mul(8)).filter(is_in).map(|cpu| cpu.to_string()).collect();
                put!(out, "[{}]", cpus.join(" "));
            }
            Layout::CloneArguments(_) => put_clone_arguments(out, b),
            Layout::Ints(_) => put_list(out, count / 4, |out, index| put!(out, "{}", b.int(index) as i32)),
            Layout::Longs(_) => put_list(out, count / 8, |out, index| put!(out, "{}", b.word(index) as i64)),
            Layout::Addresses(_) => put_list(out, count / 8, |out, index| put_pointer(out, b.word(index))),
            Layout::WaitStatus => put_wait_status(out, b.int(0)),
            Layout::Timespec => put_time(out, b, 0, "tv_nsec"),
            Layout::FileTimes => {
                put_list(out, 2, |out, index| put_time(out, b, index.saturating_mul(2), "tv_nsec"));
            }
            Layout::Timeval => put_time(out, b, 0, "tv_usec"),
            Layout::Timezone => {
                put!(out, "{{tz_minuteswest={}, tz_dsttime={}}}", b.int(0) as i32, b.int(1) as i32);
            }
            Layout::IntervalTimer => {
                out.push_str("{it_interval=");
                put_time(out, b, 0, "tv_usec");
                out.push_str(", it_value=");
                put_time(out, b, 2, "tv_usec");
                out.push('}');
            }
            Layout::Stat => put_stat(out, b),
            Layout::Sigaction => put_sigaction(out, b),
            Layout::SignalSet => put_signal_set(out, b.word(0)),
            Layout::SignalStack => {
                out.push_str("{ss_sp=");
                put_pointer(out, b.word(0));
                out.push_str(", ss_flags=");
                put_flags(out, &STACK_FLAGS, b.int(2).into());
                put!(out, ", ss_size={}}}", b.word(2));
            }
            Layout::Limit => {
                out.push_str("{rlim_cur=");
                put_limit(out, b.word(0));
                out.push_str(", rlim_max=");
                put_limit(out, b.word(1));
                out.push('}');
            }
            Layout::Usage => {
                out.push_str("{ru_utime=");
                put_time(out, b, 0, "tv_usec");
                out.push_str(", ru_stime=");
                put_time(out, b, 2, "tv_usec");
                out.push_str(", ...}");
            }
            Layout::SystemName => {
                out.push_str("{sysname=");
                put_string(out, b.text(0, 65), false);
                out.push_str(", nodename=");
                put_string(out, b.text(65, 65), false);
                out.push_str(", ...}");
            }
            Layout::ProcessTimes => {
                let [user, system, child_user, child_system] = [0, 1, 2, 3].map(|index| b.word(index));
                put!(out, "{{tms_utime={user}, tms_stime={system}, ");
                put!(out, "tms_cutime={child_user}, tms_cstime={child_system}}}");
            }
            Layout::WindowSize => {
                let [rows, columns, x, y] = [0, 2, 4, 6].map(|at| b.number::<2>(at));
                put!(out, "{{ws_row={rows}, ws_col={columns}, ws_xpixel={x}, ws_ypixel={y}}}");
            }
            Layout::DirectoryEntries => {
                let entries = entries(b);
                put!(out, "{pointer:#x} /* {entries} entr{} */", if entries == 1 { "y" } else { "ies" });
            }
            Layout::Bytes(_) | Layout::Noise(_) | Layout::Text | Layout::Strings | Layout::Environment => {}
            Layout::Statx => put_statx(out, b),
            Layout::SystemInfo => put_system_info(out, b),
            Layout::Terminal => put_terminal(out, b),
        }
    }
}

/// Whether a result is an error.
pub(super) fn is_error(result: i64) -> bool {
    (-errno::MAX..0).contains(&result)
}

/// Writes an argument that is not a pointer, or whose memory the trace does not have.
pub(super) fn put_plain(out: &mut String, of: Type, value: u64) {
    const AT_FDCWD: i32 = -100;
    let int = value as u32;
    match of {
        Type::DirectoryFd if int as i32 == AT_FDCWD => out.push_str("AT_FDCWD"),
        Type::Id if int != u32::MAX => put!(out, "{int}"),
        Type::Int | Type::Fd | Type::DirectoryFd | Type::Pid | Type::Id => put!(out, "{}", int as i32),
        Type::Unsigned => put!(out, "{int}"),
        Type::Long => put!(out, "{}", value as i64),
        Type::Size => put!(out, "{value}"),
        Type::Hex => put_hex(out, value),
        Type::Mode => put_mode(out, int),
        Type::Device => put_device(out, value),
        Type::Signal => put_signal(out, int),
        Type::Flags(names) => put_named_flags(out, names, int),
        Type::Enum(Names::FutexOperation) => put_futex_operation(out, int),
        Type::Enum(Names::IoctlRequest) => put_request(out, int),
        Type::Enum(names) => put_enum(out, &names.set(), int.into()),
        Type::CloneFlags => put_clone_flags(out, value),
        Type::Named(name, of) => {
            put!(out, "{name}=");
            put_plain(out, *of, value);
        }
        Type::Address
        | Type::Remaining
        | Type::In(_)
        | Type::Out(_)
        | Type::InOut(_)
        | Type::If(..)
        | Type::Choice(_) => put_pointer(out, value),
    }
}

/// Writes the result of a call, with what strace adds to it.
pub(super) fn put_result(out: &mut String, returns: Returns, call: &Known<'_>, result: i64) {
    if is_error(result) {
        let error = result.saturating_neg();
        return match (errno::name(error).zip(errno::text(error)), errno::restart(error)) {
            (Some((name, text)), _) => put!(out, "-1 {name} ({text})"),
            (None, Some((name, text))) => put!(out, "? {name} ({text})"),
            (None, None) => put!(out, "-1 (errno {error})"),
        };
    }
    let value = result as u64;
    match (returns, call.arguments[1]) {
        (Returns::Location, _) => put_hex(out, value),
        (Returns::OneOf(names), _) => {
            put!(out, "{value}");
            names.set().name(value).into_iter().for_each(|name| put!(out, " ({name})"));
        }
        (Returns::Permissions, _) if value != 0 => put!(out, "0{value:o}"),
        (Returns::OfFcntl, F_GETFD) if value != 0 => put!(out, "{value:#x} (flags FD_CLOEXEC)"),
        (Returns::OfFcntl, F_GETFL) => {
            put_hex(out, value);
            out.push_str(" (flags ");
            put_named_flags(out, Names::OpenFlags, value as u32);
            out.push(')');
        }
        (Returns::Ready, _) if value == 0 => out.push_str("0 (Timeout)"),
        (Returns::Ready, _) => {
            put!(out, "{value}");
            put_ready(out, call);
        }
        _ => put!(out, "{result}"),
    }
}

/// The descriptors of `poll` that are ready: the second of the objects that its first argument leads to.
fn put_ready(out: &mut String, call: &Known<'_>) {
    let mut pieces = call.memory.of(0);
    let Some(ready) = pieces.whole().and_then(|_| pieces.whole()) else { return };
    let events = |index: usize| ready.number::<2>(index.saturating_mul(8).saturating_add(6));
    let ready_ones: Vec<usize> = (0..ready.0.len() / 8).filter(|&index| events(index) != 0).collect();
    out.push_str(" (");
    put_list(out, ready_ones.len(), |out, at| {
        let Some(&index) = ready_ones.get(at) else { return };
        put!(out, "{{fd={}, revents=", ready.int(index.saturating_mul(2)) as i32);
        put_flags(out, &POLL_EVENTS, events(index));
        out.push('}');
    });
    out.push(')');
}

/// As C's `%#lx`.
pub(super) fn put_hex(out: &mut String, value: u64) {
    if value == 0 { out.push('0') } else { put!(out, "{value:#x}") }
}

pub(super) fn put_pointer(out: &mut String, pointer: u64) {
    if pointer == 0 { out.push_str("NULL") } else { put!(out, "{pointer:#x}") }
}

/// Strings, or how many there are. Each string has one piece.
fn put_strings(out: &mut String, pointer: u64, layout: Layout, count: usize, strings: &mut Pieces<'_>) {
    if layout == Layout::Environment {
        return put!(out, "{pointer:#x} /* {count} var{} */", if count == 1 { "" } else { "s" });
    }
    put_list(out, count, |out, _| match strings.beginning() {
        Some((bytes, goes_on)) => put_string(out, bytes, goes_on),
        None => out.push_str("???"),
    });
}

/// A list as strace has it, with dots where it goes on.
fn put_list(out: &mut String, count: usize, mut put_item: impl FnMut(&mut String, usize)) {
    out.push('[');
    for index in 0..count.min(SHOWN_MAX) {
        out.push_str(if index == 0 { "" } else { ", " });
        put_item(out, index);
    }
    out.push_str(if count > SHOWN_MAX { ", ...]" } else { "]" });
}

/// A string as C has it, with strace's dots where it goes on.
pub(super) fn put_string(out: &mut String, bytes: &[u8], goes_on: bool) {
    out.push('"');
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x0B => out.push_str("\\v"),
            0x0C => out.push_str("\\f"),
            0x20..0x7F => out.push(byte.into()),
            // As short as can be, unless the next byte is a digit and would be read as part of the number.
            _ if matches!(bytes.get(index.saturating_add(1)), Some(b'0'..=b'7')) => put!(out, "\\{byte:03o}"),
            _ => put!(out, "\\{byte:o}"),
        }
    }
    out.push_str(if goes_on { "\"..." } else { "\"" });
}

fn put_noise(out: &mut String, bytes: &[u8], goes_on: bool) {
    out.push('"');
    bytes.iter().for_each(|byte| put!(out, "\\x{byte:02x}"));
    out.push_str(if goes_on { "\"..." } else { "\"" });
}

fn put_enum(out: &mut String, set: &Set, value: u64) {
    match set.name(value) {
        Some(name) => out.push_str(name),
        None => {
            put_hex(out, value);
            put!(out, " /* {} */", set.unknown);
        }
    }
}

/// The flags by name, and what has none as a number.
fn put_flags(out: &mut String, set: &Set, flags: u64) {
    if let Some(name) = set.name(flags) {
        return out.push_str(name);
    }
    let mut left = flags;
    put_known_flags(out, set, &mut left);
    match (left == flags, left) {
        (_, 0) if flags != 0 => {}
        (true, 0) => out.push('0'),
        (true, _) => put!(out, "{left:#x} /* {} */", set.unknown),
        (false, _) => put!(out, "|{left:#x}"),
    }
}

/// The names of the flags that have one, joined. `left` keeps those that have none.
fn put_known_flags(out: &mut String, set: &Set, left: &mut u64) {
    let mut is_first = true;
    for &(bits, name) in set.names.iter().filter(|(bits, _)| *bits != 0) {
        if *left & bits == bits {
            out.push_str(if is_first { "" } else { "|" });
            out.push_str(name);
            is_first = false;
            *left &= !bits;
        }
    }
}

/// The flags as strace has them in `struct termios`: nothing where there are none.
fn put_bare_flags(out: &mut String, set: &Set, flags: u64) {
    let mut left = flags;
    put_known_flags(out, set, &mut left);
    if left != 0 {
        out.push_str(if left == flags { "" } else { "|" });
        put_hex(out, left);
    }
}

/// Flags some bits of which are one of several values: that value first.
fn put_choice_and_flags(out: &mut String, choice: &Set, mask: u64, set: &Set, value: u64) {
    put_enum(out, choice, value & mask);
    let mut left = value & !mask;
    if left != 0 {
        out.push('|');
        let before = left;
        put_known_flags(out, set, &mut left);
        match (left, left == before) {
            (0, _) => {}
            (_, true) => put!(out, "{left:#x}"),
            (_, false) => put!(out, "|{left:#x}"),
        }
    }
}

fn put_named_flags(out: &mut String, names: Names, value: u32) {
    let (set, value) = (names.set(), u64::from(value));
    match names {
        Names::OpenFlags => put_choice_and_flags(out, &ACCESS_MODES, 3, &set, value),
        Names::MapFlags => put_choice_and_flags(out, &MAPPINGS, 0xF, &set, value),
        Names::StatxFlags => put_choice_and_flags(out, &STATX_SYNCS, 0x6000, &set, value),
        Names::SocketType => put_flags(out, &set, value),
        _ => put_flags(out, &set, value),
    }
}

fn put_futex_operation(out: &mut String, operation: u32) {
    let (set, operation) = (Names::FutexOperation.set(), u64::from(operation));
    let Some(name) = set.name(operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) else {
        return put_enum(out, &set, operation);
    };
    out.push_str(name);
    out.push_str(if operation & FUTEX_PRIVATE_FLAG != 0 { "_PRIVATE" } else { "" });
    out.push_str(if operation & FUTEX_CLOCK_REALTIME != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" });
}

/// A request by name, or by its parts.
fn put_request(out: &mut String, request: u32) {
    const DIRECTIONS: [&str; 4] = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"];
    // strace names the sound request of the same number too.
    match request {
        0x5402 => out.push_str("SNDCTL_TMR_START or "),
        0x5403 => out.push_str("SNDCTL_TMR_STOP or "),
        0x5404 => out.push_str("SNDCTL_TMR_CONTINUE or "),
        _ => {}
    }
    match Names::IoctlRequest.set().name(request.into()) {
        Some(name) => out.push_str(name),
        None => {
            let direction = DIRECTIONS.get((request >> 30) as usize).copied().unwrap_or_default();
            let (kind, number, size) = (request >> 8 & 0xFF, request & 0xFF, request >> 16 & 0x3FFF);
            put!(out, "_IOC({direction}, {kind:#x}, {number:#x}, ");
            put_hex(out, size.into());
            out.push(')');
        }
    }
}

fn put_mode(out: &mut String, mode: u32) {
    if mode < 0o100 { put!(out, "{mode:03o}") } else { put!(out, "0{mode:o}") }
}

fn put_device(out: &mut String, device: u64) {
    let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000;
    let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00;
    out.push_str("makedev(");
    put_hex(out, major);
    out.push_str(", ");
    put_hex(out, minor);
    out.push(')');
}

fn put_signal(out: &mut String, signal: u32) {
    match signal {
        1..=64 => out.push_str(&signal_name(signal)),
        _ => put!(out, "{}", signal as i32),
    }
}

/// A set of signals; the others, if they are fewer.
fn put_signal_set(out: &mut String, set: u64) {
    let (sign, listed) = if set.count_ones() >= 43 { ("~", !set) } else { ("", set) };
    let signals = (1..).zip(0..u64::BITS).filter(|&(_, bit)| listed.unbounded_shr(bit) & 1 != 0);
    let names: Vec<_> = signals.map(|(signal, _)| signal_name(signal).replace("SIG", "")).collect();
    put!(out, "{sign}[{}]", names.join(" "));
}

fn put_sigaction(out: &mut String, b: &Bytes) {
    let [handler, flags, restorer, mask] = [0, 1, 2, 3].map(|index| b.word(index));
    out.push_str("{sa_handler=");
    match handler {
        0 => out.push_str("SIG_DFL"),
        1 => out.push_str("SIG_IGN"),
        _ => put!(out, "{handler:#x}"),
    }
    out.push_str(", sa_mask=");
    put_signal_set(out, mask);
    out.push_str(", sa_flags=");
    put_flags(out, &SIGACTION_FLAGS, flags);
    if flags & SA_RESTORER != 0 {
        out.push_str(", sa_restorer=");
        put_pointer(out, restorer);
    }
    out.push('}');
}

fn put_clone_flags(out: &mut String, flags: u64) {
    let (signal, flags) = (flags & CLONE_SIGNAL, flags & !CLONE_SIGNAL);
    match (flags, signal) {
        (0, 0) => out.push('0'),
        (0, _) => put_signal(out, signal as u32),
        (_, 0) => put_flags(out, &Names::CloneFlagNames.set(), flags),
        _ => {
            put_flags(out, &Names::CloneFlagNames.set(), flags);
            out.push('|');
            put_signal(out, signal as u32);
        }
    }
}

/// What `clone3` wrote: the new thread's number, which it also returns.
pub(super) fn put_cloned(out: &mut String, call: &Known<'_>) {
    let flags = call.memory.of(0).whole().map_or(0, |arguments| arguments.word(0));
    if let Some(thread @ 0..) = call.result
        && flags & CLONE_PARENT_SETTID != 0
    {
        put!(out, " => {{parent_tid=[{thread}]}}");
    }
}

const EPOLL_EVENT: usize = EPOLL_EVENT_SIZE as usize;

/// One of several `struct epoll_event`s. The program's own number is a union, of which both forms are shown.
fn put_epoll_event(out: &mut String, b: &Bytes, index: usize) {
    let at = index.saturating_mul(EPOLL_EVENT);
    let data = b.number::<8>(at.saturating_add(4));
    out.push_str("{events=");
    put_flags(out, &EPOLL_EVENTS, b.number::<4>(at));
    put!(out, ", data={{u32={}, u64={data}}}}}", data as u32);
}

/// What `clone3` is asked for. What it says about the child's stack and thread is there if it says so.
fn put_clone_arguments(out: &mut String, b: &Bytes) {
    const CHILD: u64 = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    let [flags, pidfd, child, parent, signal, stack, size, tls] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|index| b.word(index));
    out.push_str("{flags=");
    put_flags(out, &Names::CloneFlagNames.set(), flags);
    let pointers = [
        (CLONE_PIDFD, "pidfd", pidfd),
        (CHILD, "child_tid", child),
        (CLONE_PARENT_SETTID, "parent_tid", parent),
    ];
    for (flag, name, pointer) in pointers {
        if flags & flag != 0 {
            put!(out, ", {name}=");
            put_pointer(out, pointer);
        }
    }
    out.push_str(", exit_signal=");
    put_signal(out, signal as u32);
    out.push_str(", stack=");
    put_pointer(out, stack);
    out.push_str(", stack_size=");
    put_hex(out, size);
    if flags & CLONE_SETTLS != 0 {
        out.push_str(", tls=");
        put_pointer(out, tls);
    }
    out.push('}');
}

fn put_wait_status(out: &mut String, status: u32) {
    let (signal, code) = (status & 0x7F, status >> 8 & 0xFF);
    let dumped = if status & 0x80 != 0 { " && WCOREDUMP(s)" } else { "" };
    out.push('[');
    match (signal, status & 0xFF) {
        (0, _) => put!(out, "{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}"),
        (_, 0x7F) if status == 0xFFFF => out.push_str("{WIFCONTINUED(s)}"),
        (_, 0x7F) => {
            out.push_str("{WIFSTOPPED(s) && WSTOPSIG(s) == ");
            put_signal(out, code);
            out.push('}');
        }
        _ => {
            out.push_str("{WIFSIGNALED(s) && WTERMSIG(s) == ");
            put_signal(out, signal);
            put!(out, "{dumped}}}");
        }
    }
    out.push(']');
}

/// Seconds and a part of a second, which are two words from this one on.
fn put_time(out: &mut String, b: &Bytes, word: usize, part: &str) {
    let (seconds, rest) = (b.word(word) as i64, b.word(word.saturating_add(1)));
    put!(out, "{{tv_sec={seconds}, {part}={rest}}}");
}

fn put_limit(out: &mut String, limit: u64) {
    match limit {
        NO_LIMIT => out.push_str("RLIM64_INFINITY"),
        1025.. if limit.is_multiple_of(1024) => put!(out, "{}*1024", limit / 1024),
        _ => put!(out, "{limit}"),
    }
}

/// A file's type and permissions.
fn put_file_mode(out: &mut String, mode: u32) {
    const SPECIAL: [(u32, &str); 3] = [(0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX")];
    let kind = mode & 0o170000;
    match FILE_TYPES.name(kind.into()) {
        Some(name) => put!(out, "{name}|"),
        None if kind != 0 => put!(out, "0{kind:o}|"),
        None => {}
    }
    SPECIAL.iter().filter(|(bit, _)| mode & bit != 0).for_each(|(_, name)| put!(out, "{name}|"));
    put_mode(out, mode & 0o777);
}

fn put_stat(out: &mut String, b: &Bytes) {
    let (mode, device, size) = (b.int(6), b.word(5), b.word(6));
    out.push_str("{st_mode=");
    put_file_mode(out, mode);
    if matches!(mode & 0o170000, 0o020000 | 0o060000) {
        out.push_str(", st_rdev=");
        put_device(out, device);
    } else {
        put!(out, ", st_size={size}");
    }
    out.push_str(", ...}");
}

fn put_statx(out: &mut String, b: &Bytes) {
    out.push_str("{stx_mask=");
    put_flags(out, &Names::StatxMask.set(), b.int(0).into());
    out.push_str(", stx_attributes=");
    put_flags(out, &STATX_ATTRIBUTES, b.word(1));
    out.push_str(", stx_mode=");
    put_file_mode(out, b.number::<2>(28) as u32);
    put!(out, ", stx_size={}, ...}}", b.word(5));
}

fn put_system_info(out: &mut String, b: &Bytes) {
    const SIZES: [&str; 6] = ["totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap"];
    put!(out, "{{uptime={}, loads=[{}, {}, {}]", b.word(0), b.word(1), b.word(2), b.word(3));
    SIZES.iter().zip(4..).for_each(|(name, word)| put!(out, ", {name}={}", b.word(word)));
    let (processes, total, free, unit) = (b.number::<2>(80), b.word(11), b.word(12), b.int(26));
    put!(out, ", procs={processes}, totalhigh={total}, freehigh={free}, mem_unit={unit}}}");
}

fn put_terminal(out: &mut String, b: &Bytes) {
    const SPEED: u64 = 0x100F;
    const SIZE: u64 = 0x30;
    let [input, output, control, local] = [0, 1, 2, 3].map(|index| u64::from(b.int(index)));
    out.push_str("{c_iflag=");
    put_bare_flags(out, &TERMINAL_INPUT, input);
    out.push_str(", c_oflag=");
    let mut rest = output;
    for (mask, delays) in &TERMINAL_DELAYS {
        put_enum(out, delays, output & mask);
        out.push('|');
        rest &= !mask;
    }
    put_bare_flags(out, &TERMINAL_OUTPUT, rest);
    out.push_str(", c_cflag=");
    put_enum(out, &TERMINAL_SPEEDS, control & SPEED);
    out.push('|');
    let input_speed = control >> 16 & SPEED;
    if input_speed != 0 {
        put_enum(out, &TERMINAL_SPEEDS, input_speed);
        out.push_str("<<IBSHIFT|");
    }
    put_enum(out, &TERMINAL_SIZES, control & SIZE);
    out.push('|');
    put_bare_flags(out, &TERMINAL_CONTROL, control & !(SPEED | SPEED << 16 | SIZE));
    out.push_str(", c_lflag=");
    put_bare_flags(out, &TERMINAL_LOCAL, local);
    out.push_str(", ...}");
}

/// How many entries of a directory there are: each has its own length, 16 bytes in.
fn entries(b: &Bytes) -> usize {
    let (mut at, mut count) = (0, 0_usize);
    while at < b.0.len() {
        at = at.saturating_add(b.number::<2>(at.saturating_add(16)).max(1) as usize);
        count = count.saturating_add(1);
    }
    count
}
