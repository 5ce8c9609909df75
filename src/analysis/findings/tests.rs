//! Findings of made-up ramps.

use super::*;
use crate::analysis::example;
use crate::report::ramp::{RampStep, Search, SearchAxis, Trial, UnmetReason};

mod overload;

fn ramp(axis: &str, steps: Vec<(f64, Report)>) -> RampReport {
    let steps = steps.into_iter().map(|(x, report)| RampStep {
        name: format!("{axis} {x}"),
        x: Some(x),
        report: Some(report),
        ..RampStep::default()
    });
    RampReport {
        axis: Some(axis.to_owned()),
        complete: true,
        steps: steps.collect(),
        ..RampReport::default()
    }
}

fn texts(report: &RampReport, kind: &str) -> Vec<String> {
    let all = conclude(report);
    all.into_iter().filter(|f| f.kind.name() == kind).map(|f| f.text).collect()
}

fn with_p99(mut report: Report, arrival: f64, response: f64) -> Report {
    if let Some(distribution) = &mut report.arrival {
        distribution.p99 = Some(arrival);
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
fn capacity_sizing_and_the_break_of_arrival_are_found() {
    let report = original();
    assert_eq!(
        texts(&report, "capacity"),
        [
            "the API holds 23,428/s (at connections 10), the highest rate of all steps; that is 3.7% above \
             the step before"
        ]
    );
    let sizing = texts(&report, "sizing");
    assert!(
        sizing[0].starts_with("for 11,000/s use c = 7: 20,141/s were measured with it"),
        "{sizing:?}"
    );
    assert!(sizing[1].starts_with("for 22,000/s use c = 9: 22,589/s were"), "{sizing:?}");
    assert!(sizing[1].ends_with("they agree within one connection"), "{sizing:?}");
    assert_eq!(
        texts(&report, "arrival"),
        ["arrival breaks between connections 9 (22,589/s) and connections 10 (23,428/s): its p99 \
          goes from 350µs to 71.9ms, although the response does not: its p99 goes from \
          400µs to 400µs"]
    );
}

#[test]
fn a_response_that_breaks_at_the_same_step_is_reported() {
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
    assert!(arrival[0].ends_with("to 71.9ms; the response shows it too"), "{arrival:?}");
    // Nothing is full in these made-up steps.
    assert_eq!(
        texts(&report, "bottleneck"),
        [
            "no component that the run watches is saturated at the break, and no queue is seen to grow; the busiest \
             component at connections 10 is api, with 40% of the time of its threads"
        ]
    );
}

#[test]
fn one_bad_step_is_no_break() {
    let mut report = original();
    report.steps[2].report =
        report.steps[2].report.take().map(|step| with_p99(step, 90_000.0, 400.0));
    report.steps.pop();
    let arrival = texts(&report, "arrival");
    assert!(arrival[0].starts_with("arrival does not break up to connections 9"), "{arrival:?}");
}

#[test]
fn a_step_between_better_ones_is_noise() {
    let mut report = original();
    if let Some(step) = &mut report.steps[2].report {
        step.generator.as_mut().expect("a machine").other_cpu_percent = Some(34.2);
    }
    report.steps[2].report =
        report.steps[2].report.take().map(|step| with_p99(step, 232_260.0, 400.0));
    let found = conclude(&report);
    let noisy: Vec<_> = found.iter().filter_map(Finding::noisy_step).collect();
    assert_eq!(noisy, ["connections 3"]);
    assert_eq!(
        texts(&report, "caution"),
        [
            "connections 3 is noise: its arrival p99 is 232ms, but 350µs at connections 2 and 350µs at \
          connections 7, which is more load. Other processes used 34% of the CPU during it: end them and repeat \
          the ramp"
        ]
    );
    report.steps.pop();
    let arrival = texts(&report, "arrival");
    assert!(arrival[0].contains("at most 350µs"), "noise is not the slowest: {arrival:?}");
}

/// A ramp of a closed loop with 3 connections and more, and these rates.
fn closed_ramp(rates: &[f64]) -> RampReport {
    let steps = (3..).zip(rates).map(|(c, rate)| (c as f64, example::closed(c, *rate)));
    ramp("connections", steps.collect())
}

#[test]
fn a_rate_far_from_both_neighbours_is_noise() {
    let ends = |rates: &[f64]| texts(&closed_ramp(rates), "caution");
    assert_eq!(
        ends(&[22e3, 15e3, 36e3]),
        [
            "connections 4 is noise: it answered 15,000/s, but connections 3 22,000/s and connections 5 36,000/s. \
          Repeat the ramp, with longer steps if this comes back"
        ]
    );
    let noisy = |rates: &[f64]| {
        let found = conclude(&closed_ramp(rates));
        found.iter().filter_map(Finding::noisy_step).cloned().collect::<Vec<_>>()
    };
    assert_eq!(noisy(&[22e3, 20e3, 36e3]), [""; 0], "within a tenth");
    assert_eq!(noisy(&[22e3, 30e3, 15e3]), ["connections 4"], "a peak");
    assert_eq!(noisy(&[22e3, 27e3, 20e3]), [""; 0], "a peak within a quarter");
    assert_eq!(noisy(&[28e3, 40e3, 28e3, 32e3]), ["connections 4"], "not the one beside it");
    assert_eq!(noisy(&[19e3, 24e3, 15e3, 26e3]), ["connections 5"], "not the one beside it");
    assert_eq!(noisy(&[22e3, 30e3]), [""; 0], "the last step may be right");
}

#[test]
fn steps_far_apart_can_have_a_real_peak_and_steps_without_an_order_any() {
    let doubled = [4, 8, 16].into_iter().zip([15e3, 30e3, 20e3]);
    let steps = doubled.map(|(c, rate)| (c as f64, example::closed(c, rate))).collect();
    assert_eq!(texts(&ramp("connections", steps), "caution"), [""; 0]);
    let named = RampReport { axis: None, ..ramp("connections", Vec::new()) };
    let step = |name: &str, rate: f64| RampStep {
        name: name.to_owned(),
        report: Some(example::closed(4, rate)),
        ..RampStep::default()
    };
    let steps = vec![step("a", 22e3), step("b", 15e3), step("c", 36e3)];
    assert_eq!(texts(&RampReport { steps, ..named }, "caution"), [""; 0], "not in an order");
}

#[test]
fn capacity_and_sizing_do_not_rest_on_noise() {
    let report = closed_ramp(&[24e3, 26e3, 28e3, 28_500.0, 40e3, 28e3, 30e3]);
    let capacity = texts(&report, "capacity");
    assert!(
        capacity[0].starts_with("the API holds 30,000/s (at connections 9); the rate was still"),
        "{capacity:?}"
    );
    let sizing = texts(&report, "sizing");
    assert!(
        sizing.iter().all(|text| !text.contains("40,000/s") && !text.contains("c = 7")),
        "{sizing:?}"
    );
}

#[test]
fn a_disagreement_comes_with_what_to_do() {
    let mut steps: Vec<_> =
        [4, 8].map(|c| (c as f64, example::closed(c, c as f64 * 5_000.0))).into_iter().collect();
    steps[1].1.latency.service.mean = Some(100.0);
    let sizing = texts(&ramp("connections", steps), "sizing");
    assert!(
        sizing[1].ends_with(
            "they disagree. Plan with c = 8, which was measured; a step at c = 4 shows if fewer are enough"
        ),
        "{sizing:?}"
    );
    let mut open = example::report(10_000.0);
    open.series.iter_mut().for_each(|row| row.in_flight = 40);
    let sizing = texts(&ramp("rate", vec![(10e3, open)]), "sizing");
    assert!(
        sizing[0].starts_with("for 10,000/s plan with c = 40: Little's law gives 5 in flight"),
        "{sizing:?}"
    );
}

#[test]
fn an_open_loops_rate_is_held_if_all_requests_are_answered() {
    let mut short = example::report(30_000.0);
    short.requests.completed_per_s = 26_000.0;
    let report = ramp("rate", vec![(10e3, example::report(10_000.0)), (30e3, short)]);
    assert_eq!(
        texts(&report, "capacity"),
        ["the API holds 10,000/s: all requests were answered; of 30,000/s only 26,000/s were"]
    );
    // 10,000/s × 0.5 ms: what piled up at 30,000/s is no measure.
    assert!(texts(&report, "sizing")[0].starts_with("for 10,000/s use at least c = 5:"));
    assert!(texts(&report, "bottleneck")[0].starts_with("not all of the rate was answered; "));
}

#[test]
fn answers_other_than_2xx_and_3xx_are_not_capacity() {
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
        ["the API holds 10,000/s: all requests were answered; of 20,000/s only 10,000/s were"]
    );
    let caution = texts(&open, "caution");
    assert!(caution[0].ends_with("do not count as capacity, at: rate 20000"), "{caution:?}");
    let closed = ramp("connections", vec![(4.0, refuse(example::closed(4, 8_000.0), 1))]);
    assert_eq!(texts(&closed, "capacity"), ["the API holds nothing: no answer was 2xx or 3xx"]);
}

#[test]
fn the_trend_at_the_last_step_is_reported() {
    let ends = |rates: [f64; 3]| {
        let steps = [1, 2, 3].iter().zip(rates);
        let steps = steps.map(|(c, rate)| (*c as f64, example::closed(*c, rate))).collect();
        texts(&ramp("connections", steps), "capacity")[0].clone()
    };
    assert!(ends([5e3, 9e3, 9.1e3]).ends_with("; the last step brought no notable rise"));
    assert!(ends([5e3, 9e3, 8e3]).ends_with("; the last step brought no notable rise"));
    assert!(ends([5e3, 9e3, 9.4e3]).ends_with("steps; that is 4.4% above the step before"));
    assert!(ends([5e3, 9e3, 12e3]).contains("the rate was still rising"));
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
    let found = conclude(&all);
    let found: Vec<_> = found.iter().map(|f| f.text.as_str()).collect();
    assert_eq!(found, ["not a single request was answered at: connections 4; connections 8"]);
    let last = ramp(
        "rate",
        vec![(1e3, example::report(1_000.0)), (2e3, silent(example::report(2_000.0)))],
    );
    assert_eq!(
        texts(&last, "capacity"),
        ["the API holds 1,000/s: all requests were answered; of 2,000/s only 0/s were"]
    );
    assert!(texts(&last, "bottleneck")[0].starts_with("not all of the rate was answered"));
}

#[test]
fn a_search_reports_a_result_that_is_not_known() {
    let mut report = ramp("rate", vec![(10e3, example::report(10_000.0))]);
    let search = |reason: UnmetReason| {
        Some(Search {
            axis: SearchAxis::Rate,
            condition: "queue not growing".to_owned(),
            trials: vec![Trial::new(10e3, 0, vec![reason])],
            fails: Some(10e3),
            ..Search::default()
        })
    };
    report.search = search(UnmetReason::QueueGrowthNotKnown);
    let knee = texts(&report, "knee");
    let text = "it is not known whether 'queue not growing' holds at 10,000/s (the growth of the queue is not known)";
    assert!(knee[0].starts_with(text), "{knee:?}");
    report.search = search(UnmetReason::QueueGrew { per_s: 5.0 });
    assert!(texts(&report, "knee")[0].starts_with("there is no value at which"));
}

#[test]
fn each_curve_has_its_own_findings() {
    let mut report =
        ramp("rate", (1..=4).map(|n| (f64::from(n), example::report(1_000.0))).collect());
    for (step, curve) in report.steps.iter_mut().zip(["a", "b", "a", "b"]) {
        step.curve = Some(curve.to_owned());
    }
    let all = conclude(&report);
    let arrival: Vec<_> = all.iter().filter(|f| f.kind.name() == "arrival").collect();
    assert!(arrival.len() == 2 && arrival[1].text.starts_with("[b] arrival does not"), "{all:?}");
}

#[test]
fn a_search_reports_the_knee_its_confirmation_and_the_bottleneck() {
    let mut above = example::report(10_200.0);
    for (second, row) in above.series.iter_mut().enumerate() {
        row.queue_depth = Some(200 * second as u64);
    }
    let mut report = ramp("rate", vec![(10e3, example::report(10_000.0)), (10_200.0, above)]);
    let grew = vec![UnmetReason::QueueGrew { per_s: 200.0 }];
    report.search = Some(Search {
        axis: SearchAxis::Rate,
        condition: "lost == 0".to_owned(),
        trials: vec![Trial::new(10e3, 0, Vec::new()), Trial::new(10_200.0, 1, grew)],
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
        why[0]
            .starts_with("the bottleneck is push: at 10,200/s, the queue before it grew by 200/s"),
        "{why:?}"
    );
}

#[test]
fn steps_that_need_caution_are_named_with_their_reasons() {
    let mut report = original();
    report.steps[0].error = Some("push ended".to_owned());
    for (step, reason) in [
        (1, "other processes used 93% of the 2 CPUs: end them"),
        (2, "other processes used 71% of the 2 CPUs: end them"),
        (4, "the limit on open files was reached"),
    ] {
        let report = report.steps[step].report.as_mut().expect("a report");
        report.verdict.generator = crate::report::GeneratorState::Limited;
        report.verdict.reasons = vec![crate::report::Remark::from_text(reason)];
    }
    assert_eq!(
        texts(&report, "caution"),
        [
            "not run to their end, and left out here: connections 1",
            "the generator was limited at: connections 2; connections 3; connections 9. At connections 2: other \
             processes used 93% of the 2 CPUs: end them. At connections 9: the limit on open files was reached"
        ]
    );
}

/// The file has neither the services' settings nor the number of cores.
#[test]
fn findings_are_made_again_from_a_file_of_an_older_version() {
    let text = include_str!("../../../tests/data/ramp.json");
    let mut report = RampReport::from_json(text).expect("a ramp's report");
    let unknown = Finding::from_text(FindingKind::Other("cost".to_owned()), "5 EUR".to_owned());
    let bottleneck = Finding::from_text(FindingKind::Bottleneck, "it was push".to_owned());
    report.findings.extend([unknown.clone(), bottleneck.clone()]);
    let findings = conclude_again(&report);
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind.name()).collect();
    assert_eq!(kinds, ["capacity", "sizing", "sizing", "arrival", "cost", "bottleneck"]);
    assert!(findings[0].text.starts_with("the API holds 28,803/s (at connections 10)"));
    assert_eq!(findings[4..], [unknown, bottleneck], "they cannot be made again");
    let json = serde_json::to_value(&findings).expect("plain data");
    assert_eq!(serde_json::from_value::<Vec<Finding>>(json).expect("findings"), findings);
}
