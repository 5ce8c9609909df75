//! Latencies by time, as counts that are coarse enough to be drawn.

use serde::{Deserialize, Serialize};

/// Most columns of a heat map.
pub(crate) const MOST_COLUMNS: usize = 120;
/// Rows of a heat map: the first is below 10 µs, and each other one is √2 times as high as the one before it.
pub(crate) const ROWS: usize = 40;
const FIRST_BOUND_NS: f64 = 10_000.0;

/// Number of values by second and by latency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct HeatMap {
    /// The latency.
    pub(crate) of: HeatMapLatency,
    /// Seconds of each column. It doubles when a run has more than 120 columns.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) column_s: u64,
    /// The lowest latency of each row, in microseconds. A row ends where the next one begins.
    pub(crate) rows_from_us: Vec<f64>,
    /// The columns from the beginning of the run, without gaps.
    pub(crate) columns: Vec<HeatMapColumn>,
}

/// The latency that a heat map counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum HeatMapLatency {
    /// Of messages, in the second in which they arrived.
    #[default]
    Arrival,
    /// Of requests, in the second in which they were answered.
    Response,
}

/// The values of one column. Rows before the first and after the last count have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct HeatMapColumn {
    /// Index of the row of the first count.
    pub(crate) first_row: u64,
    /// Values of that row and of those above it.
    pub(crate) counts: Vec<u64>,
}

/// Upper bounds of all rows but the last, in nanoseconds.
pub(crate) fn bounds_ns() -> [u64; ROWS - 1] {
    std::array::from_fn(|row| (FIRST_BOUND_NS * 2f64.powf(row as f64 / 2.0)).round() as u64)
}

impl HeatMap {
    /// Returns a map of full columns; `None` without any value.
    pub(crate) fn new(of: HeatMapLatency, column_s: u64, columns: &[[u64; ROWS]]) -> Option<Self> {
        let filled = columns.iter().rposition(|column| column.iter().any(|count| *count > 0))?;
        let bounds = bounds_ns().map(|bound| bound as f64 / 1e3);
        Some(Self {
            of,
            column_s,
            rows_from_us: std::iter::once(0.0).chain(bounds).collect(),
            columns: columns[..=filled].iter().map(HeatMapColumn::new).collect(),
        })
    }

    /// The sum of maps that began together. `None` if their columns or rows are not the same.
    pub(crate) fn sum(maps: &[&Self]) -> Option<Self> {
        let first = maps.first()?;
        let longest = maps.iter().map(|map| map.columns.len()).max()?;
        let mut columns = vec![[0_u64; ROWS]; longest];
        for map in maps {
            let is_alike = map.of == first.of
                && map.column_s == first.column_s
                && map.rows_from_us == first.rows_from_us;
            if !is_alike || !map.is_sound() {
                return None;
            }
            for (sum, column) in columns.iter_mut().zip(&map.columns) {
                for (row, count) in column.rows() {
                    sum[row] = sum[row].saturating_add(count);
                }
            }
        }
        Self::new(first.of, first.column_s, &columns)
    }

    /// Returns true if it can be one that a run has written: its columns are not too many, and all within its rows.
    pub(crate) fn is_sound(&self) -> bool {
        self.column_s > 0
            && self.rows_from_us.len() == ROWS
            && self.rows_from_us.is_sorted()
            && self.columns.len() <= MOST_COLUMNS
            && self.columns.iter().all(|column| column.end().is_some_and(|end| end <= ROWS as u64))
    }
}

impl HeatMapColumn {
    fn new(counts: &[u64; ROWS]) -> Self {
        let is_filled = |count: &u64| *count > 0;
        match (counts.iter().position(is_filled), counts.iter().rposition(is_filled)) {
            (Some(first), Some(last)) => {
                Self { first_row: first as u64, counts: counts[first..=last].to_vec() }
            }
            _ => Self::default(),
        }
    }

    /// Row after the last count; `None` if there can be no such row.
    fn end(&self) -> Option<u64> {
        self.first_row.checked_add(self.counts.len() as u64)
    }

    /// Row and count of each count.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, u64)> {
        (self.first_row as usize..).zip(self.counts.iter().copied())
    }

    /// All values of the column.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(first: usize, values: &[u64]) -> [u64; ROWS] {
        let mut column = [0; ROWS];
        column[first..first + values.len()].copy_from_slice(values);
        column
    }

    fn map(columns: &[[u64; ROWS]]) -> HeatMap {
        HeatMap::new(HeatMapLatency::Arrival, 2, columns).expect("values")
    }

    #[test]
    fn rows_without_values_are_left_out() {
        let map = map(&[column(3, &[5, 0, 1]), [0; ROWS], column(39, &[7]), [0; ROWS]]);
        assert_eq!(map.columns.len(), 3, "an empty end is left out");
        assert_eq!(map.columns[0], HeatMapColumn { first_row: 3, counts: vec![5, 0, 1] });
        assert_eq!(map.columns[1], HeatMapColumn::default());
        assert_eq!(map.columns[2].rows().collect::<Vec<_>>(), [(39, 7)]);
        assert!(map.is_sound());
        assert_eq!(map.rows_from_us[..4], [0.0, 10.0, 14.142, 20.0]);
        assert_eq!(HeatMap::new(HeatMapLatency::Response, 1, &[[0; ROWS]]), None);
    }

    #[test]
    fn maps_of_the_same_columns_are_added_and_others_are_not() {
        let (a, b) = (map(&[column(3, &[5])]), map(&[column(4, &[1]), column(0, &[2])]));
        let sum = map(&[column(3, &[5, 1]), column(0, &[2])]);
        assert_eq!(HeatMap::sum(&[&a, &b]), Some(sum));
        let coarse = HeatMap { column_s: 4, ..b.clone() };
        assert_eq!(HeatMap::sum(&[&a, &coarse]), None);
        let response = HeatMap { of: HeatMapLatency::Response, ..b };
        assert_eq!(HeatMap::sum(&[&a, &response]), None);
        assert_eq!(HeatMap::sum(&[]), None);
    }

    #[test]
    fn a_map_that_no_run_can_have_is_not_sound() {
        for broken in [
            HeatMapColumn { first_row: 39, counts: vec![1, 2] },
            HeatMapColumn { first_row: u64::MAX, counts: vec![1] },
        ] {
            let map = HeatMap { columns: vec![broken], ..map(&[column(3, &[5])]) };
            assert!(!map.is_sound(), "{map:?}");
            assert_eq!(HeatMap::sum(&[&map]), None);
        }
        let sound = map(&[column(3, &[5])]);
        assert!(!HeatMap { column_s: 0, ..sound.clone() }.is_sound());
        let columns = vec![HeatMapColumn::default(); MOST_COLUMNS + 1];
        assert!(!HeatMap { columns, ..sound }.is_sound());
    }
}
