//! `trapline expect`: does a trace meet a file of expectations?

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{FAILED, OK, Usage, name_of, open, read_text, sandbox, terminal};
use trace::Meta;
use trace::analysis::expect::{Expectations, Judgement, first_file};
use trace::text::expect::{github_annotations, github_summary, gradescope, junit, tap, text};

const EXAMPLES: &str = "\
Examples:
  trapline expect --init good.trap > lab.toml      a first file, from a good run
  trapline expect t.trap -f lab.toml
  trapline expect t.trap -f lab.toml --format junit > results.xml

docs/expect.md describes the file.
Exit codes: 0 all expectations are met; 1 an expectation is not met; 2 wrong usage, a wrong file, or not a trace file.";

/// Test whether a trace shows what a file of expectations says: events and their order, ends of processes, output, rules,
/// and limits on times and other numbers.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The file of expectations, in TOML
    #[arg(short, long, value_name = "FILE", required_unless_present = "init")]
    file: Option<PathBuf>,
    /// Print a first file of expectations, which this trace meets
    #[arg(long, conflicts_with_all = ["file", "output", "format"])]
    init: bool,
    /// What the programs printed, as `trapline run ... > FILE` kept it, for expectations with `output = "*"`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form of the results. github: annotations, and the job summary in the file that $GITHUB_STEP_SUMMARY names
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Junit,
    Tap,
    Gradescope,
    Github,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    // All files are opened before the process enters the sandbox.
    let file = args.file.as_deref().map(|path| Ok::<_, Usage>((path, expectations(path)?))).transpose()?;
    let output = args.output.as_deref().map(read_text).transpose()?;
    let mut summary = (args.format == Format::Github).then(job_summary).transpose()?.flatten();
    let trace = open(&args.trace)?;
    let width = terminal::width();
    args.sandbox.read(std::slice::from_ref(&args.trace))?;
    let Some((path, expectations)) = file else {
        let text = first_file(&trace);
        trace.intact()?;
        io::stdout().write_all(text.as_bytes())?;
        return Ok(OK);
    };
    let judgements = expectations.judge(&trace, output.as_deref());
    trace.intact()?;
    let name = name_of(&args.trace).display().to_string();
    if let Some(summary) = &mut summary {
        let text = github_summary(&judgements, trace.meta(), &name);
        summary.write_all(text.as_bytes()).context("cannot write the job summary")?;
    }
    let out = formatted(args.format, &judgements, trace.meta(), &name, path, width)?;
    io::stdout().write_all(out.as_bytes())?;
    Ok(if judgements.iter().all(|judged| judged.failure.is_none()) { OK } else { FAILED })
}

fn formatted(
    format: Format,
    judgements: &[Judgement<'_>],
    meta: &Meta,
    trace: &str,
    file: &Path,
    width: usize,
) -> anyhow::Result<String> {
    Ok(match format {
        Format::Text => text(judgements, meta, width),
        Format::Junit => junit(judgements, meta, trace)?,
        Format::Tap => tap(judgements, meta),
        Format::Gradescope => format!("{:#}\n", gradescope(judgements, meta)),
        Format::Github => github_annotations(judgements, &file.display().to_string()),
    })
}

fn expectations(path: &Path) -> Result<Expectations, Usage> {
    Expectations::parse(&read_text(path)?).map_err(|error| Usage(format!("{}: {error}", path.display())))
}

/// GitHub's file for the summary of a job, if this process runs in a job.
fn job_summary() -> anyhow::Result<Option<fs::File>> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return Ok(None) };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    Ok(Some(file.with_context(|| format!("cannot open {}", path.display()))?))
}
