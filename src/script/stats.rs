//! `latency` and `requests` of `done`: a distribution in whole numbers, as in wrk.

use mlua::{MetaMethod, UserData, UserDataFields, UserDataMethods};

use crate::core::distribution::Latencies;

/// Distribution for scripts.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Values with their counts, ascending.
    values: Vec<(u64, u64)>,
    count: u64,
}

impl Stats {
    /// Rounds the values to units of `unit` nanoseconds, at least 1: 1,000 gives microseconds.
    pub(super) fn new(latencies: &Latencies, unit: u64) -> Self {
        let mut values: Vec<(u64, u64)> = Vec::new();
        for (value, count) in latencies.recorded() {
            let value = (value.0 + unit / 2) / unit;
            match values.last_mut() {
                Some((last, sum)) if *last == value => *sum += count,
                _ => values.push((value, count)),
            }
        }
        Self { count: values.iter().map(|(_, count)| count).sum(), values }
    }

    fn min(&self) -> u64 {
        self.values.first().map_or(0, |(value, _)| *value)
    }

    fn max(&self) -> u64 {
        self.values.last().map_or(0, |(value, _)| *value)
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.values.iter().map(|(v, n)| *v as f64 * *n as f64).sum();
        if self.count == 0 { 0.0 } else { sum / self.count as f64 }
    }

    fn stdev(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let mean = self.mean();
        let squares =
            self.values.iter().map(|(value, n)| (*value as f64 - mean).powi(2) * *n as f64);
        (squares.sum::<f64>() / (self.count - 1) as f64).sqrt()
    }

    /// Smallest value such that `percent` of all values are not above it; 0 without values. Unlike the report's
    /// percentiles it is always a number, because scripts rely on that.
    fn percentile(&self, percent: f64) -> u64 {
        let rank = (percent / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut up_to = 0;
        let reached = self.values.iter().find(|(_, count)| {
            up_to += count;
            up_to >= rank
        });
        reached.map_or(self.max(), |(value, _)| *value)
    }

    /// Returns the n-th distinct value, from 1, and its count.
    fn at(&self, n: f64) -> (u64, u64) {
        let place = (n >= 1.0).then(|| n as usize - 1);
        place.and_then(|place| self.values.get(place)).copied().unwrap_or_default()
    }
}

impl UserData for Stats {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("min", |_, stats| Ok(stats.min() as f64));
        fields.add_field_method_get("max", |_, stats| Ok(stats.max() as f64));
        fields.add_field_method_get("mean", |_, stats| Ok(stats.mean()));
        fields.add_field_method_get("stdev", |_, stats| Ok(stats.stdev()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("percentile", |_, stats, percent: f64| {
            Ok(stats.percentile(percent) as f64)
        });
        methods.add_meta_method(MetaMethod::Call, |_, stats, n: f64| {
            let (value, count) = stats.at(n);
            Ok((value as f64, count as f64))
        });
        // Older scripts use latency[n].
        methods.add_meta_method(MetaMethod::Index, |_, stats, n: f64| Ok(stats.at(n).0 as f64));
        methods.add_meta_method(MetaMethod::Len, |_, stats, ()| Ok(stats.values.len() as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;

    fn stats(micros: &[u64]) -> Stats {
        let mut latencies = Latencies::default();
        micros.iter().for_each(|value| latencies.record(Nanos(value * 1_000)));
        Stats::new(&latencies, 1_000)
    }

    #[test]
    fn it_has_the_figures_of_wrk() {
        let few = stats(&[10, 20, 20, 50]);
        assert_eq!((few.min(), few.max(), few.mean()), (10, 50, 25.0));
        // Sample deviation: the sum of squares, 900, divided by one less than the count.
        assert!((few.stdev() - 300f64.sqrt()).abs() < 1e-9);
        assert_eq!((few.at(0.0), few.at(2.0), few.at(4.0)), ((0, 0), (20, 2), (0, 0)));
        assert_eq!(few.values.len(), 3);
    }

    #[test]
    fn every_percentile_is_a_number() {
        let hundred = stats(&(1..=100).collect::<Vec<_>>());
        for (percent, value) in [(0.0, 1), (50.0, 50), (99.0, 99), (99.999, 100), (100.0, 100)] {
            assert_eq!(hundred.percentile(percent), value, "{percent}");
        }
        assert_eq!((stats(&[]).percentile(50.0), stats(&[]).stdev()), (0, 0.0));
    }
}
