//! Arithmetic of a rate: the number of slots in a time, and the due time of each.
//!
//! At a constant rate *r*, slot *n* is due at *n / r*. If the rate changes evenly from *a* to *b*
//! over *D*, the slots due before *t* are *a t + (b − a) t² / 2D*, and slot *n* is due when that
//! reaches *n*. Both are exact and rounded down to the nanosecond: a floating-point root gives only
//! a first guess, and integers decide.

use crate::core::clock::Nanos;
use crate::core::units::{Rate, Rates};

/// One request in the unit of the sums here: nanoseconds times millionths of a request per second.
const REQUEST: u128 = 1_000_000_000 * 1_000_000;

/// Constant or linearly changing rate over a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateProfile {
    /// Rate at the beginning, in millionths of a request per second.
    from: u64,
    /// Rate after `over`.
    to: u64,
    /// Time of the change.
    over: Nanos,
}

impl RateProfile {
    /// Creates a profile in which the rate changes over `over`, which must be above zero if it changes.
    pub(super) fn new(rates: Rates, over: Nanos) -> Self {
        Self { from: rates.from.micro_hertz(), to: rates.to.micro_hertz(), over }
    }

    pub(super) fn constant(rate: Rate) -> Self {
        Self::new(rate.into(), Nanos::ZERO)
    }

    fn is_constant(&self) -> bool {
        self.from == self.to
    }

    /// Number of slots due before `length`, which must not exceed the time of the change.
    pub(super) fn slots_within(&self, length: Nanos) -> u64 {
        u64::try_from(self.sum(length.0).div_ceil(REQUEST)).unwrap_or(u64::MAX)
    }

    /// Due time of slot `n` from the beginning.
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

    /// Share of `length` that has passed when the share `of_slots` of its slots is due.
    ///
    /// This is the root of the sum in a form without cancellation, also if the two rates differ widely.
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

    /// Requests of the first `t` nanoseconds in units of 1/[`REQUEST`], rounded up. No step overflows for
    /// rates up to 10^13 and times up to ten years.
    fn sum(&self, t: u64) -> u128 {
        let at_first = u128::from(self.from) * u128::from(t);
        if self.is_constant() {
            return at_first;
        }
        let (time, twice) = (u128::from(t), 2 * u128::from(self.over.0));
        let product = u128::from(self.from.abs_diff(self.to)) * time;
        // product × time / twice, without the large product of product and time.
        let (whole, rest) = (product / twice, product % twice * time);
        if self.to > self.from {
            at_first + whole * time + rest.div_ceil(twice)
        } else {
            at_first - whole * time - rest / twice
        }
    }
}

/// Returns the last value of 0 to `end` for which `holds` is true, given that it is true up to some point.
/// Searches from a guess that is near.
fn last_within(guess: u64, end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    // Doubles the steps until `holds` is true for `low` and false for `high`.
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

    fn profile(rates: &str, millis: u64) -> RateProfile {
        RateProfile::new(rates.parse().expect("rates"), Nanos::from_millis(millis))
    }

    #[test]
    fn an_even_change_has_the_slots_of_the_mean_rate() {
        for (rates, millis, slots) in [
            ("1k..10k", 10_000, 55_000),
            ("10k..1k", 10_000, 55_000),
            ("1..2", 1_000, 2),
            ("0.000001..10M", 10_000, 50_000_001),
        ] {
            assert_eq!(profile(rates, millis).slots_within(Nanos::from_millis(millis)), slots);
        }
    }

    #[test]
    fn slots_are_closer_as_the_rate_grows() {
        // t + t²/2 = n: 0, √3 − 1, √5 − 1 …
        let profile = profile("1..2", 1_000);
        assert_eq!(profile.due(0), Nanos(0));
        assert_eq!(profile.due(1), Nanos(732_050_807));
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        let rate = || (1u64..10_000_000_000_000).prop_map(|n| n as f64 / 1e6);
        (rate(), rate()).prop_map(|(a, b)| format!("{a}..{b}").parse().expect("in range"))
    }

    proptest! {
        #[test]
        fn a_slot_of_a_constant_rate_is_due_at_n_over_rate(hertz in 1u64..10_000_000_000_000, n in 0u64..1 << 40) {
            let rate: Rate = format!("{}", hertz as f64 / 1e6).parse().expect("in range");
            let exact = u128::from(n) * REQUEST;
            let due = u128::from(RateProfile::constant(rate).due(n).0);
            if due < u128::from(u64::MAX) {
                let hertz = u128::from(rate.micro_hertz());
                prop_assert!(due * hertz <= exact && exact < (due + 1) * hertz);
            }
        }

        /// Slot n is due at the last nanosecond before which at most n slots are due.
        #[test]
        fn a_slot_of_a_changing_rate_is_due_after_n_others(
            rates in any_rates(), over in 1u64..315_360_000_000_000_000, at in 0.0..1.0f64,
        ) {
            let over = Nanos(over);
            let profile = RateProfile::new(rates, over);
            let slots = profile.slots_within(over);
            prop_assert_eq!(u128::from(slots), profile.sum(over.0).div_ceil(REQUEST));
            let n = (slots as f64 * at) as u64;
            let (due, wanted) = (profile.due(n).0, u128::from(n) * REQUEST);
            prop_assert!(profile.sum(due) <= wanted);
            prop_assert!(due == over.0 || profile.sum(due + 1) > wanted);
        }

        #[test]
        fn the_share_passed_rises_from_0_to_1(rates in any_rates(), x in 0.0..1.0f64, y in 0.0..1.0f64) {
            let over = Nanos::from_secs(10);
            let profile = RateProfile::new(rates, over);
            let (low, high) = (x.min(y), x.max(y));
            prop_assert!(profile.passed(low, over) <= profile.passed(high, over) + 1e-12);
            prop_assert!(profile.passed(0.0, over) == 0.0 && (profile.passed(1.0, over) - 1.0).abs() < 1e-9);
            // The slots of that share, by the sum.
            let share = profile.sum((profile.passed(x, over) * over.0 as f64) as u64) as f64 / profile.sum(over.0) as f64;
            prop_assert!((share - x).abs() < 1e-6, "{share} {x}");
        }
    }
}
