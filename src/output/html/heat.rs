//! The heat map: time to the right, latency upwards, and the number of values as colour.

use std::fmt::Write as _;
use std::ops::Range;

use super::chart::{Reading, Tick, percent, reader, round_ticks, x_axis};
use super::grid::figure;
use super::markup::{Unit, escape};
use super::scale::Scale;
use super::table::{Cell, head, table};
use super::time_axis::TimeAxis;
use crate::report::heatmap::{HeatMap, HeatMapColumn, HeatMapLatency};

/// Number of colours; their CSS classes are `heat0` to `heat7`.
const LEVELS: usize = 8;

/// The map with the table of its columns.
pub(super) fn heat_map(map: &HeatMap) -> String {
    let Some(chart) = HeatChart::new(map) else { return String::new() };
    let name = match map.of {
        HeatMapLatency::Arrival => "arrival",
        HeatMapLatency::Response => "response",
    };
    let title = format!("Heat map of {name}");
    let noun = if map.column_s == 1 { "second".to_owned() } else { format!("{} s", map.column_s) };
    let note = format!("The colour is the number of values in each {noun} and range of latency.");
    figure(&title, &note, &chart.draw(&title), &chart.table(&title))
}

/// Columns and visible rows of a map.
struct HeatChart<'a> {
    map: &'a HeatMap,
    /// Rows with values, and one more at each end if there is one.
    rows: Range<usize>,
    /// The most values of a cell.
    most: u64,
    axis: TimeAxis,
}

impl<'a> HeatChart<'a> {
    /// `None` if the map has no value, or cannot be drawn.
    fn new(map: &'a HeatMap) -> Option<Self> {
        let cells = || map.columns.iter().flat_map(HeatMapColumn::rows).filter(|(_, n)| *n > 0);
        if !map.is_sound() {
            return None;
        }
        let (lowest, _) = cells().min_by_key(|(row, _)| *row)?;
        let (highest, _) = cells().max_by_key(|(row, _)| *row)?;
        let end = (highest + 2).min(map.rows_from_us.len());
        Some(Self {
            map,
            rows: lowest.saturating_sub(1)..end,
            most: cells().map(|(_, count)| count).max()?,
            axis: TimeAxis::new((map.columns.len() as u64 * map.column_s) as f64),
        })
    }

    /// Colour of a count: a logarithmic scale, on which single values are visible.
    fn level(&self, count: u64) -> usize {
        let share = (1.0 + count as f64).ln() / (1.0 + self.most as f64).ln();
        ((share * LEVELS as f64) as usize).min(LEVELS - 1)
    }

    fn draw(&self, title: &str) -> String {
        let (width, height) = (self.map.columns.len(), self.rows.len());
        let cells: String = self
            .paths()
            .iter()
            .enumerate()
            .map(|(level, d)| {
                if d.is_empty() {
                    String::new()
                } else {
                    format!("<path class=\"heat{level}\" d=\"{d}\"/>")
                }
            })
            .collect();
        let x_axis = x_axis(self.axis.scale(), &self.axis.ticks(), self.axis.label());
        format!(
            "<div class=\"chart\">{}<div class=\"plot heat\"><svg class=\"dense\" role=\"group\" aria-label=\"Chart: {}\">\n\
             {x_axis}<svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{cells}</svg>\n\
             {}{}</svg></div></div>\n",
            self.legend(),
            escape(title),
            self.y_axis(),
            self.stops()
        )
    }

    /// The cells of each colour, as the data of one path. Neighbours of one colour in a row are one rectangle.
    fn paths(&self) -> [String; LEVELS] {
        let mut paths: [String; LEVELS] = Default::default();
        for row in self.rows.clone() {
            let y = self.rows.end - 1 - row;
            let levels: Vec<_> =
                self.map.columns.iter().map(|column| self.level_at(column, row)).collect();
            let mut x = 0;
            for run in levels.chunk_by(|a, b| a == b) {
                if let Some(Some(level)) = run.first() {
                    let _ = write!(paths[*level], "M{x} {y}h{0}v1h-{0}z", run.len());
                }
                x += run.len();
            }
        }
        paths
    }

    /// Colour of a cell; `None` without values.
    fn level_at(&self, column: &HeatMapColumn, row: usize) -> Option<usize> {
        let (_, count) = column.rows().find(|(at, _)| *at == row)?;
        (count > 0).then(|| self.level(count))
    }

    /// The rows as a logarithmic scale. The lowest row of all begins at zero, and is drawn as high as the others.
    fn scale(&self) -> Scale {
        let from = |row: usize| self.map.rows_from_us.get(row).copied();
        let second = from(self.rows.start + 1).unwrap_or(10.0);
        let low = from(self.rows.start).filter(|low| *low > 0.0).unwrap_or(second / 2f64.sqrt());
        Scale::Log(low, low * 2f64.powf(self.rows.len() as f64 / 2.0))
    }

    fn y_axis(&self) -> String {
        let scale = self.scale();
        let mut out = String::from("<g class=\"axis\" aria-hidden=\"true\">");
        for Tick { at, label } in round_ticks(scale, Unit::Time) {
            let y = percent(1.0 - scale.place(at));
            let _ = write!(
                out,
                "<text x=\"-8\" y=\"{y}\" dy=\".34em\" text-anchor=\"end\">{label}</text>"
            );
        }
        out + "</g>\n"
    }

    /// The colours, from one value to the most.
    fn legend(&self) -> String {
        let colours: String = (0..LEVELS)
            .map(|level| {
                format!(
                    "<rect class=\"heat{level}\" x=\"{}\" width=\"12.6%\" height=\"100%\"/>",
                    percent(level as f64 / LEVELS as f64)
                )
            })
            .collect();
        let most = Unit::Count.write(self.most as f64);
        format!(
            "<p class=\"legend colours\">1 value <svg role=\"img\" aria-label=\"Colours from few values to many\">{colours}</svg> {most}</p>"
        )
    }

    fn stops(&self) -> String {
        let width = 1.0 / self.map.columns.len() as f64;
        let mut out = String::new();
        for (n, column) in self.map.columns.iter().enumerate() {
            let marks = format!(
                "<rect x=\"{}\" width=\"{}\" height=\"100%\"/>",
                percent(n as f64 * width),
                percent(width)
            );
            let [values, half, longest] = self.readings(column);
            let readings =
                [("values", values), ("half are in or below", half), ("longest", longest)]
                    .map(|(name, value)| Reading { class: "heat5", name, value });
            out += &reader(n == 0, &self.time(n), &readings, &marks);
        }
        out
    }

    /// The time of a column.
    fn time(&self, column: usize) -> String {
        let [from, to] =
            [column, column + 1].map(|n| self.axis.text((n as u64 * self.map.column_s) as f64));
        format!("{from} to {to}")
    }

    /// Number of values of a column, and the rows of its median and of its longest values.
    fn readings(&self, column: &HeatMapColumn) -> [String; 3] {
        let total = column.total();
        let mut below = 0;
        let median = column.rows().find(|(_, count)| {
            below += count;
            below * 2 >= total
        });
        let longest = column.rows().filter(|(_, count)| *count > 0).last();
        let [median, longest] =
            [median, longest].map(|cell| cell.map_or_else(String::new, |(row, _)| self.range(row)));
        [Unit::Count.write(total as f64), median, longest]
    }

    /// The latencies of a row.
    fn range(&self, row: usize) -> String {
        let edge = |row: usize| self.map.rows_from_us.get(row).map(|from| Unit::Time.write(*from));
        match (edge(row), edge(row + 1)) {
            (Some(from), Some(to)) => format!("{from} to {to}"),
            (Some(from), None) => format!("over {from}"),
            _ => String::new(),
        }
    }

    fn table(&self, title: &str) -> String {
        let names = [self.axis.label(), "values", "half are in or below", "longest"];
        let mut rows = Vec::new();
        for (n, column) in self.map.columns.iter().enumerate() {
            let mut row = vec![Cell::from(self.time(n))];
            row.extend(self.readings(column).map(|text| Cell::from(escape(&text))));
            rows.push(row);
        }
        table(title, &head(names), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heatmap::ROWS;

    fn map() -> HeatMap {
        let mut columns = vec![[0; ROWS]; 3];
        (columns[0][14], columns[0][15], columns[0][20]) = (1_000, 900, 1);
        (columns[1][14], columns[2][14]) = (1_000, 1);
        HeatMap::new(HeatMapLatency::Arrival, 2, &columns).expect("values")
    }

    #[test]
    fn cells_of_one_colour_are_one_rectangle() {
        let map = map();
        let drawn = heat_map(&map);
        let chart = HeatChart::new(&map).expect("values");
        assert_eq!(chart.rows, 13..22);
        let paths = chart.paths();
        assert_eq!(paths[LEVELS - 1], "M0 7h2v1h-2zM0 6h1v1h-1z", "the most in both columns");
        assert!(paths.iter().any(|path| path.contains("M2 7h1v1h-1z")), "one value has a colour");
        assert!(drawn.contains("viewBox=\"0 0 3 9\""), "{drawn}");
        assert_eq!(drawn.matches("class=\"stop\"").count(), 3);
    }

    #[test]
    fn the_table_has_the_values_of_each_column() {
        let drawn = heat_map(&map());
        assert!(drawn.contains("<th scope=\"row\">0 to 2</th><td>1,901</td>"), "{drawn}");
        assert!(drawn.contains("<td>905\u{a0}µs to 1.28\u{a0}ms</td>"), "{drawn}");
    }

    #[test]
    fn a_map_that_no_run_writes_is_not_drawn() {
        assert_eq!(heat_map(&HeatMap::default()), "");
        assert_eq!(heat_map(&HeatMap { column_s: 0, ..map() }), "");
    }
}
