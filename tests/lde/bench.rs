//! `trapline bench`: that its rows are there and plausible. What they measure depends on the host.

use libtest_mimic::Failed;
use serde_json::json;
use trapline::bench::compare::{Change, compare};
use trapline::bench::page::page;
use trapline::bench::text::{comparison, text};
use trapline::bench::{Bench, Numbers, Row};

use crate::support::{self, TestResult, ensure};

const GROUPS: [(&str, usize); 8] = [
    ("null call", 6),
    ("page fault", 1),
    ("division fault", 1),
    ("switch", 3),
    ("timer", 4),
    ("exit", 5),
    ("halt", 1),
    ("launch", 1),
];

/// Every row is measured, or says why it is not; and a result compared with itself is all noise.
pub fn every_row_is_there() -> TestResult {
    let folder = support::folder();
    let output =
        support::trapline(folder.path(), &["bench", "--json", "--output", "bench.html"])?.expect(0)?;
    let bench: Bench = serde_json::from_str(&output.stdout)?;
    let written = std::fs::read_to_string(folder.path().join("bench.html"))?;
    ensure(written == page(&bench), || {
        format!("the file has another page than that of the result:\n{written}")
    })?;
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for row in &bench.rows {
        match groups.last_mut() {
            Some((group, rows)) if *group == row.group => *rows += 1,
            _ => groups.push((&row.group, 1)),
        }
        is_plausible(row)?;
    }
    ensure(groups == GROUPS, || format!("the groups are {groups:?}"))?;
    let compared = compare(&bench, &bench);
    let is_noise = |change| matches!(change, Change::Noise | Change::NotComparable);
    ensure(compared.iter().all(|row| is_noise(row.change)), || format!("{compared:#?}"))?;
    for text in [text(&bench), page(&bench), comparison(&bench, &bench, &compared)] {
        let names = bench.rows.iter().map(|row| &row.name);
        let missing = names.clone().find(|name| !text.contains(name.as_str()));
        ensure(missing.is_none(), || format!("{missing:?} is not in\n{text}"))?;
    }
    Ok(())
}

fn is_plausible(row: &Row) -> TestResult {
    let wrong = |what: &str| Failed::from(format!("{what}: {row:#?}"));
    ensure(!row.meaning.is_empty(), || "no meaning".into())?;
    let Some(figures) = &row.figures else {
        let reason = row.unmeasured.as_deref().unwrap_or_default();
        // Only these rows need what a host may lack.
        return if reason.contains("x2APIC") { Ok(()) } else { Err(wrong("it is not measured")) };
    };
    if row.unmeasured.is_some() || figures.samples == 0 || figures.each == 0 {
        return Err(wrong("figures without samples"));
    }
    for Numbers { minimum, median, median_within, p99, .. } in [&figures.cycles, &figures.ns] {
        // A host that stalls loses interrupts, and then there may be too few samples for bounds.
        let (low, high) = median_within.unwrap_or((*median, *median));
        if minimum > median || median > p99 || low > *median || high < *median {
            return Err(wrong("numbers out of order"));
        }
    }
    Ok(())
}

/// The page shows the chart and the numbers of a row, and its text is not read as HTML. No file is replaced.
pub fn page_has_the_chart() -> TestResult {
    let numbers =
        |median| json!({ "minimum": 1, "median": median, "median_within": null, "p99": 3, "spread": 4 });
    let row = |name, figures| json!({ "group": "g", "name": name, "meaning": "m", "figures": figures, "unmeasured": "<why>" });
    let figures = json!({ "samples": 1, "each": 1, "own_cycles": 0, "lost": 0, "cycles": numbers(7), "ns": numbers(10_000) });
    let rows = [row("a & b", figures), row("none", serde_json::Value::Null)];
    let bench = json!({ "version": 1, "trapline": "0", "cpu": "C", "back_end": "k", "is_nested": false, "tsc_khz": 1, "rows": rows });
    let page = page(&serde_json::from_value(bench)?);
    for part in ["a &amp; b", "width:33.3%", ">10000<", "not measured: &lt;why>", "<dt>g<dd>m."] {
        ensure(page.contains(part), || format!("{part} is not in\n{page}"))?;
    }
    let folder = support::folder();
    std::fs::write(folder.path().join("there.html"), "mine")?;
    let output = support::trapline(folder.path(), &["bench", "--output", "there.html"])?.expect(2)?;
    ensure(output.stderr.contains("there.html already exists"), || output.stderr.clone())
}

/// A file that is not a result is refused before anything is measured.
pub fn other_files_are_refused() -> TestResult {
    let folder = support::folder();
    std::fs::write(folder.path().join("old.json"), "{}")?;
    // The rows of another version may mean something else.
    let later = serde_json::json!({
        "version": 99, "trapline": "9.0.0", "cpu": "", "back_end": "", "is_nested": false, "tsc_khz": 1, "rows": []
    });
    std::fs::write(folder.path().join("later.json"), later.to_string())?;
    for (file, why) in
        [("old.json", "not a result"), ("missing.json", "missing"), ("later.json", "version 99")]
    {
        let output = support::trapline(folder.path(), &["bench", "--compare", file])?.expect(2)?;
        let names_both = output.stderr.contains(file) && output.stderr.contains(why);
        ensure(names_both, || output.stderr.clone())?;
    }
    Ok(())
}
