//! CSV (RFC 4180): a row for each run, and a column for each number. Column names are the dotted names of `--fail-if`.
//! Series are in the `.tsv` and in the JSON.

use serde_json::Value;

use crate::core::json::to_value;
use crate::report::Report;
use crate::report::ramp::{RampReport, RampStep};

/// Keys of histograms, which have no column.
const HISTOGRAMS: [&str; 3] = ["hdr", "ages_hdr", "heatmap"];

/// Column name and text of each cell of a row.
type Cells = Vec<(String, String)>;

pub(super) fn run(report: &Report) -> String {
    write(&[cells_of(report)])
}

/// A row for each step. A step without a report has its error and no numbers.
pub(super) fn ramp(ramp: &RampReport) -> String {
    write(&ramp.steps.iter().map(step_cells).collect::<Vec<_>>())
}

fn step_cells(step: &RampStep) -> Cells {
    let mut cells = vec![
        ("step".to_owned(), as_text(&step.name)),
        ("x".to_owned(), step.x.map(|x| x.to_string()).unwrap_or_default()),
        ("error".to_owned(), as_text(step.error.as_deref().unwrap_or_default())),
    ];
    let settings = step.settings.iter();
    cells.extend(settings.map(|(name, value)| (format!("settings.{name}"), as_text(value))));
    cells.extend(step.report.as_ref().map(cells_of).unwrap_or_default());
    cells
}

fn cells_of(report: &Report) -> Cells {
    let mut cells = Vec::new();
    flatten(&to_value(report), "", &mut cells);
    cells
}

/// Adds a cell for each value. Histograms are left out, and so are lists whose items have no name.
fn flatten(value: &Value, name: &str, cells: &mut Cells) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if !HISTOGRAMS.contains(&key.as_str()) {
                    flatten(field, &name_below(name, key), cells);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(key) = item_name(item) {
                    flatten(item, &name_below(name, &key), cells);
                }
            }
        }
        Value::Null => cells.push((name.to_owned(), String::new())),
        Value::String(text) => cells.push((name.to_owned(), as_text(text))),
        Value::Bool(_) | Value::Number(_) => cells.push((name.to_owned(), value.to_string())),
    }
}

fn name_below(name: &str, key: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
}

/// Name of a list's item: its component, its name, or `from-to` for a stage.
fn item_name(item: &Value) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    match text("component").or_else(|| text("name")) {
        Some(name) => Some(name.to_owned()),
        None => Some(format!("{}-{}", text("from")?, text("to")?)),
    }
}

/// A text for a spreadsheet: `'` is added in front of a text that begins like a formula, so that it is not executed. A
/// number stays a number.
fn as_text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula && text.parse::<f64>().is_err() { format!("'{text}") } else { text.to_owned() }
}

/// The rows below their column names. Columns are in the order in which they occur first.
fn write(rows: &[Cells]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in rows.iter().flatten() {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    if columns.is_empty() {
        return "\n".to_owned();
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut written = csv.write_record(&columns);
    for row in rows {
        let cells = columns.iter().map(|column| cell(row, column));
        written = written.and_then(|()| csv.write_record(cells));
    }
    written.expect("rows have as many cells as columns");
    let bytes = csv.into_inner().expect("writing to memory cannot fail");
    String::from_utf8(bytes).expect("made from strings")
}

/// The cell of a column; empty if the row does not have it.
fn cell<'a>(row: &'a Cells, column: &str) -> &'a str {
    row.iter().find(|(name, _)| name == column).map_or("", |(_, cell)| cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_separators_are_quoted() {
        for (cell, quoted) in
            [("plain", "plain"), ("a,b", "\"a,b\""), ("a \"b\"\n", "\"a \"\"b\"\"\n\"")]
        {
            let rows = [vec![("x".to_owned(), cell.to_owned()), ("y".to_owned(), String::new())]];
            assert_eq!(write(&rows), format!("x,y\n{quoted},\n"));
        }
    }

    #[test]
    fn a_text_that_begins_like_a_formula_is_marked_as_text() {
        for text in ["=1+1", "+1+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(as_text(text), format!("'{text}"));
        }
        for text in ["5", "-5", "-0.25", "+3", "", "a=b", "1-2", " x"] {
            assert_eq!(as_text(text), text);
        }
    }

    #[test]
    fn rows_with_different_columns_share_one_head() {
        let rows = [vec![("a", "1")], vec![("b", "2"), ("a", "3")]].map(|row| {
            row.into_iter().map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
        });
        assert_eq!(write(&rows), "a,b\n1,\n3,2\n");
        assert_eq!(write(&[]), "\n");
    }
}
