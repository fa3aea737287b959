//! The kernel stays small enough to read in an evening: its lines of code are bounded.

use std::fs;
use std::path::Path;

use crate::support::{TestResult, ensure};

/// The most lines of code of the core: everything outside the rooms below.
const CORE_MAX: usize = 2600;
/// The most lines of each room that is not the core.
const ROOMS_MAX: [(&str, usize); 2] = [("hosts", 424), ("linux", 4798)];

pub fn is_bounded() -> TestResult {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/kernel/src");
    let mut core = lines_below(&root)?;
    for (room, most) in ROOMS_MAX {
        let lines = lines_below(&root.join(room))?;
        ensure(lines > 0 && lines <= most, || format!("{room} has {lines} lines of code, at most {most}"))?;
        core -= lines;
    }
    ensure(core > 1000 && core <= CORE_MAX, || {
        format!("the core has {core} lines of code, at most {CORE_MAX}")
    })
}

pub fn only_code_counts() -> TestResult {
    let source = "//! Module.\n\nfn a() {} // end\n    /// Item.\n    a();\n\n#[cfg(test)]\nmod tests {}\n";
    ensure(lines(source) == 2, || format!("{} lines", lines(source)))
}

fn lines_below(folder: &Path) -> Result<usize, libtest_mimic::Failed> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let path = entry?.path();
        Ok(sum + if path.is_dir() { lines_below(&path)? } else { lines(&fs::read_to_string(&path)?) })
    })
}

/// Lines that are neither blank nor a comment, without the unit tests, which come last in a file.
fn lines(source: &str) -> usize {
    let code = source.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
    code.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}
