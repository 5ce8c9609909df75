//! Whole runs through api, Redis, push, broker and subscriber, and what their reports say.

mod account;
mod dropped;
mod embedded;
mod ids;
mod missed;
mod nodes;
mod other_user;
mod outages;
mod places;
mod processes;
mod queue_depth;
mod requests;
mod settings;
mod stamps;
mod tls;
mod unjoined;

use serde_json::json;

use crate::support::{
    JsonReport, child_called, command_line, eventually, report_of, require_stack,
};

const STAGES: [(&str, &str); 9] = [
    ("due", "sent"),
    ("sent", "api"),
    ("api", "queued"),
    ("queued", "popped"),
    ("popped", "published"),
    ("published", "arrived"),
    ("sent", "arrived"),
    ("api", "arrived"),
    ("sent", "answered"),
];

/// Everything that was planned went all the way, and every part of the report says the same.
#[track_caller]
fn assert_whole(report: &JsonReport, planned: Option<u64>) {
    let sent = report.count("requests.sent");
    assert_eq!(sent, planned.unwrap_or(sent), "{report:?}");
    assert!(sent > 0);
    for same in ["requests.planned", "requests.completed", "requests.status.200"] {
        assert_eq!(report.count(same), sent, "{same}");
    }
    for same in ["messages.accepted", "messages.arrived", "arrival.count"] {
        assert_eq!(report.count(same), sent, "{same}");
    }
    for none in ["dropped", "failed", "unfinished"] {
        assert_eq!(report.count(&format!("requests.{none}")), 0, "{none}");
    }
    for none in ["lost", "duplicated", "unknown", "unexpected"] {
        assert_eq!(report.count(&format!("messages.{none}")), 0, "{none}");
    }
    assert_series_adds_up(report);
}

#[track_caller]
fn assert_series_adds_up(report: &JsonReport) {
    for (column, total) in [
        ("sent", "requests.sent"),
        ("completed", "requests.completed"),
        ("failed", "requests.failed"),
        ("arrived", "messages.arrived"),
    ] {
        let rows = report.list("series").iter();
        let sum: u64 = rows.map(|row| row[column].as_u64().expect("a count")).sum();
        assert_eq!(sum, report.count(total), "the rows' {column}");
    }
}

/// Each stage is there, with the time of `sampled` messages.
#[track_caller]
fn assert_stages(report: &JsonReport, sampled: u64) {
    let stages = report.list("stages").iter();
    let seen: Vec<_> = stages.map(|s| json!([s["from"], s["to"], s["count"]])).collect();
    assert_eq!(seen, STAGES.map(|(from, to)| json!([from, to, sampled])));
}

fn components(report: &JsonReport) -> Vec<&str> {
    report.list("resources").iter().filter_map(|row| row["component"].as_str()).collect()
}

/// A run with a stack of its own that must lose nothing. `told` are words that a child is started
/// with, to see that a setting reaches it.
#[track_caller]
fn deliver(words: &str, planned: Option<u64>, told: &[(&str, &str)]) -> Option<JsonReport> {
    if !require_stack() {
        return None;
    }
    let (finished, report) = report_of(words, |process| {
        for (child, wanted) in told {
            eventually(&format!("a child {child} with '{wanted}'"), || {
                let words = command_line(child_called(process.pid(), child)?);
                // `--workers 3` is one word of a child's command line: `--workers=3`.
                let mut flags = wanted.split(" --").map(|flag| flag.trim_start_matches("--"));
                flags
                    .all(|flag| words.contains(&format!("--{}", flag.replace(' ', "="))))
                    .then_some(())
            });
        }
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, planned);
    Some(report)
}
