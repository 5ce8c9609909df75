//! How far a figure may be off by chance: the sides of its 99 % confidence interval, as
//! differences of natural logarithms, so that it is a share of the figure (0.05 is 5 %).
//!
//! Three sources, and the widest counts. The histogram alone (order statistics) takes the values for
//! independent of each other, which latencies of one run are not: what slows one request slows its
//! neighbours. The variation from second to second sees that, but not what sets whole runs apart.
//! That only several runs of each side tell.
//!
//! Below 1,000 values a second no second has a 99th percentile. Its noise is then from the histogram,
//! with the values taken in groups as large as a short stall makes them (the design effect of samples
//! that are drawn in clusters; Kish, Survey Sampling, 1965), and what the seconds' medians show beside
//! it: what moves the whole distribution moves its tail by as much.

use crate::core::distribution::Latencies;

/// 99.5th percentile of the normal distribution.
const Z: f64 = 2.575_829;
/// 99.5th percentiles of Student's t distribution with 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012,
    2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779,
    2.771, 2.763, 2.756, 2.750,
];
/// Seconds below which their variation says nothing.
pub(super) const FEWEST_SECONDS: usize = 3;
/// Degrees of freedom below which the variation from run to run says nothing: two runs of each side.
const FEWEST_DEGREES: usize = 2;
/// A correlation from second to second beyond it cannot be told from a trend.
const MOST_CORRELATED: f64 = 0.8;

/// A stall, in seconds, that is not rare anywhere: the requests that fall due in it are late together.
const STALL_S: f64 = 0.01;

/// Student's t at 99 %, two-sided; beyond the table by the first term of its expansion around the
/// normal distribution (Abramowitz and Stegun, 26.7.5).
fn t(degrees: usize) -> f64 {
    match T.get(degrees.saturating_sub(1)) {
        Some(value) => *value,
        None => Z + (Z.powi(3) + Z) / (4.0 * degrees as f64),
    }
}

/// How far below the figure the truth may be, and how far above: a long tail is uncertain to one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Margin {
    pub(super) fn evenly(half: f64) -> Self {
        Self { down: half, up: half }
    }

    /// Of two that are independent: their squares add.
    pub(super) fn and(self, other: Self) -> Self {
        Self { down: self.down.hypot(other.down), up: self.up.hypot(other.up) }
    }

    pub(super) fn most(self) -> f64 {
        self.down.max(self.up)
    }
}

/// Of a quantile, from the histogram: the values at the ranks between which the quantile of the
/// distribution lies, the number of values below it being binomial.
pub(super) fn of_histogram(latencies: &Latencies, quantile: f64) -> Option<Margin> {
    of_groups(latencies, quantile, 1.0)
}

/// Of a quantile in the tail of a run of so many requests a second, of whose seconds only the medians'
/// noise is known: of the values in groups, and of the medians.
pub(super) fn of_tail(
    latencies: &Latencies,
    quantile: f64,
    per_s: f64,
    medians: f64,
) -> Option<Margin> {
    let own = of_groups(latencies, quantile, (per_s * STALL_S).max(1.0))?;
    Some(own.and(Margin::evenly(medians)))
}

/// As [`of_histogram`], of values that come in groups of so many: as if there were so many fewer.
fn of_groups(latencies: &Latencies, quantile: f64, group: f64) -> Option<Margin> {
    let value = latencies.quantile(quantile)?.0 as f64;
    let effective = latencies.count() as f64 / group;
    let spread = Z * (quantile * (1.0 - quantile) / effective).sqrt();
    let below = latencies.quantile((quantile - spread).max(0.0)).or(latencies.min())?;
    // Above the largest value nothing is known: the distance to it, so many times.
    let (above, times) = match Some(quantile + spread).filter(|rank| *rank < 1.0) {
        Some(rank) => (latencies.quantile(rank).or(latencies.max())?, 1.0),
        None => (latencies.max()?, spread / (1.0 - quantile)),
    };
    let (below, above) = ((below.0 as f64).max(1.0), above.0 as f64);
    (value > 0.0).then(|| Margin { down: (value / below).ln(), up: (above / value).ln() * times })
}

/// Of the mean of each second's figures, all above zero: batch means, a second a batch, widened by the
/// correlation of neighbouring seconds. `None` for fewer than [`FEWEST_SECONDS`].
pub(super) fn of_seconds(figures: &[f64]) -> Option<f64> {
    let count = figures.len();
    if count < FEWEST_SECONDS || figures.iter().any(|figure| *figure <= 0.0) {
        return None;
    }
    let logs: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
    let mean = mean(&logs);
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let products: f64 = logs.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let correlation = if squares > 0.0 { products / squares } else { 0.0 };
    let correlation = correlation.clamp(0.0, MOST_CORRELATED);
    let variance = squares / (count - 1) as f64 / count as f64;
    let widened = variance * (1.0 + correlation) / (1.0 - correlation);
    Some(t(count - 1) * widened.sqrt())
}

/// How much runs of the same kind differ: the standard deviation of the figures' logarithms around
/// their own side's mean, and t for its degrees of freedom. `None` for fewer than four runs in all.
pub(super) fn of_runs(base: &[f64], new: &[f64]) -> Option<f64> {
    let degrees = (base.len() + new.len()).checked_sub(2).filter(|n| *n >= FEWEST_DEGREES)?;
    let squares = |logs: &[f64]| {
        let mean = mean(logs);
        logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>()
    };
    Some(t(degrees) * ((squares(base) + squares(new)) / degrees as f64).sqrt())
}

/// Of a share in [0, 1] of so many, taken for independent. One success and one failure are added, so
/// that none of few is not taken for never.
pub(super) fn of_share((share, count): (f64, f64)) -> f64 {
    let share = (share * count + 1.0) / (count + 2.0);
    Z * (share * (1.0 - share) / (count + 2.0)).sqrt()
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
    fn t_comes_down_to_the_normal_distribution() {
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
        let up = |off: Option<Margin>| off.expect("enough values").up;
        assert!(up(ten) > up(one) && up(one) > 0.0, "{one:?} {ten:?}");
    }

    #[test]
    fn the_interval_of_a_tail_in_groups_holds_the_truth_as_often_as_it_says() {
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
    fn the_interval_of_seconds_holds_the_truth_as_often_as_it_says() {
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
    fn none_of_few_is_not_never() {
        assert!(of_share((0.0, 10.0)) > 0.1 && of_share((0.0, 1e6)) < 1e-5);
        assert!((of_share((0.5, 10_000.0)) - Z * 0.005).abs() < 1e-5);
    }

    #[test]
    fn runs_differ_around_their_own_sides_mean() {
        assert_eq!(of_runs(&[0.0], &[1.0, 2.0]), None);
        // The sides are far apart, which is no noise.
        assert_eq!(of_runs(&[1.0, 1.0], &[9.0, 9.0]), Some(0.0));
        let half = of_runs(&[1.0, 1.2], &[9.0, 9.2]).expect("two runs of each side");
        assert!((half - 9.925 * (0.04_f64 / 2.0).sqrt()).abs() < 1e-9, "{half}");
    }
}
