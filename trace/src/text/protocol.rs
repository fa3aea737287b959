//! The tables as text for a terminal, as Markdown and as JSON.

use comfy_table::{ColumnConstraint, Table as Grid, Width, presets};
use serde::Serialize;

use crate::analysis::protocol::steps::flags_of;
use crate::analysis::protocol::{Actor, Elided, Row, Table};
use crate::file::{Meta, Trace};

/// The version of the JSON form: fields may be added, none changes its meaning within a version.
const JSON_VERSION: u32 = 1;
const HEADINGS: [&str; 4] = ["µs", "OS (kernel mode)", "Hardware", "Program (user mode)"];
const HEADINGS_DIRECT: [&str; 4] = ["µs", "OS (kernel mode)", "Hardware", "Program (no limits)"];
/// Room for the time, and what borders and padding take of a line.
const TIME: usize = 9;
const BORDERS: usize = 5 + 2 * 4;
const PADDING: u16 = 2;
/// Room for the steps of the program, at the right of a narrow text: a register with its name and its value.
const NARROWEST: usize = 32;
/// Lines that belong to the one above.
const INDENT: &str = "  ";

/// The tables of a run as text of at most `width` columns.
pub fn text(meta: &Meta, tables: &[Table], width: usize) -> String {
    let mut out = String::new();
    for table in tables {
        out.push_str(&format!(
            "{}\n{}\n",
            wrap(&table.title, width),
            wrap(&format!("({})", table.figure), width)
        ));
        out.push_str(&if width < BESIDE { staggered(meta, table, width) } else { boxed(meta, table, width) });
        for note in &table.notes {
            out.push_str(&wrap(&format!("* {note}"), width));
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// In a text of fewer columns, what fits beside its neighbours is narrower than a register with its name.
const BESIDE: usize = 100;

/// A table whose columns overlap: each step starts at the column of who did it, and goes on to the end of the line.
fn staggered(meta: &Meta, table: &Table, width: usize) -> String {
    let step = width.saturating_sub(TIME).saturating_sub(NARROWEST) / 2;
    let starts = [0, 1, 2].map(|column| step.saturating_mul(column).saturating_add(TIME + 2));
    let [time, titles @ ..] = headings(meta, table);
    let mut out = format!("{time:>TIME$}");
    // "OS (kernel mode)" needs more than its column; the mode is in the steps.
    for (title, start) in titles.iter().zip(starts) {
        let column = out.chars().count();
        let title = title.split(" (").next().unwrap_or(title);
        out.push_str(&format!("{:1$}{title}", "", start.saturating_sub(column)));
    }
    out.push('\n');
    for (index, row) in table.rows.iter().enumerate() {
        if let Some(gap) = table.elided.as_ref().filter(|gap| gap.before_row == index) {
            out.push_str(&format!(
                "{:>TIME$}  {}\n",
                "…",
                wrap(&gap.to_string(), width.saturating_sub(TIME + 2))
            ));
        }
        let place =
            |column: usize| column.checked_sub(1).and_then(|at| starts.get(at)).copied().unwrap_or_default();
        let cells = cells(row, |column, line| wrap(line, width.saturating_sub(place(column))), "\n");
        let [time, ..] = &cells;
        for (column, cell) in cells.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty()) {
            for (number, line) in cell.lines().enumerate() {
                let time = if number == 0 { time } else { "" };
                out.push_str(&format!("{time:>TIME$}{:1$}{line}\n", "", place(column).saturating_sub(TIME)));
            }
        }
    }
    out
}

/// A table with a box for each step.
fn boxed(meta: &Meta, table: &Table, width: usize) -> String {
    let widths = widths(width);
    let mut grid = Grid::new();
    grid.load_style(presets::UTF8_FULL_CONDENSED).set_header(headings(meta, table));
    for (index, row) in table.rows.iter().enumerate() {
        if let Some(gap) = table.elided.as_ref().filter(|gap| gap.before_row == index) {
            grid.add_row(["…", "", "", &wrap(&gap.to_string(), widths[3])]);
        }
        let lay_out = |column: usize, line: &str| wrap(line, widths.get(column).copied().unwrap_or_default());
        grid.add_row(cells(row, lay_out, "\n"));
    }
    let fixed = |width| ColumnConstraint::Absolute(Width::Fixed((width as u16).saturating_add(PADDING)));
    grid.set_constraints(widths.map(fixed));
    format!("{grid}\n")
}

/// A program that is called, and not returned into, is in the kernel's mode.
fn headings(meta: &Meta, table: &Table) -> [&'static str; 4] {
    let is_direct = table.rows.iter().any(|row| row.step == "call-main");
    let [time, os, hardware, program] = if is_direct { HEADINGS_DIRECT } else { HEADINGS };
    [if meta.is_emulated() { "emulated µs" } else { time }, os, hardware, program]
}

/// The column of the program needs the least room.
fn widths(width: usize) -> [usize; 4] {
    let rest = width.saturating_sub(TIME + BORDERS);
    let wide = rest.saturating_mul(3) / 8;
    [TIME, wide, wide, rest.saturating_sub(wide).saturating_sub(wide)]
}

/// Breaks a line at spaces; what follows is indented as it was, and once more.
fn wrap(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let indent = line.len().saturating_sub(line.trim_start().len());
    let mut out = " ".repeat(indent);
    let mut column = indent;
    for word in line.split_whitespace() {
        let length = word.chars().count();
        let is_first = column <= indent;
        if !is_first && column.saturating_add(1).saturating_add(length) > width {
            out.push_str(&format!("\n{:indent$}{INDENT}", ""));
            column = indent.saturating_add(INDENT.len());
        } else if !is_first {
            out.push(' ');
            column = column.saturating_add(1);
        }
        out.push_str(word);
        column = column.saturating_add(length);
    }
    out
}

/// The tables as Markdown.
pub fn markdown(meta: &Meta, tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        out.push_str(&format!(
            "### {}\n\n{}\n\n| {} |\n",
            table.title,
            table.figure,
            headings(meta, table).join(" | ")
        ));
        out.push_str("| ---: | --- | --- | --- |\n");
        for (index, row) in table.rows.iter().enumerate() {
            if let Some(gap) = table.elided.as_ref().filter(|gap| gap.before_row == index) {
                out.push_str(&format!("| … | | | {gap} |\n"));
            }
            let cells =
                cells(row, |_, line| line.trim().to_owned(), "<br>").map(|cell| cell.replace('|', "\\|"));
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
fn cells(row: &Row, lay_out: impl Fn(usize, &str) -> String, line_end: &str) -> [String; 4] {
    let column = match row.actor {
        Actor::Os => 1,
        Actor::Hardware => 2,
        Actor::Program => 3,
    };
    let names = row.values.iter().map(|value| value.name.len()).max().unwrap_or(0);
    let mut lines = vec![row.text.clone()];
    lines.extend(row.values.iter().map(|value| {
        let flags = flags_of(value).map(|flags| format!(" [{flags}]")).unwrap_or_default();
        format!("{INDENT}{:names$} {:#x}{flags}", value.name, value.value)
    }));
    lines.extend(row.details.iter().map(|detail| format!("{INDENT}{detail}")));
    lines.extend(row.layer.map(|layer| format!("{INDENT}[{}]", layer.label())));
    let lines: Vec<_> = lines.iter().map(|line| lay_out(column, line)).collect();
    let mut cells =
        [format!("{:.1}", row.nanoseconds as f64 / 1000.0), String::new(), String::new(), String::new()];
    cells.get_mut(column).into_iter().for_each(|cell| *cell = lines.join(line_end));
    cells
}

impl std::fmt::Display for Elided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Elided { traps, ticks, system_calls, .. } = self;
        write!(f, "… {traps} traps left out: {ticks} ticks, {system_calls} system calls …")
    }
}
