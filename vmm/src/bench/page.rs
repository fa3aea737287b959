//! A result as a page for a browser: a table with a chart, in one file without scripts.

use std::fmt::Write as _;

use super::text::{decades, first_of_groups, host};
use super::{Bench, Numbers};

/// The chart ends at this power of ten above its start: at ten seconds.
const DECADES: f64 = 9.0;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What traps and exits cost</title>
<style>
:root { color-scheme: light dark; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 64rem; font: 1rem/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .15rem .5rem; text-align: left; font-weight: normal; }
th[scope=rowgroup] { padding-top: .8rem; font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.chart { width: 40%; }
.chart div { height: .8rem; background: #4f83b5; }
</style>
</head>
<body>
<h1>What traps and exits cost</h1>
"#;

/// The whole page.
pub fn page(bench: &Bench) -> String {
    let mut out = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<p>{}</p>\n<table>", escaped(&host(bench)));
    let _ = writeln!(
        out,
        r#"<tr><th>nanoseconds<th class="chart">median<th class="number">median<th class="number">minimum<th class="number">p99<th class="number">spread</tr>"#
    );
    let mut group = "";
    for row in &bench.rows {
        if row.group != group {
            group = &row.group;
            let _ = writeln!(out, r#"<tr><th scope="rowgroup" colspan="6">{}</tr>"#, escaped(group));
        }
        let name = escaped(&row.name);
        let _ = match &row.figures {
            Some(figures) => {
                let Numbers { minimum, median, p99, spread, .. } = figures.ns;
                let width = 100.0 * (decades(median) / DECADES).clamp(0.0, 1.0);
                let numbers = [median, minimum, p99, spread];
                let numbers = numbers.map(|number| format!(r#"<td class="number">{number}"#)).concat();
                let bar = format!(r#"<td class="chart"><div style="width:{width:.1}%"></div>"#);
                writeln!(out, r#"<tr><th scope="row">{name}{bar}{numbers}</tr>"#)
            }
            None => {
                let reason = escaped(row.unmeasured.as_deref().unwrap_or_default());
                writeln!(out, r#"<tr><th scope="row">{name}<td colspan="5">not measured: {reason}</tr>"#)
            }
        };
    }
    let _ = writeln!(
        out,
        "</table>\n<p>The scale is logarithmic, from 10 ns to 10 s. Spread: from the first quartile to the third.</p>\n\
        <h2>What {} does</h2>\n<dl>",
        escaped(&bench.back_end)
    );
    for row in first_of_groups(bench) {
        let _ = writeln!(out, "<dt>{}<dd>{}.", escaped(&row.group), escaped(&row.meaning));
    }
    out + "</dl>\n</body>\n</html>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
