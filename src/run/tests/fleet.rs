//! Merged reports of fleets: lost nodes, seconds with percentiles, starts, and the nodes beside each other.

use crate::config::settings::NodeShare;
use crate::core::units::format_count;
use crate::output::forms::{Document, Form};
use crate::output::{TextOptions, text};
use crate::report::merge::{FleetParts, LostNode, merge_fleet};
use crate::report::{
    Distribution, Latency, Membership, MergeError, Node, Report, Row, StartClock, Verdict,
    sentences,
};

use super::{check_schema, observations, spread};

/// When the fleet starts, in microseconds since 1970.
const START_US: u64 = 1_764_000_000_000_000;

/// Node `index` of `count` in a fleet, with two threads on a host of its own. It starts 1 ms after the one before it.
fn node(index: u64, count: u64) -> Report {
    let mut seen = observations(|s| s.node = Some(NodeShare { index, count }));
    seen.run_id = format!("run-{index}");
    seen.ended_components.clear();
    seen.machine.facts.name = Some(format!("web-{index}"));
    let mut report = Report::from(&seen);
    report.run.node = Some(Node {
        index,
        count,
        first_worker: Some(2 * index),
        workers: Some(2 * count),
        own_topics: false,
    });
    report.run.fleet = Some(Membership {
        name: "smoke-17".to_owned(),
        server: Some("f1ee7".to_owned()),
        start_us: START_US + 1_000 * index,
        clock_bound_us: 100.0 + 10.0 * index as f64,
        shared_arrivals: None,
    });
    report.tool.revision = None;
    report
}

/// A node that fell silent, with the report that its last heartbeat gives.
fn lost(index: u64, count: u64) -> LostNode {
    let whole = node(index, count);
    let mut report = Report {
        run: whole.run,
        requests: whole.requests,
        latency: Latency { response: whole.latency.response, ..Latency::default() },
        messages: whole.messages,
        arrival: whole.arrival,
        verdict: Verdict::default(),
        ..Report::default()
    };
    report.run.started_at.clear();
    LostNode {
        index,
        host: format!("web-{index}"),
        silent_since_s: 41.23,
        because: None,
        unaccounted: Some(233_100),
        report: Some(report),
    }
}

fn fleet(reports: Vec<Report>, lost: Vec<LostNode>) -> FleetParts {
    let named = |report: Report| {
        let index = report.run.node.map_or(0, |node| node.index);
        (format!("node {index}"), report)
    };
    FleetParts { parts: reports.into_iter().map(named).collect(), lost, seconds: Vec::new() }
}

fn nodes(indices: std::ops::Range<u64>, count: u64) -> Vec<Report> {
    indices.map(|index| node(index, count)).collect()
}

fn merged(fleet: FleetParts) -> Report {
    let report = merge_fleet(fleet).expect("nodes of one fleet");
    assert_eq!(check_schema(&report), Ok(()));
    assert_eq!(Report::from_json(&report.to_json()).expect("our own"), report);
    report
}

fn refused(reports: Vec<Report>, lost: Vec<LostNode>) -> String {
    merge_fleet(fleet(reports, lost)).expect_err("not one load").to_string()
}

fn codes(report: &Report) -> Vec<&str> {
    report.verdict.notes.iter().map(|note| note.code()).collect()
}

fn shown(report: &Report) -> String {
    text(report, TextOptions::default())
}

#[test]
fn nodes_of_a_fleet_may_have_different_threads() {
    let mut two = nodes(0..2, 2);
    (two[1].run.threads, two[1].run.connections) = (3, 96);
    two[1].run.rate_target = two[1].run.rate_target.map(|rate| rate * 1.5);
    for report in &mut two {
        report.run.node.as_mut().expect("a node").workers = Some(5);
    }
    let all = merged(fleet(two.clone(), Vec::new()));
    assert_eq!((all.run.threads, all.run.connections), (5, 160));
    assert_eq!((all.nodes[1].threads, all.nodes[0].threads), (Some(3), Some(2)));
    assert!(all.verdict.generator.is_valid(), "{:?}", all.verdict);

    let with = |change: fn(&mut Report)| {
        let mut two = two.clone();
        change(&mut two[1]);
        refused(two, Vec::new())
    };
    type Change = fn(&mut Report);
    let cases: [(Change, &str); 5] = [
        (|r| r.run.node.as_mut().expect("a node").first_worker = Some(1), "both have worker 1"),
        (|r| r.run.threads = 4, "worker 5 of 5 workers"),
        (
            |r| r.run.node.as_mut().expect("a node").workers = Some(6),
            "workers of all nodes 5 and 6",
        ),
        (
            |r| r.run.node.as_mut().expect("a node").workers = None,
            "workers of all nodes 5 and unkn",
        ),
        (
            |r| r.run.fleet.as_mut().expect("a fleet").name = "other".to_owned(),
            "fleet smoke-17 and",
        ),
    ];
    for (change, part) in cases {
        let error = with(change);
        assert!(error.contains(part), "'{part}' is missing: {error}");
    }
    for report in &mut two {
        let node = report.run.node.as_mut().expect("a node");
        (node.first_worker, node.workers) = (None, None);
    }
    assert!(refused(two, Vec::new()).contains("threads 2 and 3"));
}

#[test]
fn what_a_lost_node_did_is_in_the_sums_and_the_rest_is_said() {
    let all = merged(fleet(nodes(0..3, 4), vec![lost(3, 4)]));
    let one = node(0, 4);
    assert_eq!(all.requests.sent, 4 * one.requests.sent);
    assert_eq!(all.latency.response.count, 4 * one.latency.response.count);
    assert_eq!(all.latency.service.count, 3 * one.latency.service.count);
    let count = |arrival: &Option<Distribution>| arrival.as_ref().map_or(0, |all| all.count);
    assert_eq!(count(&all.arrival), 4 * count(&one.arrival));
    assert_eq!(all.run.parts.as_ref().expect("merged").nodes, [0, 1, 2]);
    assert!(all.run.partial && !all.verdict.generator.is_valid() && !all.verdict.pass);
    assert_eq!(
        sentences(&all.verdict.reasons),
        ["PARTIAL: node 3 (web-3) silent since 41.2 s; 233,100 slots not accounted for"]
    );
    assert_eq!(all.verdict.reasons[0].code(), "node_lost");
    assert!(codes(&all).contains(&"lost_numbers_incomplete"), "{:?}", all.verdict.notes);
    let row = &all.nodes[3];
    assert_eq!((row.index, row.lost_at_s, row.unaccounted), (3, Some(41.23), Some(233_100)));
    assert_eq!((row.sent, row.valid, row.lateness_p99), (one.requests.sent, false, None));
    assert_eq!((row.host.as_deref(), row.start_offset_us), (Some("web-3"), Some(3_000)));
    let text = shown(&all);
    assert!(text.contains("Parts     node 0 to 2 of 4: PARTIAL; started within"), "{text}");
    assert!(text.ends_with("\nRESULT  FAILED (partial), exit 3\n"), "{text}");
}

#[test]
fn the_plan_and_verdict_of_a_lost_node_are_not_compared() {
    let mut odd = lost(0, 3);
    let report = odd.report.as_mut().expect("a report");
    (report.run.target, report.run.threads) = ("http://other/".to_owned(), 77);
    report.run.mode = crate::report::LoopMode::Closed;
    report.verdict.reasons = vec![crate::report::Remark::from_text("too busy")];
    let all = merged(fleet(nodes(1..3, 3), vec![odd]));
    assert_eq!(all.run.target, node(1, 3).run.target);
    assert_eq!(all.verdict.reasons.len(), 1, "{:?}", all.verdict.reasons);
}

#[test]
fn lost_nodes_without_a_report_have_their_rows() {
    let silent = |index| LostNode { report: None, ..lost(index, 4) };
    let all = merged(fleet(nodes(1..3, 4), vec![silent(3), silent(0)]));
    let rows: Vec<_> = all.nodes.iter().map(|row| (row.index, row.lost_at_s.is_some())).collect();
    assert_eq!(rows, [(0, true), (1, false), (2, false), (3, true)]);
    assert_eq!((all.nodes[0].sent, all.nodes[0].threads), (0, None));
    let reasons = sentences(&all.verdict.reasons);
    assert!(reasons.len() == 2 && reasons[0].starts_with("PARTIAL: node 0 (web-0)"), "{reasons:?}");
    assert!(!codes(&all).contains(&"lost_numbers_incomplete"));
    assert_eq!(merge_fleet(fleet(Vec::new(), vec![lost(0, 1)])), Err(MergeError::NoReport));
    // One is lost, and of another nothing is known.
    let all = merged(fleet(nodes(1..3, 4), vec![silent(3)]));
    let reasons = sentences(&all.verdict.reasons);
    assert_eq!(reasons[1], "PARTIAL: the report of node 0 of 4 is missing");
}

#[test]
fn a_damaged_report_of_a_lost_node_is_not_accounted_for() {
    type Change = fn(&mut Report);
    let changes: [Change; 3] = [
        |r| r.latency.response.hdr = "?".to_owned(),
        |r| r.arrival.as_mut().expect("it listened").hdr = "AAAA".to_owned(),
        |r| r.requests.sent = r.requests.planned + 1,
    ];
    for change in changes {
        let mut damaged = lost(2, 3);
        change(damaged.report.as_mut().expect("a report"));
        let all = merged(fleet(nodes(0..2, 3), vec![damaged]));
        let planned = node(2, 3).requests.planned;
        assert_eq!((all.nodes[2].sent, all.nodes[2].unaccounted), (0, Some(233_100 + planned)));
        assert_eq!(all.requests.sent, 2 * node(0, 3).requests.sent);
    }
}

#[test]
fn a_lost_node_of_another_number_is_refused() {
    assert!(refused(nodes(0..2, 3), vec![lost(1, 3)]).contains("both of node 1"));
    assert!(refused(nodes(0..2, 3), vec![lost(2, 4)]).contains("it is node 2 of 4, not of 3"));
    let beyond = LostNode { report: None, ..lost(3, 3) };
    assert!(refused(nodes(0..2, 3), vec![beyond]).contains("it is node 3 of 3"));
}

#[test]
fn seconds_of_the_whole_fleet_have_percentiles() {
    let exact = |t_s: f64, sent: u64| Row {
        t_s,
        sent,
        completed: sent - 1,
        failed: 1,
        arrived: sent - 2,
        response_p99: Some(1_234.5),
        arrival_p50: Some(99.0),
        ..Row::default()
    };
    let mut parts = fleet(nodes(0..2, 3), vec![lost(2, 3)]);
    for (_, report) in &mut parts.parts {
        let second = Row { t_s: 2.0, sent: 10, ..report.series[0].clone() };
        report.series.push(second);
    }
    parts.seconds = vec![exact(1.02, 5_000), exact(4.0, 7)];
    let one = node(0, 3).series[0].clone();
    let all = merged(parts);
    let rows: Vec<_> = all.series.iter().map(|row| (row.t_s, row.sent, row.response_p99)).collect();
    assert_eq!(rows, [(1.0, 5_000, Some(1_234.5)), (2.0, 20, None), (4.0, 7, Some(1_234.5))]);
    let row = &all.series[0];
    assert_eq!((row.completed, row.failed, row.arrived), (4_999, 1, 4_998));
    assert_eq!((row.arrival_p50, row.arrival_p99), (Some(99.0), None));
    assert_eq!((row.in_flight, row.queue_depth), (2 * one.in_flight, one.queue_depth));
    assert_eq!(row.cpu_percent.len(), 2 * one.cpu_percent.len());
}

#[test]
fn starts_of_a_fleet_are_compared_in_the_time_of_its_redis() {
    let mut two = nodes(0..2, 2);
    two[1].run.clock.server = Some("another".to_owned());
    two[1].run.fleet.as_mut().expect("a fleet").start_us = START_US + 15_000;
    let all = merged(fleet(two.clone(), Vec::new()));
    let parts = all.run.parts.as_ref().expect("merged");
    assert_eq!((parts.start_skew_us, parts.start_clock), (Some(15_000), StartClock::Redis));
    let fleet_of_all = all.run.fleet.as_ref().expect("a fleet");
    assert_eq!((fleet_of_all.start_us, fleet_of_all.clock_bound_us), (START_US, 210.0));
    assert_eq!(fleet_of_all.server.as_deref(), Some("f1ee7"));
    // The nodes have two log servers, so the sum has no time of either.
    assert_eq!((all.run.clock.start_us, &all.run.clock.server), (None, &None));
    let sentence = "node 1 started 15.0ms ± 210µs after node 0 by the time of their Redis";
    assert!(sentences(&all.verdict.notes).contains(&sentence.to_owned()), "{:?}", all.verdict);
    let text = shown(&all);
    assert!(text.contains("started within 15.0ms ± 210µs by the time of their\n"), "{text}");
    assert_eq!(
        (all.nodes[1].start_offset_us, all.nodes[1].clock_bound_us),
        (Some(15_000), Some(110.0))
    );

    two[1].run.fleet.as_mut().expect("a fleet").server = Some("restarted".to_owned());
    let all = merged(fleet(two, Vec::new()));
    let parts = all.run.parts.as_ref().expect("merged");
    assert_eq!((parts.start_skew_us, parts.start_clock), (Some(0), StartClock::Own));
    assert_eq!(all.run.fleet.as_ref().and_then(|fleet| fleet.server.clone()), None);
}

#[test]
fn nodes_beside_each_other_are_noted() {
    let mut four = nodes(0..4, 4);
    let host = four[0].generator.as_ref().expect("a machine").host.clone();
    four[2].generator.as_mut().expect("a machine").host = host;
    let slow = (&spread(4_000, 40_000, 90_000)).into();
    for report in &mut four {
        report.run.duration_s = 20.0;
        report.arrival = Some((&spread(4_000, 100, 2_000)).into());
    }
    four[1].arrival = Some(slow);
    let all = merged(fleet(four, Vec::new()));
    let notes = sentences(&all.verdict.notes);
    for sentence in [
        "nodes 0, 2 run on one host (web-0); they share its cores and its network",
        "node 1 (web-1) differs from the others: its arrival p99 is 89.5ms, that of the others \
         1.98ms; look at its machine and its network",
    ] {
        assert!(notes.contains(&sentence.to_owned()), "{notes:?}");
    }
    let arrived = all.messages.as_ref().expect("it listened").arrived as f64;
    let per_s = format_count((arrived / all.run.duration_s * 4.0).round() as u64);
    let multiplied = format!(
        "4 nodes subscribe to all messages: the broker delivers {per_s}/s of them, 4 times the load"
    );
    assert!(notes.iter().any(|note| note.starts_with(&multiplied)), "{notes:?}");
    assert!(all.verdict.generator.is_valid(), "notes are not reasons");
    let one = merged(fleet(vec![node(0, 1)], Vec::new()));
    for code in ["nodes_share_host", "node_differs", "arrivals_multiplied"] {
        assert!(codes(&all).contains(&code) && !codes(&one).contains(&code), "{code}");
    }
}

#[test]
fn nodes_without_a_subscriber_multiply_no_arrivals() {
    let mut two = nodes(0..2, 2);
    for report in &mut two {
        (report.arrival, report.messages) = (None, None);
    }
    assert!(!codes(&merged(fleet(two, Vec::new()))).contains(&"arrivals_multiplied"));
}

/// A fleet of `count` nodes with different times, of which the third is lost.
fn large(count: u64) -> Report {
    let mut reports = Vec::new();
    for index in (0..count).filter(|index| *index != 2) {
        let mut report = node(index, count);
        report.arrival = Some((&spread(2_000, 100, 2_000 + 10 * index)).into());
        reports.push(report);
    }
    let lost = if count > 2 { vec![lost(2, count)] } else { Vec::new() };
    let mut report = merged(fleet(reports, lost));
    // It changes with each commit.
    report.tool.revision = None;
    report
}

/// The part of a text that shows nodes.
fn node_table(text: &str) -> String {
    let begin = text.find("  Nodes").expect("a table of nodes");
    text[begin..].to_owned()
}

#[test]
fn the_forms_of_a_fleet() {
    for (count, name) in [(1, "fleet_of_1"), (4, "fleet_of_4"), (40, "fleet_of_40")] {
        let text = node_table(&shown(&large(count)));
        let widest = text.lines().filter(|line| !line.starts_with("RESULT"));
        assert!(widest.clone().all(|line| line.chars().count() <= 80), "{text}");
        assert_snapshot!(name, text);
    }
    let render = |form| Document::Run(&large(4)).render(form, TextOptions::default());
    let markdown = render(Form::Markdown).expect("a form");
    let begin = markdown.find("| Nodes |").expect("a table of nodes");
    let rows: Vec<_> = markdown[begin..].lines().take(6).collect();
    assert_snapshot!("fleet_markdown", rows.join("\n"));
    if cfg!(feature = "html") {
        let page = render(Form::Html).expect("a form");
        for part in [
            "<h2>Nodes</h2>",
            ">lost at <data",
            ">41.23 s</data></span>",
            ">233,100</data> slots not accounted",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
