//! The system calls that the sandbox allows, one list per role.
//!
//! A call that is in no list ends the process. A test removes each call in turn and expects that a command then dies.
//! The lists have the calls of glibc. `MUSL` and `MUSL_MAKING` have those that only musl makes.
//! [`UNSEEN`] has the calls that no test can cause, with the reason.

use libc::c_long;

/// A system call that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name; for ioctl(2), with the request.
    pub name: &'static str,
    /// Its number.
    pub number: c_long,
    /// The condition on one of its arguments.
    pub only: Option<Only>,
}

/// A condition on an argument: of its low 32 bits, those in `mask` must equal `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only {
    /// The argument, counted from 0.
    pub argument: u8,
    /// The bits that are compared.
    pub mask: u32,
    /// Their value.
    pub value: u32,
}

impl Call {
    /// A call with any arguments.
    pub const fn new(name: &'static str, number: c_long) -> Call {
        Call { name, number, only: None }
    }

    /// The same call, if these bits of the argument are clear.
    const fn without(self, argument: u8, bits: i32) -> Call {
        Call { only: Some(Only { argument, mask: bits as u32, value: 0 }), ..self }
    }

    /// ioctl(2) with this request.
    pub const fn ioctl(name: &'static str, request: u32) -> Call {
        let only = Some(Only { argument: 1, mask: u32::MAX, value: request });
        Call { name, number: libc::SYS_ioctl, only }
    }
}

/// What a thread does in the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It runs the guest, then reads the trace back and prints the summary. The list has the calls of the engine.
    Run(&'static [Call]),
    /// It reads standard input. The list has the calls that interrupt the guest.
    Input(&'static [Call]),
    /// It writes the trace file.
    Writer,
    /// It reads traces and prints.
    Read,
    /// It reads a trace and makes new files or folders from it.
    Make,
}

impl Role {
    /// The calls of this role.
    pub fn calls(self) -> impl Iterator<Item = Call> {
        let lists: Vec<&'static [Call]> = match self {
            Role::Run(engine) => vec![MUSL, MEMORY, THREADS, OUTPUT, READING, STOPPING, PROCESS, engine],
            Role::Input(interrupt) => vec![MEMORY, THREAD, THREADS, INPUT, interrupt],
            Role::Writer => vec![MEMORY, THREAD, THREADS, WRITING, ROOM],
            Role::Read => vec![MUSL, MEMORY, THREADS, OUTPUT, READING, FOLLOWING, HASHING, PROCESS],
            Role::Make => vec![MUSL, MUSL_MAKING, MEMORY, THREADS, OUTPUT, READING, PROCESS, WRITING, MAKING],
        };
        lists.into_iter().flatten().copied()
    }
}

/// Memory that is not executable.
const MEMORY: &[Call] = &[
    Call::new("brk", libc::SYS_brk),
    Call::new("mmap", libc::SYS_mmap).without(2, libc::PROT_EXEC),
    Call::new("munmap", libc::SYS_munmap),
    Call::new("mremap", libc::SYS_mremap),
];

/// The heap, the stack and the end of a thread that is not the first.
const THREAD: &[Call] = &[
    Call::new("mprotect", libc::SYS_mprotect).without(2, libc::PROT_EXEC),
    Call::new("madvise", libc::SYS_madvise),
    Call::new("exit", libc::SYS_exit),
    Call::new("sigaltstack", libc::SYS_sigaltstack),
    Call::new("rt_sigprocmask", libc::SYS_rt_sigprocmask),
];

/// Two threads that wait for each other, and clocks on hosts where user mode cannot read them.
const THREADS: &[Call] = &[
    Call::new("futex", libc::SYS_futex),
    Call::new("clock_gettime", libc::SYS_clock_gettime),
    // SIGSTOP interrupts a wait with a time-out, and Linux continues the wait by this call.
    Call::new("restart_syscall", libc::SYS_restart_syscall),
];

/// Standard output and standard error.
const OUTPUT: &[Call] = &[Call::new("write", libc::SYS_write), Call::new("poll", libc::SYS_poll)];

/// Standard input, and the guest's requests for it.
const INPUT: &[Call] = &[
    Call::new("poll", libc::SYS_poll),
    Call::new("read", libc::SYS_read),
    Call::new("close", libc::SYS_close),
];

/// A trace. A file can be opened only for reading, and Landlock limits which files.
const READING: &[Call] = &[
    Call::new("openat", libc::SYS_openat).without(2, libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC),
    Call::new("statx", libc::SYS_statx),
    Call::new("pread64", libc::SYS_pread64),
    Call::new("close", libc::SYS_close),
];

/// `view --follow` sleeps and reads the file again; `view` waits for its pager.
const FOLLOWING: &[Call] =
    &[Call::new("clock_nanosleep", libc::SYS_clock_nanosleep), Call::new("wait4", libc::SYS_wait4)];

/// The seed of a hash map in the writer of JUnit XML.
const HASHING: &[Call] = &[Call::new("getrandom", libc::SYS_getrandom)];

/// The end of the process.
const PROCESS: &[Call] =
    &[Call::new("exit_group", libc::SYS_exit_group), Call::new("sigaltstack", libc::SYS_sigaltstack)];

/// Signals and the time-out: the handler, and the restoration at the end of a run.
const STOPPING: &[Call] = &[
    Call::new("rt_sigaction", libc::SYS_rt_sigaction),
    Call::new("rt_sigreturn", libc::SYS_rt_sigreturn),
    Call::new("alarm", libc::SYS_alarm),
    Call::new("gettid", libc::SYS_gettid),
    Call::new("timer_delete", libc::SYS_timer_delete),
];

/// What musl calls to open and read files, to store values per thread, and for alarm(2).
const MUSL: &[Call] = if cfg!(target_env = "musl") {
    &[
        Call::new("open", libc::SYS_open).without(1, libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC),
        Call::new("fcntl", libc::SYS_fcntl).without(1, !libc::F_SETFD),
        Call::new("stat", libc::SYS_stat),
        Call::new("fstat", libc::SYS_fstat),
        Call::new("rt_sigprocmask", libc::SYS_rt_sigprocmask),
        Call::new("setitimer", libc::SYS_setitimer),
    ]
} else {
    &[]
};

/// What musl calls to make files.
const MUSL_MAKING: &[Call] = if cfg!(target_env = "musl") {
    &[Call::new("open", libc::SYS_open), Call::new("lstat", libc::SYS_lstat)]
} else {
    &[]
};

/// Writes to an open file.
const WRITING: &[Call] = &[
    Call::new("write", libc::SYS_write),
    Call::new("ftruncate", libc::SYS_ftruncate),
    Call::new("lseek", libc::SYS_lseek),
    Call::new("close", libc::SYS_close),
];

/// Reserves space for the end of a trace.
const ROOM: &[Call] = &[Call::new("fallocate", libc::SYS_fallocate)];

/// New files and folders. Landlock limits them to one folder.
const MAKING: &[Call] = &[
    Call::new("openat", libc::SYS_openat),
    Call::new("mkdir", libc::SYS_mkdir),
    Call::new("rename", libc::SYS_rename),
    Call::new("renameat", libc::SYS_renameat),
    Call::new("renameat2", libc::SYS_renameat2),
    Call::new("unlink", libc::SYS_unlink),
    Call::new("unlinkat", libc::SYS_unlinkat),
    Call::new("getdents64", libc::SYS_getdents64),
    Call::new("fcntl", libc::SYS_fcntl),
    Call::new("newfstatat", libc::SYS_newfstatat),
    Call::new("readlink", libc::SYS_readlink),
    Call::new("getpid", libc::SYS_getpid),
    Call::new("getrandom", libc::SYS_getrandom),
    Call::new("getcwd", libc::SYS_getcwd),
];

/// Calls that are allowed although no test can cause them, each with the reason.
pub const UNSEEN: &[(&str, &str)] = &[
    ("clock_gettime", "on most hosts, the C library reads the clocks without a system call (vdso(7))"),
    (
        "futex",
        "only a damaged trace causes it, as in `trace damage::every_command_reads_what_is_left_and_warns`",
    ),
    (
        "mprotect",
        "a C library that makes a heap for each thread, or grows the heap by mprotect(2), as musl, calls it",
    ),
    ("mremap", "the C library calls it when a large block grows and cannot stay in its place"),
    ("unlink", "only a full disk causes it, as in `trace a_recovery_without_room_leaves_nothing`"),
];
