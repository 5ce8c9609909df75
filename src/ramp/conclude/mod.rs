//! What follows from the steps, in sentences with their figures.
//!
//! Steps that differ in the axis alone make a curve, and each curve is concluded on by itself; a search
//! has its knee. Nothing here measures or runs: it reads the report.

mod curve;
mod knee;
mod sizing;

use super::steps::PlannedStep;
use crate::report::Report;
use crate::report::ramp::{Finding, RampReport, RampStep};
use crate::units::format_count;

/// An open loop's rate is held when so much of it was answered.
const HELD: f64 = 0.99;

/// What a step's report does not say, of its plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) group: String,
    pub(super) api_threads: usize,
    pub(super) push_threads: usize,
    pub(super) push_limit: Option<f64>,
}

impl Facts {
    pub(super) fn new(step: &PlannedStep) -> Self {
        let pipeline = &step.plan.pipeline;
        Self {
            group: step.group.clone(),
            api_threads: pipeline.api_threads,
            push_threads: pipeline.push_threads,
            push_limit: pipeline.push_limit.map(|limit| limit.as_f64()),
        }
    }
}

/// A step that has a report.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    name: &'a str,
    x: Option<f64>,
    report: &'a Report,
    facts: &'a Facts,
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
pub(super) fn conclude(report: &RampReport, facts: &[Facts], cores: usize) -> Vec<Finding> {
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

fn point<'a>(step: &'a RampStep, facts: &'a Facts) -> Option<Point<'a>> {
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
mod tests {
    use super::super::example;
    use super::*;
    use crate::report::ramp::{Search, Trial};

    fn facts(group: &str) -> Facts {
        Facts { group: group.to_owned(), api_threads: 1, push_threads: 1, push_limit: None }
    }

    fn ramp(axis: &str, steps: Vec<(f64, Report)>) -> RampReport {
        let step = |(x, report)| RampStep {
            name: format!("{axis} {x}"),
            x: Some(x),
            settings: std::collections::BTreeMap::new(),
            error: None,
            report: Some(report),
        };
        let text = r#"{"schema_version":1,"kind":"ramp","tool":{"name":"loadgen","version":"0"},
            "name":"x","question":null,"command":"","started_at":"","axis":null,"planned_steps":null,
            "complete":true,"steps":[],"search":null,"findings":[]}"#;
        let mut report: RampReport = serde_json::from_str(text).expect("a report");
        report.axis = Some(axis.to_owned());
        report.steps = steps.into_iter().map(step).collect();
        report
    }

    fn texts(report: &RampReport, kind: &str) -> Vec<String> {
        let facts = vec![facts(""); report.steps.len()];
        let all = conclude(report, &facts, 8);
        all.into_iter().filter(|f| f.kind == kind).map(|f| f.text).collect()
    }

    fn with_p99(mut report: Report, arrival: f64, response: f64) -> Report {
        if let Some(quantiles) = &mut report.arrival {
            quantiles.p99 = Some(arrival);
        }
        report.latency.response.p99 = Some(response);
        report
    }

    /// The original's table: rates rise, and arrival breaks at the last step.
    fn original() -> RampReport {
        let rates = [3_773.6, 6_976.4, 10_224.7, 20_140.8, 22_589.0, 23_428.4];
        let steps = rates.iter().zip([1u64, 2, 3, 7, 9, 10]).map(|(rate, c)| {
            let arrival = if c == 10 { 71_881.0 } else { 350.0 };
            (c as f64, with_p99(example::closed(c, *rate), arrival, 400.0))
        });
        ramp("connections", steps.collect())
    }

    #[test]
    fn the_originals_three_questions_are_answered() {
        let report = original();
        assert_eq!(
            texts(&report, "capacity"),
            [
                "the API holds 23,428/s (at connections 10), the most that was tried; that is 3.7% above the \
              step before"
            ]
        );
        let sizing = texts(&report, "sizing");
        assert!(
            sizing[0].starts_with("for 11,000/s use c = 7: measured 20,141/s there"),
            "{sizing:?}"
        );
        assert!(sizing[1].starts_with("for 22,000/s use c = 9: measured 22,589/s"), "{sizing:?}");
        assert!(sizing[1].ends_with("they agree"), "{sizing:?}");
        assert_eq!(
            texts(&report, "arrival"),
            [
                "arrival breaks between connections 9 (22,589/s) and connections 10 (23,428/s): its p99 \
              goes from 350.00us to 71.88ms, although the response does not: its p99 goes from \
              400.00us to 400.00us"
            ]
        );
    }

    #[test]
    fn a_response_that_is_late_at_the_same_step_is_not_called_calm() {
        let mut report = original();
        let late = with_p99(example::closed(10, 23_428.4), 71_881.0, 9_000.0);
        report.steps[5].report = Some(late);
        report.steps.push(RampStep {
            name: "connections 11".to_owned(),
            x: Some(11.0),
            ..report.steps[5].clone()
        });
        report.steps[6].report =
            report.steps[6].report.take().map(|step| with_p99(step, 80_000.0, 400.0));
        let arrival = texts(&report, "arrival");
        assert!(arrival[0].ends_with("to 71.88ms; the response shows it too"), "{arrival:?}");
        // Nothing is full in these made-up steps.
        assert_eq!(texts(&report, "bottleneck"), [""; 0]);
    }

    #[test]
    fn one_bad_step_is_no_break() {
        let mut report = original();
        report.steps[2].report =
            report.steps[2].report.take().map(|step| with_p99(step, 90_000.0, 400.0));
        report.steps.pop();
        let arrival = texts(&report, "arrival");
        assert!(
            arrival[0].starts_with("arrival does not break up to connections 9"),
            "{arrival:?}"
        );
    }

    #[test]
    fn an_open_loops_rate_is_held_when_all_of_it_is_answered() {
        let mut short = example::report(30_000.0);
        short.requests.completed_per_s = 26_000.0;
        let report = ramp("rate", vec![(10e3, example::report(10_000.0)), (30e3, short)]);
        assert_eq!(
            texts(&report, "capacity"),
            ["the API holds 10,000/s: all of it was answered, and of 30,000/s it was 26,000/s"]
        );
        // 10,000/s × 0.5 ms: what piled up at 30,000/s is no measure.
        assert!(texts(&report, "sizing")[0].starts_with("for 10,000/s use c = 5 at least"));
        assert!(texts(&report, "bottleneck")[0].starts_with("not all of the rate was answered; "));
    }

    #[test]
    fn answers_that_are_no_success_are_no_capacity() {
        let refuse = |mut report: Report, share: u64| {
            let completed = report.requests.completed;
            let (bad, good) = (completed / share, completed - completed / share);
            report.requests.status = [("200", good), ("500", bad)]
                .into_iter()
                .map(|(status, count)| (status.to_owned(), count))
                .collect();
            report
        };
        let steps =
            vec![(10e3, example::report(10_000.0)), (20e3, refuse(example::report(20_000.0), 2))];
        let open = ramp("rate", steps);
        assert_eq!(
            texts(&open, "capacity"),
            ["the API holds 10,000/s: all of it was answered, and of 20,000/s it was 10,000/s"]
        );
        let caution = texts(&open, "caution");
        assert!(caution[0].ends_with("count for nothing: rate 20000"), "{caution:?}");
        let closed = ramp("connections", vec![(4.0, refuse(example::closed(4, 8_000.0), 1))]);
        assert_eq!(texts(&closed, "capacity"), ["the API holds nothing: no answer was 2xx or 3xx"]);
    }

    #[test]
    fn a_rate_that_no_longer_rises_at_the_last_step_is_the_most() {
        let ends = |rates: [f64; 3]| {
            let steps = [1, 2, 3].iter().zip(rates);
            let steps = steps.map(|(c, rate)| (*c as f64, example::closed(*c, rate))).collect();
            texts(&ramp("connections", steps), "capacity")[0].clone()
        };
        assert!(ends([5e3, 9e3, 9.1e3]).ends_with("; more brought no more"));
        assert!(ends([5e3, 9e3, 8e3]).ends_with("; more brought no more"));
        assert!(ends([5e3, 9e3, 9.4e3]).ends_with("tried; that is 4.4% above the step before"));
        assert!(ends([5e3, 9e3, 12e3]).contains("it was still rising"));
    }

    #[test]
    fn a_step_without_an_answer_is_named_and_holds_nothing() {
        let silent = |mut report: Report| {
            let requests = &mut report.requests;
            (requests.failed, requests.completed, requests.completed_per_s) =
                (requests.completed, 0, 0.0);
            requests.status.clear();
            report
        };
        let all = ramp(
            "connections",
            vec![
                (4.0, silent(example::closed(4, 1_000.0))),
                (8.0, silent(example::closed(8, 1_000.0))),
            ],
        );
        let found = conclude(&all, &[facts(""), facts("")], 8);
        let found: Vec<_> = found.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(found, ["not a single request was answered at: connections 4; connections 8"]);
        let last = ramp(
            "rate",
            vec![(1e3, example::report(1_000.0)), (2e3, silent(example::report(2_000.0)))],
        );
        assert_eq!(
            texts(&last, "capacity"),
            ["the API holds 1,000/s: all of it was answered, and of 2,000/s it was 0/s"]
        );
        assert!(texts(&last, "bottleneck")[0].starts_with("not all of the rate was answered"));
    }

    #[test]
    fn what_a_search_cannot_tell_is_not_called_broken() {
        let mut report = ramp("rate", vec![(10e3, example::report(10_000.0))]);
        let trial = |value, held: bool, why: &str| Trial {
            value,
            step: 0,
            held,
            because: (!held).then(|| why.to_owned()),
        };
        let mut search = Search {
            axis: "rate".to_owned(),
            condition: "queue not growing".to_owned(),
            trials: vec![trial(10e3, false, "how the queue grew is not known")],
            holds: None,
            fails: Some(10e3),
            confirmed: (0, 0),
        };
        report.search = Some(search.clone());
        let knee = texts(&report, "knee");
        assert!(knee[0].starts_with("whether 'queue not growing' holds at 10,000/s cannot be told (how the queue grew is not known)"), "{knee:?}");
        search.trials[0].because = Some("the queue grew by 5/s".to_owned());
        report.search = Some(search);
        assert!(texts(&report, "knee")[0].starts_with("there is no value at which"));
    }

    #[test]
    fn curves_are_concluded_on_one_by_one() {
        let report =
            ramp("rate", (1..=4).map(|n| (f64::from(n), example::report(1_000.0))).collect());
        let facts = ["a", "b", "a", "b"].map(facts);
        let all = conclude(&report, &facts, 8);
        let arrival: Vec<_> = all.iter().filter(|f| f.kind == "arrival").collect();
        assert!(
            arrival.len() == 2 && arrival[1].text.starts_with("[b] arrival does not"),
            "{all:?}"
        );
    }

    #[test]
    fn a_search_says_what_it_found_how_sure_it_is_and_why() {
        let mut above = example::report(10_200.0);
        for (second, row) in above.series.iter_mut().enumerate() {
            row.queue_depth = Some(200 * second as u64);
        }
        let mut report = ramp("rate", vec![(10e3, example::report(10_000.0)), (10_200.0, above)]);
        let trial = |value, step, held| Trial { value, step, held, because: None };
        report.search = Some(Search {
            axis: "rate".to_owned(),
            condition: "lost == 0".to_owned(),
            trials: vec![trial(10e3, 0, true), trial(10_200.0, 1, false)],
            holds: Some(10e3),
            fails: Some(10_200.0),
            confirmed: (1, 1),
        });
        assert_eq!(
            texts(&report, "knee"),
            [
                "the knee is between 10,000/s and 10,200/s: 'lost == 0' held at 10,000/s in 1 of 1 runs, \
              and at 10,200/s in 0 of 1 runs; 2 runs in all"
            ]
        );
        let why = texts(&report, "bottleneck");
        assert!(
            why[0].starts_with(
                "what stands in the way is push: at 10,200/s, the queue before it grew by 200/s"
            ),
            "{why:?}"
        );
    }

    #[test]
    fn what_is_not_to_be_trusted_is_named() {
        let mut report = original();
        report.steps[0].error = Some("push ended".to_owned());
        if let Some(step) = &mut report.steps[1].report {
            step.verdict.generator = "limited".to_owned();
        }
        assert_eq!(
            texts(&report, "caution"),
            [
                "not run to their end, and left out here: connections 1",
                "the generator could not hold its plan at: connections 2"
            ]
        );
    }
}
