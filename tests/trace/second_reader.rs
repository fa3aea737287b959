//! Another implementation, made from `docs/trace-format.md` alone, reads the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use trace::Trace;

use crate::support::{self, Need, Suite, TestResult, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite.needs(&[Need::Kvm, Need::Tool("python3")], "a_second_reader_reads_the_same", reads_the_same)
}

fn reads_the_same() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/trace/reader.py");
    let mut python = Command::new("python3");
    let other = support::command(python.arg(script).arg("t.trap").current_dir(folder.path()), folder.path())?;
    let ours = said(&Trace::open(&folder.path().join("t.trap"))?);
    ensure(other.code == 0 && other.stdout == ours, || format!("we read {ours}it reads {other:#?}"))
}

/// What the script prints: the number of records, a sum over all that they say, and the number of each kind.
fn said(trace: &Trace) -> String {
    let (mut records, mut kinds, mut sum) = (trace.records(), BTreeMap::<u8, u64>::new(), 0_u64);
    while let Some(record) = records.next() {
        *kinds.entry(record.kind).or_default() += 1;
        let numbers = [record.tsc, record.process.into(), record.detail.into()];
        sum = numbers.into_iter().chain(record.words()).fold(sum, u64::wrapping_add);
    }
    let each: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind}:{count}")).collect();
    format!("{} {sum} {}\n", kinds.values().sum::<u64>(), each.join(" "))
}
