//! The options of `trapline run` for Linux programs, tried with busybox.

use std::fs;

use crate::support::{self, Need, Suite, TestResult, ensure};

const BUSYBOX: [Need; 2] = [Need::Kvm, Need::Tool("busybox")];

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite.needs(&BUSYBOX, "a_program_has_the_files_that_are_named", named_files).needs(
        &BUSYBOX,
        "a_program_has_the_variables_that_are_named",
        named_variables,
    )
}

/// The path of busybox.
fn busybox() -> Result<String, libtest_mimic::Failed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join("busybox"));
    let found = files.find(|file| file.is_file()).ok_or("busybox is not on PATH")?;
    Ok(found.to_string_lossy().into_owned())
}

fn named_files() -> TestResult {
    let folder = support::folder();
    fs::create_dir_all(folder.path().join("host/sub"))?;
    fs::write(folder.path().join("host/sub/text"), "of the host\n")?;
    fs::write(folder.path().join("own"), "at its own path\n")?;
    fs::write(folder.path().join("secret"), "not given\n")?;
    let script = "cat /data/sub/text own; ls /data; cat secret; echo x > own";
    let arguments = ["run", "--file", "host:/data", "--file", "own", "--", &busybox()?, "sh", "-c", script];
    let output = support::trapline(folder.path(), &arguments)?.expect(32)?;
    ensure(output.stdout.starts_with("of the host\nat its own path\nsub\n"), || format!("{output:#?}"))?;
    for line in ["cat: can't open 'secret': No such file", "can't create own: Read-only file system"] {
        ensure(output.stderr.contains(line), || format!("{line}: {output:#?}"))?;
    }
    let arguments = ["run", "--file", "/dev/zero:/x", "--", &busybox()?, "true"];
    let output = support::trapline(folder.path(), &arguments)?.expect(2)?;
    ensure(output.stderr.contains("/dev/zero (--file): it is not a regular file"), || format!("{output:#?}"))
}

fn named_variables() -> TestResult {
    let folder = support::folder();
    let arguments = ["run", "--env", "A=1 2", "--env", "B=", "--", &busybox()?, "env"];
    let output = support::trapline(folder.path(), &arguments)?.expect(0)?;
    ensure(output.stdout.starts_with("A=1 2\nB=\n\n"), || format!("{output:#?}"))
}
