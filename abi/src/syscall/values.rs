//! The flags and values of Linux's system calls: the number and the name of each, in the order in which strace prints
//! them. A kernel uses the numbers, and what shows a call uses the names.

/// Flags, or values, with their names.
#[derive(Clone, Copy)]
pub struct Set {
    /// What strace calls a value without a name, in a comment.
    pub unknown: &'static str,
    /// A value and its name. Flags of several bits stand before those that they contain.
    pub names: &'static [(u64, &'static str)],
}

impl Set {
    /// The name of exactly this value.
    pub fn name(&self, value: u64) -> Option<&'static str> {
        self.names.iter().find(|&&(named, _)| named == value).map(|&(_, name)| name)
    }
}

/// Sets that are constants. Each of their values is a constant too.
macro_rules! sets {
    ($($(#[$doc:meta])* $set:ident => $unknown:literal: $($name:ident $value:literal),*;)*) => {
        $(
            $(#[$doc])*
            pub const $set: Set = Set { unknown: $unknown, names: &[$(($name, stringify!($name))),*] };
            values!($($name $value),*);
        )*
    };
}

/// The enum of the sets that an argument can have. Some arguments have the same set.
macro_rules! arguments {
    ($($($(#[$doc:meta])* $set:ident),+ => $unknown:literal: $($name:ident $value:literal),*;)*) => {
        /// Which flags or values an argument has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Names { $($($(#[$doc])* $set,)+)* }

        impl Names {
            /// These flags or values, with their names.
            pub const fn set(self) -> Set {
                match self {
                    $($(Names::$set)|+ => Set { unknown: $unknown, names: &[$(($name, stringify!($name))),*] },)*
                }
            }
        }

        $(values!($($name $value),*);)*
    };
}

macro_rules! values {
    ($($name:ident $value:literal),*) => { $(#[allow(missing_docs)] pub const $name: u64 = $value;)* };
}

arguments! {
    /// `O_` flags of open.
    OpenFlags,
    /// `O_` flags of pipes.
    PipeFlags => "O_???":
        O_CREAT 0o100, O_EXCL 0o200, O_NOCTTY 0o400, O_TRUNC 0o1000, O_APPEND 0o2000, O_NONBLOCK 0o4000,
        O_SYNC 0o4010000, O_DSYNC 0o10000, FASYNC 0o20000, O_DIRECT 0o40000, O_LARGEFILE 0o100000,
        O_NOFOLLOW 0o400000, O_NOATIME 0o1000000, O_CLOEXEC 0o2000000, O_PATH 0o10000000,
        O_TMPFILE 0o20200000, O_DIRECTORY 0o200000;
    /// `PROT_`: how a page may be used.
    Protection => "PROT_???":
        PROT_NONE 0, PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4, PROT_SEM 8, PROT_GROWSDOWN 0x0100_0000,
        PROT_GROWSUP 0x0200_0000;
    /// `MAP_` flags.
    MapFlags => "MAP_???":
        MAP_FIXED 0x10, MAP_ANONYMOUS 0x20, MAP_32BIT 0x40, MAP_GROWSDOWN 0x100, MAP_DENYWRITE 0x800,
        MAP_EXECUTABLE 0x1000, MAP_LOCKED 0x2000, MAP_NORESERVE 0x4000, MAP_POPULATE 0x8000,
        MAP_NONBLOCK 0x10000, MAP_STACK 0x20000, MAP_HUGETLB 0x40000, MAP_SYNC 0x80000,
        MAP_FIXED_NOREPLACE 0x100000;
    /// `MREMAP_` flags.
    RemapFlags => "MREMAP_???":
        MREMAP_MAYMOVE 1, MREMAP_FIXED 2, MREMAP_DONTUNMAP 4;
    /// `MS_` flags of msync.
    SyncFlags => "MS_???":
        MS_SYNC 4, MS_INVALIDATE 2, MS_ASYNC 1;
    /// `MADV_`: what memory is used for.
    Advice => "MADV_???":
        MADV_NORMAL 0, MADV_RANDOM 1, MADV_SEQUENTIAL 2, MADV_WILLNEED 3, MADV_DONTNEED 4, MADV_FREE 8,
        MADV_REMOVE 9, MADV_DONTFORK 10, MADV_DOFORK 11, MADV_MERGEABLE 12, MADV_UNMERGEABLE 13,
        MADV_HUGEPAGE 14, MADV_NOHUGEPAGE 15, MADV_DONTDUMP 16, MADV_DODUMP 17, MADV_WIPEONFORK 18,
        MADV_KEEPONFORK 19, MADV_COLD 20, MADV_PAGEOUT 21, MADV_POPULATE_READ 22, MADV_POPULATE_WRITE 23,
        MADV_DONTNEED_LOCKED 24, MADV_COLLAPSE 25;
    /// `MCL_` flags.
    LockFlags => "MCL_???":
        MCL_CURRENT 1, MCL_FUTURE 2, MCL_ONFAULT 4;
    /// `CLONE_` flags.
    CloneFlagNames => "CLONE_???":
        CLONE_NEWTIME 0x80, CLONE_VM 0x100, CLONE_FS 0x200, CLONE_FILES 0x400, CLONE_SIGHAND 0x800,
        CLONE_PIDFD 0x1000, CLONE_PTRACE 0x2000, CLONE_VFORK 0x4000, CLONE_PARENT 0x8000,
        CLONE_THREAD 0x10000, CLONE_NEWNS 0x20000, CLONE_SYSVSEM 0x40000, CLONE_SETTLS 0x80000,
        CLONE_PARENT_SETTID 0x100000, CLONE_CHILD_CLEARTID 0x200000, CLONE_UNTRACED 0x800000,
        CLONE_CHILD_SETTID 0x1000000, CLONE_NEWCGROUP 0x2000000, CLONE_NEWUTS 0x4000000,
        CLONE_NEWIPC 0x8000000, CLONE_NEWUSER 0x10000000, CLONE_NEWPID 0x20000000, CLONE_NEWNET 0x40000000,
        CLONE_IO 0x80000000;
    /// Operations of futex, with their flags.
    FutexOperation => "FUTEX_???":
        FUTEX_WAIT 0, FUTEX_WAKE 1, FUTEX_FD 2, FUTEX_REQUEUE 3, FUTEX_CMP_REQUEUE 4, FUTEX_WAKE_OP 5,
        FUTEX_LOCK_PI 6, FUTEX_UNLOCK_PI 7, FUTEX_TRYLOCK_PI 8, FUTEX_WAIT_BITSET 9, FUTEX_WAKE_BITSET 10,
        FUTEX_WAIT_REQUEUE_PI 11, FUTEX_CMP_REQUEUE_PI 12, FUTEX_LOCK_PI2 13;
    /// `FUTEX_BITSET_MATCH_ANY`, or bits.
    FutexBits => "FUTEX_BITSET_???":
        FUTEX_BITSET_MATCH_ANY 0xFFFF_FFFF;
    /// `CLOCK_`.
    Clock => "CLOCK_???":
        CLOCK_REALTIME 0, CLOCK_MONOTONIC 1, CLOCK_PROCESS_CPUTIME_ID 2, CLOCK_THREAD_CPUTIME_ID 3,
        CLOCK_MONOTONIC_RAW 4, CLOCK_REALTIME_COARSE 5, CLOCK_MONOTONIC_COARSE 6, CLOCK_BOOTTIME 7,
        CLOCK_REALTIME_ALARM 8, CLOCK_BOOTTIME_ALARM 9, CLOCK_SGI_CYCLE 10, CLOCK_TAI 11;
    /// `TIMER_ABSTIME`.
    TimerFlags => "TIMER_???":
        TIMER_ABSTIME 1;
    /// `W` options of wait4 and waitid.
    WaitOptions => "W???":
        WNOHANG 1, WSTOPPED 2, WEXITED 4, WCONTINUED 8, WNOWAIT 0x0100_0000, __WCLONE 0x8000_0000,
        __WALL 0x4000_0000, __WNOTHREAD 0x2000_0000;
    /// `P_`: whom waitid waits for.
    WaitFor => "P_???":
        P_ALL 0, P_PID 1, P_PGID 2, P_PIDFD 3;
    /// `F_` commands.
    FcntlCommand => "F_???":
        F_DUPFD 0, F_GETFD 1, F_SETFD 2, F_GETFL 3, F_SETFL 4, F_GETLK 5, F_SETLK 6, F_SETLKW 7, F_SETOWN 8,
        F_GETOWN 9, F_SETSIG 10, F_GETSIG 11, F_SETOWN_EX 15, F_GETOWN_EX 16, F_OFD_GETLK 36, F_OFD_SETLK 37,
        F_OFD_SETLKW 38, F_SETLEASE 1024, F_GETLEASE 1025, F_NOTIFY 1026, F_CANCELLK 1029,
        F_DUPFD_CLOEXEC 1030, F_SETPIPE_SZ 1031, F_GETPIPE_SZ 1032, F_ADD_SEALS 1033, F_GET_SEALS 1034;
    /// `FD_CLOEXEC`.
    FdFlags => "FD_???":
        FD_CLOEXEC 1;
    /// `SEEK_`.
    Whence => "SEEK_???":
        SEEK_SET 0, SEEK_CUR 1, SEEK_END 2, SEEK_DATA 3, SEEK_HOLE 4;
    /// `R_OK` and its like.
    Access => "?_OK":
        F_OK 0, R_OK 4, W_OK 2, X_OK 1;
    /// `AT_` flags.
    AtFlags,
    /// `AT_` flags of statx, some of which are one of several values.
    StatxFlags => "AT_???":
        AT_SYMLINK_NOFOLLOW 0x100, AT_EACCESS 0x200, AT_SYMLINK_FOLLOW 0x400, AT_NO_AUTOMOUNT 0x800,
        AT_EMPTY_PATH 0x1000, AT_RECURSIVE 0x8000;
    /// `AT_REMOVEDIR`.
    UnlinkFlags => "AT_???":
        AT_REMOVEDIR 0x200;
    /// `RENAME_` flags.
    RenameFlags => "RENAME_???":
        RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4;
    /// `STATX_` masks.
    StatxMask => "STATX_???":
        STATX_ALL 0xFFF, STATX_BASIC_STATS 0x7FF, STATX_TYPE 1, STATX_MODE 2, STATX_NLINK 4, STATX_UID 8,
        STATX_GID 0x10, STATX_ATIME 0x20, STATX_MTIME 0x40, STATX_CTIME 0x80, STATX_INO 0x100,
        STATX_SIZE 0x200, STATX_BLOCKS 0x400, STATX_BTIME 0x800, STATX_MNT_ID 0x1000, STATX_DIOALIGN 0x2000;
    /// Requests of ioctl.
    IoctlRequest => "":
        TCGETS 0x5401, TCSETS 0x5402, TCSETSW 0x5403, TCSETSF 0x5404, TCGETA 0x5405, TCSBRK 0x5409,
        TCXONC 0x540A, TCFLSH 0x540B, TIOCGPGRP 0x540F, TIOCSPGRP 0x5410, TIOCGWINSZ 0x5413,
        TIOCSWINSZ 0x5414, FIONREAD 0x541B, FIONBIO 0x5421, TIOCNOTTY 0x5422, TIOCGSID 0x5429,
        FIONCLEX 0x5450, FIOCLEX 0x5451, FIOASYNC 0x5452;
    /// `ARCH_` codes.
    ArchCode => "ARCH_???":
        ARCH_SET_GS 0x1001, ARCH_SET_FS 0x1002, ARCH_GET_FS 0x1003, ARCH_GET_GS 0x1004, ARCH_GET_CPUID 0x1011,
        ARCH_SET_CPUID 0x1012, ARCH_GET_XCOMP_SUPP 0x1021, ARCH_GET_XCOMP_PERM 0x1022,
        ARCH_REQ_XCOMP_PERM 0x1023;
    /// `RLIMIT_`.
    Resource => "RLIMIT_???":
        RLIMIT_CPU 0, RLIMIT_FSIZE 1, RLIMIT_DATA 2, RLIMIT_STACK 3, RLIMIT_CORE 4, RLIMIT_RSS 5,
        RLIMIT_NPROC 6, RLIMIT_NOFILE 7, RLIMIT_MEMLOCK 8, RLIMIT_AS 9, RLIMIT_LOCKS 10, RLIMIT_SIGPENDING 11,
        RLIMIT_MSGQUEUE 12, RLIMIT_NICE 13, RLIMIT_RTPRIO 14, RLIMIT_RTTIME 15;
    /// `RUSAGE_`.
    UsageOf => "RUSAGE_???":
        RUSAGE_SELF 0, RUSAGE_CHILDREN 0xFFFF_FFFF, RUSAGE_THREAD 1;
    /// `ITIMER_`.
    IntervalTimerKind => "ITIMER_???":
        ITIMER_REAL 0, ITIMER_VIRTUAL 1, ITIMER_PROF 2;
    /// `PR_` options.
    PrctlOption => "PR_???":
        PR_SET_PDEATHSIG 1, PR_GET_PDEATHSIG 2, PR_GET_DUMPABLE 3, PR_SET_DUMPABLE 4, PR_GET_KEEPCAPS 7,
        PR_SET_KEEPCAPS 8, PR_SET_NAME 15, PR_GET_NAME 16, PR_GET_SECCOMP 21, PR_SET_SECCOMP 22,
        PR_CAPBSET_READ 23, PR_CAPBSET_DROP 24, PR_GET_TSC 25, PR_SET_TSC 26, PR_SET_TIMERSLACK 29,
        PR_GET_TIMERSLACK 30, PR_SET_MM 35, PR_SET_CHILD_SUBREAPER 36, PR_GET_CHILD_SUBREAPER 37,
        PR_SET_NO_NEW_PRIVS 38, PR_GET_NO_NEW_PRIVS 39, PR_GET_TID_ADDRESS 40, PR_SET_THP_DISABLE 41,
        PR_GET_THP_DISABLE 42, PR_CAP_AMBIENT 47, PR_SET_VMA 0x53564D41;
    /// `SIG_BLOCK` and its like.
    MaskChange => "SIG_???":
        SIG_BLOCK 0, SIG_UNBLOCK 1, SIG_SETMASK 2;
    /// `GRND_` flags.
    RandomFlags => "GRND_???":
        GRND_NONBLOCK 1, GRND_RANDOM 2, GRND_INSECURE 4;
    /// `LOCK_` operations of flock.
    FileLock => "LOCK_???":
        LOCK_SH 1, LOCK_EX 2, LOCK_NB 4, LOCK_UN 8;
    /// `MFD_` flags.
    MemoryFileFlags => "MFD_???":
        MFD_CLOEXEC 1, MFD_ALLOW_SEALING 2, MFD_HUGETLB 4;
    /// `EFD_` flags.
    EventFlags => "EFD_???":
        EFD_SEMAPHORE 1, EFD_CLOEXEC 0o2000000, EFD_NONBLOCK 0o4000;
    /// `EPOLL_` flags.
    EpollFlags => "EPOLL_???":
        EPOLL_CLOEXEC 0o2000000;
    /// `EPOLL_CTL_`.
    EpollCommand => "EPOLL_CTL_???":
        EPOLL_CTL_ADD 1, EPOLL_CTL_DEL 2, EPOLL_CTL_MOD 3;
    /// `RSEQ_FLAG_UNREGISTER`.
    RseqFlags => "RSEQ_FLAG_???":
        RSEQ_FLAG_UNREGISTER 1;
    /// `MEMBARRIER_CMD_`.
    Barrier => "MEMBARRIER_CMD_???":
        MEMBARRIER_CMD_QUERY 0, MEMBARRIER_CMD_GLOBAL 1, MEMBARRIER_CMD_GLOBAL_EXPEDITED 2,
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED 4, MEMBARRIER_CMD_PRIVATE_EXPEDITED 8,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED 16;
    /// `SCHED_`.
    SchedulingPolicy => "SCHED_???":
        SCHED_OTHER 0, SCHED_FIFO 1, SCHED_RR 2, SCHED_BATCH 3, SCHED_ISO 4, SCHED_IDLE 5, SCHED_DEADLINE 6;
    /// `PRIO_`.
    PriorityOf => "PRIO_???":
        PRIO_PROCESS 0, PRIO_PGRP 1, PRIO_USER 2;
    /// `CLOSE_RANGE_` flags.
    CloseRangeFlags => "CLOSE_RANGE_???":
        CLOSE_RANGE_UNSHARE 2, CLOSE_RANGE_CLOEXEC 4;
    /// `AF_`.
    AddressFamily => "AF_???":
        AF_UNSPEC 0, AF_UNIX 1, AF_INET 2, AF_INET6 10, AF_NETLINK 16, AF_PACKET 17, AF_VSOCK 40;
    /// `SOCK_`, with flags.
    SocketType => "SOCK_???":
        SOCK_SEQPACKET 5, SOCK_RAW 3, SOCK_DGRAM 2, SOCK_STREAM 1, SOCK_CLOEXEC 0o2000000,
        SOCK_NONBLOCK 0o4000;
    /// `MSG_` flags.
    MessageFlags => "MSG_???":
        MSG_OOB 1, MSG_PEEK 2, MSG_DONTROUTE 4, MSG_CTRUNC 8, MSG_PROBE 0x10, MSG_TRUNC 0x20,
        MSG_DONTWAIT 0x40, MSG_EOR 0x80, MSG_WAITALL 0x100, MSG_FIN 0x200, MSG_SYN 0x400, MSG_CONFIRM 0x800,
        MSG_RST 0x1000, MSG_ERRQUEUE 0x2000, MSG_NOSIGNAL 0x4000, MSG_MORE 0x8000,
        MSG_CMSG_CLOEXEC 0x4000_0000;
    /// `POSIX_FADV_`: how a file is used.
    FileAdvice => "POSIX_FADV_???":
        POSIX_FADV_NORMAL 0, POSIX_FADV_RANDOM 1, POSIX_FADV_SEQUENTIAL 2, POSIX_FADV_WILLNEED 3,
        POSIX_FADV_DONTNEED 4, POSIX_FADV_NOREUSE 5;
    /// `SHUT_`.
    Shutdown => "SHUT_???":
        SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2;
}

sets! {
    /// The bits of open's flags that are one of several values.
    ACCESS_MODES => "O_???":
        O_RDONLY 0, O_WRONLY 1, O_RDWR 2, O_ACCMODE 3;
    /// The bits of mmap's flags that are one of several values.
    MAPPINGS => "MAP_???":
        MAP_FILE 0, MAP_SHARED 1, MAP_PRIVATE 2, MAP_SHARED_VALIDATE 3;
    /// The bits of statx's flags that are one of several values.
    STATX_SYNCS => "AT_???":
        AT_STATX_SYNC_AS_STAT 0, AT_STATX_FORCE_SYNC 0x2000, AT_STATX_DONT_SYNC 0x4000;
    /// The flags of `struct sigaction`.
    SIGACTION_FLAGS => "SA_???":
        SA_RESTORER 0x0400_0000, SA_ONSTACK 0x0800_0000, SA_RESTART 0x1000_0000, SA_NODEFER 0x4000_0000,
        SA_RESETHAND 0x8000_0000, SA_NOCLDSTOP 1, SA_NOCLDWAIT 2, SA_SIGINFO 4;
    /// The flags of `stack_t`.
    STACK_FLAGS => "SS_???":
        SS_ONSTACK 1, SS_DISABLE 2, SS_AUTODISARM 0x8000_0000;
    /// The events of `struct pollfd`.
    POLL_EVENTS => "POLL???":
        POLLIN 1, POLLPRI 2, POLLOUT 4, POLLRDNORM 0x40, POLLWRNORM 0x100, POLLRDBAND 0x80, POLLWRBAND 0x200,
        POLLERR 8, POLLHUP 0x10, POLLNVAL 0x20, POLLMSG 0x400, POLLREMOVE 0x1000, POLLRDHUP 0x2000;
    /// The events of `struct epoll_event`.
    EPOLL_EVENTS => "EPOLL???":
        EPOLLIN 1, EPOLLPRI 2, EPOLLOUT 4, EPOLLRDNORM 0x40, EPOLLRDBAND 0x80, EPOLLWRNORM 0x100,
        EPOLLWRBAND 0x200, EPOLLMSG 0x400, EPOLLERR 8, EPOLLHUP 0x10, EPOLLRDHUP 0x2000,
        EPOLLEXCLUSIVE 0x1000_0000, EPOLLWAKEUP 0x2000_0000, EPOLLONESHOT 0x4000_0000, EPOLLET 0x8000_0000;
    /// The types of files in `st_mode`.
    FILE_TYPES => "S_IF???":
        S_IFREG 0o100000, S_IFDIR 0o040000, S_IFCHR 0o020000, S_IFBLK 0o060000, S_IFIFO 0o010000,
        S_IFLNK 0o120000, S_IFSOCK 0o140000;
    /// The flags of a futex operation.
    FUTEX_FLAGS => "FUTEX_???":
        FUTEX_PRIVATE_FLAG 0x80, FUTEX_CLOCK_REALTIME 0x100;
}
