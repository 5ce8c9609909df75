//! Confidence of a figure: the two sides of its 99 % confidence interval, as differences of natural logarithms, that is as
//! shares of the figure (0.05 is 5 %).
//!
//! There are three sources, and the widest interval counts:
//! - The histogram alone (order statistics). It assumes that the values are independent. Latencies of one run are not: a
//!   delay of one request delays its neighbours too.
//! - The variation from second to second. It contains such delays, but not the difference between whole runs.
//! - The variation from run to run. It needs several runs of each side.
//!
//! Below 950 values a second no second has a 99th percentile. Its noise then comes from the histogram, with values counted
//! in groups as large as a short stall makes them (the design effect of cluster samples; Kish, Survey Sampling, 1965), and
//! from the medians of the seconds: a change that moves the whole distribution moves its tail by as much.

use crate::core::distribution::Latencies;

/// 99.5th percentile of the normal distribution.
const Z: f64 = 2.575_829;
/// 99.5th percentiles of Student's t distribution with 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012,
    2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779,
    2.771, 2.763, 2.756, 2.750,
];
/// Fewest seconds whose variation is used.
pub(super) const FEWEST_SECONDS: usize = 3;
/// Fewest degrees of freedom with which the variation from run to run is used: two runs of each side.
const FEWEST_DEGREES: usize = 2;
/// Highest correlation from second to second that is used; a higher one cannot be distinguished from a trend.
const MOST_CORRELATED: f64 = 0.8;

/// Probability of not a single case at the bound of a share without a case.
const CHANCE_OF_NONE: f64 = 0.05;

/// Length of a common stall, in seconds. All requests that are due in it are late together.
const STALL_S: f64 = 0.01;

/// Student's t at 99 %, two-sided; beyond the table by the first term of its expansion around the
/// normal distribution (Abramowitz and Stegun, 26.7.5).
fn t(degrees: usize) -> f64 {
    match T.get(degrees.saturating_sub(1)) {
        Some(value) => *value,
        None => Z + (Z.powi(3) + Z) / (4.0 * degrees as f64),
    }
}

/// Distances of the true value below and above the figure. They differ for a long tail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Margin {
    pub(super) fn evenly(half: f64) -> Self {
        Self { down: half, up: half }
    }

    /// Margin of the sum of two independent errors: their squares add.
    pub(super) fn and(self, other: Self) -> Self {
        Self { down: self.down.hypot(other.down), up: self.up.hypot(other.up) }
    }

    pub(super) fn most(self) -> f64 {
        self.down.max(self.up)
    }
}

/// Margin of a quantile from the histogram: the values at the ranks between which the true quantile lies. The number of
/// values below it is binomial.
pub(super) fn of_histogram(latencies: &Latencies, quantile: f64) -> Option<Margin> {
    of_groups(latencies, quantile, 1.0)
}

/// Margin of a quantile in the tail if only the noise of the seconds' medians is known: that of the values in groups, and
/// that of the medians. `per_s` is the rate of the run in requests a second.
pub(super) fn of_tail(
    latencies: &Latencies,
    quantile: f64,
    per_s: f64,
    medians: f64,
) -> Option<Margin> {
    let own = of_groups(latencies, quantile, (per_s * STALL_S).max(1.0))?;
    Some(own.and(Margin::evenly(medians)))
}

/// Margin of a quantile like [`of_histogram`], for values in groups of `group`. Each group counts as one value.
fn of_groups(latencies: &Latencies, quantile: f64, group: f64) -> Option<Margin> {
    let value = latencies.quantile(quantile)?.0 as f64;
    let effective = latencies.count() as f64 / group;
    let spread = Z * (quantile * (1.0 - quantile) / effective).sqrt();
    let below = latencies.quantile((quantile - spread).max(0.0)).or(latencies.min())?;
    // No value is known above the largest one: the distance to it is extrapolated.
    let (above, times) = match Some(quantile + spread).filter(|rank| *rank < 1.0) {
        Some(rank) => (latencies.quantile(rank).or(latencies.max())?, 1.0),
        None => (latencies.max()?, spread / (1.0 - quantile)),
    };
    let (below, above) = ((below.0 as f64).max(1.0), above.0 as f64);
    (value > 0.0).then(|| Margin { down: (value / below).ln(), up: (above / value).ln() * times })
}

/// Half interval of the mean of the seconds' figures, from batch means with a second as a batch, widened by the correlation
/// of neighbouring seconds. `None` for fewer than [`FEWEST_SECONDS`], or if a figure is not above zero.
pub(super) fn of_seconds(figures: &[f64]) -> Option<f64> {
    let count = figures.len();
    if count < FEWEST_SECONDS || figures.iter().any(|figure| *figure <= 0.0) {
        return None;
    }
    let logs: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
    let mean = mean(&logs);
    let squares = squares(&logs);
    let products: f64 = logs.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let correlation = if squares > 0.0 { products / squares } else { 0.0 };
    let correlation = correlation.clamp(0.0, MOST_CORRELATED);
    let variance = squares / (count - 1) as f64 / count as f64;
    let widened = variance * (1.0 + correlation) / (1.0 - correlation);
    Some(t(count - 1) * widened.sqrt())
}

/// Half interval from the variation between runs: the standard deviation of the figures' logarithms around the mean of their
/// side, times t for the degrees of freedom. `None` for fewer than four runs in total.
pub(super) fn of_runs(base: &[f64], new: &[f64]) -> Option<f64> {
    let degrees = (base.len() + new.len()).checked_sub(2).filter(|n| *n >= FEWEST_DEGREES)?;
    Some(t(degrees) * ((squares(base) + squares(new)) / degrees as f64).sqrt())
}

/// Sum of the squared differences from the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Margin of a share in [0, 1] of `count` independent cases. For a share of 0 or 1 it is the exact one-sided bound of the
/// binomial distribution at 95 %, which is about 3 / `count`: the rule of three (Hanley and Lippman-Hand, "If nothing goes
/// wrong, is everything all right?", JAMA 249, 1983). For the others one success and one failure are added.
pub(super) fn of_share(share: f64, count: f64) -> Margin {
    let bound = 1.0 - CHANCE_OF_NONE.powf(1.0 / count);
    if share <= 0.0 {
        return Margin { down: 0.0, up: bound };
    }
    if share >= 1.0 {
        return Margin { down: bound, up: 0.0 };
    }
    let share = (share * count + 1.0) / (count + 2.0);
    Margin::evenly(Z * (share * (1.0 - share) / (count + 2.0)).sqrt())
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;

    /// Evenly spread in (0, 1), without a pattern: the fractional parts of multiples of the golden mean.
    fn spread(n: u64) -> f64 {
        (n as f64 * 0.618_033_988_749_895).fract()
    }

    /// In (0, 1), as if by chance: a mixed counter (SplitMix64).
    fn scattered(n: u64) -> f64 {
        let mut x = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ x >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn t_approaches_the_normal_distribution() {
        assert_eq!((t(1), t(4), t(30)), (63.657, 4.604, 2.750));
        // 2.704 and 2.617 in the tables.
        assert!((t(40) - 2.704).abs() < 0.01 && (t(120) - 2.617).abs() < 0.005);
    }

    #[test]
    fn a_quantiles_ranks_are_binomial() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|n| latencies.record(Nanos(n * 1_000)));
        // The median of 10,000 even values: rank 5,000 ± 2.576 * 50.
        let half = of_histogram(&latencies, 0.5).expect("enough values");
        assert!((half.down - (5_000.0_f64 / 4_871.2).ln()).abs() < 0.002, "{half:?}");
        assert!((half.up - (5_128.8_f64 / 5_000.0).ln()).abs() < 0.002, "{half:?}");
        assert_eq!(of_histogram(&Latencies::default(), 0.5), None);
    }

    #[test]
    fn a_tail_is_as_uncertain_as_its_groups_and_the_medians_make_it() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|n| latencies.record(Nanos(n * 1_000)));
        let alone = of_histogram(&latencies, 0.99).expect("enough values");
        // Groups of four: an interval twice as wide.
        let grouped = of_tail(&latencies, 0.99, 400.0, 0.0).expect("enough values");
        assert!((grouped.down / alone.down - 2.0).abs() < 0.1, "{grouped:?} and {alone:?}");
        let moved = of_tail(&latencies, 0.99, 0.0, 0.3).expect("enough values");
        assert_eq!((moved.down, moved.up), (alone.down.hypot(0.3), alone.up.hypot(0.3)));
        // Of 1,000 values in groups of 1,000 the interval reaches beyond the largest.
        let mut few = Latencies::default();
        (1..=1_000).for_each(|n| few.record(Nanos(n * 1_000)));
        let (one, ten) = (of_groups(&few, 0.99, 1.0), of_groups(&few, 0.99, 1_000.0));
        let (one, ten) = (one.expect("enough values"), ten.expect("enough values"));
        assert!(ten.up > one.up && one.up > 0.0, "{one:?} {ten:?}");
    }

    #[test]
    fn the_interval_of_a_tail_in_groups_contains_the_true_value_at_its_confidence() {
        // 3,000 exponential values of which three in a row are the same one: 10 s at 300/s.
        let truth = -(0.01_f64.ln());
        let mut held = 0;
        for trial in 0..300_u64 {
            let mut latencies = Latencies::default();
            for n in 0..1_000 {
                let value = -(1.0 - scattered(trial * 1_000 + n)).ln();
                (0..3).for_each(|_| latencies.record(Nanos((value * 1e6) as u64)));
            }
            let half = of_tail(&latencies, 0.99, 300.0, 0.0).expect("enough values");
            let found = latencies.quantile(0.99).expect("enough values").0 as f64 / 1e6;
            let off = (found / truth).ln();
            held += u32::from((-half.up..=half.down).contains(&off));
        }
        assert!(held >= 294, "{held} of 300");
    }

    #[test]
    fn seconds_that_differ_widen_the_interval_and_those_in_a_row_more() {
        assert_eq!(of_seconds(&[2.0, 2.0]), None);
        assert_eq!(of_seconds(&[2.0, 0.0, 2.0]), None);
        assert_eq!(of_seconds(&[2.0, 2.0, 2.0]), Some(0.0));
        let half = of_seconds(&[1.0, 1.1, 1.0, 1.1, 1.0]).expect("five seconds");
        // By hand: s = 0.0522, t(4) = 4.604, half = t * s / √5.
        assert!((half - 0.1075).abs() < 1e-3, "{half}");
        let drifting = of_seconds(&[1.0, 1.0, 1.0, 1.1, 1.1]).expect("five seconds");
        assert!(drifting > half * 1.3, "{drifting} and {half}");
    }

    #[test]
    fn the_interval_of_seconds_contains_the_true_value_at_its_confidence() {
        let mut held = 0;
        for trial in 0..1_000_u64 {
            let figures: Vec<_> = (0..8).map(|n| (spread(trial * 8 + n + 1) - 0.5).exp()).collect();
            let logs: Vec<_> = figures.iter().map(|figure| figure.ln()).collect();
            let half = of_seconds(&figures).expect("eight seconds");
            held += u32::from(mean(&logs).abs() <= half);
        }
        assert!(held >= 980, "{held} of 1000");
    }

    #[test]
    fn zero_of_a_few_is_not_never() {
        let none = |count| of_share(0.0, count);
        assert!(none(10.0).up > 0.1 && none(1e6).up < 1e-5 && none(10.0).down == 0.0);
        // The rule of three: 3,600 requests without a failure exclude a share of 1 in 1,000.
        assert!((none(3_600.0).up - 3.0 / 3_600.0).abs() < 1e-5, "{:?}", none(3_600.0));
        assert_eq!(of_share(1.0, 10.0), Margin { down: none(10.0).up, up: 0.0 });
        assert!((of_share(0.5, 10_000.0).up - Z * 0.005).abs() < 1e-5);
    }

    #[test]
    fn runs_differ_around_their_own_sides_mean() {
        assert_eq!(of_runs(&[0.0], &[1.0, 2.0]), None);
        // A difference between the sides is not noise.
        assert_eq!(of_runs(&[1.0, 1.0], &[9.0, 9.0]), Some(0.0));
        let half = of_runs(&[1.0, 1.2], &[9.0, 9.2]).expect("two runs of each side");
        assert!((half - 9.925 * (0.04_f64 / 2.0).sqrt()).abs() < 1e-9, "{half}");
    }
}
