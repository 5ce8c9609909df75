//! How many connections a rate needs, measured, and by Little's law.

use super::{Point, finding, rate};
use crate::analysis::queue_growth::median;
use crate::core::units::format_time;
use crate::report::ramp::Finding;

/// How many connections a rate needs. Little's law: on average, rate × mean time are under way.
pub(super) fn sizing(curve: &[Point<'_>], calm: Option<&Point<'_>>) -> Vec<Finding> {
    let Some(calm) = calm else { return Vec::new() };
    if calm.is_open() {
        return open_sizing(calm).into_iter().collect();
    }
    let top = calm.answered();
    let wanted = [top / 2.0, top].map(round_down);
    let needed = |wanted: f64| {
        let enough = curve.iter().filter(|p| p.answered() >= wanted && wanted > 0.0);
        let least = enough.min_by_key(|p| p.report.run.connections)?;
        let connections = least.report.run.connections;
        let mean_s = least.report.latency.service.mean? / 1e6;
        let little = wanted * mean_s;
        let agree = if agrees(little, connections) { "agree" } else { "disagree" };
        let text = format!(
            "for {} use c = {connections}: measured {} there; Little's law says {little:.1} \
             ({} × {}): they {agree}",
            rate(wanted),
            rate(least.answered()),
            rate(wanted),
            format_time(mean_s * 1e6),
        );
        Some(finding("sizing", text))
    };
    let mut found: Vec<_> = wanted.into_iter().filter_map(needed).collect();
    found.dedup();
    found
}

/// To two digits: a number that one would ask for.
fn round_down(rate: f64) -> f64 {
    let step = 10f64.powf(rate.log10().floor() - 1.0);
    if rate > 0.0 { (rate / step).floor() * step } else { 0.0 }
}

/// Whether so many connections are what a mean of so many under way needs, within a tenth.
fn agrees(little: f64, connections: u64) -> bool {
    let (least, most) = ((little * 0.9).ceil() as u64, (little * 1.1).ceil() as u64);
    (least..=most.max(1)).contains(&connections)
}

fn open_sizing(calm: &Point<'_>) -> Option<Finding> {
    let report = calm.report;
    let little = report.requests.rate_achieved * report.latency.response.mean? / 1e6;
    let rows = report.series.iter().filter(|row| row.t_s <= report.run.duration_s + 0.001);
    let seen = median(rows.map(|row| row.in_flight as f64).collect())?;
    // What is seen is a moment of each second: a handful of samples of a number that jumps.
    let close = (little - seen).abs() <= 2.0 + 0.5 * little;
    let text = format!(
        "for {} use c = {:.0} at least: so many requests are under way by Little's law ({} × {}), and \
         {seen:.0} were seen: they {}",
        rate(report.requests.rate_achieved),
        little.ceil().max(1.0),
        rate(report.requests.rate_achieved),
        format_time(report.latency.response.mean?),
        if close { "agree" } else { "disagree" },
    );
    Some(finding("sizing", text))
}
