//! The tables as text for a terminal, as Markdown and as JSON.

use comfy_table::{ColumnConstraint, ContentArrangement, Table as Grid, Width, presets};
use serde::Serialize;

use super::steps::flags_of;
use super::{Actor, Elided, Row, Table};
use crate::trace::{Meta, Trace};

/// The version of the JSON form: fields may be added, none changes its meaning within a version.
const JSON_VERSION: u32 = 1;
const HEADINGS: [&str; 4] = ["µs", "OS (kernel mode)", "Hardware", "Program (user mode)"];
/// Room for the time, borders and padding of a line.
const NARROW: u16 = 11;
const BORDERS: u16 = 5 + 2 * 4;
/// Below this no address fits in a column.
const WIDTH_MIN: u16 = 92;
/// Between a name and its value: no place to break a line.
const NO_BREAK: char = '\u{a0}';

/// The tables as text of at most `width` columns.
pub fn text(tables: &[Table], width: u16) -> String {
    let third = (width.max(WIDTH_MIN) - NARROW - BORDERS) / 3;
    let mut out = String::new();
    for table in tables {
        let mut grid = Grid::new();
        grid.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        grid.set_header(HEADINGS);
        for (index, row) in table.rows.iter().enumerate() {
            if let Some(gap) = table.elided.as_ref().filter(|gap| gap.before_row == index) {
                grid.add_row(["…".to_owned(), String::new(), String::new(), gap.to_string()]);
            }
            grid.add_row(cells(row, "\n"));
        }
        let widths = [NARROW, third, third, third];
        grid.set_constraints(widths.map(|width| ColumnConstraint::Absolute(Width::Fixed(width))));
        let drawn = grid.trim_fmt().replace(NO_BREAK, " ");
        out.push_str(&format!("{}\n({})\n{drawn}\n", table.title, table.figure));
        for note in &table.notes {
            out.push_str(&format!("* {note}\n"));
        }
        out.push('\n');
    }
    out
}

/// The tables as Markdown.
pub fn markdown(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        out.push_str(&format!("### {}\n\n{}\n\n| {} |\n", table.title, table.figure, HEADINGS.join(" | ")));
        out.push_str("| ---: | --- | --- | --- |\n");
        for (index, row) in table.rows.iter().enumerate() {
            if let Some(gap) = table.elided.as_ref().filter(|gap| gap.before_row == index) {
                out.push_str(&format!("| … | | | {gap} |\n"));
            }
            let cells = cells(row, "<br>").map(|cell| cell.replace('|', "\\|").replace(NO_BREAK, " "));
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out.push('\n');
        table.notes.iter().for_each(|note| out.push_str(&format!("- {note}\n")));
        out.push('\n');
    }
    out
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    run: &'a Meta,
    tables: &'a [Table],
}

/// The tables as JSON.
pub fn json(trace: &Trace, tables: &[Table]) -> serde_json::Result<String> {
    let document = Document { format: "trapline-protocol", version: JSON_VERSION, run: trace.meta(), tables };
    serde_json::to_string_pretty(&document)
}

/// A row's four cells: time, and what was done in the column of who did it.
fn cells(row: &Row, line_end: &str) -> [String; 4] {
    let mut lines = vec![row.text.clone()];
    lines.extend(row.values.iter().map(|value| {
        let flags = flags_of(value).map(|flags| format!("{NO_BREAK}[{flags}]")).unwrap_or_default();
        format!("{NO_BREAK}{NO_BREAK}{}{NO_BREAK}{:#x}{flags}", value.name, value.value)
    }));
    lines.extend(row.details.iter().map(|detail| format!("{NO_BREAK}{NO_BREAK}{detail}")));
    lines.extend(row.layer.map(|layer| format!("[{}]", layer.label())));
    let mut cells =
        [format!("{:.3}", row.nanoseconds as f64 / 1000.0), String::new(), String::new(), String::new()];
    let column = match row.actor {
        Actor::Os => 1,
        Actor::Hardware => 2,
        Actor::Program => 3,
    };
    cells[column] = lines.join(line_end);
    cells
}

impl std::fmt::Display for Elided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Elided { traps, ticks, system_calls, .. } = self;
        write!(f, "… {traps} traps left out: {ticks} ticks, {system_calls} system calls …")
    }
}
