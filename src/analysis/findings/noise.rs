//! Steps whose numbers are chance: worse than both neighbours, although the next step has more load and is not.
//!
//! Arrivals are noise if their 99th percentile is *broken* beside both neighbours, see [`is_broken`]. A rate is noise if it
//! is more than a tenth below both: more load does not lower a rate that still more load raises again.

use super::Point;
use super::curve::is_broken;
use crate::report::finding::{Conclusion, NoiseSign, NoisyStep};

/// Share by which a rate must be below both neighbours to count as noise.
const DIP: f64 = 0.10;

/// The noisy steps of a curve, whose points are in the order of the axis.
pub(super) fn findings(curve: &[Point<'_>]) -> Vec<Conclusion> {
    let mut found = Vec::new();
    for neighbours in curve.windows(3) {
        let [before, step, after] = neighbours else { continue };
        // A setting that is not a number has no order, so a later step is not more load.
        if step.x.is_none() {
            continue;
        }
        let signs = [slow_arrivals(before, step, after), low_rate(before, step, after)];
        for sign in signs.into_iter().flatten() {
            found.push(Conclusion::NoisyStep(NoisyStep {
                step: step.name.to_owned(),
                before: before.name.to_owned(),
                after: after.name.to_owned(),
                sign,
                other_cpu_percent: other_cpu_percent(step),
            }));
        }
    }
    found
}

/// The curve without the steps whose arrivals are noise.
pub(super) fn without_slow_arrivals<'a>(curve: &[Point<'a>]) -> Vec<Point<'a>> {
    let is_noise = |at: usize| match at.checked_sub(1).and_then(|first| curve.get(first..at + 2)) {
        Some([before, step, after]) => slow_arrivals(before, step, after).is_some(),
        _ => false,
    };
    (0..curve.len()).filter(|at| !is_noise(*at)).map(|at| curve[at]).collect()
}

fn slow_arrivals(before: &Point<'_>, step: &Point<'_>, after: &Point<'_>) -> Option<NoiseSign> {
    let (before_us, after_us) = (before.arrival_p99()?, after.arrival_p99()?);
    let p99_us = step.arrival_p99()?;
    let is_noise = is_broken(Some(p99_us), Some(before_us.max(after_us)));
    is_noise.then_some(NoiseSign::SlowArrivals { p99_us, before_us, after_us })
}

fn low_rate(before: &Point<'_>, step: &Point<'_>, after: &Point<'_>) -> Option<NoiseSign> {
    let (before_per_s, after_per_s) = (before.answered(), after.answered());
    let per_s = step.answered();
    let is_noise = !step.is_silent() && per_s < before_per_s.min(after_per_s) * (1.0 - DIP);
    is_noise.then_some(NoiseSign::LowRate { per_s, before_per_s, after_per_s })
}

fn other_cpu_percent(step: &Point<'_>) -> Option<f64> {
    step.report.generator.as_ref()?.other_cpu_percent
}
