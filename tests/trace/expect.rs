//! `trapline expect`: its exit codes, and its forms as their own readers see them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::stat::FIXTURE;
use crate::support::{self, Need, Suite, TestResult, binary, ensure, folder, trapline};

/// Expectations that a trace of any run meets and does not meet, with what is hard to quote in each form.
const FILE: &str = "
[[expect]]
name = \"it boots\"
order = [\"kind=boot\", \"kind=host-end\"]
points = 1.5

[[expect]]
name = \"no <ticks> & 100%: # | \\\\ \\\"a\\\"\\u001b\"
hint = \"two\\nlines, with ]]> and %0A\"
points = 2.5
never = \"kind=tick\"
";

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("expect_exits_with_what_it_finds", expect_exits_with_what_it_finds)
        .pure("expect_for_gradescope", expect_for_gradescope)
        .pure("expect_for_github", expect_for_github)
        .needs(
            &[Need::Tool("python3"), Need::Module("junitparser")],
            "expect_for_readers_of_junit",
            expect_for_readers_of_junit,
        )
        .needs(
            &[Need::Tool("python3"), Need::Module("xmlschema")],
            "expect_for_the_schema_of_junit",
            expect_for_the_schema_of_junit,
        )
        .tools(&["prove", "perl"], "expect_for_readers_of_tap", expect_for_readers_of_tap)
        .pure("the_expectations_of_the_documentation_are_well_formed", documented)
        .kvm("a_first_file_of_a_run_is_met_by_another", first_file_is_met_again)
}

/// The output in a form, of a trace that meets the first expectation alone.
fn formatted(folder: &Path, form: &str) -> Result<String, libtest_mimic::Failed> {
    fs::write(folder.join("e.toml"), FILE)?;
    Ok(trapline(folder, &["expect", FIXTURE, "-f", "e.toml", "--format", form])?.expect(1)?.stdout)
}

fn expect_exits_with_what_it_finds() -> TestResult {
    let folder = folder();
    let run = |file: &str| {
        fs::write(folder.path().join("e.toml"), file)?;
        trapline(folder.path(), &["expect", FIXTURE, "-f", "e.toml"])
    };
    run("[[expect]]\norder = ['kind=boot']\n")?.expect(0)?;
    run("[[expect]]\nnever = 'kind=boot'\n")?.expect(1)?;
    let wrong = run("\n[[expect]]\nnevr = 'kind=boot'\n")?.expect(2)?;
    ensure(wrong.stderr.contains("e.toml: line 3: unknown field `nevr`, expected one of"), || wrong.stderr)?;
    let empty = run("")?.expect(2)?;
    ensure(empty.stdout.is_empty(), || empty.stdout)?;
    trapline(folder.path(), &["expect", FIXTURE])?.expect(2)?;
    let endless = trapline(folder.path(), &["expect", FIXTURE, "-f", "/dev/zero"])?.expect(2)?;
    ensure(endless.stderr.contains("it has more than 1073741824 bytes"), || endless.stderr)?;
    fs::write(folder.path().join("e.toml"), "[[expect]]\noutput = '*'\ncontains = ['one', 'two']\n")?;
    fs::write(folder.path().join("out.txt"), "one\ntwo\n")?;
    let with_output = ["expect", FIXTURE, "-f", "e.toml", "--output", "out.txt"];
    trapline(folder.path(), &with_output)?.expect(0)?;
    fs::write(folder.path().join("out.txt"), "two\none\n")?;
    let other = trapline(folder.path(), &with_output)?.expect(1)?;
    ensure(other.stdout.contains("\"two\" is not in the output after the previous text"), || other.stdout)
}

/// Gradescope has a page and no schema: the keys that it documents, with their types.
fn expect_for_gradescope() -> TestResult {
    let results: Value = serde_json::from_str(&formatted(folder().path(), "gradescope")?)?;
    let keys: Vec<&String> = results.as_object().into_iter().flatten().map(|(key, _)| key).collect();
    ensure(keys == ["output", "tests"], || format!("{keys:?}"))?;
    let tests = results["tests"].as_array().cloned().unwrap_or_default();
    let scores: Vec<_> =
        tests.iter().map(|test| (test["score"].as_f64(), test["max_score"].as_f64())).collect();
    ensure(scores == [(Some(1.5), Some(1.5)), (Some(0.0), Some(2.5))], || format!("{scores:?}"))?;
    for (test, status) in tests.iter().zip(["passed", "failed"]) {
        let texts = ["number", "name", "output"].iter().all(|key| test[key].is_string());
        let is_right = texts && test["status"] == status && test["output_format"] == "text";
        ensure(is_right && test.as_object().is_some_and(|test| test.len() == 7), || format!("{test:#}"))?;
    }
    ensure(tests[1]["output"].as_str().is_some_and(|output| output.contains("> #")), || {
        format!("{results:#}")
    })
}

fn expect_for_github() -> TestResult {
    let folder = folder();
    fs::write(folder.path().join("e.toml"), FILE)?;
    let mut command = Command::new(binary());
    command.args(["expect", FIXTURE, "-f", "e.toml", "--format", "github"]).current_dir(&folder);
    command.env("GITHUB_STEP_SUMMARY", folder.path().join("summary.md"));
    let output = support::command(&mut command, folder.path())?.expect(1)?;
    // As GitHub's runner reads a command: up to the next `::` are properties, and then the message.
    let line = output.stdout.lines().next().unwrap_or_default();
    let parts = line.strip_prefix("::error ").and_then(|rest| rest.split_once("::"));
    let (properties, message) = parts.ok_or_else(|| format!("no command: {line}"))?;
    let unquoted = |text: &str| {
        ["%0A", "%0D", "%3A", "%2C", "%25"]
            .iter()
            .zip(["\n", "\r", ":", ",", "%"])
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let properties: Vec<String> = properties.split(',').map(unquoted).collect();
    let wanted = ["file=e.toml", "line=7", "title=no <ticks> & 100%: # | \\ \"a\"\u{1b}"];
    ensure(properties == wanted, || format!("{properties:?}"))?;
    ensure(message.ends_with("%0AHint: two%0Alines, with ]]> and %250A"), || message.into())?;
    let summary = fs::read_to_string(folder.path().join("summary.md"))?;
    let rows = summary.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |")).count();
    ensure(rows == 4 && summary.contains("no &lt;ticks&gt; &amp; 100%: # \\| \\ \"a\"?"), || summary)
}

fn read_by(program: &str, script: &str, form: &str) -> Result<String, libtest_mimic::Failed> {
    let folder = folder();
    fs::write(folder.path().join("results"), formatted(folder.path(), form)?)?;
    let mut command = Command::new(program);
    command.args([if program == "perl" { "-e" } else { "-c" }, script]).current_dir(&folder);
    Ok(support::command(&mut command, folder.path())?.expect(0)?.stdout)
}

fn expect_for_readers_of_junit() -> TestResult {
    let script = "
import junitparser
for suite in junitparser.JUnitXml.fromfile('results'):
    print(suite.tests, suite.failures, suite.errors)
    for case in suite:
        print(case.name, [(type(result).__name__, '> #' in result.text) for result in case.result])
";
    let read = read_by("python3", script, "junit")?;
    // XML cannot hold the control character.
    let wanted = "2 1 0\nit boots []\nno <ticks> & 100%: # | \\ \"a\" [('Failure', True)]\n";
    ensure(read == wanted, || format!("{read}\n{wanted}"))
}

fn expect_for_the_schema_of_junit() -> TestResult {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/junit-10.xsd");
    let script = format!(
        "import xmlschema\nfor error in xmlschema.XMLSchema({schema:?}).iter_errors('results'): print(error.path, error.reason)"
    );
    let errors = read_by("python3", &script, "junit")?;
    ensure(errors.is_empty(), || errors)
}

fn expect_for_readers_of_tap() -> TestResult {
    let script = "
use TAP::Parser;
my $parser = TAP::Parser->new({ source => 'results', sources => { File => { extensions => [''] } } });
while (my $result = $parser->next) {
    print $result->is_ok ? 'ok' : 'not ok', ' ', $result->description, \"\\n\" if $result->is_test;
    print 'yaml ', $result->data->{severity}, ' ', $result->data->{message} =~ /> #/ ? 1 : 0, \"\\n\" if $result->is_yaml;
}
print join(',', $parser->passed), ';', join(',', $parser->failed), ';', $parser->parse_errors + 0, \"\\n\";
";
    let read = read_by("perl", script, "tap")?;
    let is_right =
        read.contains("ok - it boots\n") && read.contains("yaml fail 1\n") && read.ends_with("1;2;0\n");
    ensure(is_right, || read)
}

/// Each block of TOML in docs/expect.md is a file of expectations.
fn documented() -> TestResult {
    use trace::analysis::expect::Expectations;

    let page = include_str!("../../docs/expect.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    ensure(blocks.len() > 2, || format!("{} blocks", blocks.len()))?;
    blocks.iter().try_for_each(|block| Ok(Expectations::parse(block).map(drop)?))
}

fn first_file_is_met_again() -> TestResult {
    let folder = folder();
    let programs = ["hello", "divider", "wild"];
    for name in ["a.trap", "b.trap"] {
        trapline(folder.path(), &[&["run", "--trace", name][..], &programs].concat())?.expect(32)?;
    }
    let file = trapline(folder.path(), &["expect", "--init", "a.trap"])?.expect(0)?.stdout;
    ensure(file.matches("[[expect]]").count() > 6, || file.clone())?;
    fs::write(folder.path().join("e.toml"), file)?;
    trapline(folder.path(), &["expect", "b.trap", "-f", "e.toml"])?.expect(0).map(drop)
}
