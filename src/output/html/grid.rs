//! Numbers by row and column, as a chart and as the table beside it: both are made from the same
//! figures, so they cannot differ.

use super::chart::{Chart, Line, Stop, Tick, legend};
use super::markup::{Figures, Unit, escape, table};
use super::scale::Scale;

/// Most rows of a table, and most places of a chart that can be read. The lines have all.
const MOST_ROWS: usize = 300;

/// A place of the x axis.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) x: f64,
    /// As HTML, in the table.
    pub(super) name: String,
    /// As text, in the chart.
    pub(super) title: String,
    /// JSON pointer of what the columns are below.
    pub(super) path: String,
}

/// A number of each row.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// JSON pointer below the row's.
    pub(super) path: String,
    pub(super) unit: Unit,
    /// Class of its line; `None` if it is in the table only.
    pub(super) line: Option<String>,
}

impl Column {
    /// One that is drawn.
    pub(super) fn drawn(name: &str, path: &str, unit: Unit, class: &str) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), unit, line: Some(class.to_owned()) }
    }

    /// One that is in the table only.
    pub(super) fn listed(name: &str, path: &str, unit: Unit) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), unit, line: None }
    }
}

/// How a grid is drawn.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) x: Scale,
    pub(super) x_label: String,
    pub(super) x_ticks: Vec<Tick>,
    /// Logarithmic over the values, or even from zero.
    pub(super) log: bool,
    /// Whether the rows follow each other, so that a line between them means something.
    pub(super) joined: bool,
    /// Rows beyond this place are in the table only.
    pub(super) until: f64,
}

/// Rows and columns.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    pub(super) rows: Vec<Row>,
    pub(super) columns: Vec<Column>,
}

impl Grid {
    /// The chart with the table beside it; nothing where there is nothing to draw.
    pub(super) fn figure(&self, figures: &Figures<'_>, look: &Look) -> String {
        let drawn: Vec<_> = self.columns.iter().filter(|column| column.line.is_some()).collect();
        let value = |row: &Row, column: &Column| {
            figures.number(&format!("{}{}", row.path, column.path)).filter(|v| v.is_finite())
        };
        let within = || self.rows.iter().filter(|row| row.x <= look.until);
        let all = || within().flat_map(|row| drawn.iter().filter_map(|c| value(row, c)));
        if all().next().is_none() {
            return String::new();
        }
        let lines = drawn.iter().map(|column| {
            let points: Vec<_> = within().map(|row| (row.x, value(row, column))).collect();
            Line {
                name: column.name.clone(),
                class: column.line.clone().unwrap_or_default(),
                stretches: if look.joined { stretches(&points) } else { Vec::new() },
                faint: Vec::new(),
            }
        });
        let stop = |row: &Row| Stop {
            x: row.x,
            title: row.title.clone(),
            values: drawn.iter().map(|column| value(row, column)).collect(),
        };
        let chart = Chart {
            title: look.title.clone(),
            x: look.x,
            x_label: look.x_label.clone(),
            x_ticks: look.x_ticks.clone(),
            y: if look.log {
                Scale::log_over(all())
            } else {
                Scale::up_to(all().fold(0.0, f64::max))
            },
            unit: drawn[0].unit,
            lines: lines.collect(),
            stops: self.shown().filter(|row| row.x <= look.until).map(stop).collect(),
        };
        let mut note = look.note.clone();
        if self.stride() > 1 {
            note += &format!(" Listed: one row in {}; the JSON has all.", self.stride());
        }
        figure(&look.title, &note, &chart.draw(), &self.table(figures, look))
    }

    /// The rows that are listed: all, or of very many every n-th.
    fn shown(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().step_by(self.stride())
    }

    fn stride(&self) -> usize {
        self.rows.len().div_ceil(MOST_ROWS).max(1)
    }

    fn table(&self, figures: &Figures<'_>, look: &Look) -> String {
        let mut head = vec![escape(&look.x_label)];
        head.extend(self.columns.iter().map(|column| escape(&column.name)));
        let cells = |row: &Row| {
            let figures = figures.below(&row.path);
            let cells = self.columns.iter().map(|column| figures.show(&column.path, column.unit));
            std::iter::once(row.name.clone()).chain(cells).collect()
        };
        table(&look.title, &head, &self.shown().map(cells).collect::<Vec<_>>())
    }
}

/// The parts of a line between its gaps.
fn stretches(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let known = points.split(|(_, y)| y.is_none()).filter(|part| !part.is_empty());
    known.map(|part| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect()).collect()
}

/// A chart, what it shows, and the table beside it.
pub(super) fn figure(title: &str, note: &str, chart: &str, table: &str) -> String {
    let (title, note) = (escape(title), escape(note));
    let note = if note.is_empty() { note } else { format!("<p>{note}</p>") };
    format!("<figure><figcaption><h3>{title}</h3>{note}</figcaption>\n{chart}{table}</figure>\n")
}

/// A share of a whole: what became of things that were counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    pub(super) path: &'a str,
}

/// A whole and its shares as one bar, with its legend.
pub(super) fn bar(figures: &Figures<'_>, whole: &str, shares: &[Share<'_>]) -> String {
    /// What is there at all is seen, in hundredths of the bar.
    const LEAST: f64 = 0.004;
    let count = |share: &Share<'_>| figures.number(share.path).unwrap_or(0.0);
    let sum: f64 = shares.iter().map(count).sum();
    let (mut at, mut parts) = (0.0, String::new());
    let widths: Vec<_> = (shares.iter())
        .map(|share| if count(share) > 0.0 { (count(share) / sum).max(LEAST) } else { 0.0 })
        .collect();
    let all: f64 = widths.iter().sum();
    for (share, width) in shares.iter().zip(widths).filter(|(_, width)| *width > 0.0) {
        let width = width / all;
        parts += &format!(
            "<rect class=\"{}\" x=\"{:.3}%\" width=\"{:.3}%\" height=\"100%\"/>",
            share.class,
            at * 100.0,
            width * 100.0
        );
        at += width;
    }
    let keys = shares.iter().filter(|share| count(share) > 0.0).map(|s| (s.class, s.name));
    format!(
        "<div class=\"share\"><h4>{}</h4><svg role=\"img\" aria-label=\"{} by what became of them\">{parts}</svg>{}</div>",
        escape(whole),
        escape(whole),
        legend(keys)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_a_value_is_missing() {
        let points =
            [(0.0, None), (1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(4.0))];
        assert_eq!(stretches(&points), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0)]]);
    }

    #[test]
    fn a_long_series_is_drawn_whole_and_listed_in_part() {
        let series: Vec<_> = (0..1_000).map(|n| serde_json::json!({"n": n})).collect();
        let json = serde_json::json!({"series": series});
        let row = |n: u32| Row {
            x: f64::from(n),
            name: n.to_string(),
            title: n.to_string(),
            path: format!("/series/{n}"),
        };
        let grid = Grid {
            rows: (0..1_000).map(row).collect(),
            columns: vec![Column::drawn("n", "/n", Unit::Count, "k1")],
        };
        let look = Look {
            title: "A".to_owned(),
            note: String::new(),
            x: Scale::Linear(0.0, 999.0),
            x_label: "s".to_owned(),
            x_ticks: Vec::new(),
            log: false,
            joined: true,
            until: f64::INFINITY,
        };
        let figure = grid.figure(&Figures::new(&json), &look);
        assert_eq!(figure.matches("<tr>").count(), 1 + 250);
        assert_eq!(figure.matches("class=\"stop\"").count(), 250);
        let line = figure.split("<path").nth(1).expect("a line");
        assert_eq!(line.matches('L').count(), 999);
        assert!(figure.contains("one row in 4"));
        let none = Grid { rows: Vec::new(), ..grid };
        assert_eq!(none.figure(&Figures::new(&json), &look), "");
    }

    #[test]
    fn the_smallest_share_is_seen() {
        let json = serde_json::json!({"arrived": 1_000_000, "lost": 1, "unknown": 0});
        let shares = [("arrived", "good"), ("lost", "bad"), ("unknown", "dull")];
        let paths = ["/arrived", "/lost", "/unknown"];
        let shares: Vec<_> = (shares.iter().zip(paths))
            .map(|((name, class), path)| Share { name, class, path })
            .collect();
        let bar = bar(&Figures::new(&json), "Messages", &shares);
        assert!(bar.contains("<rect class=\"bad\" x=\"99.602%\" width=\"0.398%\""), "{bar}");
        assert!(!bar.contains("unknown"), "{bar}");
    }
}
