//! Ways to the target: TLS, HTTP/2, unix sockets, other addresses, proxies, redirects, and connections
//! that are not kept.

pub(crate) mod authority;
mod elsewhere;
mod keepalive;
mod nginx;
mod server;
mod tls;

use crate::support::{JsonReport, loadgen, report_of, run};

/// Runs to the end, which must succeed with all requests answered with this status.
#[track_caller]
fn answered(words: &str, count: u64, status: u16) -> JsonReport {
    let (finished, report) = report_of(words, |_| ());
    assert_eq!(finished.code, Some(0), "{words}: {finished:?}");
    assert_all(&report, count, status);
    report
}

#[track_caller]
fn assert_all(report: &JsonReport, count: u64, status: u16) {
    for same in ["planned", "sent", "completed", &format!("status.{status}")] {
        assert_eq!(report.count(&format!("requests.{same}")), count, "{same}: {}", report.json());
    }
}

/// Error of a run that cannot start: one line.
#[track_caller]
fn complaint(words: &str) -> String {
    let finished = run(words);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{words}: {finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{words}: {finished:?}");
    finished.stderr
}
