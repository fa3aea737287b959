//! JUnit XML, TAP 13, Gradescope's results.json, and GitHub's annotations and job summary.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::{details, explanation, total};
use crate::analysis::expect::Judgement;
use crate::file::{Meta, printable};

/// JUnit XML: a test suite named as the trace, a test case for each expectation. It is valid under the schema of Jenkins'
/// xUnit plugin, which refuses other files.
pub fn junit(
    judgements: &[Judgement<'_>],
    meta: &Meta,
    trace: &str,
) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(trace);
    for judged in judgements {
        let mut status = TestCaseStatus::success();
        if let Some(failure) = &judged.failure {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(failure.message.as_str()).set_type("expectation");
            status.set_description(details(judged, meta).join("\n"));
        }
        let mut case = TestCase::new(judged.expectation.name.as_str(), status);
        case.set_classname(trace);
        suite.add_test_case(case);
    }
    let mut report = Report::new("trapline expect");
    report.add_test_suite(suite);
    // The schema has this attribute for a test suite only. The first place is in the element of all test suites, whose
    // name is fixed.
    Ok(report.to_string()?.replacen(" skipped=\"0\"", "", 1))
}

/// TAP 13, with the details of a failure as a YAML block.
pub fn tap(judgements: &[Judgement<'_>], meta: &Meta) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", judgements.len());
    for (number, judged) in (1_usize..).zip(judgements) {
        let not = if judged.failure.is_some() { "not " } else { "" };
        // An unescaped # starts a directive such as TODO.
        let name = one_line(&judged.expectation.name).replace('\\', "\\\\").replace('#', "\\#");
        put!(text, "{not}ok {number} - {name}\n");
        if judged.failure.is_some() {
            text.push_str("  ---\n  severity: fail\n  message: |\n");
            details(judged, meta).iter().for_each(|line| put!(text, "    {}\n", printable(line)));
            text.push_str("  ...\n");
        }
    }
    text
}

/// Gradescope's results.json: a test for each expectation, with its points.
pub fn gradescope(judgements: &[Judgement<'_>], meta: &Meta) -> Value {
    let test = |(number, judged): (usize, &Judgement<'_>)| {
        let (points, is_met) = (judged.expectation.points, judged.failure.is_none());
        json!({
            "number": number.to_string(),
            "name": judged.expectation.name,
            "score": if is_met { points } else { 0.0 },
            "max_score": points,
            "status": if is_met { "passed" } else { "failed" },
            "output": details(judged, meta).join("\n"),
            "output_format": "text",
        })
    };
    let tests: Vec<Value> = (1..).zip(judgements).map(test).collect();
    json!({ "output": total(judgements), "tests": tests })
}

/// GitHub's workflow commands: an error for each expectation that is not met, at its line of `file`.
pub fn github_annotations(judgements: &[Judgement<'_>], file: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for judged in judgements.iter().filter(|judged| judged.failure.is_some()) {
        let (name, line) = (property(&judged.expectation.name), judged.expectation.line);
        let message = data(&explanation(judged).join("\n"));
        put!(text, "::error file={},line={line},title={name}::{message}\n", property(file));
    }
    put!(text, "{}\n", total(judgements));
    text
}

/// Markdown for GitHub's job summary.
pub fn github_summary(judgements: &[Judgement<'_>], meta: &Meta, trace: &str) -> String {
    let cell = |text: &str| escaped(&one_line(text)).replace('|', "\\|");
    let mut text = format!("### Expectations of {}\n\n{}\n\n", cell(trace), total(judgements));
    text.push_str("| | expectation | points |\n| --- | --- | ---: |\n");
    for judged in judgements {
        let mark = if judged.failure.is_none() { "✅" } else { "❌" };
        put!(text, "| {mark} | {} | {} |\n", cell(&judged.expectation.name), judged.expectation.points);
    }
    for judged in judgements.iter().filter(|judged| judged.failure.is_some()) {
        let details = escaped(&printable_lines(&details(judged, meta)));
        put!(text, "\n<details><summary>{}</summary>\n\n<pre>\n", cell(&judged.expectation.name));
        put!(text, "{details}</pre>\n\n</details>\n");
    }
    text + "\n"
}

fn one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn printable_lines(lines: &[String]) -> String {
    lines.iter().map(|line| printable(line) + "\n").collect()
}

/// Text that HTML and Markdown leave as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
