//! Steps that had too much load, and the steps after them.

use super::{example, ramp, texts, with_p99};
use crate::report::{GeneratorState, Report};

/// A run of an open loop that lost messages.
fn losing(rate: f64, lost: u64) -> Report {
    let mut report = with_p99(example::report(rate), 4_760_000.0, 1_000.0);
    report.messages.as_mut().expect("a pipeline").lost = lost;
    report
}

/// A run of an open loop whose queue grows.
fn queueing(rate: f64, per_s: u64) -> Report {
    let mut report = example::report(rate);
    for (second, row) in report.series.iter_mut().enumerate() {
        row.queue_depth = Some(per_s * second as u64);
    }
    report
}

fn limited(mut report: Report) -> Report {
    report.verdict.generator = GeneratorState::Limited;
    report
}

#[test]
fn lost_messages_and_a_growing_queue_break_arrival() {
    let calm = example::report;
    let slow = |rate| with_p99(calm(rate), 3_300_000.0, 1_000.0);
    let few = |mut report: Report| {
        report.arrival.as_mut().expect("a pipeline").p99 = None;
        report
    };
    let response = "although the response does not: its p99 goes from 1.00ms to 1.00ms";
    let never = "arrival holds at no step that can be judged: at rate 1000 (1,000/s)";
    for (steps, expected) in [
        (
            vec![(300.0, calm(300.0)), (1e3, losing(1e3, 2_697))],
            format!(
                "arrival breaks between rate 300 (300/s) and rate 1000 (1,000/s): its p99 goes from 2.00ms \
                 to 4.76s and 2,697 messages are lost, {response}"
            ),
        ),
        (
            vec![(300.0, calm(300.0)), (600.0, queueing(600.0, 200))],
            format!(
                "arrival breaks between rate 300 (300/s) and rate 600 (600/s): its p99 goes from 2.00ms to \
                 2.00ms and the queue grows by 200/s, to 800, {response}"
            ),
        ),
        (
            vec![(100.0, few(calm(100.0))), (200.0, few(losing(200.0, 1)))],
            format!(
                "arrival breaks between rate 100 (100/s) and rate 200 (200/s): 1 message is lost, {response}"
            ),
        ),
        (
            vec![(1e3, losing(1e3, 2_697)), (2e3, losing(2e3, 9_000))],
            format!("{never} 2,697 messages are lost. Add a step with less load"),
        ),
        // A limited step is not a baseline.
        (
            vec![(100.0, calm(100.0)), (200.0, limited(slow(200.0))), (300.0, slow(300.0))],
            format!(
                "arrival breaks between rate 100 (100/s) and rate 200 (200/s): its p99 goes from 2.00ms to \
                 3.30s, {response}"
            ),
        ),
        (
            vec![(100.0, limited(slow(100.0))), (200.0, calm(200.0)), (300.0, slow(300.0))],
            format!(
                "arrival breaks between rate 200 (200/s) and rate 300 (300/s): its p99 goes from 2.00ms to \
                 3.30s, {response}"
            ),
        ),
        (
            vec![(100.0, calm(100.0)), (200.0, queueing(200.0, 90)), (300.0, calm(300.0))],
            "arrival does not break up to rate 300 (300/s): its p99 is 2.00ms there, and at most 2.00ms (at \
             rate 300), although at rate 200 the queue grows by 90/s, to 360"
                .to_owned(),
        ),
    ] {
        let report = ramp("rate", steps);
        assert_eq!(texts(&report, "arrival"), [expected]);
        let bottleneck = texts(&report, "bottleneck");
        assert!(bottleneck.iter().all(|text| !text.contains("nothing broke")), "{bottleneck:?}");
    }
}

#[test]
fn a_step_that_begins_with_messages_of_earlier_steps_is_not_judged() {
    let slow = |rate: f64, foreign: u64| {
        let mut report = with_p99(example::report(rate), 4_760_000.0, 1_000.0);
        report.messages.as_mut().expect("a pipeline").foreign = foreign;
        report
    };
    let end = "Let the pipeline come to rest between steps: a longer rest or drain in the profile, or clear = true, \
               which empties the queue in a Redis of yours";
    for (foreign, queued, expected) in [
        (2_289, None, "2,289 messages of earlier steps arrived during rate 300"),
        (9_999, None, "2,697 messages of earlier steps arrived during rate 300"),
        (0, Some(1_200), "rate 300 began with 1,200 messages in the queue"),
        (2_289, Some(1), "2,289 messages of earlier steps arrived during rate 300"),
    ] {
        let steps = vec![(1e3, losing(1e3, 2_697)), (300.0, slow(300.0, foreign))];
        let mut report = ramp("rate", steps);
        let second = report.steps[1].report.as_mut().expect("a report");
        second.messages.as_mut().expect("a pipeline").queued_before = queued;
        assert_eq!(
            texts(&report, "caution"),
            [format!("{expected}: its arrival is not its own. {end}")]
        );
        let arrival = texts(&report, "arrival");
        assert!(
            arrival[0].starts_with("arrival holds at no step that can be judged: at rate 1000")
        );
    }
    // Another publisher, and hardly any.
    let other = ramp("rate", vec![(100.0, example::report(100.0)), (300.0, slow(300.0, 5_000))]);
    assert_eq!(texts(&other, "caution"), [""; 0]);
    let few = ramp("rate", vec![(1e3, losing(1e3, 2_697)), (300.0, slow(300.0, 15))]);
    assert_eq!(texts(&few, "caution"), [""; 0]);
}

#[test]
fn the_bottleneck_is_looked_for_after_the_break_too() {
    let slow = with_p99(example::report(300.0), 90_000.0, 1_000.0);
    let mut steps = vec![(200.0, example::report(200.0)), (300.0, slow)];
    let foreign = |mut report: Report| {
        report.run.services = None;
        let push = &mut report.resources[2];
        (push.processes, push.busiest_thread_percent) = (Some(1), Some(6.0));
        with_p99(report, 990_000.0, 1_000.0)
    };
    steps.push((400.0, foreign(queueing(400.0, 30))));
    steps.push((600.0, foreign(queueing(600.0, 271))));
    let report = ramp("rate", steps);
    assert!(texts(&report, "arrival")[0].starts_with("arrival breaks between rate 200"));
    assert_eq!(
        texts(&report, "bottleneck"),
        [
            "the bottleneck is push (what takes from the queue): at rate 400, the queue before it grew by 30/s, \
             to 120; its busiest thread uses 6% of a core, so no thread is CPU-bound"
        ]
    );
    let alone = ramp("rate", vec![(1e3, queueing(1e3, 585))]);
    let bottleneck = texts(&alone, "bottleneck");
    assert!(
        bottleneck[0].starts_with("the bottleneck is push: the queue before it grew by 585/s"),
        "{bottleneck:?}"
    );
}

#[test]
fn lost_messages_without_a_cause_are_not_nothing() {
    let steps = vec![(1e3, losing(1e3, 7)), (2e3, example::report(2e3))];
    assert_eq!(
        texts(&ramp("rate", steps), "bottleneck"),
        [
            "messages were lost; the busiest component at rate 2000 is api, with 40% of the time of its threads"
        ]
    );
}
