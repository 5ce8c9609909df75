//! Counts for the heat map, made of the histograms of each second when they are complete.

use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::report::heatmap::{HeatMap, HeatMapLatency, MOST_COLUMNS, ROWS, bounds_ns};

/// Heat map of a run that is under way. It takes the same memory however long the run is.
#[derive(Debug)]
pub(super) struct HeatMapRecorder {
    of: HeatMapLatency,
    column_s: u64,
    columns: Vec<[u64; ROWS]>,
}

impl HeatMapRecorder {
    pub(super) fn new(of: HeatMapLatency) -> Self {
        Self { of, column_s: 1, columns: Vec::new() }
    }

    pub(super) fn of(&self) -> HeatMapLatency {
        self.of
    }

    /// Adds the latencies of a second, by its index.
    pub(super) fn add(&mut self, second: u64, latencies: &Latencies) {
        while second / self.column_s >= MOST_COLUMNS as u64 {
            self.halve();
        }
        let column = (second / self.column_s) as usize;
        if self.columns.len() <= column {
            self.columns.resize(column + 1, [0; ROWS]);
        }
        let mut below = 0;
        let up_to = latencies.counts_up_to(&bounds_ns().map(Nanos));
        for (count, up_to) in
            self.columns[column].iter_mut().zip(up_to.into_iter().chain([latencies.count()]))
        {
            *count += up_to - below;
            below = up_to;
        }
    }

    /// Adds neighbouring columns, two and two.
    fn halve(&mut self) {
        let halved = self
            .columns
            .chunks(2)
            .map(|pair| std::array::from_fn(|row| pair.iter().map(|column| column[row]).sum()));
        self.columns = halved.collect();
        self.column_s *= 2;
    }

    /// Returns the map; `None` without any value.
    pub(super) fn finish(self) -> Option<HeatMap> {
        HeatMap::new(self.of, self.column_s, &self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_row_of_its_latency_and_columns_are_joined_in_a_long_run() {
        let mut recorder = HeatMapRecorder::new(HeatMapLatency::Response);
        let mut second = Latencies::default();
        for (millis, count) in [(0, 3), (1, 20), (60_000, 1)] {
            second.record_n(Nanos::from_millis(millis), count);
        }
        for index in 0..300 {
            recorder.add(index, &second);
        }
        let map = recorder.finish().expect("values");
        assert_eq!((map.column_s, map.columns.len()), (4, 75));
        assert!(map.is_sound());
        assert!(map.columns.iter().all(|column| column.total() == 4 * 24), "{map:?}");
        let (row, _) =
            map.columns[74].rows().find(|(_, count)| *count == 80).expect("those of 1 ms");
        assert!(map.rows_from_us[row] < 1_000.0 && map.rows_from_us[row + 1] >= 1_000.0, "{row}");
        assert_eq!(
            map.columns[74].rows().last(),
            Some((ROWS - 1, 4)),
            "the longest are in the last"
        );
    }

    #[test]
    fn a_run_without_values_has_no_map() {
        let mut recorder = HeatMapRecorder::new(HeatMapLatency::Arrival);
        recorder.add(1_000_000, &Latencies::default());
        assert_eq!(recorder.finish(), None);
    }
}
