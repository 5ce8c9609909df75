//! Findings about one curve: the API's capacity along it, the connections that a rate needs, the step at which arrival
//! breaks, and the bottleneck.

use super::Point;
use super::arrival::ArrivalCurve;
use super::bottleneck::bottleneck;
use super::noise::without_noise;
use super::sizing::sizing;
use crate::report::finding::{ClosedLoopCapacity, Conclusion, OpenLoopCapacity, Overload, Trend};

/// Share by which a rate must rise to count as still rising.
const RISE: f64 = 0.05;
/// Share below which a rise is chance.
const NOISE: f64 = 0.02;

/// All findings about one curve, whose points are in the order of the axis.
pub(super) fn findings(curve: &[Point<'_>], axis: &str) -> Vec<Conclusion> {
    let arrival = ArrivalCurve::new(curve);
    let calm = without_noise(curve);
    let mut findings: Vec<_> = capacity(&calm, axis).into_iter().collect();
    findings.extend(sizing(&calm, last_held(&calm, curve, arrival.break_place())));
    findings.extend(arrival.finding());
    findings.extend(bottleneck(curve, arrival.break_place()));
    findings
}

/// The last calm step before arrival breaks whose rate was held: requests that pile up in a step that falls behind are not
/// a measure of what a rate needs. If arrival never held, the requests still are.
fn last_held<'a, 'r>(
    calm: &'a [Point<'r>],
    curve: &[Point<'r>],
    break_place: Option<usize>,
) -> Option<&'a Point<'r>> {
    let before = &curve[..break_place.filter(|place| *place > 0).unwrap_or(curve.len())];
    calm.iter().rfind(|point| {
        before.iter().any(|earlier| std::ptr::eq(earlier.report, point.report))
            && (!point.is_open() || point.is_held())
    })
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
