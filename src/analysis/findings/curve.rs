//! Findings about one curve: the API's capacity along it, the step at which arrival breaks, and the component
//! that was saturated first.
//!
//! Arrival *breaks* at the first step from which on its 99th percentile stays above [`BREAK`] times the
//! median of the steps before, and a millisecond more than that; the response breaks likewise.

use super::Point;
use super::noise::{has_slow_arrivals, without_noise};
use super::sizing::sizing;
use crate::analysis::bottleneck::{busiest, has_cpu_limits, saturation};
use crate::analysis::queue_growth::median;
use crate::report::finding::{
    ArrivalBreak, ArrivalHeld, ArrivalStep, Bottleneck, BusiestComponent, ClosedLoopCapacity,
    Conclusion, EndState, OpenLoopCapacity, Overload, ResponseAtBreak, SeenAt, Trend,
};

/// Ratio of a percentile to its usual value above which it counts as broken.
const BREAK: f64 = 4.0;
/// Smallest rise of a percentile that counts as broken, in microseconds.
const LEAST_BREAK: f64 = 1_000.0;
/// Share by which a rate must rise to count as still rising.
const RISE: f64 = 0.05;
/// Share below which a rise is chance.
const NOISE: f64 = 0.02;

/// All findings about one curve, whose points are in the order of the axis.
pub(super) fn findings(curve: &[Point<'_>], axis: &str) -> Vec<Conclusion> {
    let break_at = broken_from(&curve.iter().map(Point::arrival_p99).collect::<Vec<_>>());
    // Requests that pile up in a step that falls behind are not a measure of what a rate needs.
    let before_break = without_noise(&curve[..break_at.unwrap_or(curve.len())]);
    let calm_and_held = before_break.iter().rfind(|point| !point.is_open() || point.is_held());
    let without_noise = without_noise(curve);
    let mut findings: Vec<_> = capacity(&without_noise, axis).into_iter().collect();
    findings.extend(sizing(&without_noise, calm_and_held));
    match break_at {
        Some(at) => {
            findings.extend(arrival_break(curve, at).map(Conclusion::ArrivalBreak));
            findings.extend(bottleneck_at_break(curve, at).map(Conclusion::Bottleneck));
        }
        None => {
            findings.extend(arrival_held(curve).map(Conclusion::ArrivalHeld));
            findings.extend(busiest_at_end(curve).map(Conclusion::BusiestComponent));
        }
    }
    findings
}

/// The first of the steps from which on all percentiles are broken.
fn broken_from(all: &[Option<f64>]) -> Option<usize> {
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

/// The highest rate that the API answers.
fn capacity(curve: &[Point<'_>], axis: &str) -> Option<Conclusion> {
    if curve.last()?.is_open() {
        open_loop_capacity(curve).map(Conclusion::OpenLoopCapacity)
    } else {
        closed_loop_capacity(curve, axis).map(Conclusion::ClosedLoopCapacity)
    }
}

fn open_loop_capacity(curve: &[Point<'_>]) -> Option<OpenLoopCapacity> {
    let held = curve.iter().filter(|point| point.is_held());
    let Some(best) = held.max_by(|a, b| a.answered().total_cmp(&b.answered())) else {
        let overload = Some(overload(curve.first()?)?);
        return Some(OpenLoopCapacity { held_per_s: None, overload });
    };
    let overload = match curve.iter().find(|point| !point.is_held() && point.x > best.x) {
        Some(above) => Some(overload(above)?),
        None => None,
    };
    Some(OpenLoopCapacity { held_per_s: Some(best.answered()), overload })
}

fn overload(point: &Point<'_>) -> Option<Overload> {
    Some(Overload {
        planned_per_s: point.report.run.rate_target?,
        answered_per_s: point.answered(),
    })
}

fn closed_loop_capacity(curve: &[Point<'_>], axis: &str) -> Option<ClosedLoopCapacity> {
    let best = curve.iter().max_by(|a, b| a.answered().total_cmp(&b.answered()))?;
    Some(ClosedLoopCapacity {
        per_s: best.answered(),
        step: best.name.to_owned(),
        trend: trend(curve, best, axis),
    })
}

/// The change of the rate at the last step; `None` for a single step.
fn trend(curve: &[Point<'_>], best: &Point<'_>, axis: &str) -> Option<Trend> {
    let [.., before, last] = curve else { return None };
    if best.name != last.name {
        return Some(Trend::Flat);
    }
    let rise = last.answered() / before.answered() - 1.0;
    Some(if rise > RISE {
        Trend::Rising { of_connections: axis == "connections" }
    } else if rise > NOISE {
        Trend::Flattening { percent: rise * 100.0 }
    } else {
        Trend::Flat
    })
}

fn arrival_held(curve: &[Point<'_>]) -> Option<ArrivalHeld> {
    let [_, .., last] = curve else { return None };
    let calm = (0..curve.len()).filter(|at| !has_slow_arrivals(curve, *at));
    let slowest = calm
        .map(|at| &curve[at])
        .max_by(|a, b| a.arrival_p99().unwrap_or(0.0).total_cmp(&b.arrival_p99().unwrap_or(0.0)))?;
    Some(ArrivalHeld { last: arrival_step(last)?, slowest: arrival_step(slowest)? })
}

fn arrival_break(curve: &[Point<'_>], at: usize) -> Option<ArrivalBreak> {
    let (before, after) = (&curve[at - 1], &curve[at]);
    let responses: Vec<_> = curve.iter().map(Point::response_p99).collect();
    let response = match broken_from(&responses) {
        Some(earlier) if earlier < at => {
            ResponseAtBreak::BrokeEarlier { step: curve[earlier].name.to_owned() }
        }
        // It may recover at a later step; at this one it is broken.
        _ if is_broken(responses[at], usual(&responses[..at])) => ResponseAtBreak::BreaksToo,
        _ => ResponseAtBreak::Holds {
            before_us: before.response_p99(),
            after_us: after.response_p99(),
        },
    };
    Some(ArrivalBreak { before: arrival_step(before)?, after: arrival_step(after)?, response })
}

fn arrival_step(point: &Point<'_>) -> Option<ArrivalStep> {
    Some(ArrivalStep {
        step: point.name.to_owned(),
        per_s: point.answered(),
        p99_us: point.arrival_p99()?,
    })
}

/// The component that is saturated at the step at which arrival breaks.
fn bottleneck_at_break(curve: &[Point<'_>], at: usize) -> Option<Bottleneck> {
    let calm = curve.first().filter(|_| curve.len() > 1).map(|point| point.report);
    let found = saturation(curve[at].report, calm)?;
    Some(found.into_bottleneck(SeenAt::AtBreak))
}

/// The busiest component of the last step.
fn busiest_at_end(curve: &[Point<'_>]) -> Option<BusiestComponent> {
    let last = curve.last()?;
    let busiest = busiest(last.report).filter(|_| has_cpu_limits(last.report))?;
    let end = if last.is_open() && !last.is_held() {
        EndState::RateNotAnswered
    } else if curve.iter().any(Point::is_silent) {
        EndState::StepWithoutAnswer
    } else {
        EndState::NothingBroke
    };
    Some(BusiestComponent {
        end,
        step: last.name.to_owned(),
        component: busiest.component,
        percent: busiest.percent,
        is_of_one_thread: busiest.is_of_one_thread,
    })
}
