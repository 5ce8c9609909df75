//! Findings about the arrival latency along a curve: the step at which it breaks.
//!
//! A step is *broken* if it lost messages, if its queue grew, or if its 99th percentile is above [`BREAK`] times the
//! median of the calm steps before and a millisecond more than that. Arrival *breaks* at the first step from which on all
//! steps are broken; the response breaks likewise, by its percentile alone.
//!
//! A step is *calm* if it delivered its messages and the generator held its plan. Noise is left out, and so are steps that began with messages of
//! earlier steps.

use super::Point;
use super::noise::has_slow_arrivals;
use crate::analysis::overload::overload_signs;
use crate::analysis::queue_growth::median;
use crate::report::finding::{
    ArrivalBreak, ArrivalHeld, ArrivalNeverHeld, ArrivalStep, Conclusion, OverloadSign,
    OverloadedStep, ResponseAtBreak,
};

/// Ratio of a percentile to its usual value above which it counts as broken.
const BREAK: f64 = 4.0;
/// Smallest rise of a percentile that counts as broken, in microseconds.
const LEAST_BREAK: f64 = 1_000.0;

/// The steps of a curve whose arrivals say something, and the break among them.
pub(super) struct ArrivalCurve<'a> {
    steps: Vec<JudgedStep<'a>>,
    /// Place in `steps`.
    break_at: Option<usize>,
}

/// A step with the signs that it was too much for the pipeline.
struct JudgedStep<'a> {
    point: Point<'a>,
    /// Its place on the curve.
    place: usize,
    signs: Vec<OverloadSign>,
}

impl<'a> ArrivalCurve<'a> {
    /// Judges a curve, whose points are in the order of the axis.
    pub(super) fn new(curve: &[Point<'a>]) -> Self {
        let says_something =
            |place: &usize| !curve[*place].has_backlog && !has_slow_arrivals(curve, *place);
        let places = (0..curve.len()).filter(says_something);
        let steps = places.map(|place| JudgedStep::new(curve[place], place));
        let steps: Vec<_> = steps.collect();
        let break_at = (0..steps.len()).find(|at| {
            let usual = usual_p99(&steps[..*at]);
            steps[*at..].iter().all(|step| step.is_overloaded() || step.is_slower_than(usual))
        });
        Self { steps, break_at }
    }

    /// The place of the break on the curve.
    pub(super) fn break_place(&self) -> Option<usize> {
        Some(self.steps[self.break_at?].place)
    }

    /// The finding; `None` if the latency is not known.
    pub(super) fn finding(&self) -> Option<Conclusion> {
        match self.break_at {
            Some(0) => Some(Conclusion::ArrivalNeverHeld(self.never_held()?)),
            Some(at) => Some(Conclusion::ArrivalBreak(self.broken(at))),
            None => self.held().map(Conclusion::ArrivalHeld),
        }
    }

    fn never_held(&self) -> Option<ArrivalNeverHeld> {
        let first = self.steps.first()?;
        Some(ArrivalNeverHeld { first: first.arrival(), signs: first.signs.clone() })
    }

    fn broken(&self, at: usize) -> ArrivalBreak {
        let (before, after) = (&self.steps[at - 1], &self.steps[at]);
        ArrivalBreak {
            before: before.arrival(),
            after: after.arrival(),
            signs: after.signs.clone(),
            response: self.response(at),
        }
    }

    fn response(&self, at: usize) -> ResponseAtBreak {
        let all: Vec<_> = self.steps.iter().map(|step| step.point.response_p99()).collect();
        match percentile_broken_from(&all) {
            Some(earlier) if earlier < at => {
                ResponseAtBreak::BrokeEarlier { step: self.steps[earlier].point.name.to_owned() }
            }
            // It may recover at a later step; at this one it is broken.
            _ if is_broken(all[at], usual(&all[..at])) => ResponseAtBreak::BreaksToo,
            _ => ResponseAtBreak::Holds { before_us: all[at - 1], after_us: all[at] },
        }
    }

    fn held(&self) -> Option<ArrivalHeld> {
        let [_, .., last] = self.steps.as_slice() else { return None };
        last.point.arrival_p99()?;
        let slowest = self.steps.iter().max_by(|a, b| a.p99_us().total_cmp(&b.p99_us()))?;
        let overloaded = self.steps.iter().filter(|step| step.is_overloaded());
        let overloaded = overloaded.map(|step| OverloadedStep {
            step: step.point.name.to_owned(),
            signs: step.signs.clone(),
        });
        Some(ArrivalHeld {
            last: last.arrival(),
            slowest: slowest.arrival(),
            overloaded: overloaded.collect(),
        })
    }
}

impl<'a> JudgedStep<'a> {
    fn new(point: Point<'a>, place: usize) -> Self {
        Self { point, place, signs: overload_signs(point.report) }
    }

    fn is_overloaded(&self) -> bool {
        !self.signs.is_empty()
    }

    fn is_slower_than(&self, usual: Option<f64>) -> bool {
        is_broken(self.point.arrival_p99(), usual)
    }

    /// The 99th percentile of arrival; 0 if it is not known.
    fn p99_us(&self) -> f64 {
        self.point.arrival_p99().unwrap_or_default()
    }

    fn arrival(&self) -> ArrivalStep {
        ArrivalStep {
            step: self.point.name.to_owned(),
            per_s: self.point.answered(),
            p99_us: self.point.arrival_p99(),
        }
    }
}

/// The usual percentile of some steps: the median of the calm ones, or of all that delivered their messages if the
/// generator was limited in each of them.
fn usual_p99(steps: &[JudgedStep<'_>]) -> Option<f64> {
    let (mut calm, mut delivered) = (Vec::new(), Vec::new());
    for step in steps.iter().filter(|step| !step.is_overloaded()) {
        let p99 = step.point.arrival_p99();
        delivered.push(p99);
        if step.point.report.verdict.generator.is_valid() {
            calm.push(p99);
        }
    }
    usual(&calm).or_else(|| usual(&delivered))
}

/// The first of the steps from which on all percentiles are broken.
fn percentile_broken_from(all: &[Option<f64>]) -> Option<usize> {
    (1..all.len()).find(|at| {
        let usual = usual(&all[..*at]);
        all[*at..].iter().all(|value| is_broken(*value, usual))
    })
}

fn usual(before: &[Option<f64>]) -> Option<f64> {
    median(before.iter().copied().flatten().collect())
}

/// Returns true if a percentile is above [`BREAK`] times its usual value, and a millisecond more than that.
pub(super) fn is_broken(value: Option<f64>, usual: Option<f64>) -> bool {
    match (value, usual) {
        (Some(value), Some(usual)) => value > BREAK * usual && value > usual + LEAST_BREAK,
        _ => false,
    }
}
