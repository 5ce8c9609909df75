//! Numbers by row and column, as a chart and as the table beside it. Both are made from the same numbers, so they cannot
//! differ.

use super::chart::{Chart, Line, Spread, Stop, Tick};
use super::chart_marks::ChartMarks;
use super::located::ShownNumber;
use super::markup::{Unit, escape};
use super::scale::Scale;
use super::table::{Cell, RowGroup, grouped_table};

/// Most places of a chart, and about the most rows of a table. More rows are drawn as bands, and listed in part.
const MOST_ROWS: usize = 300;
/// In a table of more rows than this, the worst are listed first.
const MANY_ROWS: usize = 30;
/// Number of the worst rows that are listed.
const WORST: usize = 10;

/// A place of the x axis.
#[derive(Debug, Clone)]
pub(super) struct GridRow {
    pub(super) x: f64,
    /// Name in the table, HTML.
    pub(super) name: String,
    /// Name in the chart, plain text.
    pub(super) title: String,
    /// True if its numbers are chance: its points are drawn as rings.
    pub(super) is_noise: bool,
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
    /// True if the rows with its largest values are listed first.
    is_ranked: bool,
}

impl GridColumn {
    /// A column of the chart and of the table.
    pub(super) fn drawn(name: &str, cells: Vec<ShownNumber>, unit: Unit, class: &str) -> Self {
        Self { line: Some(class.to_owned()), ..Self::listed(name, cells, unit) }
    }

    /// A column of the table only.
    pub(super) fn listed(name: &str, cells: Vec<ShownNumber>, unit: Unit) -> Self {
        let unit = unit.of_column(cells.iter().filter_map(ShownNumber::value));
        Self { name: name.to_owned(), cells, unit, line: None, is_ranked: false }
    }

    /// The column, whose worst rows are listed first in a long table.
    pub(super) fn ranked(self) -> Self {
        Self { is_ranked: true, ..self }
    }

    /// The value in a row, if it can be drawn.
    fn value(&self, row: usize) -> Option<f64> {
        self.cells[row].value().filter(|value| value.is_finite())
    }

    /// Smallest, median and largest value of some rows; `None` if they have no value.
    fn spread(&self, rows: &[usize]) -> Option<Spread> {
        let mut values: Vec<_> = rows.iter().filter_map(|row| self.value(*row)).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 0 {
            values[middle - 1].midpoint(values[middle])
        } else {
            values[middle]
        };
        Some(Spread { low, median, high })
    }

    /// The rows with the largest values, the largest first.
    fn worst_rows(&self) -> Vec<usize> {
        let mut rows: Vec<_> =
            (0..self.cells.len()).filter(|row| self.value(*row).is_some()).collect();
        rows.sort_by(|a, b| {
            self.value(*b).unwrap_or_default().total_cmp(&self.value(*a).unwrap_or_default())
        });
        rows.truncate(WORST);
        rows
    }
}

/// The rows that a line connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// None: they are not in order.
    Nothing,
    /// Each row with the next one; of a long series each part with the next part.
    Rows,
    /// Each place of the x axis with the next one. Rows at the same place are one point, with a bar from their lowest to
    /// their highest.
    Places,
}

impl Joined {
    /// The rows of each point of a line.
    fn points(self, rows: &[GridRow], shown: &[usize]) -> Vec<Vec<usize>> {
        match self {
            Self::Nothing => shown.iter().map(|row| vec![*row]).collect(),
            Self::Rows => {
                let size = shown.len().div_ceil(MOST_ROWS).max(1);
                shown.chunks(size).map(<[usize]>::to_vec).collect()
            }
            Self::Places => {
                let places = shown.chunk_by(|a, b| rows[*a].x == rows[*b].x);
                places.map(<[usize]>::to_vec).collect()
            }
        }
    }

    /// The part of a point's values along which the line goes: all of a band, or the median between bars.
    fn drawn_along(self, spread: Spread) -> Spread {
        if self == Self::Places { Spread::of(spread.median) } else { spread }
    }
}

/// Titles, axes and scales of a grid's chart.
#[derive(Debug, Clone)]
pub(super) struct GridStyle {
    pub(super) title: String,
    pub(super) note: String,
    /// Name of the first column of the table.
    pub(super) row_label: String,
    pub(super) x: Scale,
    pub(super) x_label: String,
    pub(super) x_ticks: Vec<Tick>,
    /// Scale of the y axis: logarithmic over the values, else linear from zero.
    pub(super) log: bool,
    pub(super) joined: Joined,
    /// Rows with a larger x are in the table only.
    pub(super) until: f64,
    /// Name of several rows, such as `seconds`.
    pub(super) rows: &'static str,
    pub(super) marks: ChartMarks,
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
        let points = style.joined.points(&self.rows, &within);
        let limits = style.marks.limits.iter().map(|limit| limit.y);
        let mut stops: Vec<_> = points.iter().map(|rows| self.stop(rows, &drawn)).collect();
        stops.sort_by(|a, b| a.x.total_cmp(&b.x));
        let chart = Chart {
            title: style.title.clone(),
            x: style.x,
            x_label: style.x_label.clone(),
            x_ticks: style.x_ticks.clone(),
            y: if style.log {
                Scale::log_over(values.into_iter().chain(limits))
            } else {
                Scale::up_to(values.into_iter().chain(limits).fold(0.0, f64::max))
            },
            unit: drawn[0].unit,
            lines: drawn.iter().map(|column| self.line(column, &points, style)).collect(),
            stops,
            marks: style.marks.clone(),
        };
        let note = style.note.clone() + &note_on_spreads(&chart.stops, &points, style);
        figure(&style.title, &note, &chart.draw(), &self.table(style))
    }

    fn line(&self, column: &GridColumn, points: &[Vec<usize>], style: &GridStyle) -> Line {
        let mut stretches: Vec<Vec<(f64, Spread)>> = vec![Vec::new()];
        // A line through chance would look like a trend.
        let is_joined =
            |rows: &&Vec<usize>| style.joined != Joined::Nothing && !self.is_noise(rows);
        for rows in points.iter().filter(is_joined) {
            match column.spread(rows) {
                Some(spread) => {
                    let spread = style.joined.drawn_along(spread);
                    stretches.last_mut().into_iter().for_each(|s| s.push((self.x(rows), spread)));
                }
                // A missing value breaks the line.
                None => stretches.push(Vec::new()),
            }
        }
        stretches.retain(|stretch| !stretch.is_empty());
        Line {
            name: column.name.clone(),
            class: column.line.clone().unwrap_or_default(),
            unit: column.unit,
            stretches,
            faint: Vec::new(),
        }
    }

    fn is_noise(&self, rows: &[usize]) -> bool {
        rows.iter().any(|row| self.rows[*row].is_noise)
    }

    /// The middle of some rows on the x axis.
    fn x(&self, rows: &[usize]) -> f64 {
        let ends = [rows.first(), rows.last()].map(|row| row.map_or(0.0, |row| self.rows[*row].x));
        ends[0].midpoint(ends[1])
    }

    fn stop(&self, rows: &[usize], drawn: &[&GridColumn]) -> Stop {
        let ends = [rows.first(), rows.last()].map(|row| row.map_or("", |n| &self.rows[*n].title));
        Stop {
            x: self.x(rows),
            title: if ends[0] == ends[1] { ends[0].to_owned() } else { ends.join(" to ") },
            values: drawn.iter().map(|column| column.spread(rows)).collect(),
            is_noise: self.is_noise(rows),
        }
    }

    fn table(&self, style: &GridStyle) -> String {
        let mut head = vec![escape(&style.row_label)];
        head.extend(self.columns.iter().map(|column| escape(&column.name)));
        let stride = self.rows.len().div_ceil(MOST_ROWS).max(1);
        let every: Vec<_> = (0..self.rows.len()).step_by(stride).collect();
        let mut groups = Vec::new();
        if self.rows.len() > MANY_ROWS {
            for column in self.columns.iter().filter(|column| column.is_ranked) {
                let (worst, rows) = (column.worst_rows(), style.rows);
                let title = format!("The {} {rows} with the highest {}", worst.len(), column.name);
                groups.push(RowGroup { title, rows: self.cells(&worst) });
            }
        }
        groups.retain(|group| !group.rows.is_empty());
        let title = match stride {
            1 if groups.is_empty() => String::new(),
            1 => format!("All {}", style.rows),
            _ => format!("One of {stride} {}; the JSON has all", style.rows),
        };
        groups.push(RowGroup { title, rows: self.cells(&every) });
        grouped_table(&style.title, &head, &groups)
    }

    /// The cells of some rows.
    fn cells(&self, rows: &[usize]) -> Vec<Vec<Cell>> {
        let mut all = Vec::new();
        for n in rows {
            let mut cells = vec![Cell::from(self.rows[*n].name.clone())];
            let columns = self.columns.iter();
            cells.extend(columns.map(|column| column.cells[*n].clone().cell(column.unit)));
            all.push(cells);
        }
        all
    }
}

/// The sentence on points that stand for several values; empty if there are none.
fn note_on_spreads(stops: &[Stop], points: &[Vec<usize>], style: &GridStyle) -> String {
    let values = stops.iter().flat_map(|stop| &stop.values).flatten();
    let most = points.iter().map(Vec::len).max().unwrap_or(1);
    let rows = style.rows;
    match style.joined {
        _ if !values.copied().any(Spread::is_wide) => String::new(),
        Joined::Places => {
            format!(" A bar goes from the lowest to the highest of several {rows}.")
        }
        _ => format!(
            " A line is the median of {most} {rows}, the band around it their lowest to highest."
        ),
    }
}

/// A chart with its title, its note, and the table beside it.
pub(super) fn figure(title: &str, note: &str, chart: &str, table: &str) -> String {
    let (title, note) = (escape(title), escape(note));
    let note = if note.is_empty() { note } else { format!("<p>{note}</p>") };
    format!("<figure><figcaption><h3>{title}</h3>{note}</figcaption>\n{chart}{table}</figure>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::html::located::Located;

    fn grid(numbers: &[Option<u64>]) -> Grid {
        let mut rows = Vec::new();
        for n in 0..numbers.len() {
            let name = n.to_string();
            rows.push(GridRow { x: n as f64, title: name.clone(), name, is_noise: false });
        }
        let cells = Located::whole(&numbers.to_vec()).items().map(|item| item.number()).collect();
        let column = GridColumn::drawn("n", cells, Unit::Count, "k1").ranked();
        Grid { rows, columns: vec![column] }
    }

    fn style() -> GridStyle {
        GridStyle {
            title: "A".to_owned(),
            note: String::new(),
            row_label: "s".to_owned(),
            x: Scale::Linear(0.0, 999.0),
            x_label: "s".to_owned(),
            x_ticks: Vec::new(),
            log: false,
            joined: Joined::Rows,
            until: f64::INFINITY,
            rows: "seconds",
            marks: ChartMarks::default(),
        }
    }

    #[test]
    fn a_line_is_broken_where_a_value_is_missing() {
        let grid = grid(&[None, Some(1), Some(2), None, Some(4)]);
        let points: Vec<Vec<usize>> = (0..5).map(|row| vec![row]).collect();
        let line = grid.line(&grid.columns[0], &points, &style());
        let drawn = line.stretches.iter().map(|stretch| {
            stretch.iter().map(|(x, spread)| (*x, spread.median)).collect::<Vec<_>>()
        });
        assert_eq!(drawn.collect::<Vec<_>>(), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0)]]);
    }

    #[test]
    fn a_long_series_is_drawn_as_a_band_and_its_worst_rows_are_listed() {
        let mut numbers: Vec<_> = (0..1_000).map(|n| Some(n % 7)).collect();
        numbers[501] = Some(100);
        let long = grid(&numbers);
        let figure = long.figure(&style());
        assert_eq!(figure.matches("class=\"stop\"").count(), 250, "four seconds in each");
        assert_eq!(figure.matches("<tr>").count(), 1 + WORST + 250);
        assert!(figure.contains("class=\"k1 band\""), "{figure}");
        assert!(figure.contains("data-tip=\"500 to 503\nk1\tn\t6 (3 to 100)\""), "{figure}");
        let (_, worst) = figure.split_once("The 10 seconds with the highest n").expect("the worst");
        assert!(worst.trim_start_matches("</th></tr>\n").starts_with("<tr><th scope=\"row\">501<"));
        assert!(figure.contains("One of 4 seconds"), "{figure}");
        let none = Grid { rows: Vec::new(), ..long };
        assert_eq!(none.figure(&style()), "");
    }

    #[test]
    fn rows_at_the_same_place_are_one_point() {
        let mut grid = grid(&[Some(1), Some(5), Some(9)]);
        grid.rows[2].x = 1.0;
        let figure = grid.figure(&GridStyle { joined: Joined::Places, ..style() });
        assert_eq!(figure.matches("class=\"stop\"").count(), 2, "{figure}");
        assert!(!figure.contains("band") && figure.contains("class=\"k1 range\""), "{figure}");
        assert!(figure.contains("7 (5 to 9)") && figure.contains("A bar goes"), "{figure}");
    }

    #[test]
    fn a_short_series_has_no_band() {
        let figure = grid(&(0..20).map(Some).collect::<Vec<_>>()).figure(&style());
        assert!(!figure.contains("band") && !figure.contains("highest"), "{figure}");
        assert_eq!(figure.matches("<tr>").count(), 1 + 20);
    }
}
