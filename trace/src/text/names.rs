//! The names of Linux's flags and values, in the order in which strace prints them.

use abi::syscall::Names;

/// The names of the values of an argument.
pub(super) struct Set {
    /// What strace calls a value without a name, in a comment.
    pub(super) unknown: &'static str,
    /// A value and its name. Flags of several bits stand before those that they contain.
    pub(super) names: &'static [(u64, &'static str)],
}

impl Set {
    /// The name of exactly this value.
    pub(super) fn name(&self, value: u64) -> Option<&'static str> {
        self.names.iter().find(|&&(named, _)| named == value).map(|&(_, name)| name)
    }
}

/// The signals by number, without SIG.
pub(super) const SIGNALS: [&str; 32] = [
    "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

macro_rules! set {
    ($unknown:literal: $($name:ident $value:expr),* $(,)?) => {
        Set { unknown: $unknown, names: &[$(($value, stringify!($name))),*] }
    };
}

/// The bits of open's flags that are one of several values.
pub(super) const ACCESS_MODES: Set = set!("O_???": O_RDONLY 0, O_WRONLY 1, O_RDWR 2, O_ACCMODE 3);
/// The bits of mmap's flags that are one of several values.
pub(super) const MAPPINGS: Set =
    set!("MAP_???": MAP_FILE 0, MAP_SHARED 1, MAP_PRIVATE 2, MAP_SHARED_VALIDATE 3);
/// The bits of statx's flags that are one of several values.
pub(super) const STATX_SYNCS: Set =
    set!("AT_???": AT_STATX_SYNC_AS_STAT 0, AT_STATX_FORCE_SYNC 0x2000, AT_STATX_DONT_SYNC 0x4000);
/// The flags of `struct sigaction`.
pub(super) const SIGACTION_FLAGS: Set = set!("SA_???":
    SA_RESTORER 0x0400_0000, SA_ONSTACK 0x0800_0000, SA_RESTART 0x1000_0000, SA_NODEFER 0x4000_0000,
    SA_RESETHAND 0x8000_0000, SA_NOCLDSTOP 1, SA_NOCLDWAIT 2, SA_SIGINFO 4,
);
/// The flags of `stack_t`.
pub(super) const STACK_FLAGS: Set = set!("SS_???": SS_ONSTACK 1, SS_DISABLE 2, SS_AUTODISARM 0x8000_0000);
/// The events of `struct pollfd`.
pub(super) const POLL_EVENTS: Set = set!("POLL???":
    POLLIN 1, POLLPRI 2, POLLOUT 4, POLLRDNORM 0x40, POLLWRNORM 0x100, POLLRDBAND 0x80, POLLWRBAND 0x200,
    POLLERR 8, POLLHUP 0x10, POLLNVAL 0x20, POLLMSG 0x400, POLLREMOVE 0x1000, POLLRDHUP 0x2000,
);
pub(super) const EPOLL_EVENTS: Set = set!("EPOLL???":
    EPOLLIN 1, EPOLLPRI 2, EPOLLOUT 4, EPOLLRDNORM 0x40, EPOLLRDBAND 0x80, EPOLLWRNORM 0x100, EPOLLWRBAND 0x200,
    EPOLLMSG 0x400, EPOLLERR 8, EPOLLHUP 0x10, EPOLLRDHUP 0x2000, EPOLLEXCLUSIVE 0x1000_0000,
    EPOLLWAKEUP 0x2000_0000, EPOLLONESHOT 0x4000_0000, EPOLLET 0x8000_0000,
);
/// The operations of futex, without their flags.
pub(super) const FUTEX_OPERATIONS: [&str; 14] = [
    "FUTEX_WAIT",
    "FUTEX_WAKE",
    "FUTEX_FD",
    "FUTEX_REQUEUE",
    "FUTEX_CMP_REQUEUE",
    "FUTEX_WAKE_OP",
    "FUTEX_LOCK_PI",
    "FUTEX_UNLOCK_PI",
    "FUTEX_TRYLOCK_PI",
    "FUTEX_WAIT_BITSET",
    "FUTEX_WAKE_BITSET",
    "FUTEX_WAIT_REQUEUE_PI",
    "FUTEX_CMP_REQUEUE_PI",
    "FUTEX_LOCK_PI2",
];
/// The types of files in `st_mode`.
pub(super) const FILE_TYPES: Set = set!("S_IF???":
    S_IFREG 0o100000, S_IFDIR 0o040000, S_IFCHR 0o020000, S_IFBLK 0o060000, S_IFIFO 0o010000, S_IFLNK 0o120000,
    S_IFSOCK 0o140000,
);

/// The input flags of a terminal.
pub(super) const TERMINAL_INPUT: Set = set!("":
    IGNBRK 1, BRKINT 2, IGNPAR 4, PARMRK 8, INPCK 0x10, ISTRIP 0x20, INLCR 0x40, IGNCR 0x80, ICRNL 0x100,
    IUCLC 0x200, IXON 0x400, IXANY 0x800, IXOFF 0x1000, IMAXBEL 0x2000, IUTF8 0x4000,
);
/// The output flags of a terminal without its delays.
pub(super) const TERMINAL_OUTPUT: Set = set!("":
    OPOST 1, OLCUC 2, ONLCR 4, OCRNL 8, ONOCR 0x10, ONLRET 0x20, OFILL 0x40, OFDEL 0x80,
);
/// The delays in the output flags of a terminal: each is one of several values.
pub(super) const TERMINAL_DELAYS: [(u64, Set); 6] = [
    (0x100, set!("NL?": NL0 0, NL1 0x100)),
    (0x600, set!("CR?": CR0 0, CR1 0x200, CR2 0x400, CR3 0x600)),
    (0x1800, set!("TAB?": TAB0 0, TAB1 0x800, TAB2 0x1000, XTABS 0x1800)),
    (0x2000, set!("BS?": BS0 0, BS1 0x2000)),
    (0x4000, set!("VT?": VT0 0, VT1 0x4000)),
    (0x8000, set!("FF?": FF0 0, FF1 0x8000)),
];
/// The control flags of a terminal without its speed and size.
pub(super) const TERMINAL_CONTROL: Set = set!("":
    CSTOPB 0x40, CREAD 0x80, PARENB 0x100, PARODD 0x200, HUPCL 0x400, CLOCAL 0x800, CMSPAR 0x4000_0000,
    CRTSCTS 0x8000_0000,
);
/// The speeds of a terminal.
pub(super) const TERMINAL_SPEEDS: Set = set!("B???":
    B0 0, B50 1, B75 2, B110 3, B134 4, B150 5, B200 6, B300 7, B600 8, B1200 9, B1800 10, B2400 11, B4800 12,
    B9600 13, B19200 14, B38400 15, BOTHER 0x1000, B57600 0x1001, B115200 0x1002, B230400 0x1003,
    B460800 0x1004, B500000 0x1005, B576000 0x1006, B921600 0x1007, B1000000 0x1008, B1152000 0x1009,
    B1500000 0x100A, B2000000 0x100B, B2500000 0x100C, B3000000 0x100D, B3500000 0x100E, B4000000 0x100F,
);
/// The sizes of a terminal's characters.
pub(super) const TERMINAL_SIZES: Set = set!("CS?": CS5 0, CS6 0x10, CS7 0x20, CS8 0x30);
/// The local flags of a terminal.
pub(super) const TERMINAL_LOCAL: Set = set!("":
    ISIG 1, ICANON 2, XCASE 4, ECHO 8, ECHOE 0x10, ECHOK 0x20, ECHONL 0x40, NOFLSH 0x80, IEXTEN 0x8000,
    ECHOCTL 0x200, ECHOPRT 0x400, ECHOKE 0x800, FLUSHO 0x1000, PENDIN 0x4000, TOSTOP 0x100, EXTPROC 0x10000,
);
/// The attributes in `struct statx`.
pub(super) const STATX_ATTRIBUTES: Set = set!("STATX_ATTR_???":
    STATX_ATTR_COMPRESSED 4, STATX_ATTR_IMMUTABLE 0x10, STATX_ATTR_APPEND 0x20, STATX_ATTR_NODUMP 0x40,
    STATX_ATTR_ENCRYPTED 0x800, STATX_ATTR_AUTOMOUNT 0x1000, STATX_ATTR_MOUNT_ROOT 0x2000,
    STATX_ATTR_VERITY 0x10_0000, STATX_ATTR_DAX 0x20_0000,
);

/// The names that an argument of the table has.
pub(super) fn set_of(names: Names) -> Set {
    match names {
        Names::OpenFlags | Names::PipeFlags => set!("O_???":
            O_CREAT 0o100, O_EXCL 0o200, O_NOCTTY 0o400, O_TRUNC 0o1000, O_APPEND 0o2000, O_NONBLOCK 0o4000,
            O_SYNC 0o4010000, O_DSYNC 0o10000, FASYNC 0o20000, O_DIRECT 0o40000, O_LARGEFILE 0o100000,
            O_NOFOLLOW 0o400000, O_NOATIME 0o1000000, O_CLOEXEC 0o2000000, O_PATH 0o10000000,
            O_TMPFILE 0o20200000, O_DIRECTORY 0o200000,
        ),
        Names::Protection => set!("PROT_???":
            PROT_NONE 0, PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4, PROT_SEM 8, PROT_GROWSDOWN 0x0100_0000,
            PROT_GROWSUP 0x0200_0000,
        ),
        Names::MapFlags => set!("MAP_???":
            MAP_FIXED 0x10, MAP_ANONYMOUS 0x20, MAP_32BIT 0x40, MAP_GROWSDOWN 0x100, MAP_DENYWRITE 0x800,
            MAP_EXECUTABLE 0x1000, MAP_LOCKED 0x2000, MAP_NORESERVE 0x4000, MAP_POPULATE 0x8000,
            MAP_NONBLOCK 0x10000, MAP_STACK 0x20000, MAP_HUGETLB 0x40000, MAP_SYNC 0x80000,
            MAP_FIXED_NOREPLACE 0x100000,
        ),
        Names::RemapFlags => {
            set!("MREMAP_???": MREMAP_MAYMOVE 1, MREMAP_FIXED 2, MREMAP_DONTUNMAP 4)
        }
        Names::SyncFlags => set!("MS_???": MS_SYNC 4, MS_INVALIDATE 2, MS_ASYNC 1),
        Names::Advice => set!("MADV_???":
            MADV_NORMAL 0, MADV_RANDOM 1, MADV_SEQUENTIAL 2, MADV_WILLNEED 3, MADV_DONTNEED 4, MADV_FREE 8,
            MADV_REMOVE 9, MADV_DONTFORK 10, MADV_DOFORK 11, MADV_MERGEABLE 12, MADV_UNMERGEABLE 13,
            MADV_HUGEPAGE 14, MADV_NOHUGEPAGE 15, MADV_DONTDUMP 16, MADV_DODUMP 17, MADV_WIPEONFORK 18,
            MADV_KEEPONFORK 19, MADV_COLD 20, MADV_PAGEOUT 21, MADV_POPULATE_READ 22, MADV_POPULATE_WRITE 23,
            MADV_DONTNEED_LOCKED 24, MADV_COLLAPSE 25,
        ),
        Names::LockFlags => set!("MCL_???": MCL_CURRENT 1, MCL_FUTURE 2, MCL_ONFAULT 4),
        Names::CloneFlagNames => set!("CLONE_???":
            CLONE_NEWTIME 0x80, CLONE_VM 0x100, CLONE_FS 0x200, CLONE_FILES 0x400, CLONE_SIGHAND 0x800,
            CLONE_PIDFD 0x1000, CLONE_PTRACE 0x2000, CLONE_VFORK 0x4000, CLONE_PARENT 0x8000,
            CLONE_THREAD 0x10000, CLONE_NEWNS 0x20000, CLONE_SYSVSEM 0x40000, CLONE_SETTLS 0x80000,
            CLONE_PARENT_SETTID 0x100000, CLONE_CHILD_CLEARTID 0x200000,
            CLONE_UNTRACED 0x800000, CLONE_CHILD_SETTID 0x1000000, CLONE_NEWCGROUP 0x2000000,
            CLONE_NEWUTS 0x4000000, CLONE_NEWIPC 0x8000000, CLONE_NEWUSER 0x10000000, CLONE_NEWPID 0x20000000,
            CLONE_NEWNET 0x40000000, CLONE_IO 0x80000000,
        ),
        Names::FutexOperation => set!("FUTEX_???":),
        Names::FutexBits => set!("FUTEX_BITSET_???": FUTEX_BITSET_MATCH_ANY 0xFFFF_FFFF),
        Names::Clock => set!("CLOCK_???":
            CLOCK_REALTIME 0, CLOCK_MONOTONIC 1, CLOCK_PROCESS_CPUTIME_ID 2, CLOCK_THREAD_CPUTIME_ID 3,
            CLOCK_MONOTONIC_RAW 4, CLOCK_REALTIME_COARSE 5, CLOCK_MONOTONIC_COARSE 6, CLOCK_BOOTTIME 7,
            CLOCK_REALTIME_ALARM 8, CLOCK_BOOTTIME_ALARM 9, CLOCK_SGI_CYCLE 10, CLOCK_TAI 11,
        ),
        Names::TimerFlags => set!("TIMER_???": TIMER_ABSTIME 1),
        Names::WaitOptions => set!("W???":
            WNOHANG 1, WSTOPPED 2, WEXITED 4, WCONTINUED 8, WNOWAIT 0x0100_0000, __WCLONE 0x8000_0000,
            __WALL 0x4000_0000, __WNOTHREAD 0x2000_0000,
        ),
        Names::WaitFor => set!("P_???": P_ALL 0, P_PID 1, P_PGID 2, P_PIDFD 3),
        Names::FcntlCommand => set!("F_???":
            F_DUPFD 0, F_GETFD 1, F_SETFD 2, F_GETFL 3, F_SETFL 4, F_GETLK 5, F_SETLK 6, F_SETLKW 7,
            F_SETOWN 8, F_GETOWN 9, F_SETSIG 10, F_GETSIG 11, F_SETOWN_EX 15, F_GETOWN_EX 16,
            F_OFD_GETLK 36, F_OFD_SETLK 37, F_OFD_SETLKW 38, F_SETLEASE 1024, F_GETLEASE 1025, F_NOTIFY 1026,
            F_CANCELLK 1029, F_DUPFD_CLOEXEC 1030, F_SETPIPE_SZ 1031, F_GETPIPE_SZ 1032, F_ADD_SEALS 1033,
            F_GET_SEALS 1034,
        ),
        Names::FdFlags => set!("FD_???": FD_CLOEXEC 1),
        Names::Whence => {
            set!("SEEK_???": SEEK_SET 0, SEEK_CUR 1, SEEK_END 2, SEEK_DATA 3, SEEK_HOLE 4)
        }
        Names::Access => set!("?_OK": F_OK 0, R_OK 4, W_OK 2, X_OK 1),
        Names::AtFlags | Names::StatxFlags => set!("AT_???":
            AT_SYMLINK_NOFOLLOW 0x100, AT_EACCESS 0x200, AT_SYMLINK_FOLLOW 0x400, AT_NO_AUTOMOUNT 0x800,
            AT_EMPTY_PATH 0x1000, AT_RECURSIVE 0x8000,
        ),
        Names::UnlinkFlags => set!("AT_???": AT_REMOVEDIR 0x200),
        Names::RenameFlags => {
            set!("RENAME_???": RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4)
        }
        Names::StatxMask => set!("STATX_???":
            STATX_ALL 0xFFF, STATX_BASIC_STATS 0x7FF, STATX_TYPE 1, STATX_MODE 2, STATX_NLINK 4, STATX_UID 8,
            STATX_GID 0x10, STATX_ATIME 0x20, STATX_MTIME 0x40, STATX_CTIME 0x80, STATX_INO 0x100,
            STATX_SIZE 0x200, STATX_BLOCKS 0x400, STATX_BTIME 0x800, STATX_MNT_ID 0x1000,
            STATX_DIOALIGN 0x2000,
        ),
        Names::IoctlRequest => set!("":
            TCGETS 0x5401, TCSETS 0x5402, TCSETSW 0x5403, TCSETSF 0x5404, TCGETA 0x5405, TCSBRK 0x5409,
            TCXONC 0x540A, TCFLSH 0x540B, TIOCGPGRP 0x540F, TIOCSPGRP 0x5410, TIOCGWINSZ 0x5413,
            TIOCSWINSZ 0x5414, FIONREAD 0x541B, FIONBIO 0x5421, TIOCNOTTY 0x5422, TIOCGSID 0x5429,
            FIONCLEX 0x5450, FIOCLEX 0x5451, FIOASYNC 0x5452,
        ),
        Names::ArchCode => set!("ARCH_???":
            ARCH_SET_GS 0x1001, ARCH_SET_FS 0x1002, ARCH_GET_FS 0x1003, ARCH_GET_GS 0x1004,
            ARCH_GET_CPUID 0x1011, ARCH_SET_CPUID 0x1012, ARCH_GET_XCOMP_SUPP 0x1021,
            ARCH_GET_XCOMP_PERM 0x1022, ARCH_REQ_XCOMP_PERM 0x1023,
        ),
        Names::Resource => set!("RLIMIT_???":
            RLIMIT_CPU 0, RLIMIT_FSIZE 1, RLIMIT_DATA 2, RLIMIT_STACK 3, RLIMIT_CORE 4, RLIMIT_RSS 5,
            RLIMIT_NPROC 6, RLIMIT_NOFILE 7, RLIMIT_MEMLOCK 8, RLIMIT_AS 9, RLIMIT_LOCKS 10,
            RLIMIT_SIGPENDING 11, RLIMIT_MSGQUEUE 12, RLIMIT_NICE 13, RLIMIT_RTPRIO 14, RLIMIT_RTTIME 15,
        ),
        Names::UsageOf => {
            set!("RUSAGE_???": RUSAGE_SELF 0, RUSAGE_CHILDREN 0xFFFF_FFFF, RUSAGE_THREAD 1)
        }
        Names::IntervalTimerKind => {
            set!("ITIMER_???": ITIMER_REAL 0, ITIMER_VIRTUAL 1, ITIMER_PROF 2)
        }
        Names::PrctlOption => set!("PR_???":
            PR_SET_PDEATHSIG 1, PR_GET_PDEATHSIG 2, PR_GET_DUMPABLE 3, PR_SET_DUMPABLE 4, PR_GET_KEEPCAPS 7,
            PR_SET_KEEPCAPS 8, PR_SET_NAME 15, PR_GET_NAME 16, PR_GET_SECCOMP 21, PR_SET_SECCOMP 22,
            PR_CAPBSET_READ 23, PR_CAPBSET_DROP 24, PR_GET_TSC 25, PR_SET_TSC 26, PR_SET_TIMERSLACK 29,
            PR_GET_TIMERSLACK 30, PR_SET_MM 35, PR_SET_CHILD_SUBREAPER 36, PR_GET_CHILD_SUBREAPER 37,
            PR_SET_NO_NEW_PRIVS 38, PR_GET_NO_NEW_PRIVS 39, PR_GET_TID_ADDRESS 40, PR_SET_THP_DISABLE 41,
            PR_GET_THP_DISABLE 42, PR_CAP_AMBIENT 47, PR_SET_VMA 0x53564D41,
        ),
        Names::MaskChange => set!("SIG_???": SIG_BLOCK 0, SIG_UNBLOCK 1, SIG_SETMASK 2),
        Names::RandomFlags => set!("GRND_???": GRND_NONBLOCK 1, GRND_RANDOM 2, GRND_INSECURE 4),
        Names::FileLock => set!("LOCK_???": LOCK_SH 1, LOCK_EX 2, LOCK_NB 4, LOCK_UN 8),
        Names::MemoryFileFlags => {
            set!("MFD_???": MFD_CLOEXEC 1, MFD_ALLOW_SEALING 2, MFD_HUGETLB 4)
        }
        Names::EventFlags => {
            set!("EFD_???": EFD_SEMAPHORE 1, EFD_CLOEXEC 0o2000000, EFD_NONBLOCK 0o4000)
        }
        Names::EpollFlags => set!("EPOLL_???": EPOLL_CLOEXEC 0o2000000),
        Names::EpollCommand => {
            set!("EPOLL_CTL_???": EPOLL_CTL_ADD 1, EPOLL_CTL_DEL 2, EPOLL_CTL_MOD 3)
        }
        Names::RseqFlags => set!("RSEQ_FLAG_???": RSEQ_FLAG_UNREGISTER 1),
        Names::Barrier => set!("MEMBARRIER_CMD_???":
            MEMBARRIER_CMD_QUERY 0, MEMBARRIER_CMD_GLOBAL 1, MEMBARRIER_CMD_GLOBAL_EXPEDITED 2,
            MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED 4, MEMBARRIER_CMD_PRIVATE_EXPEDITED 8,
            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED 16,
        ),
        Names::SchedulingPolicy => set!("SCHED_???":
            SCHED_OTHER 0, SCHED_FIFO 1, SCHED_RR 2, SCHED_BATCH 3, SCHED_ISO 4, SCHED_IDLE 5,
            SCHED_DEADLINE 6,
        ),
        Names::PriorityOf => set!("PRIO_???": PRIO_PROCESS 0, PRIO_PGRP 1, PRIO_USER 2),
        Names::CloseRangeFlags => {
            set!("CLOSE_RANGE_???": CLOSE_RANGE_UNSHARE 2, CLOSE_RANGE_CLOEXEC 4)
        }
        Names::AddressFamily => {
            set!("AF_???": AF_UNSPEC 0, AF_UNIX 1, AF_INET 2, AF_INET6 10, AF_NETLINK 16, AF_PACKET 17, AF_VSOCK 40)
        }
        Names::SocketType => set!("SOCK_???":
            SOCK_SEQPACKET 5, SOCK_RAW 3, SOCK_DGRAM 2, SOCK_STREAM 1, SOCK_CLOEXEC 0o2000000, SOCK_NONBLOCK 0o4000,
        ),
        Names::Shutdown => set!("SHUT_???": SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2),
    }
}
