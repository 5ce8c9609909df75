//! Growth of the queue while a run sends.
//!
//! Each row of the series has the largest queue depth seen in its second. The slope is that of Theil and Sen, the
//! median of the slopes between all pairs of rows: a burst or a hiccup does not move it. The noise is the
//! median distance of the rows from that line. The queue grew if the line's rise over the run is above three
//! times the noise and above the messages that arrive in 50 ms: a smaller backlog is not noticeable.

use crate::report::Report;

/// The backlog, as seconds of load, below which a queue does not count as growing.
pub(crate) const NOTABLE_S: f64 = 0.05;
/// Smallest ratio of rise and noise of a growing queue.
const TIMES_NOISE: f64 = 3.0;
/// Tolerance for the end of the sending time, in seconds: times in a report are rounded.
const ROUNDING_S: f64 = 0.001;

/// Change of the queue depth over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct QueueGrowth {
    /// Messages a second; below zero if the queue shrank.
    pub(crate) per_s: f64,
    /// Messages over the whole run.
    rise: f64,
    /// Median distance of the rows from the line, in messages.
    noise: f64,
    /// Messages that arrive in [`NOTABLE_S`].
    notable: f64,
}

impl QueueGrowth {
    pub(crate) fn is_growing(&self) -> bool {
        self.rise > (TIMES_NOISE * self.noise).max(self.notable)
    }
}

/// The queue depth at a time.
#[derive(Debug, Clone, Copy)]
struct DepthAt {
    t_s: f64,
    depth: f64,
}

impl DepthAt {
    /// Messages a second from here to a later time.
    fn slope_to(self, later: Self) -> f64 {
        (later.depth - self.depth) / (later.t_s - self.t_s)
    }

    /// The depth that a line through this point has at time 0.
    fn level(self, per_s: f64) -> f64 {
        self.depth - per_s * self.t_s
    }
}

/// The growth of the queue; `None` if fewer than two rows of the sending time have a queue depth.
pub(crate) fn queue_growth(report: &Report) -> Option<QueueGrowth> {
    let sending = report.run.duration_s + ROUNDING_S;
    let rows = report.series.iter().filter(|row| row.t_s <= sending);
    let points: Vec<_> = rows
        .filter_map(|row| Some(DepthAt { t_s: row.t_s, depth: row.queue_depth? as f64 }))
        .collect();
    let pairs = (1..points.len()).flat_map(|n| points[..n].iter().map(move |first| (first, n)));
    let per_s = median(pairs.map(|(first, n)| first.slope_to(points[n])).collect())?;
    let level = median(points.iter().map(|point| point.level(per_s)).collect())?;
    let distances = points.iter().map(|point| (point.level(per_s) - level).abs());
    Some(QueueGrowth {
        per_s,
        rise: per_s * (points.last()?.t_s - points.first()?.t_s),
        noise: median(distances.collect())?,
        notable: report.requests.rate_achieved * NOTABLE_S,
    })
}

/// The median: the middle value, or the mean of the two in the middle. `None` without values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values.get(half).copied()
    } else {
        Some((values.get(half.checked_sub(1)?)? + values.get(half)?) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;

    /// Judges a run of 10,000/s with these depths, one a second.
    fn grows(depths: &[u64]) -> bool {
        let mut report = example::report(10_000.0);
        let row = report.series[0].clone();
        report.run.duration_s = depths.len() as f64;
        report.series = (1..=depths.len())
            .map(|n| crate::report::Row {
                t_s: n as f64,
                queue_depth: Some(depths[n - 1]),
                ..row.clone()
            })
            .collect();
        // The drain's rows do not count.
        let drain = crate::report::Row {
            t_s: depths.len() as f64 + 1.0,
            queue_depth: Some(1 << 40),
            ..row
        };
        report.series.push(drain);
        queue_growth(&report).expect("rows").is_growing()
    }

    #[test]
    fn a_growing_queue_differs_from_bursts_and_noise() {
        assert!(grows(&[50, 210, 340, 520, 660]), "150 a second");
        assert!(grows(&[0, 4_000, 9_000, 13_000, 40_000, 22_000]), "with a burst in it");
        assert!(!grows(&[5, 9, 0, 12, 3]), "noise");
        assert!(!grows(&[5, 9, 8_000, 12, 3]), "one hiccup");
        assert!(!grows(&[300, 10, 250, 40, 290, 20]), "much noise");
        assert!(!grows(&[0, 100, 200, 300, 400]), "less than 50 ms of messages");
        assert!(!grows(&[9_000, 7_000, 5_000, 3_000]), "it shrinks");
    }

    #[test]
    fn one_row_is_too_few() {
        let mut report = example::report(1_000.0);
        report.series.truncate(1);
        assert_eq!(queue_growth(&report), None);
    }
}
