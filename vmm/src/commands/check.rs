//! `trapline check`: does a trace follow the protocol of limited direct execution?

use std::path::PathBuf;

use clap::ColorChoice;

use super::terminal::Output;
use super::{FAILED, NOTHING, OK, Usage, complain, open, sandbox};
use trace::analysis::check::{Verdict, check};
use trace::text::check::{json, text};

/// Check that the kernel followed the protocol of limited direct execution.
///
/// Each line is a rule: its result, how often it was tested, its name, and its text. If a rule is violated, the first
/// violation follows, with the records that show it and their numbers (# for the guest's records, h# for the host's).
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no rule is violated; 1 a rule is violated, or a required rule does not hold; 2 wrong \
                  usage, or not a trace file; 3 the trace has no records of a guest, so there is nothing to check."
)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Leave out this rule; can be repeated
    #[arg(long, value_name = "RULE")]
    skip: Vec<String>,
    /// Fail unless this rule was tested and holds; can be repeated
    #[arg(long, value_name = "RULE", conflicts_with = "skip")]
    require: Vec<String>,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let output = Output::new(true, ColorChoice::Auto);
    args.sandbox.read(std::slice::from_ref(&args.trace))?;
    let mut report = check(&trace);
    trace.intact()?;
    if let Some(unknown) = args.skip.iter().chain(&args.require).find(|name| report.finding(name).is_none()) {
        return Err(Usage(format!("there is no rule \"{unknown}\"; `trapline check` lists all rules")).into());
    }
    report.findings.retain(|finding| !args.skip.iter().any(|name| name == finding.name));
    let lacks = |name: &&String| report.finding(name).is_some_and(|finding| finding.verdict != Verdict::Pass);
    let lacking: Vec<_> = args.require.iter().filter(lacks).collect();
    let out = if args.json {
        format!("{:#}\n", json(&report, trace.meta()))
    } else {
        text(&report, trace.meta(), output.width)
    };
    output.print(&out)?;
    lacking
        .iter()
        .for_each(|name| complain(&format!("--require {name}: the rule was not tested, or it is violated")));
    Ok(match () {
        () if !report.passed() || !lacking.is_empty() => FAILED,
        () if report.is_empty() => NOTHING,
        () => OK,
    })
}
