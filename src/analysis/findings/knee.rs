//! A search: where the knee is, how sure that is, and what stands in the way of more.

use super::{Point, finding, rate};
use crate::analysis::bottleneck::{Saturated, saturated};
use crate::core::units::format_count;
use crate::report::ramp::{Finding, RampReport, Search, Trial};

/// What the trials so far say.
pub(super) fn knee(
    report: &RampReport,
    points: &[Point<'_>],
    search: &Search,
    cores: usize,
) -> Vec<Finding> {
    let Some(mut text) = result(search) else { return Vec::new() };
    text += &format!("; {} runs in all", search.trials.len());
    if !report.complete {
        text += ", and the search is not at its end";
    }
    let mut findings = vec![finding("knee", text)];
    if let Some((trial, found)) = obstacle(points, search, cores) {
        let text = format!(
            "what stands in the way is {}: at {}, {}",
            found.component,
            value(search, trial.value),
            found.evidence.join("; ")
        );
        findings.push(finding("bottleneck", text));
    }
    findings
}

fn value(search: &Search, value: f64) -> String {
    match search.axis.as_str() {
        "rate" => rate(value),
        axis => format!("{} {axis}", format_count(value as u64)),
    }
}

/// Where the knee is, and how sure that is.
fn result(search: &Search) -> Option<String> {
    let condition = &search.condition;
    let at = |at: f64| {
        let trials = || search.trials.iter().filter(|trial| trial.value == at);
        let held = trials().filter(|trial| trial.held).count();
        format!("{} in {held} of {} runs", value(search, at), trials().count())
    };
    if let Some((fails, why)) =
        search.fails.and_then(|fails| Some((fails, search.unknown_at(fails)?)))
    {
        let held = search.holds.map(|holds| format!("'{condition}' held at {}; ", at(holds)));
        return Some(format!(
            "{}whether '{condition}' holds at {} cannot be told ({why})",
            held.unwrap_or_default(),
            value(search, fails)
        ));
    }
    Some(match (search.holds, search.fails) {
        (Some(holds), Some(fails)) => format!(
            "the knee is between {} and {}: '{condition}' held at {}, and at {}",
            value(search, holds),
            value(search, fails),
            at(holds),
            at(fails)
        ),
        (Some(holds), None) => {
            format!(
                "there is no knee up to {}: '{condition}' held at {}",
                value(search, holds),
                at(holds)
            )
        }
        (None, Some(fails)) => {
            let trials = search.trials.iter().filter(|trial| trial.value == fails);
            let why = trials.filter_map(|trial| trial.because.as_deref()).next_back();
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            format!("there is no value at which '{condition}' holds: it held at {}{why}", at(fails))
        }
        (None, None) => return None,
    })
}

/// What was full at the lowest failed trial at which a queue or CPU time says so; just above the knee
/// that may be too little to tell.
fn obstacle<'a>(
    points: &[Point<'_>],
    search: &'a Search,
    cores: usize,
) -> Option<(&'a Trial, Saturated)> {
    let fails = search.fails?;
    let mut failed: Vec<_> =
        search.trials.iter().filter(|trial| !trial.held && trial.value >= fails).collect();
    failed.sort_by(|a, b| a.value.total_cmp(&b.value));
    let of_x = |point: &&Point<'_>| point.x.is_some();
    let calm = points
        .iter()
        .filter(of_x)
        .min_by(|a, b| a.x.unwrap_or_default().total_cmp(&b.x.unwrap_or_default()));
    let look = |trial: &'a Trial| {
        // A search ends at the first step without a report: a trial's step is a point's place.
        let at = points.get(trial.step as usize)?;
        Some((trial, saturated(at.report, calm.map(|p| p.report), at.facts, cores)?))
    };
    let found: Vec<_> = failed.into_iter().filter_map(look).collect();
    let clear = found.iter().position(|(_, found)| found.is_clear);
    found.into_iter().nth(clear.unwrap_or(0))
}
