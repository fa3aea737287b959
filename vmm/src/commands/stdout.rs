//! Standard output of a run: a signal ends the wait for a reader that does not read, and one that others made
//! non-blocking (a terminal or a pipe that is shared) is waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Standard output without the library's buffer, which would start a write again after a signal.
#[derive(Debug)]
pub struct Stdout(File);

impl Stdout {
    /// Another descriptor of standard output.
    pub fn new() -> io::Result<Stdout> {
        io::stdout().as_fd().try_clone_to_owned().map(|fd| Stdout(fd.into()))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text on standard output. Whoever closed it does not want it.
pub fn say(text: &str) {
    let Ok(mut stdout) = Stdout::new() else { return };
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = stdout.write(rest) {
        rest = &rest[written..];
    }
}
