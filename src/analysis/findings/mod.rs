//! What follows from the steps, in sentences with their figures.
//!
//! Steps that differ in the axis alone make a curve, and each curve is concluded on by itself; a search
//! has its knee. Nothing here measures or runs: it reads the report.

mod curve;
mod knee;
mod sizing;

use crate::core::units::format_count;
use crate::report::Report;
use crate::report::ramp::{Finding, RampReport, RampStep};

/// An open loop's rate is held when so much of it was answered.
const HELD: f64 = 0.99;

/// What a step's report does not say, of its plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepFacts {
    pub(crate) group: String,
    pub(crate) api_threads: usize,
    pub(crate) push_threads: usize,
    pub(crate) push_limit: Option<f64>,
}

/// A step that has a report.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    name: &'a str,
    x: Option<f64>,
    report: &'a Report,
    facts: &'a StepFacts,
}

impl Point<'_> {
    fn is_open(&self) -> bool {
        self.report.run.mode == "open"
    }

    /// Good answers a second.
    fn answered(&self) -> f64 {
        let requests = &self.report.requests;
        let refused = requests.refused() as f64 / requests.completed.max(1) as f64;
        requests.completed_per_s * (1.0 - refused)
    }

    /// Without a single answer.
    fn is_silent(&self) -> bool {
        self.report.requests.completed == 0
    }

    fn arrival_p99(&self) -> Option<f64> {
        self.report.arrival.as_ref()?.p99
    }

    fn response_p99(&self) -> Option<f64> {
        self.report.latency.response.p99
    }

    /// Whether an open loop's rate was answered, all of it.
    fn is_held(&self) -> bool {
        let requests = &self.report.requests;
        let target = self.report.run.rate_target.unwrap_or(0.0);
        requests.failed + requests.dropped + requests.unfinished == 0
            && self.answered() >= HELD * target
    }
}

/// All findings, of `cores` cores.
pub(crate) fn conclude(report: &RampReport, facts: &[StepFacts], cores: usize) -> Vec<Finding> {
    let pairs = report.steps.iter().zip(facts);
    let points: Vec<_> = pairs.filter_map(|(step, facts)| point(step, facts)).collect();
    let mut groups: Vec<&str> = Vec::new();
    for point in &points {
        if !groups.contains(&point.facts.group.as_str()) {
            groups.push(&point.facts.group);
        }
    }
    let mut findings = Vec::new();
    if let Some(search) = &report.search {
        findings.extend(knee::knee(report, &points, search, cores));
    } else {
        for group in groups {
            let is_on_it = |p: &Point<'_>| {
                // A step that has no place on the axis is on no curve.
                p.facts.group == group && p.x.is_some() == report.axis.is_some()
            };
            let mut curve: Vec<_> = points.iter().copied().filter(is_on_it).collect();
            // Of what was never answered there is nothing to say but that.
            if curve.iter().all(Point::is_silent) {
                continue;
            }
            // As they are on the axis, whatever the order they were run in.
            curve.sort_by(|a, b| a.x.unwrap_or(0.0).total_cmp(&b.x.unwrap_or(0.0)));
            let axis = report.axis.as_deref().unwrap_or_default();
            findings.extend(curve::findings(&curve, axis, cores).into_iter().map(|finding| {
                match group {
                    "" => finding,
                    group => Finding { text: format!("[{group}] {}", finding.text), ..finding },
                }
            }));
        }
    }
    findings.extend(cautions(report));
    findings
}

fn point<'a>(step: &'a RampStep, facts: &'a StepFacts) -> Option<Point<'a>> {
    let report = step.report.as_ref().filter(|_| step.error.is_none())?;
    Some(Point { name: &step.name, x: step.x, report, facts })
}

fn finding(kind: &str, text: String) -> Finding {
    Finding { kind: kind.to_owned(), text }
}

fn rate(value: f64) -> String {
    format!("{}/s", format_count(value.round() as u64))
}

/// What a reader must know beside the figures.
fn cautions(report: &RampReport) -> Vec<Finding> {
    let named = |wanted: &dyn Fn(&RampStep) -> bool| {
        let names = report.steps.iter().filter(|step| wanted(step));
        names.map(|step| step.name.as_str()).collect::<Vec<_>>().join("; ")
    };
    let broken = named(&|step| step.error.is_some());
    let limited = named(&|step| {
        step.report.as_ref().is_some_and(|report| report.verdict.generator == "limited")
    });
    let mut cautions = Vec::new();
    if !broken.is_empty() {
        cautions.push(format!("not run to their end, and left out here: {broken}"));
    }
    let silent = named(&RampStep::is_silent);
    if !silent.is_empty() {
        cautions.push(format!("not a single request was answered at: {silent}"));
    }
    if !limited.is_empty() {
        cautions.push(format!("the generator could not hold its plan at: {limited}"));
    }
    let refused =
        named(&|step| step.report.as_ref().is_some_and(|report| report.requests.refused() > 0));
    if !refused.is_empty() {
        cautions.push(format!(
            "answers that were neither 2xx nor 3xx, and count for nothing: {refused}"
        ));
    }
    let embedded = report.steps.iter().filter_map(|step| step.report.as_ref()).any(|report| {
        let servers = [&report.run.stack.queue, &report.run.stack.broker];
        servers.into_iter().flatten().any(|server| server.kind == "embedded")
    });
    if embedded {
        cautions.push(
            "queue or broker are loadgen's own stand-ins (embedded): these are not the \
                       figures of a real deployment"
                .to_owned(),
        );
    }
    cautions.into_iter().map(|text| finding("caution", text)).collect()
}

#[cfg(test)]
mod tests;
