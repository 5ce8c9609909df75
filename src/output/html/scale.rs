//! From values to places on an axis, and where its ticks are.

/// About so many ticks has an axis.
const TICKS: f64 = 5.0;

/// How values lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Evenly, from the one to the other.
    Linear(f64, f64),
    /// By their logarithm; both ends are above zero.
    Log(f64, f64),
}

impl Scale {
    /// Even, from zero to a round number that is at least `most`.
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
        // The smallest numbers there are have no round number below them but zero.
        for value in values.filter(|value| *value > 0.0 && value.is_normal()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            return Self::Log(1.0, 10.0);
        }
        let (low, high) = (round_down(low), round_step(high));
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    /// Where a value is, from 0 to 1; one beyond an end is at the end.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear(low, high) => (value - low) / (high - low),
            Self::Log(low, high) => (value.max(low) / low).ln() / (high / low).ln(),
        };
        // An axis of one value has it in the middle.
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Round values from end to end.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(low, high) if low >= high => vec![low],
            Self::Linear(low, high) => {
                let step = tick_step(high - low);
                // A span that is too small to be divided has its ends.
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

/// Of 1, 2, 5, 10, 20, … the one that parts a span best.
fn tick_step(span: f64) -> f64 {
    let step = span / TICKS;
    let power = 10f64.powf(step.log10().floor());
    let near = |limit: &(f64, f64)| step / power < limit.0;
    let limits = [(1.45, 1.0), (3.2, 2.0), (7.1, 5.0)];
    limits.into_iter().find(near).map_or(10.0, |(_, step)| step) * power
}

/// The next of 1, 2, 5, 10, 20, … that is at least the value.
fn round_step(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// The last of them that is at most the value.
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
