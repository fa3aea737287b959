//! `trapline strace`: has the options of strace and prints its lines, for a program that runs on Trapline's kernel.
//!
//! There is no summary, and the trace is a temporary file. A child runs the guest, and this process removes the file,
//! because a process in the sandbox cannot remove a file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use abi::syscall::Call;
use anyhow::Context;
use clap::ArgAction;
use trace::text::strace::{Numbers, Options, Strace};
use trace::{Event, Meta, Watcher, What};

use super::run::{Form, Judge};
use super::stream::Stream;
use super::{Usage, boots, programs, run, sandbox};
use crate::run::{Run, TraceFile};

const EXAMPLES: &str = "\
Examples:
  trapline strace ./mine a \"b c\"
  trapline strace -f -e fork,wait4 busybox sh -c 'seq 3 | wc -l'
  trapline strace -c -o counts.txt ./mine

Exit code: the program's exit status, or 128 plus the number of the signal that ended it. If the run does not \
complete, the exit code is that of `trapline run`.";

/// Run a static Linux program and show its system calls and signals, as strace does.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Also show the processes and threads that the program creates
    #[arg(short)]
    follow: bool,
    /// Show a table instead: how often each call was made, how often it failed, and how long it took
    #[arg(short)]
    counts: bool,
    /// The calls to show, as names with commas between them; with `!` before them, the calls to hide. EXPR may start
    /// with `trace=`
    #[arg(short, value_name = "EXPR", value_parser = expression)]
    expression: Option<Expression>,
    /// Write to this file instead of standard error
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show how long each call took
    #[arg(short = 'T')]
    durations: bool,
    /// As -ttt: show the time of each line, in seconds since 1970
    #[arg(short, action = ArgAction::Count)]
    times: u8,
    /// A variable for the program's environment, which is empty otherwise. Can be repeated
    #[arg(short = 'E', value_name = "NAME=VALUE", value_parser = run::variable)]
    env: Vec<OsString>,
    /// A file or directory of the host that the program can read: see `trapline run --help`
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = run::file_parser())]
    files: Vec<crate::run::GivenFile>,
    /// Show control characters in the program's output as `cat -v` does, for a program that you do not trust
    #[arg(long)]
    escape: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["PROG", "ARGS"])]
    command: Vec<OsString>,
}

/// Which calls to show.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    names: BTreeSet<String>,
    /// Show all calls except these.
    is_negated: bool,
}

fn expression(text: &str) -> Result<Expression, String> {
    let list = text.strip_prefix("trace=").unwrap_or(text);
    let (is_negated, list) = list.strip_prefix('!').map_or((false, list), |rest| (true, rest));
    let (is_negated, list) = match list {
        "all" => (!is_negated, ""),
        "none" => (is_negated, ""),
        list => (is_negated, list),
    };
    let names: BTreeSet<String> = list.split(',').filter(|name| !name.is_empty()).map(Into::into).collect();
    match names.iter().find(|name| Call::ALL.iter().all(|call| call.name() != name.as_str())) {
        Some(name) => Err(format!(
            "there is no system call \"{name}\"; write names with commas between them, such as read,write"
        )),
        None => Ok(Expression { names, is_negated }),
    }
}

impl Expression {
    fn selects(&self, name: &str) -> bool {
        self.names.contains(name) != self.is_negated
    }
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    if !matches!(args.times, 0 | 3) {
        return Err(Usage("-t and -tt are not supported; use -ttt".into()).into());
    }
    let (name, arguments) = args.command.split_first().ok_or_else(|| Usage("name a program".into()))?;
    let mut program = programs::named(&programs::on_path(name), arguments.to_vec())?;
    program.environment.clone_from(&args.env);
    let mut run = Run::new(vec![program]);
    run.files.clone_from(&args.files);
    run.has_input = true;
    let folder = tempfile::tempdir().context("cannot create a temporary folder for the trace")?;
    run.trace = TraceFile::At { path: folder.path().join("run.trap"), replace: false };
    run.sandbox = args.sandbox.sandbox();
    // With a batch of 1, a line is printed before the program's next output.
    run.settings.batch = 1;
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(|error| {
            Usage(format!("cannot create {}: {error}; choose another file with -o", path.display()))
        })?),
        None => Box::new(Stream(io::stderr())),
    };
    let boot = || {
        run::boot(&run, Judge::Program, Form::None, args.escape, Some(|meta: &Meta| watcher(args, meta, out)))
    };
    boots::in_child(boot).map(|(code, _)| code)
}

/// Writes the lines of strace. The last lines are written when it is dropped.
struct Lines {
    strace: Strace<BufWriter<Box<dyn Write>>>,
    follow: bool,
    expression: Option<Expression>,
    written: io::Result<()>,
}

fn watcher(args: &Args, meta: &Meta, out: Box<dyn Write>) -> Watcher {
    let numbers = match (args.follow, &args.output) {
        (true, Some(_)) => Numbers::All,
        (true, None) => Numbers::Several,
        (false, _) => Numbers::None,
    };
    let variables = args.env.len();
    let (times, durations, counts) = (args.times > 0, args.durations, args.counts);
    let options = Options { numbers, times, durations, counts, variables };
    // A trace has only the program's name, but strace shows the path.
    let mut meta = meta.clone();
    for program in &mut meta.programs {
        program.name = programs::on_path(&args.command[0]).to_string_lossy().into_owned();
    }
    let strace = Strace::new(&meta, options, BufWriter::new(out));
    let expression = args.expression.clone();
    let mut lines = Lines { strace, follow: args.follow, expression, written: Ok(()) };
    Box::new(move |events| {
        if lines.written.is_ok() {
            let written = events.iter().try_for_each(|event| lines.event(event));
            lines.written = written.and_then(|()| lines.strace.flush());
        }
    })
}

impl Lines {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        const KERNEL: u16 = 0;
        const PROGRAM: u16 = 1;
        if !self.follow && ![KERNEL, PROGRAM].contains(&event.process) {
            return Ok(());
        }
        let is_selected =
            |name: &str| self.expression.as_ref().is_none_or(|expression| expression.selects(name));
        let is_shown = match event.what {
            What::SystemCall { number } => {
                Call::from_number(number).is_none_or(|call| is_selected(call.name()))
            }
            What::ProcessCreated { .. } => is_selected(Call::execve.name()),
            _ => true,
        };
        self.strace.event(event, is_shown)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.written.is_ok() {
            // If this write fails, the failure cannot be reported anywhere.
            let _ = self.strace.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_names_calls() {
        let wanted = |text: &str| {
            let expression = expression(text).unwrap();
            ["read", "write", "brk"].map(|name| expression.selects(name))
        };
        assert_eq!(wanted("read,write"), [true, true, false]);
        assert_eq!(wanted("trace=brk"), [false, false, true]);
        assert_eq!(wanted("trace=!brk"), [true, true, false]);
        assert_eq!(wanted("!read,brk"), [false, true, false]);
        assert_eq!((wanted("all"), wanted("trace=none")), ([true; 3], [false; 3]));
        assert!(expression("trace=nosuch").unwrap_err().contains("nosuch"));
    }
}
