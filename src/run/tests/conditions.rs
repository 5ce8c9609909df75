//! Conditions of `--fail-if` on the numbers of a report.

use super::*;

#[test]
fn a_latency_may_be_named_by_its_short_name() {
    let conditions = ["response.p50>1us", "latency.response.p50>1us"].map(str::to_owned);
    let report = Report::from(&observations(|s| s.fail_if = conditions.to_vec()));
    let [short, whole] = &report.verdict.thresholds[..] else { panic!("two") };
    assert_eq!((short.value, short.ok), (report.latency.response.p50, false));
    assert_eq!((whole.value, whole.ok), (short.value, short.ok));
}

#[test]
fn a_condition_that_cannot_be_judged_does_not_pass() {
    let mut seen = observations(|s| s.fail_if = vec!["arrival.p99>1h".to_owned()]);
    // Enough was planned, and less arrived.
    seen.arrivals.as_mut().expect("it listens").latencies = spread(500, 300, 4_000).into();
    let report = Report::from(&seen);
    assert!(text(&report, TextOptions::default()).contains("FAILED (it was not measured)"));
    let threshold = &report.verdict.thresholds[0];
    assert_eq!((threshold.value, threshold.ok, report.verdict.pass), (None, false, false));
}

#[test]
fn conditions_name_numbers_of_the_report() {
    let check = |text: &str| check_names(&plan(|s| s.fail_if = vec![text.to_owned()]).thresholds);
    for text in [
        "arrival.p99>5ms",
        "messages.lost>0",
        "requests.status.500>0",
        "resources.api.cpu_percent_max>90",
        "stages.sent-api.p50>1ms",
        "requests.rate_achieved<23900",
        "latency.service.p99>1s",
        "service.p99>1s",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, hint) in [
        ("arival.p99>1", "arrival.p99"),
        ("p99>1", "did you mean"),
        ("response.p99.9>1", "write response.p99_9"),
        ("other.p99.9>1", "arrival.p99"),
        ("lost>0", "messages.lost"),
        ("x>0", "some that it has are"),
        ("error_rate>1%", "did you mean error_percent?"),
        ("mesages.lost>0", "messages.lost"),
        ("response.p999>1ms", "write response.p99_9"),
    ] {
        let error = check(text).expect_err(text).to_string();
        assert!(error.contains("--fail-if") && error.contains(hint), "{error}");
    }
}
