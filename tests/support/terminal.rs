//! Commands on a terminal of their own: a pseudo-terminal with 24 lines.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;
use nix::pty::{OpenptyResult, Winsize, openpty};

use super::binary;

/// Starts a command with all its output on a terminal of so many columns, and without input and pager. Returns the terminal's
/// other side too.
pub fn start(
    folder: &Path,
    columns: u16,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Result<(Child, File), Failed> {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(slave.try_clone()?).stderr(slave);
    ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"].iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs([("TERM", "xterm"), ("TRAPLINE_PAGER", "")]).envs(variables.iter().copied());
    Ok((command.spawn()?, master.into()))
}

/// Reads what a terminal gets until `text` comes, or all writers have closed it.
pub fn read_until(terminal: &mut File, text: Option<&str>) -> Result<String, Failed> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    let has =
        |all: &[u8]| text.is_some_and(|text| all.windows(text.len()).any(|window| window == text.as_bytes()));
    while !has(&all) {
        match terminal.read(&mut piece) {
            Ok(0) => break,
            Ok(size) => all.extend_from_slice(&piece[..size]),
            // EIO: the last writer is gone.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::from_utf8(all)?)
}

/// The lines that a terminal shows after a text, without colours, and without a limit on their number and length. Of the
/// control sequences it knows those of Trapline.
pub fn screen(text: &str) -> String {
    let (mut lines, mut column) = (vec![Vec::new()], 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let line = lines.last_mut().expect("there is always a line");
        match c {
            '\r' => column = 0,
            '\n' => lines.push(vec![' '; column]),
            '\x1b' => {
                let sequence: String = chars.by_ref().take_while(|c| !c.is_ascii_alphabetic()).collect();
                // An erased line is one that is written again from its start.
                if column == 0 && sequence == "[" {
                    line.clear();
                }
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    let lines = lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned() + "\n");
    lines.collect::<String>().trim_end().to_owned() + "\n"
}
