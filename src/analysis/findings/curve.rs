//! One curve: what the API holds along it, where arrival breaks, and what was full first.
//!
//! Arrival *breaks* at the first step from which on its 99th percentile stays above [`BREAK`] times the
//! median of the steps before, and a millisecond more than that; the response breaks likewise.

use super::sizing::sizing;
use super::{Point, finding, rate};
use crate::analysis::bottleneck::{fullest, saturated};
use crate::analysis::queue_growth::median;
use crate::core::units::format_time;
use crate::report::ramp::Finding;

/// So many times as long is broken.
const BREAK: f64 = 4.0;
/// In microseconds: less than this longer is nothing that breaks.
const LEAST_BREAK: f64 = 1_000.0;
/// A rise above this share is a rise.
const RISE: f64 = 0.05;
/// A rise above this share is no chance.
const NOISE: f64 = 0.02;

/// All that one curve says.
pub(super) fn findings(curve: &[Point<'_>], axis: &str, cores: usize) -> Vec<Finding> {
    let break_at = broken_from(&curve.iter().map(Point::arrival_p99).collect::<Vec<_>>());
    let mut findings: Vec<_> = capacity(curve, axis).into_iter().collect();
    // What piles up in a step that falls behind is no measure of what a rate needs.
    let calm_and_held = curve[..break_at.unwrap_or(curve.len())]
        .iter()
        .rfind(|point| !point.is_open() || point.is_held());
    findings.extend(sizing(curve, calm_and_held));
    findings.extend(arrival(curve, break_at));
    findings.extend(bottleneck(curve, break_at, cores));
    findings
}

/// The first of the steps' 99th percentiles from which on all are broken.
fn broken_from(all: &[Option<f64>]) -> Option<usize> {
    (1..all.len()).find(|at| {
        let usual = usual(&all[..*at]);
        all[*at..].iter().all(|value| is_broken(*value, usual))
    })
}

fn usual(before: &[Option<f64>]) -> Option<f64> {
    median(before.iter().copied().flatten().collect())
}

fn is_broken(value: Option<f64>, usual: Option<f64>) -> bool {
    match (value, usual) {
        (Some(value), Some(usual)) => value > BREAK * usual && value > usual + LEAST_BREAK,
        _ => false,
    }
}

/// What the API holds.
fn capacity(curve: &[Point<'_>], axis: &str) -> Option<Finding> {
    let last = curve.last()?;
    if last.is_open() {
        let Some(best) = curve
            .iter()
            .filter(|p| p.is_held())
            .max_by(|a, b| a.answered().total_cmp(&b.answered()))
        else {
            let least = curve.first()?;
            let text = format!(
                "the API holds less than {}: it answered {} of it",
                rate(least.report.run.rate_target?),
                rate(least.answered())
            );
            return Some(finding("capacity", text));
        };
        let above = curve.iter().find(|p| !p.is_held() && p.x > best.x);
        let text = match above {
            Some(above) => format!(
                "the API holds {}: all of it was answered, and of {} it was {}",
                rate(best.answered()),
                rate(above.report.run.rate_target?),
                rate(above.answered())
            ),
            None => format!(
                "the API holds {} at least: all of it was answered, and more was not tried",
                rate(best.answered())
            ),
        };
        return Some(finding("capacity", text));
    }
    let best = curve.iter().max_by(|a, b| a.answered().total_cmp(&b.answered()))?;
    let before = curve.iter().rev().nth(1);
    if best.answered() == 0.0 {
        let text = "the API holds nothing: no answer was 2xx or 3xx".to_owned();
        return Some(finding("capacity", text));
    }
    let rise = match before {
        Some(before) if best.name == last.name => last.answered() / before.answered() - 1.0,
        _ => 0.0,
    };
    let end = match rise {
        _ if before.is_none() => String::new(),
        rise if rise > RISE => match axis {
            "connections" => "; it was still rising, so more connections may bring more".to_owned(),
            _ => "; it was still rising".to_owned(),
        },
        rise if rise > NOISE => {
            format!(", the most that was tried; that is {:.1}% above the step before", rise * 100.0)
        }
        _ => "; more brought no more".to_owned(),
    };
    let with = best.name;
    Some(finding("capacity", format!("the API holds {} (at {with}){end}", rate(best.answered()))))
}

/// Where arrival breaks, and whether the response shows it.
fn arrival(curve: &[Point<'_>], break_at: Option<usize>) -> Option<Finding> {
    let p99 = |p: &Point<'_>| p.arrival_p99().map(format_time);
    let Some(at) = break_at else {
        let last = curve.last().filter(|_| curve.len() > 1)?;
        let longest = |a: &&Point<'_>, b: &&Point<'_>| {
            a.arrival_p99().unwrap_or(0.0).total_cmp(&b.arrival_p99().unwrap_or(0.0))
        };
        let most = curve.iter().max_by(longest)?;
        let text = format!(
            "arrival does not break up to {} ({}): its p99 is {} there, and at most {} (at {})",
            last.name,
            rate(last.answered()),
            p99(last)?,
            p99(most)?,
            most.name
        );
        return Some(finding("arrival", text));
    };
    let (before, after) = (&curve[at - 1], &curve[at]);
    let responses: Vec<_> = curve.iter().map(Point::response_p99).collect();
    let response = match broken_from(&responses) {
        Some(response) if response < at => {
            format!("; the response broke at {} already", curve[response].name)
        }
        // It may come back later; here it shows.
        _ if is_broken(responses[at], usual(&responses[..at])) => {
            "; the response shows it too".to_owned()
        }
        _ => format!(
            ", although the response does not: its p99 goes from {} to {}",
            before.response_p99().map_or_else(|| "n/a".to_owned(), format_time),
            after.response_p99().map_or_else(|| "n/a".to_owned(), format_time),
        ),
    };
    let text = format!(
        "arrival breaks between {} ({}) and {} ({}): its p99 goes from {} to {}{response}",
        before.name,
        rate(before.answered()),
        after.name,
        rate(after.answered()),
        p99(before)?,
        p99(after)?,
    );
    Some(finding("arrival", text))
}

/// What was full first: where arrival breaks, else at the end of the curve.
fn bottleneck(curve: &[Point<'_>], break_at: Option<usize>, cores: usize) -> Option<Finding> {
    let calm = curve.first().filter(|_| curve.len() > 1).map(|point| point.report);
    let look = |point: &Point<'_>| saturated(point.report, calm, point.facts, cores);
    if let Some(at) = break_at {
        let found = look(&curve[at])?;
        let evidence = found.evidence.join("; ");
        let text = if found.is_clear {
            format!("the component that saturated first is {}: {evidence}", found.component)
        } else {
            format!(
                "neither a queue nor CPU time says which component saturated first; by the stages it \
                 is {}: {evidence}",
                found.component
            )
        };
        return Some(finding("bottleneck", text));
    }
    let last = curve.last()?;
    let (name, share) = fullest(last.report, last.facts)?;
    let broke = if last.is_open() && !last.is_held() {
        "not all of the rate was answered"
    } else if curve.iter().any(Point::is_silent) {
        "at a step nothing was answered"
    } else {
        "nothing broke"
    };
    let text = format!(
        "{broke}; the busiest component at {} is {name}, with {share:.0}% of the time of its threads",
        last.name
    );
    Some(finding("bottleneck", text))
}
