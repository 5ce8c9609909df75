//! `loadgen merge`: what is added, what is refused, and what a missing part does.

use crate::config::plan::ScriptPlan;
use crate::config::settings::NodeShare;
use crate::core::distribution::Latencies;
use crate::output::forms::{Document, Form};
use crate::output::{TextOptions, text};
use crate::report::{MergeError, Messages, Named, Remark, Report, merge, sentences};
use proptest::prelude::*;

use super::{check_schema, micros, observations};

/// Node `index` of `count`: it began a little later than the one before it.
fn part(index: u64, count: u64) -> Named {
    let mut seen = observations(|s| {
        s.node = Some(NodeShare { index, count });
        s.fail_if = vec!["messages.lost>4".to_owned()];
    });
    seen.run_id = format!("run-{index}");
    seen.ended_components.clear();
    seen.started_at += std::time::Duration::from_millis(3 * index);
    seen.clock.start_us = seen.clock.start_us.map(|us| us + 3_000 * index);
    (format!("{index}.json"), Report::from(&seen))
}

fn parts(indices: &[u64], count: u64) -> Vec<Named> {
    indices.iter().map(|index| part(*index, count)).collect()
}

fn merged(parts: Vec<Named>) -> Report {
    merge(parts).expect("parts of one load")
}

#[test]
fn time_in_scripts_is_summed_over_all_nodes() {
    let part = |index| {
        let mut seen = observations(|s| s.node = Some(NodeShare { index, count: 2 }));
        seen.run_id = format!("run-{index}");
        let file = "post.lua".into();
        let (source, args) = (Vec::new(), Vec::new());
        seen.plan.script = Some(ScriptPlan { file, source, args, method: None, url: None });
        (format!("{index}.json"), Report::from(&seen))
    };
    let parts = vec![part(0), part(1)];
    let one = parts[0].1.script.clone().expect("a script");
    // 1.5 ms, by two threads that sent and were answered for 1.0009 s.
    assert_eq!((one.time_s, one.time_percent, one.unnumbered), (0.0015, 0.07, 1_998));
    assert_eq!(one.per_request_us, Some(0.751));
    let all = merged(parts).script.expect("a script");
    assert_eq!((all.time_s, all.time_percent, all.unnumbered), (0.003, 0.07, 3_996));
    assert_eq!(all.per_request_us, one.per_request_us);
}

#[test]
fn machines_of_all_nodes_and_labels_in_common_are_kept() {
    let part = |index, host: &str| {
        let mut seen = observations(|s| {
            s.node = Some(NodeShare { index, count: 2 });
            s.labels = vec!["commit=1eb6622".to_owned(), format!("node={index}")];
        });
        seen.run_id = format!("run-{index}");
        seen.machine.facts.name = Some(host.to_owned());
        (format!("{index}.json"), Report::from(&seen))
    };
    let all = merged(vec![part(0, "one"), part(1, "two")]);
    let machines = all.run.parts.as_ref().map(|parts| &parts.machines).expect("parts");
    let hosts: Vec<_> = machines.iter().filter_map(|machine| machine.host.as_deref()).collect();
    assert_eq!(hosts, ["one", "two"]);
    assert_eq!(all.run.labels, [("commit".to_owned(), "1eb6622".to_owned())].into());
    assert_eq!(all.generator.as_ref().and_then(|sum| sum.host.clone()), None);
    let shown = text(&all, TextOptions::default());
    assert!(shown.contains("\n  Machine   one: ") && shown.contains(" and two: "), "{shown}");
    assert!(shown.contains("\n  Labels    commit=1eb6622\n"), "{shown}");
    assert_eq!(check_schema(&all), Ok(()));
}

#[test]
fn counts_are_added() {
    let (_, one) = part(0, 2);
    let all = merged(parts(&[1, 0], 2));
    let twice = |of: fn(&Report) -> u64| assert_eq!(of(&all), 2 * of(&one));
    twice(|r| r.requests.planned);
    twice(|r| r.requests.sent);
    twice(|r| r.requests.dropped);
    twice(|r| r.requests.completed);
    twice(|r| r.requests.failed);
    twice(|r| r.requests.errors.timeout);
    twice(|r| r.requests.status["503"]);
    twice(|r| r.requests.bytes_read);
    twice(|r| r.run.connections);
    twice(|r| r.latency.lateness.count);
    twice(|r| r.stages[0].distribution.count);
    let messages = |of: fn(&Messages) -> u64| {
        let count = |report: &Report| of(report.messages.as_ref().expect("it listened"));
        assert_eq!(count(&all), 2 * count(&one));
    };
    messages(|m| m.accepted);
    messages(|m| m.arrived);
    messages(|m| m.lost);
    messages(|m| m.unknown);
    assert_eq!(all.run.rate_target.map(|rate| rate / 2.0), one.run.rate_target);
    // The second began 3 ms after the first.
    assert_eq!(all.run.duration_s, 1.003);
    assert_eq!(all.run.started_at, one.run.started_at);
    assert_eq!(all.run.clock.start_us, one.run.clock.start_us);
    assert_eq!(all.requests.rate_achieved, (all.requests.sent as f64 / 1.003 * 1e3).round() / 1e3);
    assert_eq!(all.run.id, "run-0+run-1");
    assert!(one.run.command.contains("--node 0/2") && !all.run.command.contains("--node"));
    assert_eq!(all.run.command.len() + " --node 0/2".len(), one.run.command.len());
}

#[test]
fn threads_of_all_nodes_share_one_mean_and_deviation() {
    let mut two = parts(&[0, 1], 2);
    two[0].1.requests.per_thread.mean = Some(100.0);
    two[1].1.requests.per_thread.mean = Some(200.0);
    for (_, report) in &mut two {
        report.requests.per_thread.stdev = Some(0.0);
    }
    let rates = merged(two).requests.per_thread;
    assert_eq!((rates.mean, rates.stdev), (Some(150.0), Some(50.0)));
}

#[test]
fn seconds_are_added_and_components_are_listed() {
    let mut two = parts(&[0, 1], 2);
    let mut later = two[1].1.series[0].clone();
    (later.t_s, later.queue_depth) = (2.0, Some(9));
    two[1].1.series.push(later);
    let (_, one) = part(0, 2);
    let all = merged(two);
    let rows: Vec<_> = all.series.iter().map(|r| (r.t_s, r.sent, r.queue_depth)).collect();
    let sent = one.series[0].sent;
    assert_eq!(rows, [(1.0, 2 * sent, Some(4)), (2.0, sent, Some(9))]);
    assert_eq!(all.series[0].response_p50, None, "percentiles cannot be added");
    let components: Vec<_> = all.resources.iter().map(|r| r.component.as_str()).collect();
    assert_eq!(components, ["generator@0", "redis@0", "generator@1", "redis@1"]);
}

#[test]
fn the_worst_verdict_applies_to_the_sum() {
    let all = merged(parts(&[0, 1], 2));
    assert_eq!((all.verdict.generator.is_valid(), all.verdict.pass), (true, true));
    let mut late = parts(&[0, 1], 2);
    late[1].1.verdict.generator = crate::report::GeneratorState::Limited;
    late[1].1.verdict.reasons = vec![Remark::from_text("too busy")];
    let all = merged(late);
    assert_eq!((all.verdict.generator.is_valid(), all.verdict.pass), (false, false));
    assert_eq!(sentences(&all.verdict.reasons), ["node 1: too busy"]);
    // Both nodes lost two messages each: no part has more than four, nor have both; three have.
    let all = merged(parts(&[0, 1, 2], 3));
    assert_eq!((all.verdict.thresholds[0].value, all.verdict.pass), (Some(6.0), false));
    // A condition that held in a part fails the whole with the part's number.
    let mut failed = parts(&[0, 1], 2);
    let threshold = &mut failed[0].1.verdict.thresholds[0];
    (threshold.ok, threshold.value) = (false, Some(77.0));
    let all = merged(failed);
    assert_eq!((all.verdict.thresholds[0].value, all.verdict.pass), (Some(77.0), false));
    // What all nodes say is said once.
    let mut notes = all.verdict.notes;
    notes.retain(|note| note.code() != "arrivals_multiplied");
    assert_eq!(notes, part(0, 2).1.verdict.notes);
}

#[test]
fn a_failed_node_fails_the_sum() {
    let mut parts = parts(&[0, 1], 2);
    parts[1].1.verdict.failures = vec![Remark::from_text("push ended: signal: 9. Look at it")];
    let all = merged(parts);
    assert_eq!(sentences(&all.verdict.failures), ["node 1: push ended: signal: 9. Look at it"]);
    assert!(!all.verdict.pass);
    let text = text(&all, TextOptions::default());
    assert!(text.ends_with("\nRESULT  FAILED (node 1: push ended), exit 1\n"), "{text}");
}

#[test]
fn a_sum_without_arrivals_fails() {
    let mut parts = parts(&[0, 1], 2);
    for (_, report) in &mut parts {
        let messages = report.messages.as_mut().expect("it listened");
        messages.lost = messages.accepted;
        (messages.arrived, messages.unexpected) = (0, 0);
    }
    let all = merged(parts);
    assert_eq!(all.verdict.failures.len(), 1, "{:?}", all.verdict.failures);
    assert!(
        all.verdict.failures[0].to_string().starts_with("nothing arrived: "),
        "{:?}",
        all.verdict.failures
    );
    assert!(!all.verdict.pass);
}

#[test]
fn a_missing_part_is_noted_in_every_form() {
    let all = merged(parts(&[0, 2], 3));
    assert!(all.run.partial);
    assert_eq!((all.verdict.generator.is_valid(), all.verdict.pass), (false, false));
    assert_eq!(sentences(&all.verdict.reasons), ["PARTIAL: the report of node 1 of 3 is missing"]);
    for (form, part) in [
        (Form::Text, "Parts     node 0, 2 of 3: PARTIAL"),
        (Form::Markdown, "PARTIAL: the report of node 1 of 3 is missing"),
        (Form::Junit, "PARTIAL: the report of node 1 of 3 is missing"),
        (Form::Json, "\"partial\": true"),
    ] {
        let text = Document::Run(&all).render(form, TextOptions::default()).expect("a form");
        assert!(text.contains(part), "{form:?}: {text}");
    }
    let whole = merged(parts(&[0, 1], 2));
    assert!(!whole.run.partial);
    let text = Document::Run(&whole).render(Form::Text, TextOptions::default()).expect("text");
    assert!(
        text.contains(
            "Parts     node 0, 1 of 2; started within 3.00ms by the time of their Redis\n"
        ),
        "{text}"
    );
}

#[test]
fn merged_reports_match_the_schema() {
    assert_eq!(check_schema(&merged(parts(&[0, 1], 2))), Ok(()));
    assert_eq!(check_schema(&merged(parts(&[1], 2))), Ok(()));
    assert_eq!(check_schema(&part(1, 2).1), Ok(()));
}

#[test]
fn reports_that_are_not_parts_of_one_load_are_refused() {
    let with = |change: fn(&mut Report)| {
        let mut two = parts(&[0, 1], 2);
        change(&mut two[1].1);
        merge(two).expect_err("it is not another part").to_string()
    };
    type Change = fn(&mut Report);
    let cases: [(Change, &str); 15] = [
        (|r| r.run.node = None, "1.json is not of a run with --node"),
        (
            |r| r.run.node.as_mut().expect("a part").index = 0,
            "0.json and 1.json are both of node 0",
        ),
        (|r| r.run.node.as_mut().expect("a part").count = 3, "nodes 2 and 3"),
        (|r| r.run.rate_target = Some(7.0), "share of the rate"),
        (|r| r.run.mode = crate::report::LoopMode::Closed, "mode open and closed"),
        (|r| r.run.target = "http://other/".to_owned(), "http://other/"),
        (|r| r.run.connections = 1, "connections"),
        (|r| r.run.threads = 3, "threads"),
        (|r| r.run.id = "run-0".to_owned(), "both are of run run-0"),
        (|r| r.arrival = None, "listening true and false"),
        (|r| r.verdict.thresholds.clear(), "--fail-if"),
        (|r| r.run.command += " --timeout 3s", "--timeout 3s"),
        (
            |r| r.run.clock.start_us = r.run.clock.start_us.map(|us| us + 5_000_000),
            "they did not run at the same time: by the time of their Redis, node 1 began 5.0 s after \
             node 0, which sent for 1.0 s",
        ),
        (
            |r| {
                r.run.clock.server = None;
                r.run.started_at = "2026-11-23T03:13:20.123Z".to_owned();
            },
            "at the same time: by their own clocks, node 1 began 3600.0 s after node 0",
        ),
        (|r| r.latency.service.hdr = "?".to_owned(), "1.json: a histogram cannot be read"),
    ];
    for (change, part) in cases {
        let error = with(change);
        assert!(error.contains(part), "'{part}' is missing: {error}");
    }
    let again = vec![("all.json".to_owned(), merged(parts(&[0, 1], 2))), part(1, 2)];
    assert_eq!(merge(again), Err(MergeError::Merged("all.json".to_owned())));
}

/// Node 1 starts later by so much, in microseconds of the common Redis, after `change`.
fn later_by(us: u64, change: fn(&mut Report)) -> Report {
    let mut two = parts(&[0, 1], 2);
    for (_, report) in &mut two {
        report.run.duration_s = 20.0;
        change(report);
    }
    two[1].1.run.clock.start_us = two[0].1.run.clock.start_us.map(|start| start + us);
    merged(two)
}

#[test]
fn starts_far_apart_in_redis_time_make_the_sum_limited() {
    for (us, limited, sentence) in [
        (9_000, false, None),
        (15_000, false, Some("node 1 started 15.0ms after node 0 by the time of their Redis")),
        // One percent of 20 s.
        (199_000, false, Some("node 1 started 199ms after node 0")),
        (201_000, true, Some("node 1 started 201ms after node 0")),
        (
            2_000_000,
            true,
            Some("node 1 started 2.0 s after node 0 by the time of their Redis: together"),
        ),
    ] {
        let all = later_by(us, |_| ());
        let verdict = &all.verdict;
        assert_eq!(!verdict.generator.is_valid(), limited, "{us}");
        let place = if limited { &verdict.reasons } else { &verdict.notes };
        let place = sentences(place);
        let said = place.iter().find(|text| text.starts_with("node 1 started"));
        assert_eq!(said.is_some(), sentence.is_some(), "{us}: {verdict:?}");
        assert!(said.zip(sentence).is_none_or(|(said, part)| said.starts_with(part)), "{said:?}");
        let parts = all.run.parts.as_ref().expect("it was merged");
        assert_eq!(
            (parts.start_skew_us, parts.start_clock),
            (Some(us), crate::report::StartClock::Redis)
        );
        assert_eq!(all.run.duration_s, 20.0 + us as f64 / 1e6);
        assert_eq!(check_schema(&all), Ok(()));
    }
}

#[test]
fn wall_clocks_are_compared_only_without_a_common_redis() {
    // The wall clocks agree to 3 ms, and one of them is wrong.
    let another = |r: &mut Report| {
        if r.run.node.is_some_and(|node| node.index == 1) {
            r.run.clock.server = Some("another".to_owned());
        }
    };
    for change in [another, |r: &mut Report| r.run.clock.server = None] {
        let all = later_by(2_000_000, change);
        assert!(all.verdict.generator.is_valid());
        let text = Document::Run(&all).render(Form::Text, TextOptions::default()).expect("text");
        assert!(text.contains("started within 3.00ms by their own clocks\n"), "{text}");
        assert_eq!((all.run.clock.start_us, &all.run.clock.server), (None, &None));
    }
    // The wall clocks are hours apart, and the nodes ran together.
    let mut two = parts(&[0, 1], 2);
    two[1].1.run.started_at = "2026-11-23T05:13:20.123Z".to_owned();
    assert!(merged(two).verdict.generator.is_valid());
}

#[test]
fn impossible_starts_do_not_panic() {
    for start_us in [0, u64::MAX] {
        let mut two = parts(&[0, 1], 2);
        two.iter_mut().for_each(|(_, report)| report.run.clock.start_us = Some(start_us));
        two[1].1.run.duration_s = 1e19;
        let _ = merge(two);
    }
}

#[test]
fn merged_stages_are_as_coarse_as_the_coarsest_clock() {
    let mut two = parts(&[0, 1], 2);
    two[1].1.run.clock.error_bound_us = Some(40.0);
    let all = merged(two);
    assert_eq!(all.run.clock.error_bound_us, Some(40.0));
    let stage = |to: &str| {
        &all.stages.iter().find(|s| s.to.to_string() == to).expect("a stage").distribution
    };
    assert_eq!(stage("api").max.map(|max| max % 40.0), Some(0.0));
    // The generator's own moments need no common clock.
    assert_eq!(stage("answered").max, part(0, 2).1.stages[2].distribution.max);
}

proptest! {
    // Each case decodes some twenty histograms.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_merged_histogram_is_that_of_all_values(
        a in prop::collection::vec(1u64..5_000_000, 0..300), b in prop::collection::vec(1u64..5_000_000, 0..300),
    ) {
        let of = |values: &[u64]| {
            let mut latencies = Latencies::default();
            values.iter().for_each(|value| latencies.record(micros(*value)));
            latencies
        };
        let mut two = parts(&[0, 1], 2);
        for ((_, report), values) in two.iter_mut().zip([&a, &b]) {
            report.latency.response = (&of(values)).into();
        }
        let union = of(&[a, b].concat());
        let (sum, expected) = (merged(two).latency.response, (&union).into());
        let histogram = |q: &crate::report::Distribution| {
            let steps: Vec<_> = Latencies::from_hdr(&q.hdr).expect("HDR").spectrum().collect();
            (q.count, q.p50, q.p99, steps)
        };
        prop_assert_eq!(histogram(&sum), histogram(&expected));
    }
}

#[test]
fn an_unknown_share_is_not_printed_as_nan() {
    let text = text(&merged(parts(&[0, 1], 2)), TextOptions::default());
    let rates = text.lines().find(|line| line.starts_with("    Req/Sec")).expect("wrk's line");
    assert!(rates.trim_end().ends_with(" n/a") && !text.contains("nan"), "{text}");
}
