//! Series of a run: rows of a second each, the sums of the intervals of all workers and the listener, with the
//! queue depth and CPU shares. A row is closed when all have reported it; its histograms are freed then.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arrivals::ArrivalInterval;
use super::heatmap::HeatMapRecorder;
use super::measurements::Totals;
use crate::core::distribution::{Latencies, micros};
use crate::core::units::round;
use crate::engine::IntervalReport;
use crate::engine::worker::INTERVAL;
use crate::host::resources::Shares;
use crate::report::Row;
use crate::report::heatmap::{HeatMap, HeatMapLatency};

/// Row that not all have reported yet.
#[derive(Debug, Default)]
struct OpenRow {
    row: Row,
    response: Latencies,
    arrival: Latencies,
    reports: usize,
}

/// Rows of a run that has ended, and its heat map.
#[derive(Debug)]
pub(super) struct FinishedSeries {
    pub(super) rows: Vec<Row>,
    pub(super) heatmap: Option<HeatMap>,
    /// Seconds that were closed since [`Series::take_seconds`] was called last.
    pub(super) seconds: Vec<MeasuredSecond>,
}

/// A second of the measured part that all have reported, with its histograms.
#[derive(Debug, Clone)]
pub(crate) struct MeasuredSecond {
    /// Its place in the series, from 0.
    pub(crate) index: u64,
    /// Its counts and percentiles.
    pub(crate) row: Row,
    /// answered − due
    pub(crate) response: Latencies,
    /// arrived − due
    pub(crate) arrival: Latencies,
}

/// Rows of a run while it is under way.
#[derive(Debug)]
pub(super) struct Series {
    open: BTreeMap<u64, OpenRow>,
    closed: Vec<Row>,
    totals: Arc<Totals>,
    heatmap: HeatMapRecorder,
    /// Number of reports that complete a row: one per worker and one of the listener.
    reporters: usize,
    /// Intervals that the listener has reported, if there is one.
    listened: Option<u64>,
    /// The workers report no more.
    is_load_over: bool,
    /// Closed seconds since [`Self::take_seconds`] was called last; `None` without [`Self::keep_seconds`].
    seconds: Option<Vec<MeasuredSecond>>,
}

impl Series {
    pub(super) fn new(workers: usize, listens: bool) -> Self {
        Self {
            open: BTreeMap::new(),
            closed: Vec::new(),
            totals: Arc::default(),
            heatmap: HeatMapRecorder::new(if listens {
                HeatMapLatency::Arrival
            } else {
                HeatMapLatency::Response
            }),
            reporters: workers + usize::from(listens),
            listened: listens.then_some(0),
            is_load_over: false,
            seconds: None,
        }
    }

    /// Keeps the histograms of the seconds that are closed from now on, for [`Self::take_seconds`].
    pub(super) fn keep_seconds(&mut self) {
        self.seconds = Some(Vec::new());
    }

    /// Returns the seconds that were closed since the last call; none if they are not kept.
    pub(super) fn take_seconds(&mut self) -> Vec<MeasuredSecond> {
        self.seconds.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Adds a worker's interval.
    pub(super) fn add_load(&mut self, report: &IntervalReport) {
        let open = self.open.entry(report.index).or_default();
        open.row.sent += report.sent;
        open.row.completed += report.completed;
        open.row.failed += report.failed;
        open.row.in_flight += report.in_flight;
        open.response.merge(&report.response);
        open.reports += 1;
        // A progress callback may still hold the earlier totals; they are copied then.
        let totals = Arc::make_mut(&mut self.totals);
        totals.sent += report.sent;
        totals.dropped += report.dropped;
        totals.completed += report.completed;
        totals.refused += report.refused;
        totals.failed += report.failed;
        totals.response.merge(&report.response);
        self.close_complete();
    }

    /// Adds an interval of the listener.
    pub(super) fn add_arrivals(&mut self, interval: &ArrivalInterval) {
        let open = self.open.entry(interval.index).or_default();
        open.row.arrived += interval.arrived;
        open.arrival.merge(&interval.latencies);
        open.reports += 1;
        self.listened = self.listened.max(Some(interval.index + 1));
        let totals = Arc::make_mut(&mut self.totals);
        totals.arrived += interval.arrived;
        totals.arrival.merge(&interval.latencies);
        self.close_complete();
    }

    /// Takes in that all workers have ended, and all their intervals have been added. From then on only the listener
    /// reports: its rows are closed when they come, so that a long drain holds no histograms.
    pub(super) fn end_load(&mut self) {
        self.is_load_over = true;
        self.close_complete();
    }

    /// Returns the last row that all have reported.
    pub(super) fn last(&self) -> Option<&Row> {
        self.closed.last()
    }

    /// Returns the sums over all intervals so far.
    pub(super) fn totals(&self) -> Arc<Totals> {
        Arc::clone(&self.totals)
    }

    /// Adds a queue depth that was read in interval `index`; the largest of an interval counts.
    pub(super) fn add_queue_depth(&mut self, index: u64, depth: u64) {
        // A closed row does not change.
        if index >= self.closed.len() as u64 {
            let largest = &mut self.open.entry(index).or_default().row.queue_depth;
            *largest = (*largest).max(Some(depth));
        }
    }

    /// Adds the components' shares of a CPU in interval `index`, in percent. They come after the interval's end,
    /// so that its row may be closed already.
    pub(super) fn add_cpu(&mut self, index: u64, shares: Shares) {
        let percentages =
            shares.into_iter().map(|(component, share)| (component, round(share, 10.0))).collect();
        match self.closed.get_mut(index as usize) {
            Some(row) => row.cpu_percent = percentages,
            None => self.open.entry(index).or_default().row.cpu_percent = percentages,
        }
    }

    /// Closes the rows that all have reported, in order.
    fn close_complete(&mut self) {
        while let Some(first) = self.open.first_entry() {
            let index = *first.key();
            let has_all = if self.is_load_over {
                self.listened.is_none_or(|listened| index < listened)
            } else {
                first.get().reports >= self.reporters
            };
            if !has_all || index != self.closed.len() as u64 {
                return;
            }
            let (index, open) = first.remove_entry();
            self.close(index, open);
        }
    }

    /// Closes a row: its histograms are not needed any more, unless the seconds are kept.
    fn close(&mut self, index: u64, open: OpenRow) {
        let latencies = match self.heatmap.of() {
            HeatMapLatency::Arrival => &open.arrival,
            HeatMapLatency::Response => &open.response,
        };
        self.heatmap.add(index, latencies);
        let row = row(index, &open);
        if let Some(seconds) = &mut self.seconds {
            let OpenRow { response, arrival, .. } = open;
            seconds.push(MeasuredSecond { index, row: row.clone(), response, arrival });
        }
        self.closed.push(row);
    }

    /// Returns all rows. Those that not all have reported hold the parts that came; empty ones at the end are left
    /// out.
    pub(super) fn finish(mut self) -> FinishedSeries {
        for (index, open) in std::mem::take(&mut self.open) {
            self.close(index, open);
        }
        while self
            .closed
            .last()
            .is_some_and(|row: &Row| row.sent + row.completed + row.failed + row.arrived == 0)
        {
            self.closed.pop();
        }
        let seconds = self.take_seconds();
        FinishedSeries { rows: self.closed, heatmap: self.heatmap.finish(), seconds }
    }
}

/// Makes a row of its sums and percentiles.
fn row(index: u64, open: &OpenRow) -> Row {
    Row {
        t_s: (index + 1) as f64 * INTERVAL.as_secs_f64(),
        response_p50: open.response.row_quantile(0.5).map(micros),
        response_p99: open.response.row_quantile(0.99).map(micros),
        arrival_p50: open.arrival.row_quantile(0.5).map(micros),
        arrival_p99: open.arrival.row_quantile(0.99).map(micros),
        ..open.row.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;

    fn load(index: u64, sent: u64) -> IntervalReport {
        let mut response = Latencies::default();
        response.record_n(Nanos::from_millis(sent), sent);
        IntervalReport {
            index,
            sent,
            dropped: 3,
            completed: sent,
            refused: 1,
            failed: 0,
            in_flight: 1,
            response,
            sampled: Vec::new(),
        }
    }

    #[test]
    fn totals_hold_every_report_and_leave_earlier_ones_as_they_were() {
        let mut series = Series::new(2, true);
        series.add_load(&load(0, 20));
        let before = series.totals();
        series.add_load(&load(0, 40));
        series.add_load(&load(1, 5));
        assert!(series.last().is_none(), "no second is complete");
        let after = series.totals();
        assert_eq!((before.sent, before.response.count()), (20, 20));
        assert_eq!((after.sent, after.dropped, after.refused), (65, 9, 3));
        assert_eq!(after.response.count(), 65);
    }

    #[test]
    fn the_heat_map_has_all_responses_of_a_run_without_a_listener() {
        let mut series = Series::new(1, false);
        for index in 0..3 {
            series.add_load(&load(index, 20));
        }
        let heatmap = series.finish().heatmap.expect("responses");
        assert_eq!(heatmap.of, HeatMapLatency::Response);
        let totals: Vec<_> = heatmap.columns.iter().map(|column| column.total()).collect();
        assert_eq!(totals, [20, 20, 20]);
    }

    #[test]
    fn rows_of_the_drain_are_closed_without_the_workers() {
        let mut series = Series::new(2, true);
        let arrivals =
            |index, arrived| ArrivalInterval { index, arrived, latencies: Latencies::default() };
        series.add_arrivals(&arrivals(0, 1));
        series.add_load(&load(0, 20));
        series.add_load(&load(0, 40));
        // The other worker had ended.
        series.add_load(&load(1, 20));
        series.add_arrivals(&arrivals(1, 2));
        assert_eq!((series.closed.len(), series.open.len()), (1, 1));
        series.end_load();
        assert_eq!((series.closed.len(), series.open.len()), (2, 0));
        for index in 2..100 {
            series.add_queue_depth(index, 7);
            series.add_arrivals(&arrivals(index, index));
            assert!(series.open.is_empty(), "{index}");
        }
        let rows = series.finish().rows;
        let arrived: u64 = rows.iter().map(|row| row.arrived).sum();
        assert_eq!(
            (rows.len(), arrived, rows[99].queue_depth),
            (100, 1 + (2..100).sum::<u64>() + 2, Some(7))
        );
    }

    #[test]
    fn a_row_is_the_sum_of_its_parts_and_is_closed_when_all_have_come() {
        let mut series = Series::new(2, true);
        series.add_queue_depth(0, 3);
        series.add_queue_depth(0, 2);
        series.add_load(&load(0, 20));
        series.add_load(&load(0, 40));
        assert_eq!(series.closed.len(), 0);
        series.add_arrivals(&ArrivalInterval {
            index: 0,
            arrived: 7,
            latencies: Latencies::default(),
        });
        assert_eq!(series.closed.len(), 1);
        let busy = vec![("api".into(), 42.0)];
        series.add_cpu(0, busy.clone());
        series.add_load(&load(1, 0));
        let FinishedSeries { rows, heatmap, .. } = series.finish();
        assert_eq!(heatmap, None, "no arrival has a latency");
        assert_eq!(rows.len(), 1, "an empty last row is left out");
        let row = &rows[0];
        assert_eq!((row.sent, row.arrived, row.in_flight, row.queue_depth), (60, 7, 2, Some(3)));
        assert_eq!(row.response_p50.map(|p50| (p50 / 1e3) as u64), Some(40));
        assert_eq!(row.cpu_percent, busy.into_iter().collect(), "added after the row was closed");
    }
}
