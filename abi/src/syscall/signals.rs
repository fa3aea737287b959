//! Linux's signals on x86-64, with their names.

macro_rules! signals {
    ($($name:ident = $number:literal;)*) => {
        $(#[allow(missing_docs)] pub const $name: u32 = $number;)*

        /// The names of the signals from 1 on that are not real-time signals.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

signals! {
    SIGHUP = 1; SIGINT = 2; SIGQUIT = 3; SIGILL = 4; SIGTRAP = 5; SIGABRT = 6; SIGBUS = 7; SIGFPE = 8;
    SIGKILL = 9; SIGUSR1 = 10; SIGSEGV = 11; SIGUSR2 = 12; SIGPIPE = 13; SIGALRM = 14; SIGTERM = 15;
    SIGSTKFLT = 16; SIGCHLD = 17; SIGCONT = 18; SIGSTOP = 19; SIGTSTP = 20; SIGTTIN = 21; SIGTTOU = 22;
    SIGURG = 23; SIGXCPU = 24; SIGXFSZ = 25; SIGVTALRM = 26; SIGPROF = 27; SIGWINCH = 28; SIGIO = 29;
    SIGPWR = 30; SIGSYS = 31;
}

/// The first real-time signal. Several of the same number wait in a queue, each with its information.
pub const REAL_TIME: u32 = 32;

/// The name of a signal that is not a real-time signal.
pub fn name(signal: u32) -> Option<&'static str> {
    NAMES.get((signal as usize).checked_sub(1)?).copied()
}
