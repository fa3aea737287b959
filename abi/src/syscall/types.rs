//! What an argument or a result of a system call is: how to show it, and which memory it leads to.
//!
//! The types follow from what a tracer and a checker can do with a value. A pointer to a structure that nothing
//! shows is a [`Type::Address`]. Which flags or values an argument has stands in
//! [`values`](super::values).

use super::Names;

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A signed number of 32 bits.
    Int,
    /// An unsigned number of 32 bits.
    Unsigned,
    /// A signed number of 64 bits.
    Long,
    /// An unsigned number of 64 bits, such as a size or a count.
    Size,
    /// A number of 64 bits that people read in hexadecimal.
    Hex,
    /// A file descriptor.
    Fd,
    /// A file descriptor of a directory, or `AT_FDCWD`.
    DirectoryFd,
    /// A process or a thread.
    Pid,
    /// A user or a group. All ones stand for none.
    Id,
    /// Permissions of a file, in octal.
    Mode,
    /// A device number.
    Device,
    /// A signal.
    Signal,
    /// An address in the memory of the process. The call does not follow it, or what it leads to is not shown.
    Address,
    /// Flags, one bit each.
    Flags(Names),
    /// One of several values.
    Enum(Names),
    /// The flags of `clone`, with the signal that its end sends in the low byte.
    CloneFlags,
    /// Of type .1, and shown with its name.
    Named(&'static str, &'static Type),
    /// There only if the flags in argument .0 have a bit of .1; then it is of type .2.
    If(u8, u64, &'static Type),
    /// Of a type that another argument says.
    Choice(&'static Choice),
    /// A pointer to a `struct timespec`: the rest of a sleep, which the call writes only when a signal interrupts it.
    Remaining,
    /// A pointer to memory that the call reads.
    In(Layout),
    /// A pointer to memory that the call writes when it succeeds.
    Out(Layout),
    /// A pointer to memory that the call reads, and writes when it succeeds.
    InOut(Layout),
}

/// How a command in one argument says the type of another.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The argument that has the command.
    pub argument: u8,
    /// The bits of it that are the command.
    pub mask: u64,
    /// The type by command. None: there is no such argument.
    pub cases: &'static [(&'static [u64], Option<Type>)],
    /// The type for every other command.
    pub other: Option<Type>,
}

impl Type {
    /// The type that an argument has in a call with these arguments: never [`Type::If`] or [`Type::Choice`]. None: the
    /// call does not take the argument.
    pub fn of_call(self, arguments: &[u64; 6]) -> Option<Type> {
        match self {
            Type::If(flags, bits, then) => {
                let is_there = value(arguments, flags) & bits != 0;
                is_there.then_some(*then)
            }
            Type::Choice(choice) => {
                let command = value(arguments, choice.argument) & choice.mask;
                let case = choice.cases.iter().find(|(commands, _)| commands.contains(&command));
                case.map_or(choice.other, |&(_, chosen)| chosen)
            }
            plain => Some(plain),
        }
    }

    /// What the call reads through this argument, if anything.
    pub const fn input(self) -> Option<Layout> {
        match self {
            Type::In(layout) | Type::InOut(layout) => Some(layout),
            Type::Named(_, of) => of.input(),
            _ => None,
        }
    }

    /// What the call writes through this argument when it succeeds, if anything.
    pub const fn output(self) -> Option<Layout> {
        match self {
            Type::Out(layout) | Type::InOut(layout) => Some(layout),
            Type::Named(_, of) => of.output(),
            _ => None,
        }
    }

    /// True if the call may write memory through this argument, or, with `is_read`, read it.
    pub(super) const fn leads_to_memory(self, is_read: bool) -> bool {
        match self {
            Type::If(_, _, then) => then.leads_to_memory(is_read),
            Type::Choice(choice) => {
                let mut index = 0;
                while index < choice.cases.len() {
                    if let Some(chosen) = choice.cases[index].1
                        && chosen.leads_to_memory(is_read)
                    {
                        return true;
                    }
                    index += 1;
                }
                matches!(choice.other, Some(other) if other.leads_to_memory(is_read))
            }
            plain => if is_read { plain.input() } else { plain.output() }.is_some(),
        }
    }
}

/// An argument by its number, which the table has from 0 to 5.
fn value(arguments: &[u64; 6], argument: u8) -> u64 {
    arguments.get(usize::from(argument)).copied().unwrap_or_default()
}

/// What lies in memory where a pointer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Bytes that are data.
    Bytes(Length),
    /// Bytes that are noise, in hexadecimal.
    Noise(Length),
    /// The name of a file, up to its zero byte.
    Path,
    /// Another string, up to its zero byte.
    Text,
    /// Pointers to strings, up to a null pointer.
    Strings,
    /// The same, of which only the count is shown: an environment.
    Environment,
    /// `struct iovec`s, as many as the argument says, and the bytes that they lead to.
    Vectors(u8),
    /// `struct pollfd`s, as many as the argument says.
    PollFds(u8),
    /// One `struct epoll_event`.
    EpollEvent,
    /// As many of them as the result says.
    EpollEvents,
    /// A mask of CPUs.
    Cpus(Length),
    /// `struct clone_args`.
    CloneArguments(Length),
    /// `struct linux_dirent64`s, of which only the count is shown.
    DirectoryEntries,
    /// Numbers of 32 bits.
    Ints(u8),
    /// Numbers of 64 bits.
    Longs(u8),
    /// Addresses.
    Addresses(u8),
    /// A number of 32 bits, with the status of a process that `wait` has found.
    WaitStatus,
    /// `struct timespec`.
    Timespec,
    /// Two of them: when a file was read, and when written.
    FileTimes,
    /// `struct timeval`.
    Timeval,
    /// `struct timezone`.
    Timezone,
    /// `struct itimerval`.
    IntervalTimer,
    /// `struct stat`.
    Stat,
    /// `struct statx`.
    Statx,
    /// `struct sigaction` of the kernel.
    Sigaction,
    /// `sigset_t` of the kernel.
    SignalSet,
    /// `stack_t`.
    SignalStack,
    /// `struct rlimit`.
    Limit,
    /// `struct rusage`.
    Usage,
    /// `struct utsname`.
    SystemName,
    /// `struct sysinfo`.
    SystemInfo,
    /// `struct tms`.
    ProcessTimes,
    /// `struct termios` of the kernel.
    Terminal,
    /// `struct winsize`.
    WindowSize,
}

/// How many bytes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As many as the argument says, from 0.
    Argument(u8),
    /// As many as the result says.
    Result,
}

/// How much memory a layout takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes.
    Bytes(u64),
    /// Up to the first zero byte.
    Text,
    /// Pointers to strings, up to a null pointer.
    Strings,
    /// So many `struct iovec`s, and what they lead to.
    Vectors(u64),
}

/// The size of `struct epoll_event`, which is packed: 32 bits of events, and 64 bits of the program's own.
pub const EPOLL_EVENT_SIZE: u64 = 12;

impl Layout {
    /// How much memory it takes in a call. `result` is 0 before the call.
    pub fn extent(self, arguments: &[u64; 6], result: u64) -> Extent {
        let length = |length| match length {
            Length::Argument(argument) => value(arguments, argument),
            Length::Result => result,
        };
        Extent::Bytes(match self {
            Layout::Path | Layout::Text => return Extent::Text,
            Layout::Strings | Layout::Environment => return Extent::Strings,
            Layout::Vectors(count) => return Extent::Vectors(value(arguments, count)),
            Layout::Bytes(of) | Layout::Noise(of) | Layout::Cpus(of) | Layout::CloneArguments(of) => {
                length(of)
            }
            Layout::DirectoryEntries => result,
            Layout::PollFds(count) => 8 * (value(arguments, count) & 0xFFFF_FFFF),
            Layout::EpollEvent => EPOLL_EVENT_SIZE,
            Layout::EpollEvents => EPOLL_EVENT_SIZE * result,
            Layout::Ints(count) => 4 * u64::from(count),
            Layout::Longs(count) | Layout::Addresses(count) => 8 * u64::from(count),
            Layout::WaitStatus => 4,
            Layout::Timespec | Layout::Timeval | Layout::Limit => 16,
            Layout::FileTimes | Layout::IntervalTimer | Layout::ProcessTimes | Layout::Sigaction => 32,
            Layout::Timezone | Layout::SignalSet | Layout::WindowSize => 8,
            Layout::Stat | Layout::Usage => 144,
            Layout::Statx => 256,
            Layout::SignalStack => 24,
            Layout::SystemName => 6 * 65,
            Layout::SystemInfo => 112,
            Layout::Terminal => 36,
        })
    }
}

/// The type of a result, where the call succeeds. Every call may return an error instead, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// 0, and nothing else.
    Zero,
    /// A number, 0 or more.
    Number,
    /// A number from 0 to the value of that argument.
    UpTo(u8),
    /// A new file descriptor.
    NewFd,
    /// A process or a thread; 0 in a new one.
    Process,
    /// The process that calls: it cannot fail.
    Itself,
    /// The thread that calls: it cannot fail.
    ItsThread,
    /// A user or a group: it cannot fail.
    Owner,
    /// An address.
    Location,
    /// Permissions, in octal.
    Permissions,
    /// One of several values.
    OneOf(Names),
    /// As the command in argument 1 of `fcntl` says.
    OfFcntl,
    /// How many descriptors are ready; 0 at the time-out.
    Ready,
    /// Anything, including negative numbers that are not errors.
    Anything,
    /// It does not return.
    Never,
}
