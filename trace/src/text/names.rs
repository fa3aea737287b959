//! The names of flags and values in the structures that calls return, in the order in which strace prints them. Those of
//! arguments stand in `abi`.

use abi::syscall::Set;

macro_rules! set {
    ($unknown:literal: $($name:ident $value:expr),* $(,)?) => {
        Set { unknown: $unknown, names: &[$(($value, stringify!($name))),*] }
    };
}

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
