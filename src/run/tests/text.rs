//! The text of a run and of a ramp.

use super::*;

#[test]
fn text_of_a_troubled_run() {
    let conditions = |s: &mut Settings| {
        s.fail_if = vec!["messages.lost>0".to_owned(), "latency.response.p99>5ms".to_owned()];
    };
    let report = Report::from(&observations(conditions));
    assert_snapshot!(
        "troubled_text",
        text(&report, TextOptions { latency: true, ..TextOptions::default() })
    );
}

#[test]
fn text_of_a_plain_closed_loop() {
    let closed = |s: &mut Settings| {
        (s.rate, s.connections) = (None, Some(10));
        s.url = Some("http://127.0.0.1:8080/".to_owned());
    };
    let mut seen = observations(closed);
    (seen.arrivals, seen.stack, seen.stages, seen.ended_components) =
        (None, Stack::default(), Vec::new(), Vec::new());
    assert_snapshot!("closed_text", text(&Report::from(&seen), TextOptions::default()));
}

#[test]
fn text_of_a_ramp() {
    assert_snapshot!("ramp_text", ramp_text(&ramp(), TextOptions::default()));
}

/// Sentences are as long as they are, and a terminal breaks them; a table that is broken cannot be read.
#[test]
fn the_text_fits_a_terminal_of_80_columns() {
    let mut seen = observations(|s| s.rate = "9999999".parse().ok());
    let counters = &mut seen.load.counters;
    (counters.planned, counters.sent, counters.completed) = (9_999_999, 9_999_999, 9_999_999);
    seen.arrivals.as_mut().expect("it listens").account.arrived = 9_999_999;
    let text = text(&Report::from(&seen), TextOptions { latency: true, ..TextOptions::default() });
    let is_sentence =
        |line: &&str| ["  Note", "  Fail if", "  Stack"].iter().any(|name| line.starts_with(name));
    for line in text.lines().filter(|line| !is_sentence(line)) {
        assert!(line.chars().count() <= 80, "{line}\n{text}");
    }
}
