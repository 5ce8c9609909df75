//! Tables in boxes that scroll by themselves. The times of a column have one unit.

use super::located::ShownNumber;
use super::markup::{Unit, escape};

/// Content of a cell.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// HTML.
    Html(String),
    /// A number; the table chooses the unit of a time.
    Number(ShownNumber, Unit),
}

impl From<String> for Cell {
    fn from(html: String) -> Self {
        Self::Html(html)
    }
}

impl ShownNumber {
    pub(super) fn cell(self, unit: Unit) -> Cell {
        Cell::Number(self, unit)
    }
}

/// Rows below a common title; without a title if that is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct RowGroup {
    /// Plain text.
    pub(super) title: String,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// Column names, escaped.
pub(super) fn head<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(escape).to_vec()
}

/// A table of rows. The first cell of a row names it.
pub(super) fn table(caption: &str, head: &[String], rows: Vec<Vec<Cell>>) -> String {
    grouped_table(caption, head, &[RowGroup { title: String::new(), rows }])
}

/// A table of several groups of rows, each below its title.
pub(super) fn grouped_table(caption: &str, head: &[String], groups: &[RowGroup]) -> String {
    let units = time_units(groups, head.len());
    let names: String = head.iter().map(|cell| format!("<th scope=\"col\">{cell}</th>")).collect();
    let mut bodies = String::new();
    for RowGroup { title, rows } in groups {
        bodies += "<tbody>\n";
        if !title.is_empty() {
            let (columns, title) = (head.len(), escape(title));
            bodies += &format!(
                "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{columns}\">{title}</th></tr>\n"
            );
        }
        bodies.extend(rows.iter().map(|cells| row(cells, &units)));
        bodies += "</tbody>";
    }
    let caption = escape(caption);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: {caption}\"><table>\n\
         <thead><tr>{names}</tr></thead>\n{bodies}</table></div>\n"
    )
}

/// The unit of the times of each column.
fn time_units(groups: &[RowGroup], columns: usize) -> Vec<Unit> {
    let mut units = Vec::new();
    for column in 0..columns {
        let cells = groups.iter().flat_map(|group| &group.rows).filter_map(|row| row.get(column));
        let times = cells.filter_map(|cell| match cell {
            Cell::Number(number, Unit::Time) => number.drawn_value(),
            _ => None,
        });
        units.push(Unit::Time.of_column(times));
    }
    units
}

fn row(cells: &[Cell], units: &[Unit]) -> String {
    let mut out = String::from("<tr>");
    for (column, cell) in cells.iter().enumerate() {
        let html = match cell {
            Cell::Html(html) => html.clone(),
            Cell::Number(number, Unit::Time) => {
                number.show(units.get(column).copied().unwrap_or(Unit::Time))
            }
            Cell::Number(number, unit) => number.show(*unit),
        };
        out += &if column == 0 {
            format!("<th scope=\"row\">{html}</th>")
        } else {
            format!("<td>{html}</td>")
        };
    }
    out + "</tr>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::html::located::Located;

    #[test]
    fn the_times_of_a_column_have_one_unit() {
        let times = vec![20.0, 1_500.0];
        let numbers: Vec<_> = Located::whole(&times).items().map(|time| time.number()).collect();
        let mut rows = Vec::new();
        for number in numbers {
            rows.push(vec!["<b>a</b>".to_owned().into(), number.cell(Unit::Time)]);
        }
        let group = RowGroup { title: "Of <both>".to_owned(), rows };
        let table = grouped_table("A", &head(["name", "time"]), &[group]);
        assert!(table.contains(">0.020\u{a0}ms</data></td>"), "{table}");
        assert!(table.contains("<th scope=\"row\"><b>a</b></th>"), "{table}");
        assert!(table.contains("colspan=\"2\">Of &lt;both&gt;</th>"), "{table}");
    }
}
