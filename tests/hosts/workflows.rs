//! The workflow of this repository and the action for others: each `run:` step runs here, in its order, with the rest of its
//! job. Scripts play what would change this machine (sudo, rustup), what is not here (other targets) and the gate itself,
//! of which these tests are a part.
//!
//! Limit: what GitHub's own actions do, and what an expression means that is not one of [`value_of`], is not tried.

use std::fs;
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;
use tempfile::TempDir;

use crate::gate::{KVM_AND_BASH, TREE, players};
use crate::support::{self, Output, Suite, TestResult, ensure, folder};

const WORKFLOW: &str = include_str!("../../.github/workflows/ci.yml");
const RELEASE: &str = include_str!("../../.github/workflows/release.yml");
const ACTION: &str = include_str!("../../action.yml");

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .needs(&KVM_AND_BASH, "every_step_of_the_workflow_runs", every_step_of_the_workflow_runs)
        .needs(&KVM_AND_BASH, "every_step_of_the_action_runs", every_step_of_the_action_runs)
        .needs(&KVM_AND_BASH, "the_action_tests_what_is_expected", the_action_tests_what_is_expected)
        .tools(&["bash"], "every_step_of_the_release_runs", every_step_of_the_release_runs)
        .pure("a_workflow_without_kvm_tests_fails", a_workflow_without_kvm_tests_fails)
        .pure("workflows_are_pinned_and_bounded", workflows_are_pinned_and_bounded)
}

fn parsed(text: &str) -> Result<Value, Failed> {
    Ok(serde_saphyr::from_str(text)?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A machine of GitHub's, as far as the steps see it.
struct Machine {
    players: TempDir,
    tree: TempDir,
}

/// What stands in a step for an expression: an entry of the matrix, what a job that was needed reported, an input.
struct Context<'a> {
    matrix: &'a Value,
    /// How many tests that need KVM the other jobs say that they ran.
    kvm_tests: &'a str,
    inputs: &'a Value,
}

/// The value of an expression. None: this test does not know it.
fn value_of(expression: &str, context: &Context) -> Option<String> {
    let words: Vec<&str> = expression.split('.').collect();
    match words[..] {
        ["matrix", name] => Some(text(context.matrix.get(name)?)),
        ["needs", _, "result"] => Some("success".into()),
        ["needs", _, "outputs", "kvm-tests"] => Some(context.kvm_tests.into()),
        ["github", "ref_name"] => Some("v1.2.3".into()),
        ["github", name] => Some(name.into()),
        ["inputs", name] => Some(text(context.inputs.get(name)?.get("default")?)),
        _ => None,
    }
}

fn evaluated(template: &str, context: &Context) -> Result<String, Failed> {
    let mut parts = template.split("${{");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").ok_or("an expression without an end")?;
        let value = value_of(expression.trim(), context).ok_or_else(|| format!("unknown: {expression}"))?;
        result += &(value + rest);
    }
    Ok(result)
}

impl Machine {
    fn new() -> Result<Machine, Failed> {
        let cargo = format!(
            "case $1 in
               check) shift; exec {cargo} tree --quiet --offline --manifest-path '{TREE}/Cargo.toml' \"$@\" ;;
               install) [ -f \"$4/Cargo.toml\" ] && mkdir -p \"$6/bin\" && ln -sf '{trapline}' \"$6/bin/trapline\" ;;
               *) exit 1 ;;
             esac",
            cargo = env!("CARGO"),
            trapline = support::binary().display()
        );
        // What is written by root is printed instead.
        let sudo = "[ \"$1\" != -n ] || shift\n[ \"$1\" != tee ] || set -- cat\nexec \"$@\"";
        let programs = [
            ("sudo", sudo),
            ("udevadm", "echo udevadm \"$@\""),
            ("gh", "echo gh \"$@\""),
            ("rustup", ""),
            ("cargo", &cargo),
        ];
        let (players, tree) = (players(&programs)?, folder());
        let gate =
            "mkdir -p \"$TRAPLINE_LOGS\"; echo 'test kvm::a ... ok' >\"$TRAPLINE_LOGS/tests on this host\"";
        let release = "mkdir \"$1\"; touch \"$1/trapline-1.2.3-x86_64-linux.tar.gz\"";
        let scripts = [
            ("scripts/test", gate),
            (".ci/run", gate),
            ("scripts/install", "exit 1"),
            ("scripts/viewer", ""),
            ("scripts/release", release),
        ];
        for (name, script) in scripts {
            let played = self::players(&[("played", script)])?;
            let file = tree.path().join(name);
            fs::create_dir_all(file.parent().ok_or("a folder")?)?;
            fs::copy(played.path().join("played"), file)?;
        }
        Ok(Machine { players, tree })
    }

    /// Runs the `run:` steps of a job, or of an action, one after the other. Returns what they printed and wrote, or the
    /// first that fails.
    fn run(&self, steps: &Value, variables: &Value, context: &Context) -> Result<String, Failed> {
        let mut said = String::new();
        for step in list(steps) {
            let Some(script) = step["run"].as_str() else { continue };
            let output = self.step(&evaluated(script, context)?, [variables, &step["env"]], context)?;
            let output = output.expect(0).map_err(|error| {
                format!("{}: {}", text(&step["name"]), error.message().unwrap_or_default())
            })?;
            said += &output.stdout;
        }
        let written = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"];
        let written = written.map(|name| fs::read_to_string(self.tree.path().join(name)).unwrap_or_default());
        Ok(said + &written.concat())
    }

    /// Runs a step as GitHub does: bash, and what earlier steps have added to the path.
    fn step(&self, script: &str, variables: [&Value; 2], context: &Context) -> Result<Output, Failed> {
        let added = fs::read_to_string(self.tree.path().join("GITHUB_PATH")).unwrap_or_default();
        let mut path: Vec<String> = added.lines().map(ToOwned::to_owned).collect();
        path.extend([self.players.path().display().to_string(), std::env::var("PATH")?]);
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(self.tree.path());
        bash.env("PATH", path.join(":")).env("GITHUB_ACTION_PATH", TREE).env("RUNNER_TEMP", self.tree.path());
        for name in ["GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"] {
            bash.env(name, self.tree.path().join(name));
        }
        for (name, value) in variables.into_iter().flat_map(entries) {
            bash.env(name, evaluated(&text(value), context)?);
        }
        support::command(&mut bash, self.players.path())
    }
}

fn every_step_of_the_workflow_runs() -> TestResult {
    let workflow = parsed(WORKFLOW)?;
    let nothing = Value::Null;
    for (name, job) in entries(&workflow["jobs"]) {
        let all = list(&job["strategy"]["matrix"]["include"]);
        let all = if all.is_empty() { std::slice::from_ref(&nothing) } else { all };
        for matrix in all {
            let context = Context { matrix, kvm_tests: "7", inputs: &nothing };
            let said = Machine::new()?.run(&job["steps"], &workflow["env"], &context);
            let said = said.map_err(|error| format!("{name}: {}", error.message().unwrap_or_default()))?;
            ensure(job["outputs"].is_null() || said.contains("tests=1\n"), || format!("{name}: {said}"))?;
        }
    }
    Ok(())
}

fn every_step_of_the_action_runs() -> TestResult {
    let (machine, summary) = run_action(&[])?;
    ensure(machine.tree.path().join("trapline.trap").is_file(), || "there is no trace".into())?;
    ensure(summary.is_empty(), || format!("without `expect` there is a summary: {summary}"))
}

/// Runs the steps of the action with these inputs. Returns the machine, and the job summary.
fn run_action(inputs: &[(&str, &str)]) -> Result<(Machine, String), Failed> {
    let mut action = parsed(ACTION)?;
    for (name, value) in inputs {
        ensure(action["inputs"][name].is_object(), || format!("the action has no input {name}"))?;
        action["inputs"][name]["default"] = (*value).into();
    }
    let context = Context { matrix: &Value::Null, kvm_tests: "", inputs: &action["inputs"] };
    let machine = Machine::new()?;
    for (file, expectation) in [("good.toml", "order = ['kind=boot']"), ("bad.toml", "never = 'kind=boot'")] {
        fs::write(machine.tree.path().join(file), format!("[[expect]]\n{expectation}\n"))?;
    }
    machine.run(&action["runs"]["steps"], &Value::Null, &context)?;
    let summary = fs::read_to_string(machine.tree.path().join("GITHUB_STEP_SUMMARY")).unwrap_or_default();
    Ok((machine, summary))
}

fn the_action_tests_what_is_expected() -> TestResult {
    let run = ("run", "trapline run --trace hello.trap hello");
    let (_, summary) = run_action(&[run, ("trace", "hello.trap"), ("expect", "good.toml")])?;
    ensure(summary.contains("hello.trap"), || format!("the job summary: {summary}"))?;
    let failed = run_action(&[run, ("trace", "hello.trap"), ("expect", "bad.toml")]).err();
    let message = failed.and_then(|error| error.message().map(ToOwned::to_owned)).unwrap_or_default();
    ensure(message.starts_with("Expect: ") && message.contains("::error file=bad.toml"), || message)
}

fn every_step_of_the_release_runs() -> TestResult {
    let release = parsed(RELEASE)?;
    let context = Context { matrix: &Value::Null, kvm_tests: "", inputs: &Value::Null };
    let said = Machine::new()?.run(&release["jobs"]["release"]["steps"], &Value::Null, &context)?;
    let file = "dist/trapline-1.2.3-x86_64-linux.tar.gz";
    ensure(said.starts_with("gh release create v1.2.3 ") && said.contains(file), || said)
}

fn a_workflow_without_kvm_tests_fails() -> TestResult {
    let workflow = parsed(WORKFLOW)?;
    for kvm_tests in ["", "0"] {
        let context = Context { matrix: &Value::Null, kvm_tests, inputs: &Value::Null };
        let result = Machine::new()?.run(&workflow["jobs"]["gate"]["steps"], &Value::Null, &context);
        ensure(result.is_err(), || format!("{kvm_tests:?} tests that need KVM are enough"))?;
    }
    Ok(())
}

/// A tag can be moved to other code. A job without a limit waits for six hours.
fn workflows_are_pinned_and_bounded() -> TestResult {
    let (workflow, release, action) = (parsed(WORKFLOW)?, parsed(RELEASE)?, parsed(ACTION)?);
    for workflow in [&workflow, &release] {
        ensure(workflow["permissions"] == serde_json::json!({ "contents": "read" }), || {
            format!("permissions: {}", workflow["permissions"])
        })?;
    }
    let mut steps = list(&action["runs"]["steps"]).to_vec();
    for (name, job) in entries(&workflow["jobs"]).chain(entries(&release["jobs"])) {
        let limit = job["timeout-minutes"].as_u64();
        ensure(limit.is_some_and(|minutes| minutes <= 60), || {
            format!("{name}: a limit of {limit:?} minutes")
        })?;
        // A release is written and attested.
        ensure(job["permissions"].is_null() || name == "release", || {
            format!("{name}: it has permissions of its own")
        })?;
        steps.extend_from_slice(list(&job["steps"]));
    }
    let used = steps.iter().filter_map(|step| step["uses"].as_str()).collect::<Vec<_>>();
    ensure(used.len() > 5, || format!("{used:?}"))?;
    let is_commit = |name: &&str| {
        let commit = name.split_once('@').map_or("", |(_, commit)| commit);
        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    ensure(used.iter().all(is_commit), || format!("{used:?}"))
}
