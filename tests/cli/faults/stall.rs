//! Stalls of the target and of the generator show in the response time of every slot that they delay.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use loadgen::report::{Distribution, Latency};
use rustix::process::Signal;

use super::proxy::{self, Delay};
use crate::support::{Act, OK, Process, Target, json_command, report_from_stdout, stalling};

/// Values above a limit, from the blob that every report carries.
fn count_above(distribution: &Distribution, limit: Duration) -> u64 {
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(&distribution.hdr).expect("base64");
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).expect("HDR V2");
    histogram.len() - histogram.count_between(0, limit.as_nanos() as u64)
}

/// Runs at 1,000/s over 64 connections against a target that stalls for one second. Returns response times, service
/// times, and the number of responses above 10 ms.
fn stalled(seconds: u64) -> (Distribution, Distribution, u64) {
    let target = Target::scripted(stalling(Duration::from_secs(1), Duration::from_secs(1)));
    let report = report_from_stdout(&format!("-R 1000 -d {seconds}s -c 64 {}", target.url()));
    let r = &report.requests;
    assert_eq!((r.planned, r.completed), (seconds * 1_000, seconds * 1_000), "{r:?}");
    let Latency { response, service, .. } = report.latency;
    let delayed = count_above(&response, Duration::from_millis(10));
    // Only the requests in flight on the 64 connections had a long service time.
    assert!(count_above(&service, Duration::from_millis(500)) <= 64, "{service:?}");
    (response, service, delayed)
}

#[test]
fn a_stall_of_the_target_shows_in_every_delayed_slot() {
    let (response, service, delayed) = stalled(4);
    // Of 4,000 slots 1,000 fell into the stall: the 95th percentile is one that waited 800 ms.
    assert!(response.p95 >= Some(700_000.0), "{response:?}");
    assert!(service.p95 < response.p95.map(|p95| p95 / 10.0), "{service:?} {response:?}");
    assert!(delayed >= 900, "only {delayed} responses carry the stall");
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
fn a_stall_of_1_s_in_10_s_shows_in_1000_slots() {
    let (response, service, delayed) = stalled(10);
    eprintln!("response p95 {:?}, service p95 {:?}, {delayed}", response.p95, service.p95);
    assert!(response.p95 >= Some(400_000.0), "{response:?}");
    assert!(service.p95 < Some(5_000.0), "{service:?}");
    assert!((950..1_100).contains(&delayed), "{delayed} responses carry the stall");
}

/// A proxy that adds 20 ms shifts the response by as much, within `tolerance` microseconds.
fn shifted(seconds: u64, tolerance: f64) {
    let target = Target::always(Act::Say(OK));
    let delay = Duration::from_millis(20);
    let median = |address: SocketAddr| {
        let report = report_from_stdout(&format!("-R 200 -d {seconds}s -c 16 http://{address}/"));
        assert_eq!(report.requests.completed, seconds * 200);
        report.latency.response.p50.expect("enough values")
    };
    let plain = median(target.address);
    for (there, back, expected) in [
        (delay, Duration::ZERO, 20_000.0),
        (Duration::ZERO, delay, 20_000.0),
        (delay, delay, 40_000.0),
    ] {
        let shift = median(proxy::start(target.address, Delay { there, back })) - plain;
        eprintln!("{there:?} there and {back:?} back shift by {shift:.0} us");
        assert!((shift - expected).abs() < tolerance, "{there:?} and {back:?} shift by {shift} us");
    }
}

#[test]
fn a_delay_of_a_proxy_shifts_the_response_by_that_delay() {
    shifted(1, 8_000.0);
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
fn a_delay_of_a_proxy_shifts_the_response_by_that_delay_within_1_ms() {
    shifted(3, 1_000.0);
}

#[test]
fn a_stall_of_the_generator_makes_it_limited() {
    let starve = |options: &str| {
        let target = Target::always(Act::Say(OK));
        let args = format!("-R 500 -d 3s -c 16 {options} {}", target.url());
        let run = Process::start("loadgen", &mut json_command(&args));
        target.wait_for_load();
        run.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(1_500));
        run.signal(Signal::CONT);
        run.finish()
    };
    thread::scope(|scope| {
        for (options, code) in [("", 3), ("--allow-limited", 0), ("--engine reqwest", 3)] {
            scope.spawn(move || {
                let ran = starve(options);
                assert_eq!(ran.code, Some(code), "{options}: {ran:?}");
                let report = ran.report();
                let r = &report.requests;
                assert_eq!((r.planned, r.completed), (1_500, 1_500), "{options}: {r:?}");
                let verdict = &report.verdict;
                assert_eq!((verdict.generator.is_valid(), verdict.pass), (false, false));
                assert!(!verdict.reasons.is_empty(), "{options}: {verdict:?}");
                // Half of the slots were due while it was stopped: their lateness is pacing.
                let late = count_above(&report.latency.pacing, Duration::from_millis(10));
                assert!(late >= 600, "{options}: {late} slots were late");
            });
        }
    });
}
