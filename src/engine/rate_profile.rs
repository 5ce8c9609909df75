//! The arithmetic of a rate: how many slots fit into a time, and when each is due.
//!
//! At a constant rate *r*, slot *n* is due at *n / r*. Where the rate changes evenly from *a* to *b*
//! over *D*, the slots due before *t* are *a t + (b − a) t² / 2D*, and slot *n* is due when that
//! reaches *n*. Both are exact to the nanosecond, below which is rounded down: a floating-point root is
//! a first guess only, and integers decide.

use crate::core::clock::Nanos;
use crate::core::units::{Rate, Rates};

/// Nanoseconds in a second times millionths of a request: one request in the unit of the sums here.
const REQUEST: u128 = 1_000_000_000 * 1_000_000;

/// A rate over a stretch of time, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateProfile {
    /// Millionths of a request a second, at the beginning and after `over`.
    from: u64,
    to: u64,
    over: Nanos,
}

impl RateProfile {
    /// `rates` change over `over`, which is above zero where they are two.
    pub(super) fn new(rates: Rates, over: Nanos) -> Self {
        Self { from: rates.from.micro_hertz(), to: rates.to.micro_hertz(), over }
    }

    pub(super) fn constant(rate: Rate) -> Self {
        Self::new(rate.into(), Nanos::ZERO)
    }

    fn is_constant(&self) -> bool {
        self.from == self.to
    }

    /// Slots due before `length`, which is not beyond the change.
    pub(super) fn slots_within(&self, length: Nanos) -> u64 {
        u64::try_from(self.sum(length.0).div_ceil(REQUEST)).unwrap_or(u64::MAX)
    }

    /// When slot `n` is due, from the beginning.
    pub(super) fn due(&self, n: u64) -> Nanos {
        let wanted = u128::from(n) * REQUEST;
        if self.is_constant() {
            let nanos = wanted / u128::from(self.from);
            return Nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        let total = self.sum(self.over.0) as f64;
        let share = self.passed((wanted as f64 / total).clamp(0.0, 1.0), self.over);
        let guess = (share * self.over.0 as f64) as u64;
        Nanos(last_within(guess.min(self.over.0), self.over.0, |t| self.sum(t) <= wanted))
    }

    /// Of `length`, the share that has passed when the share `of_slots` of its slots has come.
    ///
    /// The root of the sum, in the form that loses no digits however far apart the two rates are.
    pub(super) fn passed(&self, of_slots: f64, length: Nanos) -> f64 {
        if self.is_constant() {
            return of_slots;
        }
        let (a, b) = (self.from as f64, self.rate_at(length));
        of_slots * (a + b) / (a + (a * a * (1.0 - of_slots) + b * b * of_slots).sqrt())
    }

    fn rate_at(&self, at: Nanos) -> f64 {
        let share = at.0 as f64 / self.over.0 as f64;
        self.from as f64 + (self.to as f64 - self.from as f64) * share
    }

    /// The requests of the first `t` nanoseconds in parts of [`REQUEST`], rounded up. No step of it
    /// overflows for rates up to 10^13 and times up to ten years.
    fn sum(&self, t: u64) -> u128 {
        let at_first = u128::from(self.from) * u128::from(t);
        if self.is_constant() {
            return at_first;
        }
        let (time, twice) = (u128::from(t), 2 * u128::from(self.over.0));
        let product = u128::from(self.from.abs_diff(self.to)) * time;
        // product × time / twice, without the product of all three.
        let (whole, rest) = (product / twice, product % twice * time);
        if self.to > self.from {
            at_first + whole * time + rest.div_ceil(twice)
        } else {
            at_first - whole * time - rest / twice
        }
    }
}

/// The last of 0 to `end` for which `holds`, which it does up to some point; found from a near guess.
fn last_within(guess: u64, end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    // Steps that double until the point is between `low`, where it holds, and `high`, where it does not.
    let (mut low, mut high, mut step) = (guess, guess, 1);
    if holds(guess) {
        loop {
            if low == end {
                return end;
            }
            high = low.saturating_add(step).min(end);
            if !holds(high) {
                break;
            }
            (low, step) = (high, step * 2);
        }
    } else {
        loop {
            if high == 0 {
                return 0;
            }
            low = high.saturating_sub(step);
            if holds(low) {
                break;
            }
            (high, step) = (low, step * 2);
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn course(rates: &str, millis: u64) -> RateProfile {
        RateProfile::new(rates.parse().expect("rates"), Nanos::from_millis(millis))
    }

    #[test]
    fn an_even_change_has_the_mean_rates_slots() {
        for (rates, millis, slots) in [
            ("1k..10k", 10_000, 55_000),
            ("10k..1k", 10_000, 55_000),
            ("1..2", 1_000, 2),
            ("0.000001..10M", 10_000, 50_000_001),
        ] {
            assert_eq!(course(rates, millis).slots_within(Nanos::from_millis(millis)), slots);
        }
    }

    #[test]
    fn slots_come_closer_as_the_rate_grows() {
        // t + t²/2 = n: 0, √3 − 1, √5 − 1 …
        let course = course("1..2", 1_000);
        assert_eq!(course.due(0), Nanos(0));
        assert_eq!(course.due(1), Nanos(732_050_807));
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        let rate = || (1u64..10_000_000_000_000).prop_map(|n| n as f64 / 1e6);
        (rate(), rate()).prop_map(|(a, b)| format!("{a}..{b}").parse().expect("in range"))
    }

    proptest! {
        #[test]
        fn a_constant_rates_slot_is_due_at_n_over_rate(hertz in 1u64..10_000_000_000_000, n in 0u64..1 << 40) {
            let rate: Rate = format!("{}", hertz as f64 / 1e6).parse().expect("in range");
            let exact = u128::from(n) * REQUEST;
            let due = u128::from(RateProfile::constant(rate).due(n).0);
            if due < u128::from(u64::MAX) {
                let hertz = u128::from(rate.micro_hertz());
                prop_assert!(due * hertz <= exact && exact < (due + 1) * hertz);
            }
        }

        /// Slot n is due at the last nanosecond before which no more than n have come.
        #[test]
        fn a_changing_rates_slot_is_due_when_so_many_have_come(
            rates in any_rates(), over in 1u64..315_360_000_000_000_000, at in 0.0..1.0f64,
        ) {
            let over = Nanos(over);
            let course = RateProfile::new(rates, over);
            let slots = course.slots_within(over);
            prop_assert_eq!(u128::from(slots), course.sum(over.0).div_ceil(REQUEST));
            let n = (slots as f64 * at) as u64;
            let (due, wanted) = (course.due(n).0, u128::from(n) * REQUEST);
            prop_assert!(course.sum(due) <= wanted);
            prop_assert!(due == over.0 || course.sum(due + 1) > wanted);
        }

        #[test]
        fn the_share_passed_rises_from_none_to_all(rates in any_rates(), x in 0.0..1.0f64, y in 0.0..1.0f64) {
            let over = Nanos::from_secs(10);
            let course = RateProfile::new(rates, over);
            let (low, high) = (x.min(y), x.max(y));
            prop_assert!(course.passed(low, over) <= course.passed(high, over) + 1e-12);
            prop_assert!(course.passed(0.0, over) == 0.0 && (course.passed(1.0, over) - 1.0).abs() < 1e-9);
            // The slots of that share, counted.
            let share = course.sum((course.passed(x, over) * over.0 as f64) as u64) as f64 / course.sum(over.0) as f64;
            prop_assert!((share - x).abs() < 1e-6, "{share} {x}");
        }
    }
}
