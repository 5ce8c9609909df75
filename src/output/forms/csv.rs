//! CSV (RFC 4180): a row for each run, a column for each number under the dotted name that `--fail-if`
//! takes. Series are in the `.tsv` and the JSON.

use serde_json::Value;

use crate::report::Report;
use crate::report::ramp::{RampReport, RampStep};

/// Keys of histograms.
const HISTOGRAMS: [&str; 2] = ["hdr", "ages_hdr"];

/// Column and cell.
type Cells = Vec<(String, String)>;

pub(super) fn run(report: &Report) -> String {
    write(&[cells_of(report)])
}

/// A row for each step; those that failed have their error and no numbers.
pub(super) fn ramp(ramp: &RampReport) -> String {
    write(&ramp.steps.iter().map(step).collect::<Vec<_>>())
}

fn step(step: &RampStep) -> Cells {
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
    flatten(&serde_json::to_value(report).unwrap_or_default(), "", &mut cells);
    cells
}

/// What is a list without names is left out, and so are histograms.
fn flatten(value: &Value, name: &str, cells: &mut Cells) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(fields) => {
            let told = fields.iter().filter(|(key, _)| !HISTOGRAMS.contains(&key.as_str()));
            told.for_each(|(key, field)| flatten(field, &below(key), cells));
        }
        Value::Array(items) => {
            for item in items {
                let text = |key: &str| item.get(key).and_then(Value::as_str);
                let stage = || Some(format!("{}-{}", text("from")?, text("to")?));
                let named = text("component").or_else(|| text("name")).map(str::to_owned);
                if let Some(called) = named.or_else(stage) {
                    flatten(item, &below(&called), cells);
                }
            }
        }
        Value::Null => cells.push((name.to_owned(), String::new())),
        Value::String(text) => cells.push((name.to_owned(), as_text(text))),
        Value::Bool(_) | Value::Number(_) => cells.push((name.to_owned(), value.to_string())),
    }
}

/// A text that a spreadsheet does not take for a formula: one that begins like a formula gets a `'` in front. A
/// number stays one.
fn as_text(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula && text.parse::<f64>().is_err() { format!("'{text}") } else { text.to_owned() }
}

/// Columns in the order in which they first come.
fn write(rows: &[Cells]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in rows.iter().flatten() {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let cell = |row: &Cells, column: &str| {
        row.iter().find(|(name, _)| name == column).map(|(_, cell)| quote(cell)).unwrap_or_default()
    };
    let head = columns.iter().map(|column| quote(column)).collect();
    let body = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect());
    std::iter::once(head).chain(body).map(|cells: Vec<String>| cells.join(",") + "\n").collect()
}

fn quote(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_would_break_a_row_are_quoted() {
        for (cell, quoted) in
            [("plain", "plain"), ("a,b", "\"a,b\""), ("a \"b\"\n", "\"a \"\"b\"\"\n\"")]
        {
            assert_eq!(quote(cell), quoted);
        }
    }

    #[test]
    fn a_text_that_begins_like_a_formula_is_not_one() {
        for text in ["=1+1", "+1+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(as_text(text), format!("'{text}"));
        }
        for text in ["5", "-5", "-0.25", "+3", "", "a=b", "1-2", " x"] {
            assert_eq!(as_text(text), text);
        }
    }

    #[test]
    fn rows_with_different_columns_share_one_head() {
        let row = |cells: &[(&str, &str)]| {
            cells.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Cells>()
        };
        let rows = [row(&[("a", "1")]), row(&[("b", "2"), ("a", "3")])];
        assert_eq!(write(&rows), "a,b\n1,\n3,2\n");
    }
}
