//! The knee search: which value to try next, given what was tried. It runs nothing and remembers
//! nothing, so it is repeated exactly.
//!
//! From the low end it doubles until a value fails, then halves the gap until that is narrow enough.
//! Then both ends of the gap are tried again, as often as is asked: a value holds when most of its
//! trials did, and a result that noise had turned moves the ends, after which the gap is narrowed anew.

/// Where to search, how closely, and how often to make sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KneeSearch {
    /// The lowest value to try, whole and positive.
    pub low: f64,
    /// The highest, above `low`.
    pub high: f64,
    /// The gap between what holds and what fails, as a share of the latter, that is narrow enough.
    pub within: f64,
    /// Trials of each end of the gap, at least 1.
    pub confirm: u64,
    /// Trials in all, at least 1.
    pub runs: u64,
}

/// A trial: the value, and whether the condition held.
pub type Tried = (f64, bool);

/// What the trials so far say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bracket {
    /// The highest value that holds below all that fail.
    pub holds: Option<f64>,
    /// The lowest value that fails.
    pub fails: Option<f64>,
}

impl KneeSearch {
    /// The value to try next; `None` when the search is over.
    pub fn next(&self, tried: &[Tried]) -> Option<f64> {
        if tried.len() as u64 >= self.runs {
            return None;
        }
        let unsure = |value: &f64| votes(tried, *value).1 < self.confirm;
        match standing(tried) {
            Bracket { holds: None, fails: None } => Some(self.low),
            // Nothing holds: make sure of the lowest, where that is not it go there.
            Bracket { holds: None, fails: Some(fails) } if fails > self.low => Some(self.low),
            Bracket { holds: None, fails } => fails.filter(unsure),
            Bracket { holds: Some(holds), fails: None } if holds < self.high => {
                Some((holds * 2.0).min(self.high))
            }
            Bracket { holds, fails: None } => holds.filter(unsure),
            Bracket { holds: Some(holds), fails: Some(fails) } => self
                .between(holds, fails)
                .or(Some(holds).filter(unsure))
                .or(Some(fails).filter(unsure)),
        }
    }

    /// The middle of a gap that is too wide.
    fn between(&self, holds: f64, fails: f64) -> Option<f64> {
        let middle = ((holds + fails) / 2.0).round();
        let wide = fails - holds > self.within * fails;
        (wide && middle > holds && middle < fails).then_some(middle)
    }
}

/// Trials of a value that held, and all.
pub fn votes(tried: &[Tried], value: f64) -> (u64, u64) {
    let of_value = tried.iter().filter(|(tried, _)| *tried == value);
    of_value.fold((0, 0), |(held, all), (_, holds)| (held + u64::from(*holds), all + 1))
}

/// What the trials say, each value by its majority.
pub fn standing(tried: &[Tried]) -> Bracket {
    let held = |value: f64| {
        let (held, all) = votes(tried, value);
        held * 2 > all
    };
    let values = || tried.iter().map(|(value, _)| *value);
    let fails = values().filter(|value| !held(*value)).min_by(f64::total_cmp);
    let below = |value: &f64| fails.is_none_or(|fails| *value < fails);
    let holds = values().filter(|value| held(*value) && below(value)).max_by(f64::total_cmp);
    Bracket { holds, fails }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches on a system that is asked with the value and the number of the trial.
    fn search(knee: KneeSearch, mut holds: impl FnMut(f64, usize) -> bool) -> Vec<Tried> {
        let mut tried = Vec::new();
        while let Some(value) = knee.next(&tried) {
            let held = holds(value, tried.len());
            tried.push((value, held));
        }
        tried
    }

    const RATES: KneeSearch =
        KneeSearch { low: 5_000.0, high: 60_000.0, within: 0.02, confirm: 3, runs: 20 };

    #[test]
    fn a_ceiling_is_bracketed_narrowed_and_confirmed() {
        let tried = search(RATES, |rate, _| rate <= 10_000.0);
        let values: Vec<_> = tried.iter().map(|(value, _)| *value).collect();
        assert_eq!(values[..6], [5_000.0, 10_000.0, 20_000.0, 15_000.0, 12_500.0, 11_250.0]);
        let Bracket { holds: Some(holds), fails: Some(fails) } = standing(&tried) else {
            panic!("{tried:?}")
        };
        assert_eq!((holds, votes(&tried, holds), votes(&tried, fails)), (10_000.0, (3, 3), (0, 3)));
        assert!(fails <= 10_200.0, "{fails}");
        assert_eq!(tried.len(), 13);
    }

    #[test]
    fn a_search_that_finds_no_end_says_so() {
        let all = search(RATES, |_, _| true);
        let end = Bracket { holds: Some(60_000.0), fails: None };
        assert_eq!((standing(&all), votes(&all, 60_000.0), all.len()), (end, (3, 3), 7));
        let none = search(RATES, |_, _| false);
        assert_eq!(standing(&none), Bracket { holds: None, fails: Some(5_000.0) });
        assert_eq!(none, [(5_000.0, false); 3]);
    }

    #[test]
    fn one_bad_run_at_a_good_value_is_outvoted() {
        // The first run at 10,000 fails by mischance; the gap closes below it, and its other trials
        // open it again.
        let mut first = true;
        let tried = search(RATES, |rate, _| {
            if rate == 10_000.0 && first {
                first = false;
                false
            } else {
                rate <= 12_000.0
            }
        });
        let Bracket { holds: Some(holds), .. } = standing(&tried) else { panic!("{tried:?}") };
        assert!((11_700.0..=12_000.0).contains(&holds), "{tried:?}");
    }

    #[test]
    fn the_number_of_runs_is_kept() {
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
            let found = standing(&tried);
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
        fn a_noisy_system_is_survived(seed in any::<u64>(), runs in 1u64..60) {
            let knee = KneeSearch { runs, ..RATES };
            let noisy = |value: f64, n: usize| {
                let noise = (seed.rotate_left(n as u32 % 64) ^ value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61;
                (value <= 20_000.0) ^ (noise == 0)
            };
            let tried = search(knee, noisy);
            prop_assert!(tried.len() as u64 <= runs);
            prop_assert!(tried.iter().all(|(value, _)| (5_000.0..=60_000.0).contains(value)));
            prop_assert_eq!(tried, search(knee, noisy));
        }
    }
}
