//! The programs of `tests/linux/programs` and `examples/homework`, compiled as usual, and busybox: on our kernel they do
//! the same as on Linux.
//!
//! On Linux they run under strace, which shows their calls.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use libtest_mimic::Failed;

use crate::calls;
use crate::support::{self, Need, Suite, TestResult, ensure};

/// Names a folder with compiled programs, for a machine without compilers.
const COMPILED: &str = "TRAPLINE_PROGRAMS";
/// This word in a comment marks a program whose calls are not the same in every run.
const VARIES: &str = "depend";
/// These words in a comment mark a program that prints measurements.
const MEASURES: &str = "figures vary";

/// A compiler, and the word for it in the names of the tests.
#[derive(Clone, Copy)]
struct Compiler {
    name: &'static str,
    tool: &'static str,
    folder: &'static str,
    extension: &'static str,
    flags: &'static [&'static str],
}

const C: &[&str] = &["-static", "-O1", "-w", "-pthread", "-lm"];
const RUST: &[&str] = &[
    "--edition=2024",
    "-O",
    "-Awarnings",
    "--target=x86_64-unknown-linux-gnu",
    "-Ctarget-feature=+crt-static",
];
const COMPILERS: [Compiler; 4] = [
    Compiler { name: "glibc", tool: "gcc", folder: "programs", extension: "c", flags: C },
    Compiler { name: "musl", tool: "musl-gcc", folder: "programs", extension: "c", flags: C },
    Compiler { name: "homework", tool: "gcc", folder: "../../examples/homework", extension: "c", flags: C },
    Compiler { name: "rust", tool: "rustc", folder: "programs", extension: "rs", flags: RUST },
];

/// Command lines of busybox's shell.
const SHELL: &[&str] = &[
    "echo hello",
    "echo one two | cat",
    "seq 5 | sort -r",
    "seq 1 100 | awk '{ sum += $1 } END { print sum }'",
    "cat given/words | grep an | wc -l",
    "sha256sum given/words given/numbers",
    "md5sum < given/words",
    "sort given/words -r | head -n 2",
    "sort -n -r given/numbers | tail -n 3",
    "seq 20 | xargs -n 5 echo",
    "ls given | xargs echo files:",
    "awk -F, 'NR > 1 { age[$3] += $2 } END { for (city in age) print city, age[city] }' given/table.csv | sort",
    "cut -d, -f1,3 given/table.csv | tr a-z A-Z",
    "sed -n 's/a/A/gp' given/words",
    "grep -c o given/table.csv; grep -v o given/table.csv",
    "wc given/words given/numbers",
    "head -c 11 given/words; tail -n +5 given/words",
    "uniq -c given/words | head -n 1",
    "for i in 1 2 3; do echo $i; done",
    "i=0; while [ $i -lt 4 ]; do echo $i; i=$((i + 1)); done",
    "exit 7",
    "false || echo failed; true && echo worked",
    "echo out; echo err >&2",
    "(echo inner; exit 3); echo $?",
    "x=$(seq 3 | wc -l); echo lines $x",
    "cat << END\nhere document\nEND",
    "cat nothing; echo $?",
    "cat < given/words | while read word; do echo [$word]; done",
    "f() { echo called with $1; return 4; }; f one; echo $?",
    "case given in g*) echo matched;; *) echo other;; esac",
    "printf '%s-%d\\n' a 1 b 2",
    "expr 6 \\* 7; echo $((0x10 + 010))",
    "ls -1 given given/inner",
    "test -f given/words && test -d given/inner && echo both",
    "basename /a/b/c.txt .txt; dirname /a/b/c.txt",
    "seq 3 | tee /dev/stderr | wc -c",
    "yes | head -n 3",
    "set -- a b c; shift; echo $# $*",
    "trap 'echo trapped' EXIT; echo before",
    "sleep 0.01 & wait $!; echo $?",
    "kill -TERM $$; echo never",
    "cmp given/words given/numbers; echo $?",
    "diff given/words given/inner/text | head -n 3",
    "od -c given/inner/text | head -n 2; hexdump -C given/inner/text | head -n 1",
    "rev given/words | paste -s -d+ -",
    "echo Zm9v | base64 -d; echo; echo foo | base64",
    "gzip -c given/words | gunzip -c | cmp - given/words && echo same",
    "find given -name 'n*'; find given -type d | sort",
    "tac given/words | nl | head -n 2; fold -w 3 given/inner/text | head -n 2",
    "echo $HOME$PATH | wc -c; env | wc -l; pwd | grep -c /",
    "exec 3< given/words; read one <&3; read two <&3; echo $one $two",
    "time true 2>&1 | wc -l; time -p true 2>/dev/null; echo $?",
    "factor 360 97; cal 2 2024 | head -n 2; seq -s ' ' 1 2 9",
    "nosuchcommand; echo $?",
];

/// The folder with the sources. Its folder `given` has the files that they read.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("linux")
}

/// What is the same in every run of a program.
#[derive(Clone, Copy)]
struct Same {
    calls: bool,
    figures: bool,
}

/// Adds a test for each program with each compiler, and for each command line.
pub fn add(mut suite: Suite) -> Suite {
    for compiler in COMPILERS {
        for name in names(compiler) {
            let mut needs = vec![Need::Kvm, Need::Tool("strace")];
            if env::var_os(COMPILED).is_none() {
                needs.push(Need::Tool(compiler.tool));
            }
            let test = format!("{}_{name}", compiler.name);
            suite = suite.needs(&needs, &test, move || program(compiler, &name));
        }
    }
    let lines = if support::is_emulated_host() { &SHELL[..6] } else { SHELL };
    for (number, line) in lines.iter().enumerate() {
        let needs = [Need::Kvm, Need::Tool("strace"), Need::Tool("busybox")];
        suite = suite.needs(&needs, &format!("shell_{:02}", number + 1), move || shell(line));
    }
    suite
}

/// The programs for a compiler.
fn names(compiler: Compiler) -> Vec<String> {
    let compiled = env::var_os(COMPILED);
    let (folder, extension) = match &compiled {
        Some(folder) => (Path::new(folder).join(compiler.name), ""),
        None => (sources().join(compiler.folder), compiler.extension),
    };
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fitting = files.filter(|file| file.extension().unwrap_or_default() == extension);
    let mut names: Vec<String> =
        fitting.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

fn program(compiler: Compiler, name: &str) -> TestResult {
    let folder = support::folder();
    let source = sources().join(compiler.folder).join(name).with_extension(compiler.extension);
    let file = match env::var_os(COMPILED) {
        Some(compiled) => Path::new(&compiled).join(compiler.name).join(name),
        None => {
            let file = folder.path().join(name);
            let mut command = Command::new(compiler.tool);
            command.arg(&source).arg("-o").arg(&file).args(compiler.flags);
            support::command(&mut command, folder.path())?.expect(0)?;
            file
        }
    };
    let source = fs::read_to_string(source)?;
    let same = Same { calls: !source.contains(VARIES), figures: !source.contains(MEASURES) };
    as_natively(&[&path(&file)?], same, folder.path())
}

fn shell(line: &str) -> TestResult {
    let path = env::var_os("PATH").unwrap_or_default();
    let busybox = env::split_paths(&path).map(|folder| folder.join("busybox")).find(|file| file.is_file());
    let busybox = busybox.ok_or("busybox is not on PATH")?;
    // The order in which the processes of a pipeline wait for each other depends on the scheduler.
    as_natively(
        &[&self::path(&busybox)?, "sh", "-c", line],
        Same { calls: false, figures: true },
        support::folder().path(),
    )
}

fn path(file: &Path) -> Result<String, Failed> {
    Ok(file.to_str().ok_or("a path that is no text")?.to_owned())
}

/// Runs a command under strace and on our kernel, without variables and input. Output and status must be the same, and
/// the calls too if they are the same in every run. The trace must keep every rule of `check`.
fn as_natively(command: &[&str], same: Same, folder: &Path) -> TestResult {
    support::command(Command::new("cp").arg("-r").arg(sources().join("given")).arg(folder), folder)?
        .expect(0)?;
    let native = run("strace", &["-f", "-o", "native", "--"], command, folder)?;
    let options = ["run", "--exit-status", "--timeout", "100s", "--trace", "t.trap", "--file", "given", "--"];
    let ours = run(support::binary(), &options, command, folder)?;
    let figures = |output: &[u8]| -> Vec<u8> {
        output.iter().copied().filter(|byte| same.figures || !byte.is_ascii_digit()).collect()
    };
    equal("standard output", &figures(&native.stdout), &figures(&ours.stdout))?;
    equal(
        "standard error",
        &without_threads(&native.stderr),
        &without_threads(without_summary(&ours.stderr)),
    )?;
    let status = |output: &Output| output.status.code().or(output.status.signal().map(|signal| 128 + signal));
    ensure(status(&native) == status(&ours), || format!("natively {}, here {}", native.status, ours.status))?;
    support::trapline(folder, &["check", "t.trap"])?.expect(0)?;
    if same.calls {
        let ours = support::trapline(folder, &["view", "t.trap", "--format", "strace"])?.expect(0)?.stdout;
        calls::compare(&fs::read_to_string(folder.join("native"))?, &ours)?;
    }
    Ok(())
}

fn run(
    tool: impl AsRef<std::ffi::OsStr>,
    options: &[&str],
    command: &[&str],
    folder: &Path,
) -> Result<Output, Failed> {
    let mut process = Command::new(tool);
    process.args(options).args(command).current_dir(folder).env_clear().stdin(Stdio::null());
    Ok(process.output()?)
}

/// What the program wrote, before the summary.
fn without_summary(text: &[u8]) -> &[u8] {
    let summary = text.windows(11).position(|part| part == b" events in ").unwrap_or(text.len());
    let line = text[..summary].iter().rposition(|byte| !byte.is_ascii_digit()).unwrap_or(0);
    &text[..line]
}

/// The text of a Rust panic, without the number of the thread.
fn without_threads(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split("' (");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    rest.fold(first, |text, part| text + "' (" + part).into_bytes()
}

fn equal(what: &str, native: &[u8], ours: &[u8]) -> TestResult {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure(native == ours, || format!("{what} natively:\n{}\nhere:\n{}", text(native), text(ours)))
}
