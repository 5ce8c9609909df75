//! Findings about a search: the knee, how often it was confirmed, and the bottleneck above it.

use super::Point;
use crate::analysis::bottleneck::{Saturation, saturation};
use crate::report::finding::{Conclusion, KneeEnd, KneeFinding, SeenAt};
use crate::report::ramp::{RampReport, Search, Trial};

/// The findings from the trials so far.
pub(super) fn findings(
    report: &RampReport,
    points: &[Point<'_>],
    search: &Search,
) -> Vec<Conclusion> {
    if search.holds.is_none() && search.fails.is_none() {
        return Vec::new();
    }
    let mut findings = vec![Conclusion::Knee(knee(search, report.complete))];
    if let Some((trial, found)) = saturation_above(points, search) {
        let value = search.axis.value_text(trial.value);
        findings.push(Conclusion::Bottleneck(found.into_bottleneck(SeenAt::Trial { value })));
    }
    findings
}

fn knee(search: &Search, complete: bool) -> KneeFinding {
    let failed = search.trials.iter().filter(|trial| Some(trial.value) == search.fails);
    KneeFinding {
        axis: search.axis,
        condition: search.condition.clone(),
        holds: search.holds.map(|value| knee_end(search, value)),
        fails: search.fails.map(|value| knee_end(search, value)),
        not_known: search.fails.and_then(|fails| search.unknown_at(fails)).map(str::to_owned),
        because: failed.filter_map(|trial| trial.because.clone()).next_back(),
        runs: search.trials.len() as u64,
        complete,
    }
}

fn knee_end(search: &Search, value: f64) -> KneeEnd {
    let trials: Vec<_> = search.trials.iter().filter(|trial| trial.value == value).collect();
    let held = trials.iter().filter(|trial| trial.held()).count();
    KneeEnd { value, held: held as u64, trials: trials.len() as u64 }
}

/// The saturated component at the lowest failed trial at which a queue or CPU time shows it, else at the lowest
/// failed trial: just above the knee the load may be too small to show it.
fn saturation_above<'a>(
    points: &[Point<'_>],
    search: &'a Search,
) -> Option<(&'a Trial, Saturation)> {
    let fails = search.fails?;
    let mut failed: Vec<_> =
        search.trials.iter().filter(|trial| !trial.held() && trial.value >= fails).collect();
    failed.sort_by(|a, b| a.value.total_cmp(&b.value));
    let calm = points.iter().filter(|point| point.x.is_some());
    let calm = calm.min_by(|a, b| a.x.unwrap_or_default().total_cmp(&b.x.unwrap_or_default()));
    let calm = calm.map(|point| point.report);
    let found = failed.into_iter().filter_map(|trial| {
        // A search ends at the first step without a report: a trial's step is a point's place.
        let at = points.get(trial.step as usize)?;
        Some((trial, saturation(at.report, calm)?))
    });
    let found: Vec<_> = found.collect();
    let clear = found.iter().position(|(_, found)| found.is_clear);
    found.into_iter().nth(clear.unwrap_or(0))
}
