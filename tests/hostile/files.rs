//! Files without an end, or without a writer: each is refused before it is read.

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Suite, TestResult, ensure, folder, trapline};

/// Adds the test of this file.
pub fn add(suite: Suite) -> Suite {
    suite.pure("files::what_is_no_regular_file_is_refused", what_is_no_regular_file_is_refused)
}

fn what_is_no_regular_file_is_refused() -> TestResult {
    let folder = folder();
    mkfifo(&folder.path().join("fifo"), Mode::S_IRWXU)?;
    std::fs::File::create(folder.path().join("large"))?.set_len(1 << 40)?;
    for file in ["/dev/zero", "./fifo", "./large"] {
        for arguments in [&["run", file][..], &["run", "hello", "--kernel", file]] {
            let output = trapline(folder.path(), arguments)?.expect(2)?;
            let names_it = output.stderr.contains(file);
            let says_why =
                output.stderr.contains("not a regular file") || output.stderr.contains("a guest has at most");
            ensure(names_it && says_why, || format!("{arguments:?}: {output:#?}"))?;
        }
    }
    Ok(())
}
