//! The knee search: it chooses the next value from the trials so far. It runs nothing and remembers nothing, so
//! that it is repeatable.
//!
//! From the low end it doubles the value until a trial fails, then halves the gap until it is narrow enough. Then it
//! repeats the trials at both ends of the gap. A value holds if most of its trials did. If a repeated trial
//! changes this, the ends move and the gap is narrowed again.

/// Range, precision and repetitions of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KneeSearch {
    /// The lowest value to try: a whole number above 0.
    pub(super) low: f64,
    /// The highest, above `low`.
    pub(super) high: f64,
    /// Widest gap between the value that holds and the one that fails, as a share of the latter, at which the search
    /// stops narrowing.
    pub(super) within: f64,
    /// Trials of each end of the gap, at least 1.
    pub(super) confirm: u64,
    /// Trials in all, at least 1.
    pub(super) runs: u64,
}

/// A value with the judgement of one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TriedValue {
    pub(super) value: f64,
    pub(super) held: bool,
}

/// Trials of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrialTally {
    /// Trials that held.
    pub(super) held: u64,
    /// All trials.
    pub(super) all: u64,
}

/// The gap that contains the knee.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bracket {
    /// The highest value that holds, below all that fail.
    pub(super) holds: Option<f64>,
    /// The lowest value that fails.
    pub(super) fails: Option<f64>,
}

impl KneeSearch {
    /// The value to try next; `None` when the search is over.
    pub(super) fn next(&self, tried: &[TriedValue]) -> Option<f64> {
        if tried.len() as u64 >= self.runs {
            return None;
        }
        match bracket(tried) {
            Bracket { holds: None, fails: None } => Some(self.low),
            // No value holds yet. If the lowest was not tried, try it; else confirm it.
            Bracket { holds: None, fails: Some(fails) } if fails > self.low => Some(self.low),
            Bracket { holds: None, fails: Some(fails) } => self.unconfirmed(tried, fails),
            Bracket { holds: Some(holds), fails: None } if holds < self.high => {
                Some((holds * 2.0).min(self.high))
            }
            Bracket { holds: Some(holds), fails: None } => self.unconfirmed(tried, holds),
            Bracket { holds: Some(holds), fails: Some(fails) } => self
                .between(holds, fails)
                .or_else(|| self.unconfirmed(tried, holds))
                .or_else(|| self.unconfirmed(tried, fails)),
        }
    }

    /// The middle of a gap that is too wide.
    fn between(&self, holds: f64, fails: f64) -> Option<f64> {
        let middle = ((holds + fails) / 2.0).round();
        let wide = fails - holds > self.within * fails;
        (wide && middle > holds && middle < fails).then_some(middle)
    }

    /// The value if it needs more trials.
    fn unconfirmed(&self, tried: &[TriedValue], value: f64) -> Option<f64> {
        (tally(tried, value).all < self.confirm).then_some(value)
    }
}

/// Counts the trials of a value.
pub(super) fn tally(tried: &[TriedValue], value: f64) -> TrialTally {
    let mut tally = TrialTally { held: 0, all: 0 };
    for trial in tried.iter().filter(|trial| trial.value == value) {
        tally.held += u64::from(trial.held);
        tally.all += 1;
    }
    tally
}

/// The bracket that the trials give, each value judged by the majority of its trials.
pub(super) fn bracket(tried: &[TriedValue]) -> Bracket {
    let (holding, failing): (Vec<f64>, Vec<f64>) =
        tried.iter().map(|trial| trial.value).partition(|value| holds(tried, *value));
    let fails = failing.into_iter().min_by(f64::total_cmp);
    let below = holding.into_iter().filter(|value| fails.is_none_or(|fails| *value < fails));
    Bracket { holds: below.max_by(f64::total_cmp), fails }
}

/// Returns true if most trials of a value held.
fn holds(tried: &[TriedValue], value: f64) -> bool {
    let tally = tally(tried, value);
    tally.held * 2 > tally.all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches on a system that judges a value and the number of the trial.
    fn search(knee: KneeSearch, mut holds: impl FnMut(f64, usize) -> bool) -> Vec<TriedValue> {
        let mut tried = Vec::new();
        while let Some(value) = knee.next(&tried) {
            let held = holds(value, tried.len());
            tried.push(TriedValue { value, held });
        }
        tried
    }

    /// Trials of a value that held, and all.
    fn votes(tried: &[TriedValue], value: f64) -> (u64, u64) {
        let tally = tally(tried, value);
        (tally.held, tally.all)
    }

    const RATES: KneeSearch =
        KneeSearch { low: 5_000.0, high: 60_000.0, within: 0.02, confirm: 3, runs: 20 };

    #[test]
    fn a_ceiling_is_bracketed_narrowed_and_confirmed() {
        let tried = search(RATES, |rate, _| rate <= 10_000.0);
        let values: Vec<_> = tried.iter().map(|trial| trial.value).collect();
        assert_eq!(values[..6], [5_000.0, 10_000.0, 20_000.0, 15_000.0, 12_500.0, 11_250.0]);
        let Bracket { holds: Some(holds), fails: Some(fails) } = bracket(&tried) else {
            panic!("{tried:?}")
        };
        assert_eq!((holds, votes(&tried, holds), votes(&tried, fails)), (10_000.0, (3, 3), (0, 3)));
        assert!(fails <= 10_200.0, "{fails}");
        assert_eq!(tried.len(), 13);
    }

    #[test]
    fn a_search_may_find_only_one_end() {
        let all = search(RATES, |_, _| true);
        let end = Bracket { holds: Some(60_000.0), fails: None };
        assert_eq!((bracket(&all), votes(&all, 60_000.0), all.len()), (end, (3, 3), 7));
        let none = search(RATES, |_, _| false);
        assert_eq!(bracket(&none), Bracket { holds: None, fails: Some(5_000.0) });
        assert_eq!(none, [TriedValue { value: 5_000.0, held: false }; 3]);
    }

    #[test]
    fn one_bad_run_at_a_good_value_is_outvoted() {
        // The first run at 10,000 fails by chance. The gap closes below it, and its other trials open it again.
        let mut first = true;
        let tried = search(RATES, |rate, _| {
            if rate == 10_000.0 && first {
                first = false;
                false
            } else {
                rate <= 12_000.0
            }
        });
        let Bracket { holds: Some(holds), .. } = bracket(&tried) else { panic!("{tried:?}") };
        assert!((11_700.0..=12_000.0).contains(&holds), "{tried:?}");
    }

    #[test]
    fn the_search_stops_at_its_number_of_runs() {
        let knee = KneeSearch { runs: 4, ..RATES };
        assert_eq!(search(knee, |rate, _| rate < 7_000.0).len(), 4);
    }

    proptest! {
        /// On a system with a sharp ceiling the ends of the gap are right, narrow and confirmed.
        #[test]
        fn a_sharp_ceiling_is_found(
            low in 1u32..1_000, span in 1u32..100_000, at in 0.0..1.2f64,
            within in 0.001..0.5f64, confirm in 1u64..5,
        ) {
            let (low, high) = (f64::from(low), f64::from(low) + f64::from(span));
            let ceiling = low + (high - low) * at;
            let knee = KneeSearch { low, high, within, confirm, runs: 200 };
            let tried = search(knee, |value, _| value <= ceiling);
            prop_assert!(tried.len() < 80, "{} runs", tried.len());
            let found = bracket(&tried);
            let holds = found.holds.expect("the low end holds");
            prop_assert!(holds <= ceiling);
            prop_assert!(votes(&tried, holds) == (confirm, confirm));
            match found.fails {
                Some(fails) => {
                    prop_assert!(fails > ceiling && votes(&tried, fails) == (0, confirm));
                    prop_assert!(fails - holds <= (within * fails).max(1.0));
                }
                None => prop_assert_eq!(holds, high),
            }
        }

        /// Whatever a noisy system does, the search ends, stays in its range, and is repeatable.
        #[test]
        fn a_search_on_a_noisy_system_ends(seed in any::<u64>(), runs in 1u64..60) {
            let knee = KneeSearch { runs, ..RATES };
            let noisy = |value: f64, n: usize| {
                let noise = (seed.rotate_left(n as u32 % 64) ^ value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61;
                (value <= 20_000.0) ^ (noise == 0)
            };
            let tried = search(knee, noisy);
            prop_assert!(tried.len() as u64 <= runs);
            prop_assert!(tried.iter().all(|trial| (5_000.0..=60_000.0).contains(&trial.value)));
            prop_assert_eq!(tried, search(knee, noisy));
        }
    }
}
