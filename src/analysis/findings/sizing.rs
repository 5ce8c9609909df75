//! Connections that a rate needs, measured and by Little's law.

use super::Point;
use crate::analysis::queue_growth::median;
use crate::report::finding::{ClosedLoopSizing, Conclusion, OpenLoopSizing};

/// Connections that a rate needs. By Little's law the mean number of requests in flight is the rate times the mean
/// time. `calm` is the last step before trouble.
pub(super) fn sizing(curve: &[Point<'_>], calm: Option<&Point<'_>>) -> Vec<Conclusion> {
    let Some(calm) = calm else { return Vec::new() };
    if calm.is_open() {
        return open_loop(calm).map(Conclusion::OpenLoopSizing).into_iter().collect();
    }
    let top = calm.answered();
    let wanted = [top / 2.0, top].map(round_down);
    let mut found: Vec<_> =
        wanted.into_iter().filter_map(|wanted| closed_loop(curve, wanted)).collect();
    found.dedup();
    found.into_iter().map(Conclusion::ClosedLoopSizing).collect()
}

/// The fewest connections of the curve that reached a rate; `None` if no step did.
fn closed_loop(curve: &[Point<'_>], wanted_per_s: f64) -> Option<ClosedLoopSizing> {
    let enough = curve.iter().filter(|p| p.answered() >= wanted_per_s && wanted_per_s > 0.0);
    let least = enough.min_by_key(|p| p.report.run.connections)?;
    let connections = least.report.run.connections;
    let mean_s = least.report.latency.service.mean? / 1e6;
    let in_flight = wanted_per_s * mean_s;
    Some(ClosedLoopSizing {
        wanted_per_s,
        connections,
        measured_per_s: least.answered(),
        mean_us: mean_s * 1e6,
        in_flight,
        agrees: ClosedLoopSizing::agrees(in_flight, connections),
    })
}

/// Rounds a rate down to two digits: a number that a user would plan with.
fn round_down(rate: f64) -> f64 {
    let step = 10f64.powf(rate.log10().floor() - 1.0);
    if rate > 0.0 { (rate / step).floor() * step } else { 0.0 }
}

fn open_loop(calm: &Point<'_>) -> Option<OpenLoopSizing> {
    let report = calm.report;
    let (per_s, mean_us) = (report.requests.rate_achieved, report.latency.response.mean?);
    let in_flight = per_s * mean_us / 1e6;
    let rows = report.series.iter().filter(|row| row.t_s <= report.run.duration_s + 0.001);
    let seen = median(rows.map(|row| row.in_flight as f64).collect())?;
    let agrees = OpenLoopSizing::agrees(in_flight, seen);
    Some(OpenLoopSizing { per_s, mean_us, in_flight, seen, agrees })
}
