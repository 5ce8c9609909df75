//! Numbers by row and column, as a chart and as the table beside it. Both are made from the same numbers, so they cannot
//! differ.

use super::chart::{Chart, Line, Stop, Tick, legend};
use super::located::ShownNumber;
use super::markup::{Unit, escape, table};
use super::scale::Scale;

/// Most rows of a table, and most places of a chart whose values can be read. The lines are drawn through all rows.
const MOST_ROWS: usize = 300;

/// A place of the x axis.
#[derive(Debug, Clone)]
pub(super) struct GridRow {
    pub(super) x: f64,
    /// Name in the table, HTML.
    pub(super) name: String,
    /// Name in the chart, plain text.
    pub(super) title: String,
}

/// A number of each row.
#[derive(Debug, Clone)]
pub(super) struct GridColumn {
    name: String,
    /// One cell for each row of the grid.
    cells: Vec<ShownNumber>,
    unit: Unit,
    /// CSS class of its line; `None` if the column is in the table only.
    line: Option<String>,
}

impl GridColumn {
    /// A column of the chart and of the table.
    pub(super) fn drawn(name: &str, cells: Vec<ShownNumber>, unit: Unit, class: &str) -> Self {
        Self { line: Some(class.to_owned()), ..Self::listed(name, cells, unit) }
    }

    /// A column of the table only.
    pub(super) fn listed(name: &str, cells: Vec<ShownNumber>, unit: Unit) -> Self {
        Self { name: name.to_owned(), cells, unit, line: None }
    }

    /// The value in a row, if it can be drawn.
    fn value(&self, row: usize) -> Option<f64> {
        self.cells[row].value().filter(|value| value.is_finite())
    }
}

/// Titles, axes and scales of a grid's chart.
#[derive(Debug, Clone)]
pub(super) struct GridStyle {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) x: Scale,
    pub(super) x_label: String,
    pub(super) x_ticks: Vec<Tick>,
    /// Scale of the y axis: logarithmic over the values, else linear from zero.
    pub(super) log: bool,
    /// True if lines connect the rows. It makes sense only if the rows are in order.
    pub(super) joined: bool,
    /// Rows with a larger x are in the table only.
    pub(super) until: f64,
}

/// Rows and columns.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    pub(super) rows: Vec<GridRow>,
    pub(super) columns: Vec<GridColumn>,
}

impl Grid {
    /// The chart with the table beside it; empty if there is nothing to draw.
    pub(super) fn figure(&self, style: &GridStyle) -> String {
        let drawn: Vec<_> = self.columns.iter().filter(|column| column.line.is_some()).collect();
        let within: Vec<_> =
            (0..self.rows.len()).filter(|row| self.rows[*row].x <= style.until).collect();
        let values: Vec<_> =
            within.iter().flat_map(|row| drawn.iter().filter_map(|c| c.value(*row))).collect();
        if values.is_empty() {
            return String::new();
        }
        let stops = within.iter().filter(|row| *row % self.stride() == 0);
        let chart = Chart {
            title: style.title.clone(),
            x: style.x,
            x_label: style.x_label.clone(),
            x_ticks: style.x_ticks.clone(),
            y: if style.log {
                Scale::log_over(values.into_iter())
            } else {
                Scale::up_to(values.into_iter().fold(0.0, f64::max))
            },
            unit: drawn[0].unit,
            lines: drawn.iter().map(|column| self.line(column, &within, style)).collect(),
            stops: stops.map(|row| self.stop(*row, &drawn)).collect(),
        };
        let mut note = style.note.clone();
        if self.stride() > 1 {
            note += &format!(" Listed: one row in {}; the JSON has all.", self.stride());
        }
        figure(&style.title, &note, &chart.draw(), &self.table(style))
    }

    fn line(&self, column: &GridColumn, within: &[usize], style: &GridStyle) -> Line {
        let points: Vec<_> =
            within.iter().map(|row| (self.rows[*row].x, column.value(*row))).collect();
        Line {
            name: column.name.clone(),
            class: column.line.clone().unwrap_or_default(),
            stretches: if style.joined { stretches(&points) } else { Vec::new() },
            faint: Vec::new(),
        }
    }

    fn stop(&self, row: usize, drawn: &[&GridColumn]) -> Stop {
        Stop {
            x: self.rows[row].x,
            title: self.rows[row].title.clone(),
            values: drawn.iter().map(|column| column.value(row)).collect(),
        }
    }

    /// Distance between two rows of the table: 1, or more if there are too many rows to list.
    fn stride(&self) -> usize {
        self.rows.len().div_ceil(MOST_ROWS).max(1)
    }

    fn table(&self, style: &GridStyle) -> String {
        let mut head = vec![escape(&style.x_label)];
        head.extend(self.columns.iter().map(|column| escape(&column.name)));
        let mut rows = Vec::new();
        for (n, row) in self.rows.iter().enumerate().step_by(self.stride()) {
            let mut cells = vec![row.name.clone()];
            cells.extend(self.columns.iter().map(|column| column.cells[n].show(column.unit)));
            rows.push(cells);
        }
        table(&style.title, &head, &rows)
    }
}

/// Splits a line at its missing values.
fn stretches(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let known = points.split(|(_, y)| y.is_none()).filter(|part| !part.is_empty());
    known.map(|part| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect()).collect()
}

/// A chart with its title, its note, and the table beside it.
pub(super) fn figure(title: &str, note: &str, chart: &str, table: &str) -> String {
    let (title, note) = (escape(title), escape(note));
    let note = if note.is_empty() { note } else { format!("<p>{note}</p>") };
    format!("<figure><figcaption><h3>{title}</h3>{note}</figcaption>\n{chart}{table}</figure>\n")
}

/// A part of a whole that is counted, such as the requests that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    pub(super) count: u64,
}

/// Smallest width of a share that is not zero, as a part of the bar: it stays visible.
const LEAST_WIDTH: f64 = 0.004;

/// A whole and its shares as one bar, with its legend.
pub(super) fn bar(whole: &str, shares: &[Share<'_>]) -> String {
    let present: Vec<_> = shares.iter().filter(|share| share.count > 0).collect();
    let sum: f64 = present.iter().map(|share| share.count as f64).sum();
    let widths: Vec<_> =
        present.iter().map(|share| (share.count as f64 / sum).max(LEAST_WIDTH)).collect();
    let all: f64 = widths.iter().sum();
    let (mut at, mut parts) = (0.0, String::new());
    for (share, width) in present.iter().zip(widths) {
        let width = width / all;
        parts += &format!(
            "<rect class=\"{}\" x=\"{:.3}%\" width=\"{:.3}%\" height=\"100%\"/>",
            share.class,
            at * 100.0,
            width * 100.0
        );
        at += width;
    }
    let legend = legend(present.iter().map(|share| (share.class, share.name)));
    let whole = escape(whole);
    format!(
        "<div class=\"share\"><h4>{whole}</h4><svg role=\"img\" aria-label=\"{whole} by what became of them\">{parts}</svg>{legend}</div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::html::located::Located;

    #[test]
    fn a_line_is_broken_where_a_value_is_missing() {
        let points =
            [(0.0, None), (1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(4.0))];
        assert_eq!(stretches(&points), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0)]]);
    }

    #[test]
    fn a_long_series_is_drawn_whole_and_listed_in_part() {
        let numbers: Vec<u64> = (0..1_000).collect();
        let mut rows = Vec::new();
        for n in &numbers {
            rows.push(GridRow { x: *n as f64, name: n.to_string(), title: n.to_string() });
        }
        let cells = Located::whole(&numbers).items().map(|item| item.number()).collect();
        let grid = Grid { rows, columns: vec![GridColumn::drawn("n", cells, Unit::Count, "k1")] };
        let style = GridStyle {
            title: "A".to_owned(),
            note: String::new(),
            x: Scale::Linear(0.0, 999.0),
            x_label: "s".to_owned(),
            x_ticks: Vec::new(),
            log: false,
            joined: true,
            until: f64::INFINITY,
        };
        let figure = grid.figure(&style);
        assert_eq!(figure.matches("<tr>").count(), 1 + 250);
        assert_eq!(figure.matches("class=\"stop\"").count(), 250);
        let line = figure.split("<path").nth(1).expect("a line");
        assert_eq!(line.matches('L').count(), 999);
        assert!(figure.contains("one row in 4"));
        let none = Grid { rows: Vec::new(), ..grid };
        assert_eq!(none.figure(&style), "");
    }

    #[test]
    fn the_smallest_share_is_visible() {
        let shares = [
            Share { name: "arrived", class: "good", count: 1_000_000 },
            Share { name: "lost", class: "bad", count: 1 },
            Share { name: "unknown", class: "dull", count: 0 },
        ];
        let bar = bar("Messages", &shares);
        assert!(bar.contains("<rect class=\"bad\" x=\"99.602%\" width=\"0.398%\""), "{bar}");
        assert!(!bar.contains("unknown"), "{bar}");
    }
}
