//! docs/json.md: what each command prints with `--json` is valid under its schema, which describes every key.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stat::FIXTURE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    let validator = [Need::Tool("python3"), Need::Module("jsonschema")];
    suite
        .pure("the_page_names_each_schema", page_names_each_schema)
        .needs(
            &[&validator[..], &[Need::Kvm]].concat(),
            "each_json_document_is_valid_under_its_schema",
            documents_are_valid,
        )
        .kvm("programs_print_on_standard_error_beside_json", programs_print_on_standard_error)
}

fn page_names_each_schema() -> TestResult {
    let page = fs::read_to_string(PAGE)?;
    for entry in fs::read_dir(SCHEMAS)? {
        let name = entry?.file_name().into_string().map_err(|name| format!("{name:?}"))?;
        ensure(page.contains(&format!("(schemas/{name})")), || format!("docs/json.md does not name {name}"))?;
    }
    Ok(())
}

/// Commands that print JSON, each with its schema and its exit code. `cut.trap` is damaged; `tour.trap` and `fast.trap`
/// are of different programs.
const DOCUMENTS: [(&str, i32, &[&str]); 19] = [
    ("run", 0, &["run", "--json", "--trace", "tour.trap"]),
    ("run", 32, &["run", "--json", "--trace", "fast.trap", "hello", "wild", "--quantum", "1ms"]),
    ("run", 36, &["run", "--json", "--trace", "hog.trap", "hog", "--timeout", "50ms"]),
    ("run", 0, &["run", "--json", "--trace", "/dev/null", "hello"]),
    ("run", 0, &["run", "--json", "--trace", "none", "hello"]),
    ("bench", 0, &["bench", "--json"]),
    ("list", 0, &["list", "--json"]),
    ("doctor", 0, &["doctor", "--json"]),
    ("recover", 0, &["recover", "--json", "cut.trap", "-o", "whole.trap"]),
    ("export", 0, &["export", "--json", "tour.trap", "--format", "csv", "-o", "tour.csv"]),
    ("export", 0, &["export", "--json", "tour.trap", "--format", "ctf", "-o", "ctf"]),
    ("check", 0, &["check", "--json", "tour.trap"]),
    ("check", 1, &["check", "--json", "cut.trap"]),
    ("stat", 0, &["stat", "--json", "tour.trap", "cut.trap", "whole.trap", "hog.trap"]),
    ("diff", 1, &["diff", "--json", "tour.trap", "fast.trap"]),
    ("diff", 1, &["diff", "--json", "tour.trap", "cut.trap"]),
    ("protocol", 0, &["protocol", "--format", "json", "tour.trap"]),
    ("protocol", 0, &["protocol", "--format", "json", "tour.trap", "--switch", "1"]),
    ("protocol", 0, &["protocol", "--format", "json", "whole.trap"]),
];

fn documents_are_valid() -> TestResult {
    let folder = folder();
    let folder = folder.path();
    let fixture = fs::read(FIXTURE)?;
    fs::write(folder.join("cut.trap"), &fixture[..fixture.len() / 5 * 4])?;
    let mut python = Command::new("python3");
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/trace/schemas.py")).arg(SCHEMAS);
    for (index, (schema, code, arguments)) in DOCUMENTS.into_iter().enumerate() {
        let file = format!("{index}.json");
        fs::write(folder.join(&file), trapline(folder, arguments)?.expect(code)?.stdout)?;
        python.arg(format!("{schema}={file}"));
    }
    support::command(python.current_dir(folder), folder)?.expect(0)?;
    Ok(())
}

fn programs_print_on_standard_error() -> TestResult {
    let folder = folder();
    let output = trapline(folder.path(), &["run", "--json", "hello"])?.expect(0)?;
    let document: serde_json::Value = serde_json::from_str(&output.stdout)?;
    ensure(document["trace"] == "trapline-1.trap", || output.stdout.clone())?;
    ensure(document["summary"]["processes"][0]["name"] == "hello", || output.stdout.clone())?;
    ensure(output.stderr.starts_with("hello: a program in user mode"), || output.stderr.clone())?;
    ensure(!output.stderr.contains("events in"), || output.stderr.clone())
}
