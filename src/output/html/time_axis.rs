//! The axis of time of a run: seconds, and in a longer run minutes or hours.

use super::chart::{Tick, round_ticks};
use super::markup::Unit;
use super::scale::Scale;

/// The longest run whose axis is in seconds.
const LONGEST_IN_SECONDS: f64 = 120.0;
const HOUR: f64 = 3_600.0;
/// About the most ticks.
const MOST_TICKS: f64 = 8.0;
/// Distances of ticks in seconds; beyond the last one, multiples of it.
const STEPS: [f64; 12] = [
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1_800.0,
    HOUR,
    2.0 * HOUR,
    6.0 * HOUR,
    24.0 * HOUR,
];

/// The time from the beginning to the end of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    end_s: f64,
}

impl TimeAxis {
    pub(super) fn new(end_s: f64) -> Self {
        Self { end_s }
    }

    pub(super) fn scale(self) -> Scale {
        Scale::Linear(0.0, self.end_s)
    }

    /// Returns true if its times are written as numbers of seconds.
    pub(super) fn is_in_seconds(self) -> bool {
        self.end_s <= LONGEST_IN_SECONDS
    }

    /// Name and unit of the axis.
    pub(super) fn label(self) -> &'static str {
        if self.is_in_seconds() {
            "seconds"
        } else if self.end_s < HOUR {
            "time (min:s)"
        } else {
            "time (h:min:s)"
        }
    }

    /// A time as on the axis: `7`, `2:05`, `1:02:05`.
    pub(super) fn text(self, seconds: f64) -> String {
        let whole = seconds.max(0.0) as u64;
        let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
        if self.is_in_seconds() {
            seconds.to_string()
        } else if self.end_s < HOUR {
            format!("{}:{rest:02}", whole / 60)
        } else {
            format!("{hours}:{minutes:02}:{rest:02}")
        }
    }

    pub(super) fn ticks(self) -> Vec<Tick> {
        if self.is_in_seconds() {
            return round_ticks(self.scale(), Unit::Seconds);
        }
        let last = STEPS[STEPS.len() - 1];
        let enough = STEPS.into_iter().find(|step| self.end_s / step <= MOST_TICKS);
        let step = enough.unwrap_or_else(|| (self.end_s / MOST_TICKS / last).ceil() * last);
        let count = (self.end_s / step) as u32;
        let times = (0..=count).map(|n| f64::from(n) * step);
        times.map(|at| Tick { at, label: self.text(at) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(end_s: f64) -> Vec<String> {
        TimeAxis::new(end_s).ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn times_are_written_as_clocks_write_them() {
        assert_eq!(TimeAxis::new(10.0).text(7.0), "7");
        assert_eq!(TimeAxis::new(600.0).text(125.0), "2:05");
        assert_eq!(TimeAxis::new(7_200.0).text(125.0), "0:02:05");
        assert_eq!(TimeAxis::new(7_200.0).text(3_725.0), "1:02:05");
    }

    #[test]
    fn ticks_are_at_whole_minutes_and_hours_and_few() {
        assert_eq!(labels(10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(300.0), ["0:00", "1:00", "2:00", "3:00", "4:00", "5:00"]);
        assert_eq!(labels(3_600.0)[..2], ["0:00:00", "0:10:00"]);
        for end_s in [0.0, 121.0, 5_000.0, 86_400.0, 1e6, 1e9] {
            assert!(labels(end_s).len() <= 9, "{end_s}");
        }
    }
}
