//! strace as a referee: the same static programs, run natively under it and on our kernel.

use std::process::Command;

use libtest_mimic::Failed;

use crate::support::{self, TestResult, ensure};

/// Programs that do the same on Linux, and tell nothing but for a process number or a time.
const PROGRAMS: [(&str, i32); 5] =
    [("hello", 0), ("sleeper", 0), ("divider", 32), ("wild", 32), ("rogue", 32)];

pub fn tells_the_same() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "."])?.expect(0)?;
    for (program, code) in PROGRAMS {
        let run = ["run", program, "--trace", "t.trap", "--force"];
        support::trapline(folder.path(), &run)?.expect(code)?;
        let view = ["view", "t.trap", "--format", "strace"];
        let ours = support::trapline(folder.path(), &view)?.expect(0)?.stdout;

        let mut strace = Command::new("strace");
        strace.args(["-f", "-ttt", "-T", "-o", "native", &format!("./{program}")]).current_dir(folder.path());
        // strace ends by the signal that ended the program.
        let _ = support::command(&mut strace, folder.path());
        let native = std::fs::read_to_string(folder.path().join("native"))?;
        let (ours, native) = (normal(&ours)?, normal(&native)?);
        ensure(ours == native, || format!("{program}: {ours:#?}\nand under strace: {native:#?}"))?;
    }
    Ok(())
}

/// Lines without what no two runs share: process, times, what `execve` was given, readings of clocks, and the blanks
/// that put results in a column.
fn normal(text: &str) -> Result<Vec<String>, Failed> {
    let line = |line: &str| {
        let (process, rest) = line.split_once(' ').ok_or("a line without a process")?;
        let (time, rest) = rest.trim_start().split_once(' ').ok_or("a line without a time")?;
        process.parse::<u32>()?;
        time.parse::<f64>()?;
        let call = rest.rfind('<').filter(|_| rest.ends_with('>')).map_or(rest, |at| &rest[..at]);
        Ok(match call {
            _ if call.starts_with("execve(") => "execve".into(),
            _ if call.starts_with("clock_gettime(") => without_digits(call),
            _ => call.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    };
    text.lines().map(line).collect()
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
