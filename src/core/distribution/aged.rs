//! Latencies of which some are not known to the end: of a message that never arrived only the age is
//! known that it had reached. Its latency is at least that (right-censored data).

use super::{Latencies, QUANTILES};
use crate::core::clock::Nanos;

/// A percentile is a lower bound where it would grow by more than one part in this many if the ages were
/// endless.
const TOLERANCE: u64 = 100;

/// Measured latencies, and ages beside them.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgedLatencies {
    measured: Latencies,
    ages: Latencies,
}

impl From<Latencies> for AgedLatencies {
    /// All of them are measured.
    fn from(measured: Latencies) -> Self {
        Self { measured, ages: Latencies::default() }
    }
}

impl AgedLatencies {
    /// Takes a distribution apart: `all` of its values, of which `ages` are ages.
    pub(crate) fn from_parts(all: &Latencies, ages: Latencies) -> Self {
        let mut left = ages.recorded().peekable();
        let mut measured = Latencies::default();
        for (value, count) in all.recorded() {
            let mut aged = 0;
            while let Some((_, more)) = left.next_if(|(age, _)| *age <= value) {
                aged += more;
            }
            measured.record_n(value, count.saturating_sub(aged));
        }
        drop(left);
        Self { measured, ages }
    }

    /// Counts a latency that was measured.
    pub(crate) fn record(&mut self, latency: Nanos) {
        self.measured.record(latency);
    }

    /// Counts an age.
    pub(crate) fn record_age(&mut self, age: Nanos) {
        self.ages.record(age);
    }

    /// Counts ages.
    pub(crate) fn add_ages(&mut self, ages: &Latencies) {
        self.ages.merge(ages);
    }

    /// Latencies that were measured.
    pub(crate) fn measured(&self) -> &Latencies {
        &self.measured
    }

    /// The ages.
    pub(crate) fn ages(&self) -> &Latencies {
        &self.ages
    }

    /// All values; none where not one was measured, as ages alone say nothing of how long it takes.
    pub(crate) fn all(&self) -> Latencies {
        let mut all = self.measured.clone();
        if all.count() > 0 {
            all.merge(&self.ages);
        }
        all
    }

    /// The names of the percentiles, and `max`, that are only known to be at least what is reported.
    pub(crate) fn at_least(&self) -> Vec<&'static str> {
        let all = self.all();
        if self.ages.count() == 0 || all.count() == 0 {
            return Vec::new();
        }
        let bounds = QUANTILES.iter().filter(|(_, place)| self.is_lower_bound(&all, *place));
        // With an endless age among them, the largest value is not known.
        bounds.map(|(name, _)| *name).chain(["max"]).collect()
    }

    /// Returns true if the quantile of `all` values would be larger by more than the tolerance if the ages were
    /// endless.
    fn is_lower_bound(&self, all: &Latencies, place: f64) -> bool {
        let Some(value) = all.quantile(place) else { return false };
        let rank = (all.count() as f64 * place).ceil() as u64;
        let largest = self.measured_at(rank.max(1));
        largest.is_none_or(|largest| largest.0 > value.0 + value.0 / TOLERANCE)
    }

    /// The measured value of this rank, from 1; `None` where there are fewer.
    fn measured_at(&self, rank: u64) -> Option<Nanos> {
        let mut up_to = 0;
        let mut values = self.measured.recorded();
        values
            .find(|(_, count): &(Nanos, u64)| {
                up_to += count;
                up_to >= rank
            })
            .map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(measured: &[(u64, u64)], ages: &[(u64, u64)]) -> AgedLatencies {
        let mut aged = AgedLatencies::default();
        measured.iter().for_each(|(ms, n)| aged.measured.record_n(Nanos::from_millis(*ms), *n));
        ages.iter().for_each(|(ms, n)| aged.ages.record_n(Nanos::from_millis(*ms), *n));
        aged
    }

    #[test]
    fn without_ages_every_figure_is_exact() {
        assert!(of(&[(1, 10_000)], &[]).at_least().is_empty());
    }

    #[test]
    fn ages_alone_are_not_a_distribution() {
        let aged = of(&[], &[(6_000, 1_000)]);
        assert_eq!((aged.all().count(), aged.at_least().len()), (0, 0));
    }

    #[test]
    fn percentiles_that_are_ages_are_lower_bounds() {
        let most_lost = of(&[(1, 100)], &[(6_000, 900)]);
        assert_eq!(most_lost.at_least(), ["p50", "p75", "p90", "p95", "p99", "max"]);
        let few_lost = of(&[(1, 980)], &[(6_000, 20)]);
        assert_eq!(few_lost.at_least(), ["p99", "max"]);
        let one_lost = of(&[(1, 9_999)], &[(6_000, 1)]);
        assert_eq!(one_lost.at_least(), ["max"]);
    }

    #[test]
    fn a_short_age_hides_a_longer_latency() {
        // Dropped after 1 ms: they might have taken as long as the slow ones.
        let aged = of(&[(1, 500), (80, 500)], &[(1, 100)]);
        assert_eq!(aged.all().quantile(0.5).map(|p50| p50.0 / 1_000_000), Some(1));
        assert_eq!(aged.at_least(), ["p50", "p95", "p99", "max"]);
    }

    #[test]
    fn a_distribution_is_put_together_again_from_its_histograms() {
        let aged = of(&[(1, 100), (7, 5), (90, 3)], &[(7, 2), (6_000, 40)]);
        let back = AgedLatencies::from_parts(&aged.all(), aged.ages.clone());
        let values = |latencies: &Latencies| latencies.recorded().collect::<Vec<_>>();
        assert_eq!(values(&back.measured), values(&aged.measured));
        assert_eq!(back.at_least(), aged.at_least());
    }
}
