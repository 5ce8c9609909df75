//! Findings of a ramp: conclusions from its steps, with their numbers.
//!
//! Steps that differ in the axis alone make a curve, and each curve is judged by itself; a search has its knee.
//! Nothing here measures or runs: it reads the report.

mod arrival;
mod bottleneck;
mod cautions;
mod curve;
mod knee;
mod noise;
mod sizing;

use crate::analysis::backlog::backlog;
use crate::analysis::bottleneck::has_cpu_limits;
use crate::report::finding::{Conclusion, Finding, FindingKind};
use crate::report::ramp::RampReport;
use crate::report::{LoopMode, Report};

/// Share of an open loop's rate that must be answered for the rate to be held.
const HELD: f64 = 0.99;

/// A step that has a report.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    name: &'a str,
    curve: &'a str,
    x: Option<f64>,
    report: &'a Report,
    /// It began with messages of earlier steps, so that its arrival is not its own.
    has_backlog: bool,
}

impl<'a> Point<'a> {
    /// The point of the step of a number, from 0; `None` if the step did not run to its end.
    fn new(ramp: &'a RampReport, number: usize) -> Option<Self> {
        let step = ramp.steps.get(number)?;
        let report = step.report.as_ref().filter(|_| step.error.is_none())?;
        let curve = step.curve.as_deref().unwrap_or_default();
        let has_backlog = backlog(ramp, number).is_some();
        Some(Self { name: &step.name, curve, x: step.x, report, has_backlog })
    }

    fn is_open(&self) -> bool {
        self.report.run.mode == LoopMode::Open
    }

    /// Good answers a second.
    fn answered(&self) -> f64 {
        let requests = &self.report.requests;
        let refused = requests.refused() as f64 / requests.completed.max(1) as f64;
        requests.completed_per_s * (1.0 - refused)
    }

    /// Returns true if no request was answered.
    fn is_silent(&self) -> bool {
        self.report.requests.completed == 0
    }

    fn arrival_p99(&self) -> Option<f64> {
        self.report.arrival.as_ref()?.p99
    }

    fn response_p99(&self) -> Option<f64> {
        self.report.latency.response.p99
    }

    /// Returns true if all of an open loop's rate was answered.
    fn is_held(&self) -> bool {
        let requests = &self.report.requests;
        let target = self.report.run.rate_target.unwrap_or(0.0);
        requests.failed + requests.dropped + requests.unfinished == 0
            && self.answered() >= HELD * target
    }
}

/// All findings of a ramp.
pub(crate) fn conclude(report: &RampReport) -> Vec<Finding> {
    let points: Vec<_> = (0..report.steps.len()).filter_map(|n| Point::new(report, n)).collect();
    let (mut findings, mut noise) = (Vec::new(), Vec::new());
    if let Some(search) = &report.search {
        let found = knee::findings(report, &points, search);
        findings.extend(found.into_iter().map(|data| Finding::new("", data)));
    } else {
        for name in curve_names(&points) {
            let curve = curve(report, &points, name);
            // Steps without any answer have only their caution.
            if curve.iter().all(Point::is_silent) {
                continue;
            }
            let axis = report.axis.as_deref().unwrap_or_default();
            let found = curve::findings(&curve, axis);
            findings.extend(found.into_iter().map(|data| Finding::new(name, data)));
            let found = noise::findings(&curve);
            noise.extend(found.into_iter().map(|data| Finding::new(name, data)));
        }
    }
    findings.extend(noise);
    let cautions = cautions::cautions(report).into_iter().map(Conclusion::Caution);
    findings.extend(cautions.map(|data| Finding::new("", data)));
    findings
}

/// The findings of a saved ramp, made again from its reports. Saved findings are kept if they cannot be made again: those of
/// an unknown kind, which another version wrote, and the bottlenecks of a version that did not save the limits of the components.
pub(crate) fn conclude_again(report: &RampReport) -> Vec<Finding> {
    let mut kept = report.findings.clone();
    let reports = report.steps.iter().filter_map(|step| step.report.as_ref());
    let has_limits = reports.clone().all(has_cpu_limits);
    kept.retain(|finding| match finding.kind {
        FindingKind::Bottleneck => !has_limits,
        FindingKind::Other(_) => true,
        _ => false,
    });
    let keeps_bottlenecks = kept.iter().any(|finding| finding.kind == FindingKind::Bottleneck);
    let mut findings = conclude(report);
    findings.retain(|finding| finding.kind != FindingKind::Bottleneck || !keeps_bottlenecks);
    // Cautions stay last.
    let at = findings.iter().position(|finding| finding.kind == FindingKind::Caution);
    let at = at.unwrap_or(findings.len());
    findings.splice(at..at, kept);
    findings
}

/// Names of the curves, in the order of their first steps.
fn curve_names<'a>(points: &[Point<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for point in points {
        if !names.contains(&point.curve) {
            names.push(point.curve);
        }
    }
    names
}

/// Points of one curve in the order of the axis, whatever the order they were run in. A step without a place on the
/// axis is on no curve.
fn curve<'a>(report: &RampReport, points: &[Point<'a>], name: &str) -> Vec<Point<'a>> {
    let mut curve = points.to_vec();
    curve.retain(|p| p.curve == name && p.x.is_some() == report.axis.is_some());
    curve.sort_by(|a, b| a.x.unwrap_or(0.0).total_cmp(&b.x.unwrap_or(0.0)));
    curve
}

#[cfg(test)]
mod tests;
