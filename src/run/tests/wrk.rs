//! wrk's block: held against wrk's own text to the letter, and read as the parsers of it do.

use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::output::{TextOptions, text};
use crate::report::{Distribution, PerThread, Report, Stack};
use regex::Regex;

use super::{SECOND, micros, observations, spread};

/// A closed loop of ten seconds on one server.
fn closed() -> Report {
    let mut seen = observations(|s| {
        (s.rate, s.connections) = (None, Some(2));
        s.url = Some("http://127.0.0.1:8080/x".to_owned());
    });
    (seen.arrivals, seen.stack, seen.stages) = (None, Stack::default(), Vec::new());
    let mut report = Report::from(&seen);
    report.run.target = "http://127.0.0.1:8080/x".to_owned();
    (report.run.threads, report.run.connections, report.run.duration_s) = (1, 2, 2.0);
    let requests = &mut report.requests;
    requests.errors = Default::default();
    requests.status = [("200".to_owned(), requests.completed)].into();
    report
}

/// The lines up to our own sections, wrk's `--latency` given, with their ends made visible.
fn block(report: &Report) -> String {
    let text = text(report, TextOptions { latency: true, ..TextOptions::default() });
    let (block, own) = text.split_once("\n\n").expect("our sections");
    assert!(own.contains("Generator"), "{own}");
    block.lines().map(|line| format!("{line}|\n")).collect()
}

/// A distribution with `within` of 1,000 values inside one standard deviation of the mean, and with the figures of a
/// golden text.
fn figures(
    within: u64,
    [mean, stdev, max]: [f64; 3],
    [p50, p75, p90, p99]: [f64; 4],
) -> Distribution {
    let mut all = Latencies::default();
    all.record_n(micros(60), within);
    all.record_n(micros(1_000_000), 1_000 - within);
    let mut distribution = Distribution::from(&all);
    (distribution.mean, distribution.stdev, distribution.max) =
        (Some(mean), Some(stdev), Some(max));
    (distribution.p50, distribution.p75) = (Some(p50), Some(p75));
    (distribution.p90, distribution.p99) = (Some(p90), Some(p99));
    distribution
}

fn per_thread(mean: f64, stdev: f64, max: f64, within: f64) -> PerThread {
    let some = |value: f64| Some(value);
    PerThread {
        mean: some(mean),
        stdev: some(stdev),
        max: some(max),
        within_stdev_percent: some(within),
    }
}

/// wrk 4.1.0, two connections for two seconds to a server that answers 404.
#[test]
fn a_common_run_has_the_text_of_wrk() {
    let mut report = closed();
    report.latency.service = figures(987, [63.21, 108.24, 3_540.0], [54.0, 64.0, 78.0, 240.0]);
    let requests = &mut report.requests;
    requests.per_thread = per_thread(31_420.0, 3_740.0, 40_410.0, 76.19);
    (requests.completed, requests.completed_per_s) = (65_535, 31_212.12);
    (requests.answered_after_s, requests.bytes_read) = (2.0997, 3_145_680);
    requests.status = [("404".to_owned(), 65_535)].into();
    assert_eq!(
        block(&report),
        "Running 2s test @ http://127.0.0.1:8080/x|\n  1 threads and 2 connections|\n\
         \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev|\n\
         \x20   Latency    63.21us  108.24us   3.54ms   98.70%|\n\
         \x20   Req/Sec    31.42k     3.74k   40.41k    76.19%|\n\
         \x20 Latency Distribution|\n\
         \x20    50%   54.00us|\n\
         \x20    75%   64.00us|\n\
         \x20    90%   78.00us|\n\
         \x20    99%  240.00us|\n\
         \x20 65535 requests in 2.10s, 3.00MB read|\n\
         \x20 Non-2xx or 3xx responses: 65535|\n\
         Requests/sec:  31212.12|\n\
         Transfer/sec:      1.43MB|\n"
    );
}

/// wrk 4.1.0, to a server that takes requests and never answers. Only the percentiles differ: wrk calls
/// them 0.00us.
#[test]
fn a_run_without_answers_has_the_text_of_wrk() {
    let mut report = closed();
    (report.latency.service, report.latency.response) = Default::default();
    let requests = &mut report.requests;
    (requests.per_thread, requests.bytes_read, requests.completed) = (PerThread::default(), 0, 0);
    (requests.completed_per_s, requests.answered_after_s) = (0.0, 0.0);
    requests.status.clear();
    assert_eq!(
        block(&report),
        "Running 2s test @ http://127.0.0.1:8080/x|\n  1 threads and 2 connections|\n\
         \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev|\n\
         \x20   Latency     0.00us    0.00us   0.00us    -nan%|\n\
         \x20   Req/Sec     0.00      0.00     0.00      -nan%|\n\
         \x20 Latency Distribution|\n\
         \x20    50%      n/a |\n\
         \x20    75%      n/a |\n\
         \x20    90%      n/a |\n\
         \x20    99%      n/a |\n\
         \x20 0 requests in 2.00s, 0.00B read|\n\
         Requests/sec:      0.00|\n\
         Transfer/sec:       0.00B|\n"
    );
}

/// Figures that wrk's own printing functions were given.
#[test]
fn large_figures_have_the_text_of_wrk() {
    let mut report = closed();
    (report.run.threads, report.run.connections, report.run.duration_s) = (64, 10_000, 3_600.0);
    report.latency.service =
        figures(1_000, [1_234_567.0, 987_654.0, 75e6], [812.0, 1_234.0, 1_500_000.0, 75e6]);
    let requests = &mut report.requests;
    requests.per_thread = per_thread(1_250_000.0, 87_500.0, 2_000_000.0, 66.67);
    (requests.completed, requests.completed_per_s) = (4_500_000_000, 1_249_999.57);
    (requests.answered_after_s, requests.bytes_read) = (3_600.001_234, 1_500_000_000_000);
    requests.status = [("200", 4_499_999_000), ("302", 900), ("404", 70), ("503", 30)]
        .map(|(s, n)| (s.into(), n))
        .into();
    (requests.errors.connect, requests.errors.read, requests.errors.protocol) = (3, 4, 5);
    (requests.errors.write, requests.errors.timeout) = (6, 7);
    assert_eq!(
        block(&report),
        "Running 60m test @ http://127.0.0.1:8080/x|\n  64 threads and 10000 connections|\n\
         \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev|\n\
         \x20   Latency     1.23s   987.65ms   1.25m   100.00%|\n\
         \x20   Req/Sec     1.25M    87.50k    2.00M    66.67%|\n\
         \x20 Latency Distribution|\n\
         \x20    50%  812.00us|\n\
         \x20    75%    1.23ms|\n\
         \x20    90%    1.50s |\n\
         \x20    99%    1.25m |\n\
         \x20 4500000000 requests in 60.00m, 1.36TB read|\n\
         \x20 Socket errors: connect 3, read 9, write 6, timeout 7|\n\
         \x20 Non-2xx or 3xx responses: 100|\n\
         Requests/sec: 1249999.57|\n\
         Transfer/sec:    397.36MB|\n"
    );
}

#[test]
fn latency_is_measured_from_the_send_in_a_closed_loop_and_from_due_in_an_open_loop() {
    let mut seen = observations(|_| ());
    (seen.load.service, seen.load.response) = (spread(2_000, 100, 200), spread(2_000, 900, 990));
    let open = Report::from(&seen);
    let mut closed = open.clone();
    (closed.run.mode, closed.run.rate_target) = (crate::report::LoopMode::Closed, None);
    let line = |report: &Report| block(report).lines().nth(3).expect("Latency").to_owned();
    assert!(line(&open).starts_with("    Latency     0.94ms"), "{}", line(&open));
    assert!(line(&closed).starts_with("    Latency   149.5"), "{}", line(&closed));
}

/// A target that answers 500 requests in the first half second and then nothing.
#[test]
fn a_target_that_stops_answering_is_not_reported_as_faster() {
    let mut seen = observations(|_| ());
    seen.load.counters.completed = 500;
    (seen.sending, seen.answering) = (SECOND, Nanos::from_millis(500));
    seen.traffic.bytes_read = 50_000;
    let report = Report::from(&seen);
    assert_eq!((report.requests.completed_per_s, report.requests.answered_after_s), (500.0, 0.5));
    let block = block(&report);
    assert!(block.contains("  500 requests in 1.00s, 48.83KB read|\n"), "{block}");
    assert!(block.contains("Requests/sec:    500.00|\nTransfer/sec:     48.83KB|\n"), "{block}");
}

/// Patterns of parsers of wrk's output, with the values that they find in the report of [`observations`]. Each must
/// find its line once: the other sections of the report come later and must not look like it.
#[test]
fn parsers_of_wrk_output_read_the_report() {
    let report = Report::from(&observations(|s| s.url = Some("http://127.0.0.1:8080/".to_owned())));
    let text = text(&report, TextOptions { latency: true, ..TextOptions::default() });
    for (pattern, wanted) in [
        (r"Running (\d+)([smh]) test @ (\S+)", "1 s http://127.0.0.1:8080/"),
        (r"(\d+) threads and (\d+) connections", "2 64"),
        (
            r"Latency\s+([\d.]+)(us|ms|s|m|h)\s+([\d.]+)(us|ms|s|m|h)\s+([\d.]+)(us|ms|s|m|h)\s+([\d.]+)%",
            "3.58 ms 77.41 ms 2.00 s 99.85",
        ),
        (
            r"Req/Sec\s+([\d.]+)([kMG]?)\s+([\d.]+)([kMG]?)\s+([\d.]+)([kMG]?)\s+([\d.]+)%",
            "2.00 k 10.65  2.01 k 66.67",
        ),
        (r"(?m)^\s*50%\s+([\d.]+)(\w+)\s*$", "564.22 us"),
        (r"75%\s+([\d.]+)(\w+)", "816.13 us"),
        (r"90%\s+([\d.]+)(\w+)", "0.97 ms"),
        (r"99%\s+([\d.]+)(\w+)", "1.07 ms"),
        (r"(\d+) requests in ([\d.]+)(\w+), ([\d.]+)([KMGT]?B) read", "1996 1.00 s 148.29 KB"),
        (r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", "0 1 0 1"),
        (r"Non-2xx or 3xx responses: (\d+)", "1"),
        (r"Requests/sec:\s+([\d.]+)", "1994.20"),
        (r"Transfer/sec:\s+([\d.]+)([KMGT]?B)", "148.16 KB"),
    ] {
        let regex = Regex::new(pattern).expect("a pattern");
        let found: Vec<_> = regex.captures_iter(&text).collect();
        assert_eq!(found.len(), 1, "{pattern}\n{text}");
        let groups = found[0].iter().skip(1).map(|group| group.map_or("", |group| group.as_str()));
        assert_eq!(groups.collect::<Vec<_>>().join(" "), wanted, "{pattern}");
    }
}

/// Others take a line by its first word and split it at blanks.
#[test]
fn parsers_that_split_lines_read_the_report() {
    let report = Report::from(&observations(|_| ()));
    let text = text(&report, TextOptions::default());
    let words = |first: &str| {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found: Vec<_> = lines.filter(|words| words.first() == Some(&first)).collect();
        assert_eq!(found.len(), 1, "{first}: {found:?}");
        found[0].join(" ")
    };
    assert_eq!(words("Latency"), "Latency 3.58ms 77.41ms 2.00s 99.85%");
    assert_eq!(words("Req/Sec"), "Req/Sec 2.00k 10.65 2.01k 66.67%");
    assert_eq!(words("Requests/sec:"), "Requests/sec: 1994.20");
    assert_eq!(words("Transfer/sec:"), "Transfer/sec: 148.16KB");
    assert_eq!(words("Non-2xx"), "Non-2xx or 3xx responses: 1");
}

#[test]
fn a_saved_report_prints_the_same_text() {
    let report = Report::from(&observations(|_| ()));
    let back = Report::from_json(&report.to_json()).expect("our own");
    let options = TextOptions { latency: true, ..TextOptions::default() };
    assert_eq!(text(&back, options), text(&report, options));
}

#[test]
fn the_first_line_of_a_run_by_count_has_its_count() {
    let mut report = closed();
    (report.run.duration_s, report.run.requests_limit) = (0.000_152, Some(10));
    (report.requests.planned, report.requests.completed) = (10, 10);
    // Shorter than the tenth of a second of which there is a rate.
    report.requests.per_thread = PerThread::default();
    let block = block(&report);
    assert!(block.starts_with("Running 10 requests @ http://127.0.0.1:8080/x|\n"), "{block}");
    assert!(block.contains("\n    Req/Sec       n/a       n/a      n/a      n/a |\n"), "{block}");
    assert!(!block.contains("nan"), "{block}");
}
