//! Steps whose numbers are chance: far from those of both neighbours, so that the load does not explain them.
//!
//! Arrivals are noise if their 99th percentile is *broken* beside both neighbours, see [`is_broken`]. A rate is noise if it
//! is more than a tenth below both: more load does not lower a rate that still more load raises again. It is also noise if
//! it is more than a quarter above both, and the neighbours are so close that no peak fits between them.
//!
//! An odd rate makes its neighbours look odd, too. Of two neighbours only the one that is farther off is noise.

use super::Point;
use super::arrival::is_broken;
use crate::report::finding::{Conclusion, NoiseSign, NoisyStep};

/// Share by which a rate must be below both neighbours to count as noise.
const DIP: f64 = 0.10;
/// Share by which a rate must be above both neighbours to count as noise.
const PEAK: f64 = 0.25;
/// Largest ratio of the settings after and before a step at which a peak between them is noise. Connections that are doubled from
/// step to step (a ratio of 4) can have a real peak.
const CLOSE: f64 = 3.0;

/// The noisy steps of a curve, whose points are in the order of the axis.
pub(super) fn findings(curve: &[Point<'_>]) -> Vec<Conclusion> {
    let mut found = Vec::new();
    for at in 0..curve.len() {
        let Some(neighbours) = Neighbours::of(curve, at) else { continue };
        let signs = [neighbours.slow_arrivals(), odd_rate(curve, at)];
        found.extend(signs.into_iter().flatten().map(|sign| neighbours.noisy_step(sign)));
    }
    found
}

/// The curve without the noisy steps.
pub(super) fn without_noise<'a>(curve: &[Point<'a>]) -> Vec<Point<'a>> {
    (0..curve.len()).filter(|at| is_calm(curve, *at)).map(|at| curve[at]).collect()
}

fn is_calm(curve: &[Point<'_>], at: usize) -> bool {
    !has_slow_arrivals(curve, at) && odd_rate(curve, at).is_none()
}

/// Returns true if the arrivals of a step are noise.
pub(super) fn has_slow_arrivals(curve: &[Point<'_>], at: usize) -> bool {
    Neighbours::of(curve, at).is_some_and(|neighbours| neighbours.slow_arrivals().is_some())
}

/// A step between two others on its curve.
struct Neighbours<'a> {
    before: &'a Point<'a>,
    step: &'a Point<'a>,
    after: &'a Point<'a>,
}

/// A rate far from those of both neighbours.
struct OddRate {
    sign: NoiseSign,
    /// Ratio to the closer neighbour's rate, above 1.
    ratio: f64,
}

impl<'a> Neighbours<'a> {
    /// The neighbours of the step at a place; `None` at the ends of the curve, and if its setting is not a number: then a
    /// later step is not more load.
    fn of(curve: &'a [Point<'a>], at: usize) -> Option<Self> {
        let [before, step, after] = curve.get(at.checked_sub(1)?..at + 2)? else { return None };
        step.x.map(|_| Self { before, step, after })
    }

    fn slow_arrivals(&self) -> Option<NoiseSign> {
        let (before_us, after_us) = (self.before.arrival_p99()?, self.after.arrival_p99()?);
        let p99_us = self.step.arrival_p99()?;
        let is_noise = is_broken(Some(p99_us), Some(before_us.max(after_us)));
        is_noise.then_some(NoiseSign::SlowArrivals { p99_us, before_us, after_us })
    }

    fn odd_rate(&self) -> Option<OddRate> {
        let (before_per_s, after_per_s) = (self.before.answered(), self.after.answered());
        let per_s = self.step.answered();
        let (least, most) = (before_per_s.min(after_per_s), before_per_s.max(after_per_s));
        if !self.step.is_silent() && per_s < least * (1.0 - DIP) {
            let sign = NoiseSign::LowRate { per_s, before_per_s, after_per_s };
            return Some(OddRate { sign, ratio: least / per_s });
        }
        let is_peak = self.are_close() && least > 0.0 && per_s > most * (1.0 + PEAK);
        let sign = NoiseSign::HighRate { per_s, before_per_s, after_per_s };
        is_peak.then(|| OddRate { sign, ratio: per_s / most })
    }

    fn are_close(&self) -> bool {
        self.before.x.zip(self.after.x).is_some_and(|(before, after)| after <= CLOSE * before)
    }

    fn noisy_step(&self, sign: NoiseSign) -> Conclusion {
        let machine = self.step.report.generator.as_ref();
        Conclusion::NoisyStep(NoisyStep {
            step: self.step.name.to_owned(),
            before: self.before.name.to_owned(),
            after: self.after.name.to_owned(),
            sign,
            other_cpu_percent: machine.and_then(|machine| machine.other_cpu_percent),
        })
    }
}

/// The sign that the rate of a step is noise, if it is.
fn odd_rate(curve: &[Point<'_>], at: usize) -> Option<NoiseSign> {
    let odd = rate_beside(curve, at)?;
    let neighbours = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
    let mut rates = neighbours.filter_map(|neighbour| rate_beside(curve, neighbour));
    rates.all(|neighbour| neighbour.ratio <= odd.ratio).then_some(odd.sign)
}

/// The rate of a step that is far from those of both neighbours, if it is.
fn rate_beside(curve: &[Point<'_>], at: usize) -> Option<OddRate> {
    Neighbours::of(curve, at)?.odd_rate()
}
