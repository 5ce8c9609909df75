//! Requests that overload keeps from being sent: they count in arrival as in response.

use rustix::process::Signal;

use crate::support::{child_called, eventually, report_of, require_stack, signal_to};

#[test]
fn dropped_requests_count_in_arrival_with_their_age() {
    if !require_stack() {
        return;
    }
    let words = "-R 400 -d 2s -c 4 --max-in-flight 4 --allow-failed";
    let (finished, report) = report_of(words, |process| {
        let api = eventually("the api", || child_called(process.pid(), "api"));
        std::thread::sleep(std::time::Duration::from_millis(800));
        signal_to(api, Signal::STOP);
        std::thread::sleep(std::time::Duration::from_millis(400));
        signal_to(api, Signal::CONT);
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let dropped = report.count("requests.dropped");
    assert!(dropped > 0, "{report:?}");
    let arrived = report.count("messages.arrived");
    assert_eq!((report.count("messages.lost"), report.count("requests.failed")), (0, 0));
    assert_eq!(report.count("arrival.count"), arrived + dropped);
    assert_eq!(
        report.count("latency.response.count"),
        report.count("requests.completed") + dropped
    );
    let bounds = report.list("arrival.at_least");
    assert!(bounds.iter().any(|name| name == "max"), "what was dropped has no end: {bounds:?}");
    assert!(finished.stdout.contains("> "), "{}", finished.stdout);
}
