//! Nodes that are lost, a Redis that goes away, and the end by `stop`.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::{Meeting, ended, index_of};
use crate::support::{Process, eventually, run};

/// Waits until a node is at work.
fn until_it_sends(meeting: &Meeting) {
    eventually("the first second of all", || {
        (meeting.redis.len("{loadgen:f}:seconds") > 0).then_some(())
    });
}

/// Starts nodes, and kills the one with an index when two seconds are reported.
fn kill_in_the_middle(meeting: &Meeting, index: u64, words: &str) -> Vec<Process> {
    let mut nodes: Vec<_> = (0..3).map(|_| meeting.node(words)).collect();
    until_it_sends(meeting);
    sleep(Duration::from_secs(2));
    let place = nodes.iter().position(|node| index_of(node) == Some(index)).expect("its index");
    nodes.remove(place).kill();
    nodes
}

#[test]
fn what_a_killed_node_did_is_kept_and_the_rest_is_named() {
    let Some(meeting) = Meeting::start() else { return };
    for killed in [2, 0] {
        let nodes = kill_in_the_middle(&meeting, killed, "-R 300 -d 6s --nodes 3");
        let all = ended(nodes);
        // A limited generator is allowed in tests: the report says it.
        assert!(all[0].stdout.contains("PARTIAL") && all[0].stdout.contains("lost at"), "{all:?}");
        let report = meeting.report();
        let lost = &report.nodes()[killed as usize];
        let sent = lost["sent"].as_u64().expect("a count");
        assert!((100..500).contains(&sent), "two to four seconds at 100/s: {lost}");
        assert_eq!(lost["unaccounted"], 600 - sent);
        assert_eq!(report.count("/requests/sent"), 1_200 + sent);
        let answered = lost["completed"].as_u64().expect("a count");
        assert_eq!(report.count("/latency/response/count"), 1_200 + answered);
        let reasons = report.verdict("reasons");
        assert!(reasons[0].starts_with(&format!("PARTIAL: node {killed} (")), "{reasons:?}");
        assert_eq!(report.0["run"]["partial"], true);
        meeting.redis.cli(&["FLUSHALL"]);
    }
}

#[test]
fn the_other_nodes_stop_if_they_are_told_to() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 300 -d 60s --nodes 3 --on-lost stop";
    let all = ended(kill_in_the_middle(&meeting, 1, words));
    assert!(all.iter().all(|node| node.code == Some(130)), "{all:?}");
    assert_eq!(meeting.report().0["run"]["interrupted"], true);
}

#[test]
fn a_redis_that_is_away_for_seconds_costs_no_slot() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 200 -d 8s --nodes 2";
    let nodes = vec![meeting.node(words), meeting.node(words)];
    until_it_sends(&meeting);
    meeting.redis.signal(Signal::STOP);
    sleep(Duration::from_secs(3));
    meeting.redis.signal(Signal::CONT);
    let all = ended(nodes);
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    let report = meeting.report();
    assert_eq!(report.count("/requests/completed"), 1_600);
    let series = report.0["series"].as_array().expect("rows");
    let known = series.iter().filter(|row| row["response_p50"].is_number()).count();
    assert!(known >= 8, "the seconds of the outage came later: {series:?}");
}

#[test]
fn a_report_that_cannot_be_handed_in_is_kept_and_can_be_merged() {
    let Some(mut meeting) = Meeting::start() else { return };
    let words = "-R 200 -d 3s --nodes 2";
    let nodes = vec![meeting.node(words), meeting.node(words)];
    until_it_sends(&meeting);
    meeting.redis.kill();
    for node in nodes {
        let finished = node.finish();
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("loadgen merge f-*.json"), "{finished:?}");
    }
    let file = |name: &str| meeting.folder.path().join(name).display().to_string();
    let merged =
        run(&format!("merge {} {} -o {}", file("f-0.json"), file("f-1.json"), file("all.json")));
    assert_eq!(merged.code, Some(0), "{merged:?}");
    assert_eq!(meeting.report().count("/requests/completed"), 600);
}

#[test]
fn stop_ends_all_nodes_with_what_they_have() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 200 -d 60s --nodes 2";
    let nodes = vec![meeting.node(words), meeting.node(words)];
    until_it_sends(&meeting);
    let redis = meeting.redis.url();
    let watch = crate::support::start(&format!("watch f --redis {redis}"));
    let stopped = run(&format!("stop f --redis {redis}"));
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let all = ended(nodes);
    assert!(all.iter().all(|node| node.code == Some(130)), "{all:?}");
    let sent = meeting.report().count("/requests/sent");
    assert!((200..6_000).contains(&sent), "{sent}");
    assert_eq!(watch.finish().code, Some(130));
    let again = run(&format!("stop f --redis {redis}"));
    assert_eq!(again.code, Some(2), "{again:?}");
}
