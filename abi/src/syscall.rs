//! System calls: Linux's x86-64 numbers and error values, so that a static Linux program can run here.
//!
//! Both doors, `syscall` and `int 0x80`, take the number in RAX and up to six arguments in RDI, RSI, RDX,
//! R10, R8 and R9, and leave the result (or minus an error) in RAX.

/// The vector of the software interrupt that is a system call.
pub const INT_VECTOR: u8 = 0x80;

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $arguments:literal;)*) => {
        /// The calls that the kernel has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Call { $($(#[$doc])* $variant = $number,)* }

        impl Call {
            /// Every call, in order of number.
            pub const ALL: &'static [Call] = &[$(Call::$variant,)*];

            /// The call with this number, if the kernel has it.
            #[inline]
            pub fn from_number(number: u64) -> Option<Call> {
                match number { $($number => Some(Call::$variant),)* _ => None }
            }

            /// Its name in Linux.
            pub fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }

            /// How many arguments it takes.
            pub fn arguments(self) -> usize {
                match self { $(Call::$variant => $arguments,)* }
            }
        }
    };
}

calls! {
    /// `read(fd, buffer, count)`: standard input is always at its end.
    Read = 0, "read", 3;
    /// `write(fd, buffer, count)`: 1 and 2 are the console.
    Write = 1, "write", 3;
    /// `sched_yield()`.
    SchedYield = 24, "sched_yield", 0;
    /// `nanosleep(request, remaining)`.
    Nanosleep = 35, "nanosleep", 2;
    /// `getpid()`.
    Getpid = 39, "getpid", 0;
    /// `exit(status)`.
    Exit = 60, "exit", 1;
    /// `clock_gettime(clock, timespec)`.
    ClockGettime = 228, "clock_gettime", 2;
    /// `exit_group(status)`: a process is one thread, so the same as exit.
    ExitGroup = 231, "exit_group", 1;
    /// `trapline_on_fault(handler)`: not Linux's. The next fault of this process goes to `handler(vector, error code,
    /// RIP of the fault, CR2)` instead of ending it; once, so that a fault in the handler still ends it. 0: none.
    OnFault = 1024, "trapline_on_fault", 1;
}

/// Linux's error values, as the positive numbers of errno.h.
pub mod errno {
    /// Bad file descriptor.
    pub const EBADF: i64 = 9;
    /// Bad address.
    pub const EFAULT: i64 = 14;
    /// Invalid argument.
    pub const EINVAL: i64 = 22;
    /// No such system call.
    pub const ENOSYS: i64 = 38;
}

/// The name of an error value (positive), for the ones that the kernel gives.
pub fn error_name(errno: i64) -> Option<&'static str> {
    match errno {
        errno::EBADF => Some("EBADF"),
        errno::EFAULT => Some("EFAULT"),
        errno::EINVAL => Some("EINVAL"),
        errno::ENOSYS => Some("ENOSYS"),
        _ => None,
    }
}
