//! Schedule of an open loop: the due time of each slot, computed without a clock.
//!
//! Each due time is computed independently from integers (`rate_profile`): no rounded interval is added up,
//! so 24,000/s for 10 s is 240,000 slots and the last one is due at its exact nanosecond. With Poisson
//! arrivals the *N* slots of a segment are *N* independent points in order, with a density proportional to
//! the rate: a Poisson process whose count is known. They are generated in ascending order from the order
//! statistics: if *k* points are left in the remaining part, the first of them leaves a fraction *U*^(1/k)
//! of it (Bentley and Saxe, ACM TOMS 6:359, 1980).

use crate::core::clock::Nanos;
use crate::core::units::Rates;
use crate::engine::load::ArrivalProcess;

use super::rate_profile::RateProfile;

/// Planned request of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Number over all workers, from 0, warm-up included.
    pub number: u64,
    /// Due time from the start of the run.
    pub due: Nanos,
}

/// Part of the run with one rate profile.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    start: Nanos,
    length: Nanos,
    profile: RateProfile,
    /// Number of its first slot.
    first: u64,
    /// Number of slots.
    slots: u64,
}

/// Slots of a run: those of the warm-up, then the measured ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule {
    arrivals: ArrivalProcess,
    seed: u64,
    warmup: Segment,
    measured: Segment,
}

/// Configuration of a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScheduleConfig {
    /// Slots per second. The warm-up uses the initial rate.
    pub rates: Rates,
    /// Spacing of the slots.
    pub arrivals: ArrivalProcess,
    /// Seed of the spacing.
    pub seed: u64,
    /// Length of the warm-up.
    pub warmup: Nanos,
    /// Length of the measured part. Required if the rate changes or `requests` is `None`.
    pub duration: Option<Nanos>,
    /// Largest number of slots in the measured part.
    pub requests: Option<u64>,
}

impl ScheduleConfig {
    /// Evenly spaced slots without a warm-up. `duration` or `requests` is still to be set.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn constant(rate: impl Into<Rates>) -> Self {
        Self {
            rates: rate.into(),
            arrivals: ArrivalProcess::Constant,
            seed: 1,
            warmup: Nanos::ZERO,
            duration: None,
            requests: None,
        }
    }
}

impl Schedule {
    /// Computes the number of slots. The measured part ends with the duration or the number of requests,
    /// whichever comes first.
    pub(crate) fn new(config: ScheduleConfig) -> Self {
        let ScheduleConfig { rates, arrivals, seed, warmup, duration, requests } = config;
        let at_first = RateProfile::constant(rates.from);
        let profile = duration.map_or(at_first, |duration| RateProfile::new(rates, duration));
        let within = duration.map_or(u64::MAX, |d| profile.slots_within(d));
        let slots = within.min(requests.unwrap_or(u64::MAX));
        // If the number of requests ends the run, it ends when the slot after the last would have been due.
        let length = match duration {
            Some(duration) if slots == within => duration,
            _ => profile.due(slots),
        };
        let first = at_first.slots_within(warmup);
        let start = Nanos::ZERO;
        Self {
            arrivals,
            seed,
            warmup: Segment { start, length: warmup, profile: at_first, first: 0, slots: first },
            measured: Segment { start: warmup, length, profile, first, slots },
        }
    }

    /// Number of slots in the measured part.
    #[cfg(test)]
    fn measured_slots(&self) -> u64 {
        self.measured.slots
    }

    /// Number of slots, warm-up included.
    pub(crate) fn total_slots(&self) -> u64 {
        self.warmup.slots + self.measured.slots
    }

    /// Number of slots of the warm-up.
    pub(crate) fn warmup_slots(&self) -> u64 {
        self.warmup.slots
    }

    /// Begin of the measured part, from the start of the run.
    pub(crate) fn measure_from(&self) -> Nanos {
        self.measured.start
    }

    /// End of the measured part, from the start of the run.
    pub(crate) fn end(&self) -> Nanos {
        self.measured.start + self.measured.length
    }

    /// Slots of one of `workers` workers, in order: those whose number mod `workers` is `worker`.
    pub(crate) fn slots(&self, worker: u64, workers: u64) -> Slots<'_> {
        Slots { schedule: self, next: worker, step: workers.max(1), poisson: Poisson::new(self) }
    }

    fn segment_of(&self, number: u64) -> &Segment {
        if number < self.measured.first { &self.warmup } else { &self.measured }
    }
}

/// Iterator over one worker's slots. A clone is independent.
#[derive(Debug, Clone)]
pub(crate) struct Slots<'a> {
    schedule: &'a Schedule,
    next: u64,
    step: u64,
    poisson: Poisson,
}

impl Slots<'_> {
    /// Skips the slots before `number`, which must be one of this worker's and not passed yet.
    pub(super) fn skip_to(&mut self, number: u64) {
        self.next = self.next.max(number);
    }
}

impl Iterator for Slots<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let number = self.next;
        if number >= self.schedule.total_slots() {
            return None;
        }
        self.next = number.saturating_add(self.step);
        let due = match self.schedule.arrivals {
            ArrivalProcess::Constant => {
                let segment = self.schedule.segment_of(number);
                segment.start + segment.profile.due(number - segment.first)
            }
            ArrivalProcess::Poisson => self.poisson.due(self.schedule, number),
        };
        Some(Slot { number, due })
    }
}

/// Ordered points of a Poisson process, generated on demand.
#[derive(Debug, Clone)]
struct Poisson {
    random: SplitMix,
    /// Number of the next point.
    next: u64,
    /// Fraction of the segment's slots that is expected after the last point.
    left: f64,
    /// Last point.
    due: Nanos,
}

impl Poisson {
    fn new(schedule: &Schedule) -> Self {
        Self { random: SplitMix(schedule.seed), next: 0, left: 1.0, due: Nanos::ZERO }
    }

    /// Returns point `number`, which must not precede the last one returned.
    fn due(&mut self, schedule: &Schedule, number: u64) -> Nanos {
        while self.next <= number {
            let segment = schedule.segment_of(self.next);
            let place = self.next - segment.first;
            if place == 0 {
                self.left = 1.0;
            }
            let points_left = (segment.slots - place) as f64;
            self.left *= (self.random.open_unit().ln() / points_left).exp();
            let share = segment.profile.passed(1.0 - self.left, segment.length);
            let passed = (segment.length.0 as f64 * share) as u64;
            self.due = segment.start + Nanos(passed.min(segment.length.0.saturating_sub(1)));
            self.next += 1;
        }
        self.due
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). It is our own, because a library's generator may change
/// with its version, and with it the schedule for a seed.
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform number in (0, 1], so that its logarithm is finite.
    fn open_unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::Rate;
    use proptest::prelude::*;

    fn constant(rate: &str, millis: u64) -> Schedule {
        let rate: Rates = rate.parse().expect("a rate");
        Schedule::new(ScheduleConfig {
            duration: Some(Nanos::from_millis(millis)),
            ..ScheduleConfig::constant(rate)
        })
    }

    #[test]
    fn the_main_job_is_exact_to_the_nanosecond() {
        let schedule = constant("24000", 10_000);
        assert_eq!(schedule.measured_slots(), 240_000);
        let last = schedule.slots(0, 1).last();
        assert_eq!(last, Some(Slot { number: 239_999, due: Nanos(9_999_958_333) }));
    }

    #[test]
    fn the_number_of_slots_is_exact_at_the_edges() {
        for (rate, millis, slots) in [
            ("1", 1_000, 1),
            ("1", 1_001, 2),
            ("0.1", 1_000, 1),
            ("3", 1_000, 3),
            ("10M", 1, 10_000),
            ("7", 100, 1),
        ] {
            assert_eq!(constant(rate, millis).measured_slots(), slots, "{rate}/s for {millis} ms");
        }
    }

    #[test]
    fn the_warm_up_is_a_separate_segment() {
        let rate = Rate::per_second(10).expect("a rate");
        let schedule = Schedule::new(ScheduleConfig {
            warmup: Nanos(250_000_000),
            requests: Some(4),
            ..ScheduleConfig::constant(rate)
        });
        let due: Vec<_> = schedule.slots(0, 1).map(|s| s.due.0 / 1_000_000).collect();
        assert_eq!(due, [0, 100, 200, 250, 350, 450, 550]);
        assert_eq!((schedule.measured_slots(), schedule.end()), (4, Nanos(650_000_000)));
    }

    #[test]
    fn a_changing_rate_is_exact_and_starts_after_a_warm_up_at_a_constant_rate() {
        let rates: Rates = "1k..3k".parse().expect("rates");
        let span = Nanos::from_secs(2);
        let schedule = Schedule::new(ScheduleConfig {
            warmup: Nanos::from_secs(1),
            duration: Some(span),
            ..ScheduleConfig::constant(rates)
        });
        assert_eq!((schedule.measured.first, schedule.measured_slots()), (1_000, 4_000));
        let due: Vec<_> = schedule.slots(0, 1).map(|s| s.due.as_secs_f64() - 1.0).collect();
        let before = |t: f64| due.iter().filter(|due| (0.0..t).contains(*due)).count();
        // Half the time at 1k to 2k: 1,500 of the 4,000.
        assert_eq!((due.len(), before(1.0), before(2.0)), (5_000, 1_500, 4_000));
        let random = Schedule::new(ScheduleConfig {
            arrivals: ArrivalProcess::Poisson,
            seed: 7,
            duration: Some(span),
            ..ScheduleConfig::constant(rates)
        });
        let early = random.slots(0, 1).filter(|s| s.due < Nanos::from_secs(1)).count();
        // Five standard deviations of a binomial with 4,000 tries and 3/8.
        assert!(early.abs_diff(1_500) < 153, "{early}");
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let rate = Rate::per_second(1_000).expect("a rate");
        let span = Nanos::from_secs(100);
        let schedule = Schedule::new(ScheduleConfig {
            arrivals: ArrivalProcess::Poisson,
            seed: 7,
            duration: Some(span),
            ..ScheduleConfig::constant(rate)
        });
        let due: Vec<_> = schedule.slots(0, 1).map(|s| s.due.as_secs_f64()).collect();
        assert_eq!(due.len(), 100_000);
        let gaps: Vec<_> = due.windows(2).map(|w| (w[1] - w[0]) * 1_000.0).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let above_two = gaps.iter().filter(|g| **g > 2.0).count() as f64 / gaps.len() as f64;
        // Five standard errors of each statistic at this sample size and this fixed seed.
        assert!((mean - 1.0).abs() < 0.016, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.045, "variance {variance}");
        assert!((above_two - (-2f64).exp()).abs() < 0.0055, "P(gap > 2 means) {above_two}");
    }

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let rate = || (1u64..10_000_000_000_000).prop_map(|micro_hertz| micro_hertz as f64 / 1e6);
        let rates = (rate(), rate(), any::<bool>()).prop_map(|(from, to, changes)| {
            if changes { format!("{from}..{to}") } else { from.to_string() }
        });
        (rates, 0u64..3_000, 1u64..5_000, any::<bool>(), any::<u64>()).prop_map(
            |(rates, warmup, millis, poisson, seed)| {
                let rate: Rates = rates.parse().expect("in range");
                let arrivals =
                    if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
                let span = Nanos::from_millis(millis);
                Schedule::new(ScheduleConfig {
                    arrivals,
                    seed,
                    warmup: Nanos::from_millis(warmup),
                    duration: Some(span),
                    requests: Some(20_000),
                    ..ScheduleConfig::constant(rate)
                })
            },
        )
    }

    proptest! {
        #[test]
        fn slots_are_monotonic_complete_and_within_the_run(schedule in any_schedule()) {
            // The warm-up of a fast schedule may hold millions: its first and last thousands do.
            let total = schedule.total_slots();
            let mut last = Nanos::ZERO;
            let mut seen = 0;
            let slots = schedule.slots(0, 1).take(50_000);
            for (n, slot) in slots.enumerate() {
                prop_assert_eq!(slot.number, n as u64);
                prop_assert!(slot.due >= last && slot.due < schedule.end());
                last = slot.due;
                seen += 1;
            }
            prop_assert_eq!(seen, total.min(50_000));
        }

        #[test]
        fn workers_share_the_slots_without_gap_or_overlap(schedule in any_schedule(), workers in 1u64..9) {
            let most = 3_000;
            let mut shared: Vec<_> =
                (0..workers).flat_map(|w| schedule.slots(w, workers).take_while(|s| s.number < most)).collect();
            shared.sort_by_key(|slot| slot.number);
            let alone: Vec<_> = schedule.slots(0, 1).take_while(|s| s.number < most).collect();
            prop_assert_eq!(shared, alone);
        }

        #[test]
        fn skipping_gives_the_same_slots(schedule in any_schedule(), to in 0u64..2_000) {
            let mut skipped = schedule.slots(0, 1);
            skipped.skip_to(to);
            prop_assert_eq!(skipped.next(), schedule.slots(0, 1).nth(to as usize));
        }
    }
}
