//! The user's limits on a run hold, and what they cut off is counted.

use std::time::Duration;

use crate::support::{Act, OK, SLACK, Target, report_from_stdout, run_json};

#[test]
fn slots_beyond_max_in_flight_are_dropped_and_counted() {
    for engine in ["raw", "reqwest"] {
        let target = Target::always(Act::Silence);
        let args = "-R 200 -n 100 -c 32 -t 2 --max-in-flight 8 -T 30s --drain 100ms";
        let report = report_from_stdout(&format!("--engine {engine} {args} {}", target.url()));
        let r = &report.requests;
        assert_eq!((r.planned, r.unfinished, r.dropped), (100, 8, 92), "{engine}: {r:?}");
        assert!(target.most_busy() <= 8, "{engine}: {} at once", target.most_busy());
        // Each counts as long as the oldest in flight has waited: half of them 200 ms and more.
        let response = &report.latency.response;
        assert!(response.p50 >= Some(200_000.0), "{engine}: {response:?}");
        let told = report
            .verdict
            .notes
            .iter()
            .any(|n| n.to_string().contains("dropped at --max-in-flight"));
        assert!(told, "{:?}", report.verdict);
    }
}

#[test]
fn requests_in_the_backlog_count_as_in_flight() {
    let target = Target::always(Act::SayAfter(Duration::from_millis(50), OK));
    let args = "-R 200 -n 100 -c 2 -t 1 --max-in-flight 6";
    let report = report_from_stdout(&format!("{args} {}", target.url()));
    let r = &report.requests;
    assert!(r.dropped > 0 && r.failed == 0 && r.unfinished == 0, "{r:?}");
    assert_eq!(r.completed, target.requests().len() as u64);
    assert!(target.most_busy() <= 2);
    assert!(report.series.iter().all(|row| row.in_flight <= 6), "{:?}", report.series);
}

#[test]
fn a_count_of_requests_is_sent_exactly() {
    for (load, engine) in
        [("", "raw"), ("-R 500", "raw"), ("", "reqwest"), ("-R 500 --arrivals poisson", "reqwest")]
    {
        let target = Target::always(Act::Say(OK));
        let args = format!("--engine {engine} {load} -n 101 -c 7 -t 2 {}", target.url());
        let report = report_from_stdout(&args);
        assert_eq!((report.requests.planned, report.requests.completed), (101, 101), "{args}");
        assert_eq!(target.requests().len(), 101, "{args}");
        assert!(target.most_busy() <= 7, "{args}: {}", target.most_busy());
    }
}

#[test]
fn a_closed_loop_ends_after_its_duration_and_drain() {
    for engine in ["raw", "reqwest"] {
        let target = Target::always(Act::SayAfter(Duration::from_millis(200), OK));
        let ran = run_json(&format!("--engine {engine} -d 500ms -c 3 {}", target.url()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let r = ran.report().requests;
        // What was on the wire at the end is waited for, and nothing is sent after it.
        assert!(r.completed == r.sent && (3..=9).contains(&r.sent), "{engine}: {r:?}");
        assert!(ran.took < Duration::from_millis(700) + SLACK, "{ran:?}");
    }
}

#[test]
fn a_warm_up_is_sent_and_not_measured() {
    for engine in ["raw", "reqwest"] {
        // One worker numbers its messages: the first 50 are due in the warm-up.
        let target = Target::scripted(|request| match request.body.parse() {
            Ok(0..50) => Act::Say(b"HTTP/1.1 503 Wait\r\nContent-Length: 0\r\n\r\n"),
            _ => Act::Say(OK),
        });
        let args = "-R 100 --warmup 500ms -d 500ms -t 1 -c 8 -b {{seq}}";
        let report = report_from_stdout(&format!("--engine {engine} {args} {}", target.url()));
        let r = &report.requests;
        assert_eq!((r.planned, r.status.get("200")), (50, Some(&50)), "{engine}: {r:?}");
        assert_eq!(r.status.get("503"), None, "{engine}: {r:?}");
        assert_eq!(target.requests().len(), 100, "{engine}");
        assert!((0.45..0.95).contains(&report.run.duration_s), "{:?}", report.run);
    }
}

#[test]
fn a_warm_up_does_not_reduce_the_count_of_requests() {
    let target = Target::always(Act::SayAfter(Duration::from_millis(5), OK));
    let report = report_from_stdout(&format!("--warmup 300ms -n 20 -c 2 {}", target.url()));
    assert_eq!(report.requests.completed, 20);
    assert!(target.requests().len() > 20, "{}", target.requests().len());
}
