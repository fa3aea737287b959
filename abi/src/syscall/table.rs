//! The table of system calls: number, name, types of the arguments, and type of the result.
//!
//! It has every call of Linux on x86-64, and one of our own. A line is to be read as a C prototype:
//! `In` and `Out` are pointers, and `Bytes(Argument(2))` is as many bytes as argument 2 says, counted from 0.

use super::types::{Choice, Layout, Type};
use super::values::*;
use super::{Pointers, Signature};

macro_rules! calls {
    ($($(#[$doc:meta])* $number:literal $name:ident($($argument:expr),*) -> $returns:expr;)*) => {
        /// A system call, named as Linux names it.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Call { $($(#[$doc])* $name = $number,)* }

        impl Call {
            /// Every call, in order of number.
            pub const ALL: &'static [Call] = &[$(Call::$name,)*];

            /// Its name, arguments and result.
            pub const fn signature(self) -> &'static Signature {
                #[allow(unused_imports)]
                use super::types::{Layout::*, Length::*, Returns::*, Type::*};
                #[allow(unused_imports)]
                use super::values::Names::*;
                match self {
                    $(Call::$name => const {
                        &Signature { name: stringify!($name), arguments: &[$($argument),*], returns: $returns }
                    },)*
                }
            }
        }
    };
}

/// Numbers from here on are of no call.
const END: usize = Call::ALL[Call::ALL.len() - 1] as usize + 1;

/// By number.
static CALLS: [Option<Call>; END] = {
    let mut calls = [None; END];
    let mut position = 0;
    while position < Call::ALL.len() {
        calls[Call::ALL[position] as usize] = Some(Call::ALL[position]);
        position += 1;
    }
    calls
};

impl Call {
    /// The call with this number, all 64 bits of it.
    #[inline]
    pub fn from_number(number: u64) -> Option<Call> {
        *CALLS.get(usize::try_from(number).ok()?)?
    }

    /// The arguments that may lead to memory.
    #[inline]
    pub fn pointers(self) -> Pointers {
        static POINTERS: [Pointers; END] = {
            let mut pointers = [Pointers::NONE; END];
            let mut position = 0;
            while position < Call::ALL.len() {
                let call = Call::ALL[position];
                pointers[call as usize] = call.signature().pointers();
                position += 1;
            }
            pointers
        };
        POINTERS[self as usize]
    }

    /// Its name in Linux.
    pub const fn name(self) -> &'static str {
        self.signature().name
    }

    /// How many arguments it takes at most.
    pub const fn arguments(self) -> usize {
        self.signature().arguments.len()
    }
}

/// `O_CREAT` and what `O_TMPFILE` adds to `O_DIRECTORY`: the flags with which open takes the mode of a new file.
const CREATING: u64 = O_CREAT | O_TMPFILE & !O_DIRECTORY;

/// A choice by the number in argument 1.
const fn by_command(cases: &'static [(&'static [u64], Option<Type>)], other: Option<Type>) -> Choice {
    Choice { argument: 1, mask: 0xFFFF_FFFF, cases, other }
}

/// By the request: TCGETS, TCSETS and its like, TIOCGPGRP, TIOCSPGRP, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, FIONBIO,
/// FIONCLEX and FIOCLEX.
const IOCTL: Choice = by_command(
    &[
        (&[0x5401], Some(Type::Out(Layout::Terminal))),
        (&[0x5402, 0x5403, 0x5404], Some(Type::In(Layout::Terminal))),
        (&[0x540F, 0x541B], Some(Type::Out(Layout::Ints(1)))),
        (&[0x5410, 0x5421], Some(Type::In(Layout::Ints(1)))),
        (&[0x5413], Some(Type::Out(Layout::WindowSize))),
        (&[0x5414], Some(Type::In(Layout::WindowSize))),
        (&[0x5450, 0x5451], None),
    ],
    Some(Type::Hex),
);

/// By the command: F_DUPFD and F_DUPFD_CLOEXEC, F_SETFD, F_SETFL, F_SETOWN and F_SETPIPE_SZ, and those that only ask.
const FCNTL: Choice = by_command(
    &[
        (&[0, 8, 1030, 1031], Some(Type::Int)),
        (&[1, 3, 9, 11, 1032], None),
        (&[2], Some(Type::Flags(Names::FdFlags))),
        (&[4], Some(Type::Flags(Names::OpenFlags))),
    ],
    Some(Type::Hex),
);

/// By the code: ARCH_GET_FS and ARCH_GET_GS, ARCH_GET_CPUID.
const ARCH_PRCTL: Choice = Choice {
    argument: 0,
    ..by_command(
        &[(&[0x1003, 0x1004], Some(Type::Out(Layout::Addresses(1)))), (&[0x1011], None)],
        Some(Type::Hex),
    )
};

/// By the command: to remove a file takes no event.
const EPOLL_CTL: Choice =
    by_command(&[(&[EPOLL_CTL_DEL], Some(Type::Address))], Some(Type::In(Layout::EpollEvent)));

/// By the option: PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME and
/// PR_SET_NO_NEW_PRIVS.
const PRCTL: Choice = Choice {
    argument: 0,
    ..by_command(
        &[
            (&[1], Some(Type::Signal)),
            (&[3], None),
            (&[15], Some(Type::In(Layout::Text))),
            (&[16], Some(Type::Out(Layout::Text))),
            (&[38], Some(Type::Size)),
        ],
        Some(Type::Hex),
    )
};
/// PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME and PR_GET_NAME take no more.
const PRCTL_REST: Choice =
    Choice { argument: 0, ..by_command(&[(&[1, 3, 4, 15, 16], None)], Some(Type::Hex)) };

/// A choice by the operation of `futex`, without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME.
const fn by_operation(cases: &'static [(&'static [u64], Option<Type>)], other: Option<Type>) -> Choice {
    Choice { argument: 1, mask: 0x7F, cases, other }
}

const FUTEX_VALUE: Choice = by_operation(
    &[(&[FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_LOCK_PI2], None)],
    Some(Type::Unsigned),
);
const FUTEX_TIMEOUT: Choice = by_operation(
    &[
        (
            &[FUTEX_WAIT, FUTEX_LOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_LOCK_PI2],
            Some(Type::In(Layout::Timespec)),
        ),
        (&[FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_CMP_REQUEUE_PI], Some(Type::Unsigned)),
        (&[FUTEX_WAKE, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_WAKE_BITSET], None),
    ],
    Some(Type::Hex),
);
const FUTEX_ADDRESS: Choice = by_operation(
    &[
        (
            &[FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI],
            Some(Type::Address),
        ),
        (
            &[
                FUTEX_WAIT,
                FUTEX_WAKE,
                FUTEX_LOCK_PI,
                FUTEX_UNLOCK_PI,
                FUTEX_TRYLOCK_PI,
                FUTEX_WAIT_BITSET,
                FUTEX_WAKE_BITSET,
                FUTEX_LOCK_PI2,
            ],
            None,
        ),
    ],
    Some(Type::Address),
);
const FUTEX_VALUE3: Choice = by_operation(
    &[
        (&[FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI], Some(Type::Unsigned)),
        (&[FUTEX_WAKE_OP], Some(Type::Hex)),
        (&[FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET], Some(Type::Enum(Names::FutexBits))),
        (
            &[
                FUTEX_WAIT,
                FUTEX_WAKE,
                FUTEX_REQUEUE,
                FUTEX_LOCK_PI,
                FUTEX_UNLOCK_PI,
                FUTEX_TRYLOCK_PI,
                FUTEX_WAIT_REQUEUE_PI,
                FUTEX_LOCK_PI2,
            ],
            None,
        ),
    ],
    Some(Type::Hex),
);

calls! {
    0 read(Fd, Out(Bytes(Result)), Size) -> UpTo(2);
    1 write(Fd, In(Bytes(Argument(2))), Size) -> UpTo(2);
    2 open(In(Path), Flags(OpenFlags), If(1, CREATING, &Mode)) -> NewFd;
    3 close(Fd) -> Zero;
    4 stat(In(Path), Out(Stat)) -> Zero;
    5 fstat(Fd, Out(Stat)) -> Zero;
    6 lstat(In(Path), Out(Stat)) -> Zero;
    7 poll(InOut(PollFds(1)), Unsigned, Int) -> Ready;
    8 lseek(Fd, Long, Enum(Whence)) -> Number;
    9 mmap(Address, Size, Flags(Protection), Flags(MapFlags), Fd, Hex) -> Location;
    10 mprotect(Address, Size, Flags(Protection)) -> Zero;
    11 munmap(Address, Size) -> Zero;
    12 brk(Address) -> Location;
    13 rt_sigaction(Signal, In(Sigaction), Out(Sigaction), Size) -> Zero;
    14 rt_sigprocmask(Enum(MaskChange), In(SignalSet), Out(SignalSet), Size) -> Zero;
    15 rt_sigreturn() -> Anything;
    16 ioctl(Fd, Enum(IoctlRequest), Choice(&IOCTL)) -> Number;
    17 pread64(Fd, Out(Bytes(Result)), Size, Long) -> UpTo(2);
    18 pwrite64(Fd, In(Bytes(Argument(2))), Size, Long) -> UpTo(2);
    19 readv(Fd, Out(Vectors(2)), Size) -> Number;
    20 writev(Fd, In(Vectors(2)), Size) -> Number;
    21 access(In(Path), Flags(Access)) -> Zero;
    22 pipe(Out(Ints(2))) -> Zero;
    23 select(Int, Address, Address, Address, InOut(Timeval)) -> Ready;
    24 sched_yield() -> Zero;
    25 mremap(Address, Size, Size, Flags(RemapFlags), If(3, MREMAP_FIXED, &Address)) -> Location;
    26 msync(Address, Size, Flags(SyncFlags)) -> Zero;
    27 mincore(Address, Size, Address) -> Zero;
    28 madvise(Address, Size, Enum(Advice)) -> Zero;
    29 shmget(Hex, Size, Hex) -> Number;
    30 shmat(Int, Address, Hex) -> Location;
    31 shmctl(Int, Hex, Address) -> Number;
    32 dup(Fd) -> NewFd;
    33 dup2(Fd, Fd) -> NewFd;
    34 pause() -> Zero;
    35 nanosleep(In(Timespec), Remaining) -> Zero;
    36 getitimer(Enum(IntervalTimerKind), Out(IntervalTimer)) -> Zero;
    37 alarm(Unsigned) -> Number;
    38 setitimer(Enum(IntervalTimerKind), In(IntervalTimer), Out(IntervalTimer)) -> Zero;
    39 getpid() -> Itself;
    40 sendfile(Fd, Fd, InOut(Longs(1)), Size) -> UpTo(3);
    41 socket(Enum(AddressFamily), Flags(SocketType), Int) -> NewFd;
    42 connect(Fd, Address, Int) -> Zero;
    43 accept(Fd, Address, Address) -> NewFd;
    44 sendto(Fd, In(Bytes(Argument(2))), Size, Flags(MessageFlags), Address, Unsigned) -> UpTo(2);
    45 recvfrom(Fd, Out(Bytes(Result)), Size, Flags(MessageFlags), Address, Address) -> Number;
    46 sendmsg(Fd, Address, Hex) -> Number;
    47 recvmsg(Fd, Address, Hex) -> Number;
    48 shutdown(Fd, Enum(Shutdown)) -> Zero;
    49 bind(Fd, Address, Int) -> Zero;
    50 listen(Fd, Int) -> Zero;
    51 getsockname(Fd, Address, Address) -> Zero;
    52 getpeername(Fd, Address, Address) -> Zero;
    53 socketpair(Enum(AddressFamily), Flags(SocketType), Int, Out(Ints(2))) -> Zero;
    54 setsockopt(Fd, Int, Int, Address, Int) -> Zero;
    55 getsockopt(Fd, Int, Int, Address, Address) -> Zero;
    56 clone(Named("flags", &CloneFlags), Named("child_stack", &Address),
        If(0, CLONE_PARENT_SETTID | CLONE_PIDFD, &Named("parent_tid", &Out(Ints(1)))),
        If(0, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, &Named("child_tidptr", &Address)),
        If(0, CLONE_SETTLS, &Named("tls", &Address))) -> Process;
    57 fork() -> Process;
    58 vfork() -> Process;
    59 execve(In(Path), In(Strings), In(Environment)) -> Zero;
    60 exit(Int) -> Never;
    61 wait4(Pid, Out(WaitStatus), Flags(WaitOptions), Out(Usage)) -> Process;
    62 kill(Pid, Signal) -> Zero;
    63 uname(Out(SystemName)) -> Zero;
    64 semget(Hex, Int, Hex) -> Number;
    65 semop(Int, Address, Unsigned) -> Zero;
    66 semctl(Int, Int, Hex, Hex) -> Number;
    67 shmdt(Address) -> Zero;
    68 msgget(Hex, Hex) -> Number;
    69 msgsnd(Int, Address, Size, Hex) -> Zero;
    70 msgrcv(Int, Address, Size, Long, Hex) -> UpTo(2);
    71 msgctl(Int, Hex, Address) -> Number;
    72 fcntl(Fd, Enum(FcntlCommand), Choice(&FCNTL)) -> OfFcntl;
    73 flock(Fd, Flags(FileLock)) -> Zero;
    74 fsync(Fd) -> Zero;
    75 fdatasync(Fd) -> Zero;
    76 truncate(In(Path), Long) -> Zero;
    77 ftruncate(Fd, Long) -> Zero;
    78 getdents(Fd, Address, Unsigned) -> UpTo(2);
    79 getcwd(Out(Path), Size) -> UpTo(1);
    80 chdir(In(Path)) -> Zero;
    81 fchdir(Fd) -> Zero;
    82 rename(In(Path), In(Path)) -> Zero;
    83 mkdir(In(Path), Mode) -> Zero;
    84 rmdir(In(Path)) -> Zero;
    85 creat(In(Path), Mode) -> NewFd;
    86 link(In(Path), In(Path)) -> Zero;
    87 unlink(In(Path)) -> Zero;
    88 symlink(In(Path), In(Path)) -> Zero;
    89 readlink(In(Path), Out(Bytes(Result)), Size) -> UpTo(2);
    90 chmod(In(Path), Mode) -> Zero;
    91 fchmod(Fd, Mode) -> Zero;
    92 chown(In(Path), Id, Id) -> Zero;
    93 fchown(Fd, Id, Id) -> Zero;
    94 lchown(In(Path), Id, Id) -> Zero;
    95 umask(Mode) -> Permissions;
    96 gettimeofday(Out(Timeval), Out(Timezone)) -> Zero;
    97 getrlimit(Enum(Resource), Out(Limit)) -> Zero;
    98 getrusage(Enum(UsageOf), Out(Usage)) -> Zero;
    99 sysinfo(Out(SystemInfo)) -> Zero;
    100 times(Out(ProcessTimes)) -> Anything;
    101 ptrace(Hex, Pid, Address, Address) -> Anything;
    102 getuid() -> Owner;
    103 syslog(Int, Address, Int) -> Number;
    104 getgid() -> Owner;
    105 setuid(Id) -> Zero;
    106 setgid(Id) -> Zero;
    107 geteuid() -> Owner;
    108 getegid() -> Owner;
    109 setpgid(Pid, Pid) -> Zero;
    110 getppid() -> Process;
    111 getpgrp() -> Process;
    112 setsid() -> Process;
    113 setreuid(Id, Id) -> Zero;
    114 setregid(Id, Id) -> Zero;
    115 getgroups(Int, Address) -> Number;
    116 setgroups(Int, Address) -> Zero;
    117 setresuid(Id, Id, Id) -> Zero;
    118 getresuid(Out(Ints(1)), Out(Ints(1)), Out(Ints(1))) -> Zero;
    119 setresgid(Id, Id, Id) -> Zero;
    120 getresgid(Out(Ints(1)), Out(Ints(1)), Out(Ints(1))) -> Zero;
    121 getpgid(Pid) -> Process;
    122 setfsuid(Id) -> Number;
    123 setfsgid(Id) -> Number;
    124 getsid(Pid) -> Process;
    125 capget(Address, Address) -> Zero;
    126 capset(Address, Address) -> Zero;
    127 rt_sigpending(Out(SignalSet), Size) -> Zero;
    128 rt_sigtimedwait(In(SignalSet), Address, In(Timespec), Size) -> Number;
    129 rt_sigqueueinfo(Pid, Signal, Address) -> Zero;
    130 rt_sigsuspend(In(SignalSet), Size) -> Zero;
    131 sigaltstack(In(SignalStack), Out(SignalStack)) -> Zero;
    132 utime(In(Path), Address) -> Zero;
    133 mknod(In(Path), Mode, Device) -> Zero;
    134 uselib(In(Path)) -> Zero;
    135 personality(Hex) -> Number;
    136 ustat(Device, Address) -> Zero;
    137 statfs(In(Path), Address) -> Zero;
    138 fstatfs(Fd, Address) -> Zero;
    139 sysfs(Int, Hex, Hex) -> Number;
    140 getpriority(Enum(PriorityOf), Int) -> Number;
    141 setpriority(Enum(PriorityOf), Int, Int) -> Zero;
    142 sched_setparam(Pid, In(Ints(1))) -> Zero;
    143 sched_getparam(Pid, Out(Ints(1))) -> Zero;
    144 sched_setscheduler(Pid, Enum(SchedulingPolicy), In(Ints(1))) -> Zero;
    145 sched_getscheduler(Pid) -> OneOf(SchedulingPolicy);
    146 sched_get_priority_max(Enum(SchedulingPolicy)) -> Number;
    147 sched_get_priority_min(Enum(SchedulingPolicy)) -> Number;
    148 sched_rr_get_interval(Pid, Out(Timespec)) -> Zero;
    149 mlock(Address, Size) -> Zero;
    150 munlock(Address, Size) -> Zero;
    151 mlockall(Flags(LockFlags)) -> Zero;
    152 munlockall() -> Zero;
    153 vhangup() -> Zero;
    154 modify_ldt(Int, Address, Size) -> Number;
    155 pivot_root(In(Path), In(Path)) -> Zero;
    156 _sysctl(Address) -> Zero;
    157 prctl(Enum(PrctlOption), Choice(&PRCTL), Choice(&PRCTL_REST), Choice(&PRCTL_REST), Choice(&PRCTL_REST)) -> Number;
    158 arch_prctl(Enum(ArchCode), Choice(&ARCH_PRCTL)) -> Zero;
    159 adjtimex(Address) -> Number;
    160 setrlimit(Enum(Resource), In(Limit)) -> Zero;
    161 chroot(In(Path)) -> Zero;
    162 sync() -> Zero;
    163 acct(In(Path)) -> Zero;
    164 settimeofday(In(Timeval), In(Timezone)) -> Zero;
    165 mount(In(Path), In(Path), In(Text), Hex, Address) -> Zero;
    166 umount2(In(Path), Hex) -> Zero;
    167 swapon(In(Path), Hex) -> Zero;
    168 swapoff(In(Path)) -> Zero;
    169 reboot(Hex, Hex, Hex, Address) -> Zero;
    170 sethostname(In(Bytes(Argument(1))), Size) -> Zero;
    171 setdomainname(In(Bytes(Argument(1))), Size) -> Zero;
    172 iopl(Int) -> Zero;
    173 ioperm(Hex, Hex, Int) -> Zero;
    174 create_module(Address, Size) -> Location;
    175 init_module(Address, Size, In(Text)) -> Zero;
    176 delete_module(In(Text), Flags(OpenFlags)) -> Zero;
    177 get_kernel_syms(Address) -> Number;
    178 query_module(In(Text), Int, Address, Size, Address) -> Zero;
    179 quotactl(Hex, In(Path), Id, Address) -> Zero;
    180 nfsservctl(Int, Address, Address) -> Number;
    181 getpmsg(Hex, Hex, Hex, Hex, Hex) -> Number;
    182 putpmsg(Hex, Hex, Hex, Hex, Hex) -> Number;
    183 afs_syscall(Hex, Hex, Hex, Hex, Hex) -> Number;
    184 tuxcall(Hex, Hex, Hex) -> Number;
    185 security(Hex, Hex, Hex) -> Number;
    186 gettid() -> ItsThread;
    187 readahead(Fd, Long, Size) -> Number;
    188 setxattr(In(Path), In(Text), In(Bytes(Argument(3))), Size, Hex) -> Zero;
    189 lsetxattr(In(Path), In(Text), In(Bytes(Argument(3))), Size, Hex) -> Zero;
    190 fsetxattr(Fd, In(Text), In(Bytes(Argument(3))), Size, Hex) -> Zero;
    191 getxattr(In(Path), In(Text), Out(Bytes(Result)), Size) -> Number;
    192 lgetxattr(In(Path), In(Text), Out(Bytes(Result)), Size) -> Number;
    193 fgetxattr(Fd, In(Text), Out(Bytes(Result)), Size) -> Number;
    194 listxattr(In(Path), Out(Bytes(Result)), Size) -> Number;
    195 llistxattr(In(Path), Out(Bytes(Result)), Size) -> Number;
    196 flistxattr(Fd, Out(Bytes(Result)), Size) -> Number;
    197 removexattr(In(Path), In(Text)) -> Zero;
    198 lremovexattr(In(Path), In(Text)) -> Zero;
    199 fremovexattr(Fd, In(Text)) -> Zero;
    200 tkill(Pid, Signal) -> Zero;
    201 time(Out(Longs(1))) -> Number;
    202 futex(Address, Enum(FutexOperation), Choice(&FUTEX_VALUE), Choice(&FUTEX_TIMEOUT), Choice(&FUTEX_ADDRESS),
        Choice(&FUTEX_VALUE3)) -> Number;
    203 sched_setaffinity(Pid, Unsigned, In(Cpus(Argument(1)))) -> Zero;
    204 sched_getaffinity(Pid, Unsigned, Out(Cpus(Result))) -> UpTo(1);
    205 set_thread_area(Address) -> Zero;
    206 io_setup(Unsigned, Out(Longs(1))) -> Zero;
    207 io_destroy(Hex) -> Zero;
    208 io_getevents(Hex, Long, Long, Address, In(Timespec)) -> UpTo(2);
    209 io_submit(Hex, Long, Address) -> UpTo(1);
    210 io_cancel(Hex, Address, Address) -> Zero;
    211 get_thread_area(Address) -> Zero;
    212 lookup_dcookie(Hex, Address, Size) -> UpTo(2);
    213 epoll_create(Int) -> NewFd;
    214 epoll_ctl_old(Hex, Hex, Hex, Hex) -> Zero;
    215 epoll_wait_old(Hex, Hex, Hex, Hex) -> Number;
    216 remap_file_pages(Address, Size, Flags(Protection), Size, Flags(MapFlags)) -> Zero;
    217 getdents64(Fd, Out(DirectoryEntries), Unsigned) -> UpTo(2);
    218 set_tid_address(Address) -> ItsThread;
    219 restart_syscall() -> Anything;
    220 semtimedop(Int, Address, Unsigned, In(Timespec)) -> Zero;
    221 fadvise64(Fd, Long, Size, Enum(FileAdvice)) -> Zero;
    222 timer_create(Enum(Clock), Address, Out(Ints(1))) -> Zero;
    223 timer_settime(Int, Flags(TimerFlags), Address, Address) -> Zero;
    224 timer_gettime(Int, Address) -> Zero;
    225 timer_getoverrun(Int) -> Number;
    226 timer_delete(Int) -> Zero;
    227 clock_settime(Enum(Clock), In(Timespec)) -> Zero;
    228 clock_gettime(Enum(Clock), Out(Timespec)) -> Zero;
    229 clock_getres(Enum(Clock), Out(Timespec)) -> Zero;
    230 clock_nanosleep(Enum(Clock), Flags(TimerFlags), In(Timespec), Remaining) -> Zero;
    231 exit_group(Int) -> Never;
    232 epoll_wait(Fd, Out(EpollEvents), Int, Int) -> UpTo(2);
    233 epoll_ctl(Fd, Enum(EpollCommand), Fd, Choice(&EPOLL_CTL)) -> Zero;
    234 tgkill(Pid, Pid, Signal) -> Zero;
    235 utimes(In(Path), Address) -> Zero;
    236 vserver(Hex, Hex, Hex, Hex, Hex) -> Number;
    237 mbind(Address, Size, Hex, Address, Size, Hex) -> Zero;
    238 set_mempolicy(Hex, Address, Size) -> Zero;
    239 get_mempolicy(Address, Address, Size, Address, Hex) -> Zero;
    240 mq_open(In(Path), Flags(OpenFlags), If(1, CREATING, &Mode), If(1, CREATING, &Address)) -> NewFd;
    241 mq_unlink(In(Path)) -> Zero;
    242 mq_timedsend(Fd, In(Bytes(Argument(2))), Size, Unsigned, In(Timespec)) -> Zero;
    243 mq_timedreceive(Fd, Out(Bytes(Result)), Size, Address, In(Timespec)) -> UpTo(2);
    244 mq_notify(Fd, Address) -> Zero;
    245 mq_getsetattr(Fd, Address, Address) -> Zero;
    246 kexec_load(Address, Size, Address, Hex) -> Zero;
    247 waitid(Enum(WaitFor), Pid, Address, Flags(WaitOptions), Out(Usage)) -> Zero;
    248 add_key(In(Text), In(Text), In(Bytes(Argument(3))), Size, Int) -> Number;
    249 request_key(In(Text), In(Text), In(Text), Int) -> Number;
    250 keyctl(Hex, Hex, Hex, Hex, Hex) -> Number;
    251 ioprio_set(Int, Int, Hex) -> Zero;
    252 ioprio_get(Int, Int) -> Number;
    253 inotify_init() -> NewFd;
    254 inotify_add_watch(Fd, In(Path), Hex) -> Number;
    255 inotify_rm_watch(Fd, Int) -> Zero;
    256 migrate_pages(Pid, Size, Address, Address) -> Number;
    257 openat(DirectoryFd, In(Path), Flags(OpenFlags), If(2, CREATING, &Mode)) -> NewFd;
    258 mkdirat(DirectoryFd, In(Path), Mode) -> Zero;
    259 mknodat(DirectoryFd, In(Path), Mode, Device) -> Zero;
    260 fchownat(DirectoryFd, In(Path), Id, Id, Flags(AtFlags)) -> Zero;
    261 futimesat(DirectoryFd, In(Path), Address) -> Zero;
    262 newfstatat(DirectoryFd, In(Path), Out(Stat), Flags(AtFlags)) -> Zero;
    263 unlinkat(DirectoryFd, In(Path), Flags(UnlinkFlags)) -> Zero;
    264 renameat(DirectoryFd, In(Path), DirectoryFd, In(Path)) -> Zero;
    265 linkat(DirectoryFd, In(Path), DirectoryFd, In(Path), Flags(AtFlags)) -> Zero;
    266 symlinkat(In(Path), DirectoryFd, In(Path)) -> Zero;
    267 readlinkat(DirectoryFd, In(Path), Out(Bytes(Result)), Size) -> UpTo(3);
    268 fchmodat(DirectoryFd, In(Path), Mode) -> Zero;
    269 faccessat(DirectoryFd, In(Path), Flags(Access)) -> Zero;
    270 pselect6(Int, Address, Address, Address, InOut(Timespec), Address) -> Ready;
    271 ppoll(InOut(PollFds(1)), Unsigned, InOut(Timespec), In(SignalSet), Size) -> Ready;
    272 unshare(Flags(CloneFlagNames)) -> Zero;
    273 set_robust_list(Address, Size) -> Zero;
    274 get_robust_list(Pid, Out(Longs(1)), Out(Longs(1))) -> Zero;
    275 splice(Fd, InOut(Longs(1)), Fd, InOut(Longs(1)), Size, Hex) -> UpTo(4);
    276 tee(Fd, Fd, Size, Hex) -> UpTo(2);
    277 sync_file_range(Fd, Long, Long, Hex) -> Zero;
    278 vmsplice(Fd, In(Vectors(2)), Size, Hex) -> Number;
    279 move_pages(Pid, Size, Address, Address, Address, Hex) -> Number;
    280 utimensat(DirectoryFd, In(Path), In(FileTimes), Flags(AtFlags)) -> Zero;
    281 epoll_pwait(Fd, Out(EpollEvents), Int, Int, In(SignalSet), Size) -> UpTo(2);
    282 signalfd(Fd, In(SignalSet), Size) -> NewFd;
    283 timerfd_create(Enum(Clock), Flags(PipeFlags)) -> NewFd;
    284 eventfd(Unsigned) -> NewFd;
    285 fallocate(Fd, Hex, Long, Long) -> Zero;
    286 timerfd_settime(Fd, Flags(TimerFlags), Address, Address) -> Zero;
    287 timerfd_gettime(Fd, Address) -> Zero;
    288 accept4(Fd, Address, Address, Flags(SocketType)) -> NewFd;
    289 signalfd4(Fd, In(SignalSet), Size, Flags(PipeFlags)) -> NewFd;
    290 eventfd2(Unsigned, Flags(EventFlags)) -> NewFd;
    291 epoll_create1(Flags(EpollFlags)) -> NewFd;
    292 dup3(Fd, Fd, Flags(PipeFlags)) -> NewFd;
    293 pipe2(Out(Ints(2)), Flags(PipeFlags)) -> Zero;
    294 inotify_init1(Flags(PipeFlags)) -> NewFd;
    295 preadv(Fd, Out(Vectors(2)), Size, Long) -> Number;
    296 pwritev(Fd, In(Vectors(2)), Size, Long) -> Number;
    297 rt_tgsigqueueinfo(Pid, Pid, Signal, Address) -> Zero;
    298 perf_event_open(Address, Pid, Int, Fd, Hex) -> NewFd;
    299 recvmmsg(Fd, Address, Unsigned, Hex, InOut(Timespec)) -> UpTo(2);
    300 fanotify_init(Hex, Flags(OpenFlags)) -> NewFd;
    301 fanotify_mark(Fd, Hex, Hex, DirectoryFd, In(Path)) -> Zero;
    302 prlimit64(Pid, Enum(Resource), In(Limit), Out(Limit)) -> Zero;
    303 name_to_handle_at(DirectoryFd, In(Path), Address, Address, Flags(AtFlags)) -> Zero;
    304 open_by_handle_at(DirectoryFd, Address, Flags(OpenFlags)) -> NewFd;
    305 clock_adjtime(Enum(Clock), Address) -> Number;
    306 syncfs(Fd) -> Zero;
    307 sendmmsg(Fd, Address, Unsigned, Hex) -> UpTo(2);
    308 setns(Fd, Hex) -> Zero;
    309 getcpu(Out(Ints(1)), Out(Ints(1)), Address) -> Zero;
    310 process_vm_readv(Pid, Address, Size, Address, Size, Hex) -> Number;
    311 process_vm_writev(Pid, Address, Size, Address, Size, Hex) -> Number;
    312 kcmp(Pid, Pid, Int, Hex, Hex) -> Number;
    313 finit_module(Fd, In(Text), Hex) -> Zero;
    314 sched_setattr(Pid, Address, Hex) -> Zero;
    315 sched_getattr(Pid, Address, Unsigned, Hex) -> Zero;
    316 renameat2(DirectoryFd, In(Path), DirectoryFd, In(Path), Flags(RenameFlags)) -> Zero;
    317 seccomp(Hex, Hex, Address) -> Number;
    318 getrandom(Out(Noise(Result)), Size, Flags(RandomFlags)) -> UpTo(1);
    319 memfd_create(In(Text), Flags(MemoryFileFlags)) -> NewFd;
    320 kexec_file_load(Fd, Fd, Size, In(Text), Hex) -> Zero;
    321 bpf(Hex, Address, Unsigned) -> Number;
    322 execveat(DirectoryFd, In(Path), In(Strings), In(Environment), Flags(AtFlags)) -> Zero;
    323 userfaultfd(Flags(PipeFlags)) -> NewFd;
    324 membarrier(Enum(Barrier), Hex) -> Number;
    325 mlock2(Address, Size, Hex) -> Zero;
    326 copy_file_range(Fd, InOut(Longs(1)), Fd, InOut(Longs(1)), Size, Hex) -> UpTo(4);
    327 preadv2(Fd, Out(Vectors(2)), Size, Long, Hex) -> Number;
    328 pwritev2(Fd, In(Vectors(2)), Size, Long, Hex) -> Number;
    329 pkey_mprotect(Address, Size, Flags(Protection), Int) -> Zero;
    330 pkey_alloc(Hex, Hex) -> Number;
    331 pkey_free(Int) -> Zero;
    332 statx(DirectoryFd, In(Path), Flags(StatxFlags), Flags(StatxMask), Out(Statx)) -> Zero;
    333 io_pgetevents(Hex, Long, Long, Address, In(Timespec), Address) -> UpTo(2);
    334 rseq(Address, Hex, Flags(RseqFlags), Hex) -> Zero;
    335 uretprobe() -> Anything;
    424 pidfd_send_signal(Fd, Signal, Address, Hex) -> Zero;
    425 io_uring_setup(Unsigned, Address) -> NewFd;
    426 io_uring_enter(Fd, Unsigned, Unsigned, Hex, Address, Size) -> Number;
    427 io_uring_register(Fd, Hex, Address, Unsigned) -> Number;
    428 open_tree(DirectoryFd, In(Path), Hex) -> NewFd;
    429 move_mount(DirectoryFd, In(Path), DirectoryFd, In(Path), Hex) -> Zero;
    430 fsopen(In(Text), Hex) -> NewFd;
    431 fsconfig(Fd, Hex, In(Text), Address, Int) -> Zero;
    432 fsmount(Fd, Hex, Hex) -> NewFd;
    433 fspick(DirectoryFd, In(Path), Hex) -> NewFd;
    434 pidfd_open(Pid, Flags(PipeFlags)) -> NewFd;
    435 clone3(InOut(CloneArguments(Argument(1))), Size) -> Process;
    436 close_range(Unsigned, Unsigned, Flags(CloseRangeFlags)) -> Zero;
    437 openat2(DirectoryFd, In(Path), Address, Size) -> NewFd;
    438 pidfd_getfd(Fd, Fd, Hex) -> NewFd;
    439 faccessat2(DirectoryFd, In(Path), Flags(Access), Flags(AtFlags)) -> Zero;
    440 process_madvise(Fd, Address, Size, Enum(Advice), Hex) -> Number;
    441 epoll_pwait2(Fd, Out(EpollEvents), Int, In(Timespec), In(SignalSet), Size) -> UpTo(2);
    442 mount_setattr(DirectoryFd, In(Path), Flags(AtFlags), Address, Size) -> Zero;
    443 quotactl_fd(Fd, Hex, Id, Address) -> Zero;
    444 landlock_create_ruleset(Address, Size, Hex) -> NewFd;
    445 landlock_add_rule(Fd, Hex, Address, Hex) -> Zero;
    446 landlock_restrict_self(Fd, Hex) -> Zero;
    447 memfd_secret(Flags(PipeFlags)) -> NewFd;
    448 process_mrelease(Fd, Hex) -> Zero;
    449 futex_waitv(Address, Unsigned, Hex, In(Timespec), Enum(Clock)) -> Number;
    450 set_mempolicy_home_node(Address, Size, Size, Hex) -> Zero;
    451 cachestat(Fd, Address, Address, Hex) -> Zero;
    452 fchmodat2(DirectoryFd, In(Path), Mode, Flags(AtFlags)) -> Zero;
    453 map_shadow_stack(Address, Size, Hex) -> Location;
    454 futex_wake(Address, Hex, Int, Hex) -> Number;
    455 futex_wait(Address, Hex, Hex, Hex, In(Timespec), Enum(Clock)) -> Zero;
    456 futex_requeue(Address, Hex, Int, Int) -> Number;
    457 statmount(Address, Address, Size, Hex) -> Zero;
    458 listmount(Address, Address, Size, Hex) -> UpTo(2);
    459 lsm_get_self_attr(Unsigned, Address, Address, Hex) -> Number;
    460 lsm_set_self_attr(Unsigned, Address, Unsigned, Hex) -> Zero;
    461 lsm_list_modules(Address, Address, Hex) -> Number;
    462 mseal(Address, Size, Hex) -> Zero;
    463 setxattrat(DirectoryFd, In(Path), Flags(AtFlags), In(Text), Address, Size) -> Zero;
    464 getxattrat(DirectoryFd, In(Path), Flags(AtFlags), In(Text), Address, Size) -> Number;
    465 listxattrat(DirectoryFd, In(Path), Flags(AtFlags), Out(Bytes(Result)), Size) -> Number;
    466 removexattrat(DirectoryFd, In(Path), Flags(AtFlags), In(Text)) -> Zero;
    467 open_tree_attr(DirectoryFd, In(Path), Hex, Address, Size) -> NewFd;
    468 file_getattr(DirectoryFd, In(Path), Address, Size, Flags(AtFlags)) -> Zero;
    469 file_setattr(DirectoryFd, In(Path), Address, Size, Flags(AtFlags)) -> Zero;
    /// Trapline's own: the next fault of this process calls the handler with the vector, the error code, the RIP of the
    /// fault and CR2, instead of ending the process. It holds for one fault, so that a fault in the handler still ends the
    /// process. Address 0 takes the handler back.
    1024 trapline_on_fault(Address) -> Zero;
}
