//! The exercises of docs/ostep.md: each right answer in examples/exercises/answers meets all expectations, and the first
//! expectation that a wrong answer does not meet is the one that names its mistake.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;

use crate::GCC;
use crate::support::{self, Output, Suite, TestResult, binary, ensure, folder, trapline};

const CHAPTER: &str = include_str!("../../docs/ostep.md");
const ANSWERS: &str = include_str!("../../examples/exercises/answers/README.md");

/// A row of the table of answers.
struct Answer {
    exercise: &'static str,
    /// The compiler's option for a wrong variant.
    option: &'static str,
    /// The arguments of `trapline run`, as a shell reads them.
    arguments: &'static str,
    /// `passes`, or the first expectation that is not met.
    result: &'static str,
}

fn answers() -> Vec<Answer> {
    let cells = |line: &'static str| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
    let rows = ANSWERS.lines().filter(|line| line.starts_with("| `")).map(cells);
    let row = |cells: Vec<&'static str>| match cells[..] {
        ["", exercise, option, arguments, result, ""] => Answer { exercise, option, arguments, result },
        _ => panic!("not a row of the table: {cells:?}"),
    };
    rows.map(row).collect()
}

fn exercises() -> BTreeSet<&'static str> {
    answers().iter().map(|answer| answer.exercise).collect()
}

/// Adds one test for each exercise.
pub fn add(suite: Suite) -> Suite {
    let suite = suite.pure("each_section_of_the_chapter_has_an_exercise", each_section_has_one);
    exercises().into_iter().fold(suite, |suite, exercise| {
        suite.needs(&GCC, &format!("the_exercise_{exercise}_is_judged"), move || is_judged(exercise))
    })
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/exercises").join(name)
}

/// Compiles and runs an answer, and judges its trace as the chapter says.
fn judged(answer: &Answer) -> Result<Output, Failed> {
    let folder = folder();
    let source = place("answers").join(answer.exercise).with_extension("c");
    if source.is_file() {
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-O1", "-w", "-o", answer.exercise]).arg(source).current_dir(&folder);
        gcc.args((!answer.option.is_empty()).then_some(answer.option));
        support::command(&mut gcc, folder.path())?.expect(0)?;
    }
    let line = format!("\"$0\" run --trace t.trap {} > out.txt", answer.arguments);
    let mut shell = Command::new("sh");
    support::command(shell.args(["-c", &line]).arg(binary()).current_dir(&folder), folder.path())?;
    let judge = place(answer.exercise).with_extension("toml");
    trapline(folder.path(), &["expect", "t.trap", "-f", &judge.to_string_lossy(), "--output", "out.txt"])
}

fn is_judged(exercise: &str) -> TestResult {
    for answer in answers().iter().filter(|answer| answer.exercise == exercise) {
        let output = judged(answer)?;
        let failures = output.stdout.lines().filter(|line| line.starts_with("FAIL"));
        let first = failures.map(|line| line.trim_start_matches(|c: char| !c.is_lowercase())).next();
        let is_right = match answer.result {
            "passes" => output.code == 0,
            expectation => output.code == 1 && first == Some(expectation),
        };
        ensure(is_right, || format!("{}: {output:#?}", answer.arguments))?;
    }
    Ok(())
}

/// An exercise in each section that has an excerpt, with a file, a right answer and a wrong one.
fn each_section_has_one() -> TestResult {
    let mut named = BTreeSet::new();
    for section in CHAPTER.split("\n## ").filter(|section| section.contains("```text\n")) {
        let file = section.split_once("**Exercise** [`").and_then(|(_, rest)| rest.split_once(".toml`]"));
        let (name, _) = file.ok_or_else(|| format!("no exercise in {section:.60}"))?;
        ensure(named.insert(name), || format!("{name} is in two sections"))?;
    }
    ensure(named == exercises(), || format!("{named:?} {:?}", exercises()))?;
    let files: BTreeSet<String> = fs::read_dir(place(""))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    let wanted = named.iter().map(|name| format!("{name}.toml")).chain(["answers".to_owned()]);
    ensure(files == wanted.collect(), || format!("{files:?}"))?;
    for exercise in named {
        let (right, wrong): (Vec<_>, Vec<_>) = answers()
            .into_iter()
            .filter(|answer| answer.exercise == exercise)
            .partition(|answer| answer.result == "passes");
        ensure(right.len() == 1 && !wrong.is_empty(), || format!("the answers to {exercise}"))?;
    }
    Ok(())
}
