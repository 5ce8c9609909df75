//! Positions of values on an axis, and its ticks.

/// Approximate number of ticks of an axis.
const TICKS: f64 = 5.0;

/// Scale of an axis, with its two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Linear.
    Linear(f64, f64),
    /// Logarithmic; both ends are above zero.
    Log(f64, f64),
}

impl Scale {
    /// Linear, from zero to a round number that is at least `most`.
    pub(super) fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = tick_step(most);
        if !step.is_normal() {
            return Self::Linear(0.0, most);
        }
        Self::Linear(0.0, (most / step - 1e-9).ceil() * step)
    }

    /// Logarithmic, over all the values above zero, between round numbers.
    pub(super) fn log_over(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        // Subnormal numbers have no round number below them except zero.
        for value in values.filter(|value| *value > 0.0 && value.is_normal()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return Self::Log(1.0, 10.0);
        }
        let (low, high) = (round_down(low), round_step(high));
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    /// Position of a value, from 0 to 1. A value beyond an end is at the end.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear(low, high) => (value - low) / (high - low),
            Self::Log(low, high) => (value.max(low) / low).ln() / (high / low).ln(),
        };
        // The only value of an axis is in the middle.
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Round values from end to end.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(low, high) if low >= high => vec![low],
            Self::Linear(low, high) => {
                let step = tick_step(high - low);
                // A span too small to be divided has ticks at its ends only.
                if !step.is_normal() {
                    return vec![low, high];
                }
                let first = (low / step - 1e-9).ceil();
                let count = (high / step + 1e-9).floor() - first;
                (0..=count.max(0.0) as u32).map(|n| (first + f64::from(n)) * step).collect()
            }
            Self::Log(low, high) => {
                let decades = (high / low).log10();
                let factors: &[f64] = if decades > 2.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let ticks = powers.flat_map(|p| factors.iter().map(move |f| f * 10f64.powi(p)));
                ticks.filter(|t| (low * 0.999..=high * 1.001).contains(t)).collect()
            }
        }
    }
}

/// The step among 1, 2, 5, 10, 20, … that divides a span into about [`TICKS`] parts.
fn tick_step(span: f64) -> f64 {
    let step = span / TICKS;
    let power = 10f64.powf(step.log10().floor());
    let factor = match step / power {
        ratio if ratio < 1.45 => 1.0,
        ratio if ratio < 3.2 => 2.0,
        ratio if ratio < 7.1 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// The smallest of 1, 2, 5, 10, 20, … that is at least the value.
fn round_step(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// The largest of 1, 2, 5, 10, 20, … that is at most the value.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [5.0, 2.0].into_iter().find(|step| step * power <= value * (1.0 + 1e-9));
    step.unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs())
    }

    #[test]
    fn the_smallest_and_the_largest_spans_have_few_ticks() {
        for scale in [
            Scale::up_to(5e-324),
            Scale::up_to(f64::MAX / 10.0),
            Scale::Linear(0.0, 5e-324),
            Scale::Linear(0.0, f64::MAX),
            Scale::Log(5e-324, 1e15),
            Scale::log_over([5e-324, 1.0].into_iter()),
            Scale::log_over([f64::MIN_POSITIVE, 1e15].into_iter()),
        ] {
            assert!(scale.ticks().len() < 400, "{scale:?}");
        }
    }

    #[test]
    fn ends_and_ticks_are_round() {
        let even = Scale::up_to(23_999.0);
        assert!(close(&even.ticks(), &[0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0, 25_000.0]));
        assert_eq!(Scale::up_to(0.0).ticks().len(), 6);
        let log = Scale::log_over([0.0, 310.0, 4_000.0].into_iter());
        let ticks = log.ticks();
        assert!(close(&ticks, &[200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]), "{ticks:?}");
        let wide = Scale::log_over([1.5, 90_000.0].into_iter()).ticks();
        assert!(close(&wide, &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]), "{wide:?}");
    }

    #[test]
    fn places_are_within_the_axis() {
        let log = Scale::Log(1.0, 100.0);
        let places = [0.0, 1.0, 10.0, 100.0, 1e9].map(|value| log.place(value));
        assert!(close(&places, &[0.0, 0.0, 0.5, 1.0, 1.0]), "{places:?}");
        assert_eq!(Scale::Linear(3.0, 3.0).place(3.0), 0.5);
        assert_eq!(Scale::log_over(std::iter::empty()), Scale::Log(1.0, 10.0));
    }

    #[test]
    fn one_value_has_an_axis_around_it() {
        assert_eq!(Scale::log_over(std::iter::once(100.0)), Scale::Log(100.0, 1_000.0));
        assert_eq!(Scale::Linear(500.0, 500.0).ticks(), [500.0]);
        assert!(close(&[Scale::Linear(500.0, 500.0).place(500.0)], &[0.5]));
    }
}
