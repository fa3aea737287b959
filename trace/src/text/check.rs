//! The findings of a check as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::layout::{WIDTH, put_wrapped};
use super::lines::Lines;
use crate::analysis::check::{Finding, Report, Verdict, Violation};
use crate::file::{Meta, Origin};

/// The columns where the rules start, and what violates them.
const RULE_MARGIN: usize = 44;
/// In a narrower text the rules have lines of their own.
const RULES_BESIDE: usize = 80;
const VIOLATION_MARGIN: usize = 4;

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

/// The findings as text of at most `width` columns: each rule, and the records of the first violation.
pub fn text(report: &Report, meta: &Meta, width: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:14} {:>9}  {:17} rule", "verdict", "tested", "name");
    for finding in &report.findings {
        let Finding { name, rule, verdict, tested, violations, first } = finding;
        let tested = if *verdict == Verdict::DoesNotApply { "-".into() } else { tested.to_string() };
        let _ = write!(text, "{:14} {tested:>9}  {name:17} ", word(*verdict));
        if width < RULES_BESIDE {
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        put_wrapped(
            &mut text,
            rule,
            if width < RULES_BESIDE { VIOLATION_MARGIN } else { RULE_MARGIN },
            width,
        );
        if let Some(violation) = first {
            let times =
                if *violations == 1 { String::new() } else { format!(" (the first of {violations})") };
            put_wrapped(&mut text, &format!("{}{times}", violation.message), VIOLATION_MARGIN, width);
            lines(violation, report, meta, width).iter().for_each(|line| text.push_str(&indented(line)));
        }
    }
    for lost in &report.lost {
        put_wrapped(&mut text, &format!("Lost without limits: {lost}."), 0, width);
    }
    let count = |verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let counts = format!(
        "{} rules pass, {} fail, {} never tested, {} do not apply under policy {}.",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::NeverTested),
        count(Verdict::DoesNotApply),
        policy(report)
    );
    text.push('\n');
    put_wrapped(&mut text, &counts, 0, width);
    if report.is_empty() {
        text.push_str("Nothing to check: the trace has no records of a guest.\n");
    }
    text
}

fn indented(line: &str) -> String {
    line.lines().map(|line| format!("      {line}\n")).collect()
}

/// The findings as JSON.
pub fn json(report: &Report, meta: &Meta) -> Value {
    let violation = |violation: &Violation| {
        let events =
            violation.events.iter().zip(lines(violation, report, meta, WIDTH)).map(|(event, text)| {
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
        "is_empty": report.is_empty(),
        "policy": policy(report),
        "rules": rules.collect::<Vec<_>>(),
        "lost": report.lost,
    })
}

/// The records of a violation as `trapline view` has them, each with its number.
fn lines(violation: &Violation, report: &Report, meta: &Meta, width: usize) -> Vec<String> {
    let mut lines = Lines::new(meta, &report.processes, width);
    violation.events.iter().map(|event| lines.line(event)).collect()
}
