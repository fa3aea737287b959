//! `trapline check`: does a trace keep the protocol of limited direct execution?

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::lines::Lines;
use super::{FAILED, OK, open};
use trace::analysis::check::{self, Finding, Report, Verdict, Violation};
use trace::text::stat::put_wrapped;
use trace::{Meta, Origin};

/// Check that a trace keeps the protocol of limited direct execution.
///
/// Each rule is a line: what became of it, how often it was tested, its name, the rule. Of a rule that does
/// not hold, the first violation follows with the records that show it, each with its number (# for the
/// guest's records, h# for the host's own).
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no rule is violated; 1 a rule is violated; 2 wrong usage, or no trace file."
)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The columns where the rules start, and what violates them.
const RULE_MARGIN: usize = 44;
const VIOLATION_MARGIN: usize = 4;

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let report = check::check(&trace);
    trace.intact()?;
    let text = if args.json {
        format!("{:#}\n", as_json(&report, trace.meta()))
    } else {
        as_text(&report, trace.meta())
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.passed() { OK } else { FAILED })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::NeverTested => "never tested",
        Verdict::DoesNotApply => "does not apply",
    }
}

fn policy(report: &Report) -> &'static str {
    report.policy.map_or("unknown", |policy| policy.name())
}

fn as_text(report: &Report, meta: &Meta) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:14} {:>9}  {:17} rule", "verdict", "tested", "name");
    for finding in &report.findings {
        let Finding { name, rule, verdict, tested, violations, first } = finding;
        let tested = if *verdict == Verdict::DoesNotApply { "-".into() } else { tested.to_string() };
        let _ = write!(text, "{:14} {tested:>9}  {name:17} ", word(*verdict));
        put_wrapped(&mut text, rule, RULE_MARGIN);
        if let Some(violation) = first {
            let times =
                if *violations == 1 { String::new() } else { format!(" (the first of {violations})") };
            put_wrapped(&mut text, &format!("{}{times}", violation.message), VIOLATION_MARGIN);
            lines(violation, report, meta).iter().for_each(|line| text.push_str(&indented(line)));
        }
    }
    for lost in &report.lost {
        let _ = writeln!(text, "Lost without limits: {lost}.");
    }
    let count = |verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let _ = writeln!(
        text,
        "\n{} rules pass, {} fail, {} never tested, {} do not apply under policy {}.",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::NeverTested),
        count(Verdict::DoesNotApply),
        policy(report)
    );
    text
}

fn indented(line: &str) -> String {
    line.lines().map(|line| format!("      {line}\n")).collect()
}

fn as_json(report: &Report, meta: &Meta) -> Value {
    let violation = |violation: &Violation| {
        let events = violation.events.iter().zip(lines(violation, report, meta)).map(|(event, text)| {
            json!({
                "origin": if event.origin == Origin::Host { "host" } else { "guest" },
                "sequence": event.sequence,
                "process": event.process,
                "nanoseconds": event.nanoseconds,
                "text": text.trim_end(),
            })
        });
        json!({ "message": violation.message, "records": events.collect::<Vec<_>>() })
    };
    let rules = report.findings.iter().map(|finding| {
        json!({
            "name": finding.name,
            "rule": finding.rule,
            "verdict": finding.verdict,
            "tested": finding.tested,
            "violations": finding.violations,
            "first": finding.first.as_ref().map(violation),
        })
    });
    json!({
        "passed": report.passed(),
        "policy": policy(report),
        "rules": rules.collect::<Vec<_>>(),
        "lost": report.lost,
    })
}

/// The records of a violation as `trapline view` has them, each with its number.
fn lines(violation: &Violation, report: &Report, meta: &Meta) -> Vec<String> {
    let mut lines = Lines::new(meta, &report.processes);
    violation.events.iter().map(|event| lines.line(event)).collect()
}
