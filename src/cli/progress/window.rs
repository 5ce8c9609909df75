//! Percentiles of the last seconds: over the last one, or over as many as a p99 needs values of.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::distribution::{Latencies, fewest_values, micros};
use crate::run::Progress;
use crate::run::measurements::Totals;

/// Seconds whose p99 the view keeps.
const HISTORY: usize = 60;

/// Sums up to a time.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    /// Seconds since measuring began.
    at_s: f64,
    totals: Arc<Totals>,
}

/// Percentiles over the last seconds, in microseconds; `None` of too few values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RecentPercentiles {
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// The last seconds of a run. They begin at the first of two snapshots, and end now. As soon as the second one is old enough
/// for a p99 since then, it becomes the first. So the window has between one and two times the values that a p99 needs,
/// or one second.
#[derive(Debug, Default)]
pub(super) struct RecentWindow {
    first: Snapshot,
    second: Snapshot,
    now_s: f64,
    pub(super) response: RecentPercentiles,
    pub(super) arrival: RecentPercentiles,
    /// p99 of each second, over the window that ended with it: of arrivals, or of responses without arrivals.
    pub(super) history: VecDeque<f64>,
}

impl RecentWindow {
    /// Takes in a progress. Returns at once if no second has ended since the last one.
    pub(super) fn add(&mut self, progress: &Progress) {
        let Some(row) = &progress.last_second else { return };
        if row.t_s <= self.now_s {
            return;
        }
        self.now_s = row.t_s;
        let has_arrivals = progress.arrived.is_some();
        let now = &progress.totals;
        let values = main_latencies(now, has_arrivals).count();
        let before = main_latencies(&self.second.totals, has_arrivals).count();
        if Some(values.saturating_sub(before)) >= fewest_values("p99") {
            let latest = Snapshot { at_s: self.now_s, totals: Arc::clone(now) };
            self.first = std::mem::replace(&mut self.second, latest);
        }
        let first = &self.first.totals;
        self.response = percentiles(&now.response, &first.response);
        self.arrival = percentiles(&now.arrival, &first.arrival);
        let main = if has_arrivals { self.arrival } else { self.response };
        self.history.extend(main.p99);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Length of the window in seconds.
    pub(super) fn seconds(&self) -> u64 {
        (self.now_s - self.first.at_s).round() as u64
    }
}

fn main_latencies(totals: &Totals, has_arrivals: bool) -> &Latencies {
    if has_arrivals { &totals.arrival } else { &totals.response }
}

fn percentiles(now: &Latencies, earlier: &Latencies) -> RecentPercentiles {
    let recent = now.since(earlier);
    RecentPercentiles {
        p50: recent.quantile(0.5).map(micros),
        p90: recent.quantile(0.9).map(micros),
        p99: recent.quantile(0.99).map(micros),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::progress;
    use super::*;
    use crate::core::clock::Nanos;
    use crate::report::Row;

    /// The window after seconds with so many arrivals of so many milliseconds each.
    fn after(seconds: &[(u64, u64)]) -> RecentWindow {
        let mut window = RecentWindow::default();
        let mut totals = Totals::default();
        for (second, (count, millis)) in seconds.iter().enumerate() {
            totals.arrival.record_n(Nanos(millis * 1_000_000), *count);
            let row = Row { t_s: second as f64 + 1.0, ..Row::default() };
            let totals = Arc::new(totals.clone());
            let step = Progress { last_second: Some(row), totals, ..progress() };
            window.add(&step);
            window.add(&step);
        }
        window
    }

    #[test]
    fn a_second_with_enough_values_is_a_window() {
        let window = after(&[(2_000, 1), (2_000, 50), (2_000, 3)]);
        assert_eq!(window.seconds(), 1);
        assert_eq!(window.arrival.p99.map(|p99| (p99 / 1e3).round()), Some(3.0));
        let history: Vec<_> = window.history.iter().map(|p99| (p99 / 1e3).round()).collect();
        assert_eq!(history, [1.0, 50.0, 3.0], "each second once");
    }

    #[test]
    fn a_low_rate_has_a_longer_window() {
        let slow = |seconds: usize| after(&vec![(100, 2); seconds]);
        let window = slow(9);
        assert_eq!((window.seconds(), window.arrival.p99), (9, None));
        assert!(window.arrival.p90.is_some() && window.history.is_empty());
        let window = slow(10);
        assert!(window.arrival.p99.is_some());
        assert_eq!((window.seconds(), window.history.len()), (10, 1));
        assert_eq!(slow(19).seconds(), 19);
        assert_eq!(slow(20).seconds(), 10);
        assert!(after(&vec![(2_000, 2); 100]).history.len() == HISTORY);
    }
}
