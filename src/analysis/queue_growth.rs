//! Whether the queue grew while a step was sent.
//!
//! Each row of the series has the most messages seen in the queue in its second. The slope is that of
//! Theil and Sen, the median of the slopes between all pairs of rows, which neither a burst nor a hiccup
//! moves; the noise is the median distance of the rows from that line. The queue grew when the line's
//! rise over the step is above three times the noise and above what arrives in 50 ms: less is no backlog
//! that anybody would notice.

use crate::report::Report;

/// The backlog, as time, below which a queue is not called growing.
const NOTABLE_S: f64 = 0.05;
/// How often the noise a rise must be.
const TIMES_NOISE: f64 = 3.0;

/// How the queue changed over a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Messages a second; below zero where it shrank.
    pub(crate) per_s: f64,
    /// Messages over the whole step.
    rise: f64,
    /// Messages by which rows differ from the line.
    noise: f64,
    /// Messages of [`NOTABLE_S`].
    notable: f64,
}

impl Growth {
    pub(crate) fn is_growing(&self) -> bool {
        self.rise > (TIMES_NOISE * self.noise).max(self.notable)
    }
}

/// `None` where fewer than two rows of the sending time know the queue's length.
pub(crate) fn growth(report: &Report) -> Option<Growth> {
    let sending = report.run.duration_s + 0.001;
    let rows = report.series.iter().filter(|row| row.t_s <= sending);
    let points: Vec<_> = rows.filter_map(|row| Some((row.t_s, row.queue_depth? as f64))).collect();
    let pairs = (1..points.len()).flat_map(|n| points[..n].iter().map(move |first| (first, n)));
    let slope = |(first, n): (&(f64, f64), usize)| {
        let (from, to) = (first, points[n]);
        (to.1 - from.1) / (to.0 - from.0)
    };
    let per_s = median(pairs.map(slope).collect())?;
    let level = median(points.iter().map(|(t, depth)| depth - per_s * t).collect())?;
    let apart = |(t, depth): &(f64, f64)| (depth - level - per_s * t).abs();
    let (first, last) = (points.first()?, points.last()?);
    Some(Growth {
        per_s,
        rise: per_s * (last.0 - first.0),
        noise: median(points.iter().map(apart).collect())?,
        notable: report.requests.rate_achieved * NOTABLE_S,
    })
}

/// The middle one, or the mean of the two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (half, odd) = (values.len() / 2, values.len() % 2 == 1);
    if odd {
        values.get(half).copied()
    } else {
        Some((values.get(half.checked_sub(1)?)? + values.get(half)?) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;

    /// Of a step of 10,000/s.
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
        growth(&report).expect("rows").is_growing()
    }

    #[test]
    fn a_backlog_that_builds_up_is_told_from_bursts_and_noise() {
        assert!(grows(&[50, 210, 340, 520, 660]), "150 a second");
        assert!(grows(&[0, 4_000, 9_000, 13_000, 40_000, 22_000]), "with a burst in it");
        assert!(!grows(&[5, 9, 0, 12, 3]), "noise");
        assert!(!grows(&[5, 9, 8_000, 12, 3]), "one hiccup");
        assert!(!grows(&[300, 10, 250, 40, 290, 20]), "much noise");
        assert!(!grows(&[0, 100, 200, 300, 400]), "less than 50 ms of messages");
        assert!(!grows(&[9_000, 7_000, 5_000, 3_000]), "it shrinks");
    }

    #[test]
    fn of_one_row_nothing_is_said() {
        let mut report = example::report(1_000.0);
        report.series.truncate(1);
        assert_eq!(growth(&report), None);
    }
}
