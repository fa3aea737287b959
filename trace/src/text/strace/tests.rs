//! The strace form against what strace 6.1 itself printed: `strace -f` of a C program that makes these calls on Linux 6.12.

use abi::record::DATA_MAX;
use abi::syscall::errno::{EAGAIN, EBADF, EFAULT, EINVAL, ENOENT, ENOTTY, EPERM};

use super::*;
use crate::file::{Frame, Origin, Trace, samples};

/// The memory that an argument leads to, in the pieces that the kernel records.
enum Piece<'a> {
    /// The beginning of bytes.
    Beginning(u8, &'a [u8]),
    /// All bytes.
    Whole(u8, Vec<u8>),
}
use Piece::{Beginning, Whole};

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn ints(ints: &[u32]) -> Vec<u8> {
    ints.iter().flat_map(|int| int.to_le_bytes()).collect()
}

/// Bytes of zeros but for the numbers of so many bytes at these places.
fn structure(size: usize, fields: &[(usize, usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for &(at, width, value) in fields {
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    bytes
}

/// The line of a call, without process and time.
fn line(call: Call, arguments: &[u64], pieces: &[Piece], result: i64) -> String {
    let mut memory = Memory::default();
    for piece in pieces {
        match piece {
            Beginning(argument, bytes) => {
                memory.add(*argument, bytes.len() as u32, &bytes[..bytes.len().min(DATA_MAX)]);
            }
            Whole(argument, bytes) => {
                let mut rest = bytes.as_slice();
                loop {
                    let (now, more) = rest.split_at(rest.len().min(DATA_MAX));
                    memory.add(*argument, rest.len() as u32, now);
                    rest = more;
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    let call = Pending { number: call as u64, arguments: six, start: 0, memory, is_unfinished: false };
    let mut out = String::new();
    call.put_beginning(&mut out);
    call.put_end(&mut out, result);
    out.push_str("= ");
    call.put_result(&mut out, result);
    out
}

fn path(argument: u8, text: &str) -> Piece<'static> {
    Whole(argument, text.as_bytes().to_vec())
}

const AT_FDCWD: u64 = -100_i64 as u64;
const STACK: u64 = 0x7ffe_6187_91f0;

#[test]
fn flags_and_values_have_their_names() {
    for (call, arguments, result, expected) in [
        (
            Call::mmap,
            [0, 8192, 3, 0x22, u64::MAX, 0],
            0x7f85_f150_7000,
            "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f85f1507000",
        ),
        (
            Call::mmap,
            [0x7f85_f150_7000, 4096, 0, 0x4011, 3, 0x1000],
            0x7f85_f150_7000,
            "mmap(0x7f85f1507000, 4096, PROT_NONE, MAP_SHARED|MAP_FIXED|MAP_NORESERVE, 3, 0x1000) = 0x7f85f1507000",
        ),
        (
            Call::mprotect,
            [0x7f85_f150_7000, 4096, 0x100_0003, 0, 0, 0],
            -EINVAL,
            "mprotect(0x7f85f1507000, 4096, PROT_READ|PROT_WRITE|PROT_GROWSDOWN) = -1 EINVAL (Invalid argument)",
        ),
        (
            Call::madvise,
            [0x7f85_f150_7000, 4096, 999, 0, 0, 0],
            -EINVAL,
            "madvise(0x7f85f1507000, 4096, 0x3e7 /* MADV_??? */) = -1 EINVAL (Invalid argument)",
        ),
        (
            Call::mremap,
            [0x7f85_f150_7000, 4096, 8192, 3, 0x7f85_f151_7000, 0],
            0x7f85_f151_7000,
            "mremap(0x7f85f1507000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x7f85f1517000) = 0x7f85f1517000",
        ),
        (
            Call::mremap,
            [0x7f85_f150_7000, 4096, 8192, 0, 9, 9],
            -EFAULT,
            "mremap(0x7f85f1507000, 4096, 8192, 0) = -1 EFAULT (Bad address)",
        ),
        (Call::brk, [0; 6], 0x3c42_7000, "brk(NULL) = 0x3c427000"),
        (Call::fcntl, [3, 3, 9, 9, 9, 9], 0x8002, "fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)"),
        (Call::fcntl, [3, 3, 9, 9, 9, 9], 0, "fcntl(3, F_GETFL) = 0 (flags O_RDONLY)"),
        (Call::fcntl, [3, 4, 0x800, 0, 0, 0], 0, "fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK) = 0"),
        (Call::fcntl, [3, 1, 0, 0, 0, 0], 1, "fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)"),
        (Call::fcntl, [3, 1030, 10, 0, 0, 0], 12, "fcntl(3, F_DUPFD_CLOEXEC, 10) = 12"),
        (
            Call::fcntl,
            [3, 77, 5, 0, 0, 0],
            -EINVAL,
            "fcntl(3, 0x4d /* F_??? */, 0x5) = -1 EINVAL (Invalid argument)",
        ),
        (
            Call::lseek,
            [3, -5_i64 as u64, 0, 0, 0, 0],
            -EINVAL,
            "lseek(3, -5, SEEK_SET) = -1 EINVAL (Invalid argument)",
        ),
        (
            Call::ioctl,
            [3, 0x1234, 5, 0, 0, 0],
            -ENOTTY,
            "ioctl(3, _IOC(_IOC_NONE, 0x12, 0x34, 0), 0x5) = -1 ENOTTY (Inappropriate ioctl for device)",
        ),
        (Call::rt_sigaction, [40, 0, 0, 8, 0, 0], 0, "rt_sigaction(SIGRT_8, NULL, NULL, 8) = 0"),
        (Call::pipe2, [1, 0, 0, 0, 0, 0], -EFAULT, "pipe2(0x1, 0) = -1 EFAULT (Bad address)"),
        (Call::dup3, [8, 21, 0o2000000, 0, 0, 0], 21, "dup3(8, 21, O_CLOEXEC) = 21"),
        (Call::umask, [0; 6], 0o22, "umask(000) = 022"),
        (Call::fchmod, [3, 0o4755, 0, 0, 0, 0], 0, "fchmod(3, 04755) = 0"),
        (Call::futex, [STACK, 129, 1, 0, 0, 0], 0, "futex(0x7ffe618791f0, FUTEX_WAKE_PRIVATE, 1) = 0"),
        (
            Call::futex,
            [STACK, 0, 1, 0, 0, 0],
            -EAGAIN,
            "futex(0x7ffe618791f0, FUTEX_WAIT, 1, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
        ),
        (
            Call::futex,
            [STACK, 9 | 128 | 256, 1, 0, 0, 0xFFFF_FFFF],
            -EAGAIN,
            "futex(0x7ffe618791f0, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 1, NULL, \
             FUTEX_BITSET_MATCH_ANY) = -1 EAGAIN (Resource temporarily unavailable)",
        ),
        (
            Call::futex,
            [STACK, 4 | 128, 1, 1, STACK, 7],
            -EAGAIN,
            "futex(0x7ffe618791f0, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, 0x7ffe618791f0, 7) = -1 EAGAIN \
             (Resource temporarily unavailable)",
        ),
        (Call::kill, [24854, 10, 0, 0, 0, 0], 0, "kill(24854, SIGUSR1) = 0"),
        (Call::kill, [0, 99, 0, 0, 0, 0], -EINVAL, "kill(0, 99) = -1 EINVAL (Invalid argument)"),
        (
            Call::clone,
            [0x0120_0011, 0, 0, 0x3c42_7690, 0, 0],
            24855,
            "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, \
             child_tidptr=0x3c427690) = 24855",
        ),
        (Call::wait4, [-1_i64 as u64, STACK, 1, 0, 0, 0], 0, "wait4(-1, 0x7ffe618791f0, WNOHANG, NULL) = 0"),
        (Call::prctl, [38, 1, 0, 0, 0, 0], 0, "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0"),
        (Call::arch_prctl, [0x1002, 0x3c42_73c0, 0, 0, 0, 0], 0, "arch_prctl(ARCH_SET_FS, 0x3c4273c0) = 0"),
        (
            Call::close_range,
            [100, 0xFFFF_FFFF, 4, 0, 0, 0],
            0,
            "close_range(100, 4294967295, CLOSE_RANGE_CLOEXEC) = 0",
        ),
        (Call::sched_getscheduler, [0; 6], 0, "sched_getscheduler(0) = 0 (SCHED_OTHER)"),
        (Call::setuid, [0xFFFF_FFFF, 0, 0, 0, 0, 0], -EINVAL, "setuid(-1) = -1 EINVAL (Invalid argument)"),
        (
            Call::socket,
            [1, 1 | 0o2000000, 0, 0, 0, 0],
            17,
            "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 17",
        ),
    ] {
        assert_eq!(line(call, &arguments, &[], result), expected);
    }
}

#[test]
fn strings_and_lists_are_as_in_c() {
    let file = "/nonexistent/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let long = b"1234567890123456789012345678901234567890";
    let vectors = words(&[0x1000, 5, 0x2000, 40, 0x3000, 0]);
    let buffers = words(&[0x1000, 3, 0x2000, 100]);
    let noise = b"\xa6\x04\xc5\x2f\xac\xec\xa8\x27";
    for (call, arguments, pieces, result, expected) in [
        (Call::openat, vec![AT_FDCWD, 8, 0o2001102, 0o644], vec![path(1, "/tmp/st/x\ny")], 3,
            r#"openat(AT_FDCWD, "/tmp/st/x\ny", O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC, 0644) = 3"#.to_owned()),
        (Call::open, vec![8, 0o200000], vec![path(0, file)], -ENOENT,
            format!("open(\"{file}\", O_RDONLY|O_DIRECTORY) = -1 ENOENT (No such file or directory)")),
        (Call::open, vec![0x1234, 3], vec![], -EFAULT,
            "open(0x1234, O_ACCMODE) = -1 EFAULT (Bad address)".to_owned()),
        (Call::access, vec![8, 0x17], vec![path(0, "/tmp")], -EINVAL,
            r#"access("/tmp", R_OK|W_OK|X_OK|0x10) = -1 EINVAL (Invalid argument)"#.to_owned()),
        (Call::pread64, vec![3, 8, 10, 0], vec![], 0, r#"pread64(3, "", 10, 0) = 0"#.to_owned()),
        (Call::writev, vec![3, 8, 3],
            vec![Whole(1, vectors), Beginning(1, b"hello"), Beginning(1, long)], 45,
            "writev(3, [{iov_base=\"hello\", iov_len=5}, {iov_base=\"12345678901234567890123456789012\"..., \
             iov_len=40}, {iov_base=\"\", iov_len=0}], 3) = 45".to_owned()),
        (Call::writev, vec![99, 8, 2], vec![], -EBADF,
            "writev(99, 0x8, 2) = -1 EBADF (Bad file descriptor)".to_owned()),
        (Call::readv, vec![3, 8, 2],
            vec![Whole(1, buffers), Beginning(1, b"hel"), Beginning(1, &[b"lo".as_slice(), long].concat())], 45,
            "readv(3, [{iov_base=\"hel\", iov_len=3}, {iov_base=\"lo123456789012345678901234567890\"..., \
             iov_len=100}], 2) = 45".to_owned()),
        (Call::getrandom, vec![8, 8, 1], vec![Beginning(0, noise)], 8,
            r#"getrandom("\xa6\x04\xc5\x2f\xac\xec\xa8\x27", 8, GRND_NONBLOCK) = 8"#.to_owned()),
        (Call::execve, vec![8, 16, 0x7ffe_6187_8a20],
            vec![path(0, "/nope"), Whole(1, words(&[1, 2])), Beginning(1, b"a"), Beginning(1, b"b"),
                Whole(2, words(&[3]))], -ENOENT,
            r#"execve("/nope", ["a", "b"], 0x7ffe61878a20 /* 1 var */) = -1 ENOENT (No such file or directory)"#
                .to_owned()),
        (Call::readlink, vec![8, 16, 3], vec![path(0, "/proc/self/exe"), Beginning(1, b"/tm")], 3,
            r#"readlink("/proc/self/exe", "/tm", 3) = 3"#.to_owned()),
        (Call::getcwd, vec![8, 300], vec![Beginning(0, b"/tmp/st")], 8,
            r#"getcwd("/tmp/st", 300) = 8"#.to_owned()),
        (Call::pipe2, vec![8, 0o2004000], vec![Whole(0, ints(&[6, 7]))], 0,
            "pipe2([6, 7], O_NONBLOCK|O_CLOEXEC) = 0".to_owned()),
        (Call::sched_getaffinity, vec![0, 128, 8], vec![Whole(2, structure(32, &[(0, 1, 3)]))], 32,
            "sched_getaffinity(0, 128, [0 1]) = 32".to_owned()),
        (Call::sched_setaffinity, vec![0, 8, 8], vec![Whole(2, vec![0; 8])], -EINVAL,
            "sched_setaffinity(0, 8, []) = -1 EINVAL (Invalid argument)".to_owned()),
        (Call::getresuid, vec![8, 12, 16], [0, 1, 2].map(|of| Whole(of, ints(&[0]))).into(), 0,
            "getresuid([0], [0], [0]) = 0".to_owned()),
        (Call::arch_prctl, vec![0x1003, 8], vec![Whole(1, words(&[0x3c42_73c0]))], 0,
            "arch_prctl(ARCH_GET_FS, [0x3c4273c0]) = 0".to_owned()),
        (Call::prctl, vec![15, 8], vec![Beginning(1, b"abc")], 0, r#"prctl(PR_SET_NAME, "abc") = 0"#.to_owned()),
    ] {
        assert_eq!(line(call, &arguments, &pieces, result), expected);
    }
}

#[test]
fn structures_have_their_fields() {
    let stat = |mode, size, device| structure(144, &[(24, 4, mode), (48, 8, size), (40, 8, device)]);
    let terminal = |flags: [u64; 4]| {
        structure(36, &[(0, 4, flags[0]), (4, 4, flags[1]), (8, 4, flags[2]), (12, 4, flags[3])])
    };
    let all = u64::from(u32::MAX);
    let action = words(&[0x40_1665, 0x1400_0004, 0x40_a400, 0x202]);
    let polled =
        |revents| Whole(0, structure(16, &[(0, 4, 8), (4, 2, 1), (8, 4, 9), (12, 2, 5), (14, 2, revents)]));
    let statx = structure(256, &[(0, 4, 0x17ff), (28, 2, 0o41777), (40, 8, 4096)]);
    let system = structure(
        112,
        &[
            (0, 8, 2101),
            (8, 8, 612_992),
            (16, 8, 569_696),
            (24, 8, 395_424),
            (32, 8, 25_276_502_016),
            (40, 8, 18_876_661_760),
            (48, 8, 28_962_816),
            (56, 8, 29_782_016),
            (80, 2, 179),
            (104, 4, 1),
        ],
    );
    let thread = words(&[
        0x3d_0f00,
        0,
        0x7f85_f150_8990,
        0x7f85_f150_8990,
        0,
        0x7f85_f0d0_8000,
        0x80_0300,
        0x7f85_f150_86c0,
        0,
        0,
        0,
    ]);
    let mut names = vec![0; 390];
    names[..5].copy_from_slice(b"Linux");
    names[65..67].copy_from_slice(b"vm");
    for (call, arguments, pieces, result, expected) in [
        (
            Call::newfstatat,
            vec![AT_FDCWD, 8, 16, 0],
            vec![path(1, "/tmp"), Whole(2, stat(0o41777, 4096, 0))],
            0,
            r#"newfstatat(AT_FDCWD, "/tmp", {st_mode=S_IFDIR|S_ISVTX|0777, st_size=4096, ...}, 0) = 0"#,
        ),
        (
            Call::newfstatat,
            vec![3, 8, 16, 0x1000],
            vec![path(1, ""), Whole(2, stat(0o100000, 1005, 0))],
            0,
            r#"newfstatat(3, "", {st_mode=S_IFREG|000, st_size=1005, ...}, AT_EMPTY_PATH) = 0"#,
        ),
        (
            Call::fstat,
            vec![0, 8],
            vec![Whole(1, stat(0o20600, 0, 0x8800))],
            0,
            "fstat(0, {st_mode=S_IFCHR|0600, st_rdev=makedev(0x88, 0), ...}) = 0",
        ),
        (
            Call::statx,
            vec![AT_FDCWD, 8, 0, 0x7ff, 16],
            vec![path(1, "/tmp"), Whole(4, statx)],
            0,
            "statx(AT_FDCWD, \"/tmp\", AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, \
             {stx_mask=STATX_BASIC_STATS|STATX_MNT_ID, stx_attributes=0, stx_mode=S_IFDIR|S_ISVTX|0777, \
             stx_size=4096, ...}) = 0",
        ),
        (
            Call::sysinfo,
            vec![8],
            vec![Whole(0, system)],
            0,
            "sysinfo({uptime=2101, loads=[612992, 569696, 395424], totalram=25276502016, freeram=18876661760, \
             sharedram=28962816, bufferram=29782016, totalswap=0, freeswap=0, procs=179, totalhigh=0, freehigh=0, \
             mem_unit=1}) = 0",
        ),
        (
            Call::ioctl,
            vec![0, 0x5401, 8],
            vec![Whole(2, terminal([0x500, 5, 0xbf, 0x8a3b]))],
            0,
            "ioctl(0, TCGETS, {c_iflag=ICRNL|IXON, c_oflag=NL0|CR0|TAB0|BS0|VT0|FF0|OPOST|ONLCR, \
             c_cflag=B38400|CS8|CREAD, c_lflag=ISIG|ICANON|ECHO|ECHOE|ECHOK|IEXTEN|ECHOCTL|ECHOKE, ...}) = 0",
        ),
        (
            Call::ioctl,
            vec![0, 0x5402, 8],
            vec![Whole(2, terminal([all; 4]))],
            0,
            "ioctl(0, SNDCTL_TMR_START or TCSETS, {c_iflag=IGNBRK|BRKINT|IGNPAR|PARMRK|INPCK|ISTRIP|INLCR|IGNCR|\
             ICRNL|IUCLC|IXON|IXANY|IXOFF|IMAXBEL|IUTF8|0xffff8000, c_oflag=NL1|CR3|XTABS|BS1|VT1|FF1|OPOST|OLCUC|\
             ONLCR|OCRNL|ONOCR|ONLRET|OFILL|OFDEL|0xffff0000, c_cflag=B4000000|B4000000<<IBSHIFT|CS8|CSTOPB|CREAD|\
             PARENB|PARODD|HUPCL|CLOCAL|CMSPAR|CRTSCTS|0x2ff0e000, c_lflag=ISIG|ICANON|XCASE|ECHO|ECHOE|ECHOK|\
             ECHONL|NOFLSH|IEXTEN|ECHOCTL|ECHOPRT|ECHOKE|FLUSHO|PENDIN|TOSTOP|EXTPROC|0xfffe2000, ...}) = 0",
        ),
        (
            Call::ioctl,
            vec![99, 0x5402, 8],
            vec![Whole(2, terminal([0x1000_0000, 0x1848, 0x1cb2, 0]))],
            -EBADF,
            "ioctl(99, SNDCTL_TMR_START or TCSETS, {c_iflag=0x10000000, \
             c_oflag=NL0|CR0|XTABS|BS0|VT0|FF0|OCRNL|OFILL, c_cflag=B115200|CS8|CREAD|HUPCL|CLOCAL, c_lflag=, ...}) \
             = -1 EBADF (Bad file descriptor)",
        ),
        (
            Call::ioctl,
            vec![0, 0x5413, 8],
            vec![Whole(2, structure(8, &[(0, 2, 24), (2, 2, 80)]))],
            0,
            "ioctl(0, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0",
        ),
        (
            Call::rt_sigaction,
            vec![10, 8, 0, 8],
            vec![Whole(1, action)],
            0,
            "rt_sigaction(SIGUSR1, {sa_handler=0x401665, sa_mask=[INT USR1], \
             sa_flags=SA_RESTORER|SA_RESTART|SA_SIGINFO, sa_restorer=0x40a400}, NULL, 8) = 0",
        ),
        (
            Call::rt_sigprocmask,
            vec![2, 8, 16, 8],
            vec![
                Whole(1, words(&[!(2 | 0xB << 31 | 1 << 36)])),
                Whole(2, words(&[!(1 << 8 | 1 << 18 | 3 << 31)])),
            ],
            0,
            "rt_sigprocmask(SIG_SETMASK, ~[INT RTMIN RT_1 RT_3 RT_5], ~[KILL STOP RTMIN RT_1], 8) = 0",
        ),
        (
            Call::poll,
            vec![8, 2, 0],
            vec![polled(0), polled(4)],
            1,
            "poll([{fd=8, events=POLLIN}, {fd=9, events=POLLIN|POLLOUT}], 2, 0) = 1 ([{fd=9, revents=POLLOUT}])",
        ),
        (
            Call::poll,
            vec![8, 1, 0],
            vec![Whole(0, ints(&[8, 1])), Whole(0, ints(&[8, 1]))],
            0,
            "poll([{fd=8, events=POLLIN}], 1, 0) = 0 (Timeout)",
        ),
        (
            Call::clock_nanosleep,
            vec![0x63, 7, 8, 0],
            vec![Whole(2, words(&[0, 1000]))],
            -EINVAL,
            "clock_nanosleep(0x63 /* CLOCK_??? */, TIMER_ABSTIME|0x6, {tv_sec=0, tv_nsec=1000}, NULL) = -1 EINVAL \
             (Invalid argument)",
        ),
        (
            Call::gettimeofday,
            vec![8, 16],
            vec![Whole(0, words(&[1_795_773_321, 50_836])), Whole(1, vec![0; 8])],
            0,
            "gettimeofday({tv_sec=1795773321, tv_usec=50836}, {tz_minuteswest=0, tz_dsttime=0}) = 0",
        ),
        (
            Call::setitimer,
            vec![0, 8, 16],
            vec![Whole(1, words(&[0, 0, 1, 5])), Whole(2, vec![0; 32])],
            0,
            "setitimer(ITIMER_REAL, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=1, tv_usec=5}}, \
             {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}) = 0",
        ),
        (
            Call::prlimit64,
            vec![0, 3, 0, 8],
            vec![Whole(3, words(&[8192 * 1024, u64::MAX]))],
            0,
            "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0",
        ),
        (
            Call::prlimit64,
            vec![0, 7, 8, STACK],
            vec![Whole(2, words(&[8192 * 1024, u64::MAX]))],
            -EPERM,
            "prlimit64(0, RLIMIT_NOFILE, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}, 0x7ffe618791f0) = -1 EPERM \
             (Operation not permitted)",
        ),
        (
            Call::getrusage,
            vec![0, 8],
            vec![Whole(1, structure(144, &[(8, 8, 2069)]))],
            0,
            "getrusage(RUSAGE_SELF, {ru_utime={tv_sec=0, tv_usec=2069}, ru_stime={tv_sec=0, tv_usec=0}, ...}) = 0",
        ),
        (
            Call::uname,
            vec![8],
            vec![Whole(0, names)],
            0,
            r#"uname({sysname="Linux", nodename="vm", ...}) = 0"#,
        ),
        (
            Call::times,
            vec![8],
            vec![Whole(0, vec![0; 32])],
            1_718_166_960,
            "times({tms_utime=0, tms_stime=0, tms_cutime=0, tms_cstime=0}) = 1718166960",
        ),
        (
            Call::getdents64,
            vec![14, STACK, 300],
            vec![Whole(1, structure(48, &[(16, 2, 24), (40, 2, 24)]))],
            48,
            "getdents64(14, 0x7ffe618791f0 /* 2 entries */, 300) = 48",
        ),
        (
            Call::getdents64,
            vec![14, STACK, 300],
            vec![],
            0,
            "getdents64(14, 0x7ffe618791f0 /* 0 entries */, 300) = 0",
        ),
        (
            Call::clone3,
            vec![8, 88],
            vec![Whole(0, thread)],
            24859,
            "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|\
             CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, child_tid=0x7f85f1508990, parent_tid=0x7f85f1508990, \
             exit_signal=0, stack=0x7f85f0d08000, stack_size=0x800300, tls=0x7f85f15086c0} => \
             {parent_tid=[24859]}, 88) = 24859",
        ),
        (
            Call::sigaltstack,
            vec![8, 16],
            vec![Whole(0, words(&[STACK, 2, 300])), Whole(1, words(&[0, 2, 0]))],
            0,
            "sigaltstack({ss_sp=0x7ffe618791f0, ss_flags=SS_DISABLE, ss_size=300}, {ss_sp=NULL, ss_flags=SS_DISABLE, \
             ss_size=0}) = 0",
        ),
        (
            Call::wait4,
            vec![24855, 8, 0, 0],
            vec![Whole(1, ints(&[0x300]))],
            24855,
            "wait4(24855, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 24855",
        ),
        (
            Call::wait4,
            vec![-1_i64 as u64, 8, 10, 16],
            vec![Whole(1, ints(&[15])), Whole(3, structure(144, &[(8, 8, 65)]))],
            24856,
            "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], WSTOPPED|WCONTINUED, {ru_utime={tv_sec=0, \
             tv_usec=65}, ru_stime={tv_sec=0, tv_usec=0}, ...}) = 24856",
        ),
    ] {
        assert_eq!(line(call, &arguments, &pieces, result), expected);
    }
}

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
    let mut strace = Strace::new(&Meta::default(), Options::default(), io::sink());
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
    let mut strace = Strace::new(trace.meta(), Options::default(), &mut out);
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

/// The lines of these events, from the time on, without the times.
fn lines(events: &[(u16, What)]) -> Vec<String> {
    let mut out = Vec::new();
    let mut strace = Strace::new(&Meta::default(), Options::default(), &mut out);
    for (number, &(process, what)) in events.iter().enumerate() {
        let number = number as u64;
        let event = Event {
            sequence: number,
            origin: Origin::Guest,
            tsc: number,
            nanoseconds: number,
            process,
            what,
        };
        strace.event(&event, true).expect("a Vec takes all");
    }
    let text = String::from_utf8(out).expect("text");
    text.lines().map(|line| line.splitn(3, ' ').last().unwrap_or_default().trim_start().to_owned()).collect()
}

#[test]
fn signals_and_ends_are_as_strace_shows_them() {
    let frame = Frame::default();
    let sent = |signal, is_ignored, by, code, about| What::SignalSent { signal, is_ignored, by, code, about };
    let delivered = |signal| What::SignalDelivered { signal, at: 0, handler: 0, rip: 0, rsp: 0, sum: 0 };
    let ended = |signal| What::ProcessSignaled { signal, code: 0, by: 0 };
    let created = What::ProcessCreated { structure: 0, cr3: 0, kernel_stack_top: 0, program: [b'p'; 16] };
    let found = lines(&[
        // A child: no `execve` of its own.
        (2, created),
        (2, What::Cloned { parent: 1, is_thread: false, flags: 0 }),
        (2, What::KernelStackFilled { frame }),
        (1, sent(17, true, 2, 1, 3)),
        (1, What::SystemCallResult { number: 61, result: 2 }),
        (1, What::TrapReturn { frame }),
        (1, sent(17, false, 3, 2, 15)),
        (1, delivered(17)),
        (1, sent(14, false, 0, 0x80, 0)),
        (1, delivered(14)),
        // Another thread takes it.
        (1, sent(10, false, 2, 0, 0)),
        (4, delivered(10)),
        (1, sent(32, false, 2, -6, 0)),
        (1, delivered(32)),
        (1, sent(33, false, 2, -6, 0)),
        (1, delivered(33)),
        (1, sent(19, false, 1, -6, 0)),
        (1, What::Blocked { wait: Wait::Continue, object: 1, until_tsc: u64::MAX }),
        (1, sent(8, false, 0, 3, 0x401000)),
        (1, delivered(8)),
        (1, sent(15, false, 5, 0, 0)),
        (1, ended(15)),
        (4, ended(15)),
        (5, sent(9, false, 1, 0, 0)),
        (5, ended(9)),
    ]);
    let expected = [
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=2, si_uid=0, si_status=3, si_utime=0, si_stime=0} ---",
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=3, si_uid=0, si_status=SIGTERM, si_utime=0, si_stime=0} ---",
        "--- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL} ---",
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=2, si_uid=0} ---",
        "--- SIGRTMIN {si_signo=SIGRTMIN, si_code=SI_TKILL, si_pid=2, si_uid=0} ---",
        "--- SIGRT_1 {si_signo=SIGRT_1, si_code=SI_TKILL, si_pid=2, si_uid=0} ---",
        "--- SIGSTOP {si_signo=SIGSTOP, si_code=SI_TKILL, si_pid=1, si_uid=0} ---",
        "--- stopped by SIGSTOP ---",
        "--- SIGFPE {si_signo=SIGFPE, si_code=FPE_FLTDIV, si_addr=0x401000} ---",
        "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=5, si_uid=0} ---",
        "+++ killed by SIGTERM +++",
        "+++ killed by SIGTERM +++",
        "+++ killed by SIGKILL +++",
    ];
    let tails: Vec<&str> = found.iter().map(|line| &line[line.find(['-', '+']).unwrap_or(0)..]).collect();
    assert_eq!(tails, expected);
}
