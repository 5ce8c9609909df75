//! Open loop means open loop: what a stall costs is charged to every slot it delayed, whether the
//! target stalls or the generator itself.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use loadgen::report::Quantiles;
use rustix::process::Signal;

use super::drive::{Running, command, report};
use super::proxy::{self, Delay};
use super::targets::{Act, OK, Target, stalling};

/// Values above a limit, from the blob that every report carries.
fn count_above(quantiles: &Quantiles, limit: Duration) -> u64 {
    let bytes = base64::engine::general_purpose::STANDARD.decode(&quantiles.hdr).expect("base64");
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).expect("HDR V2");
    histogram.len() - histogram.count_between(0, limit.as_nanos() as u64)
}

#[test]
fn a_stall_of_the_target_is_charged_to_every_slot_it_delayed() {
    let target = Target::scripted(stalling(Duration::from_secs(1), Duration::from_secs(1)));
    let report = report(&format!("-R 1000 -d 4s -c 64 {}", target.url()));
    let r = &report.requests;
    assert_eq!((r.planned, r.completed), (4_000, 4_000), "{r:?}");
    let (response, service) = (&report.latency.response, &report.latency.service);
    // Of 4,000 slots 1,000 fell into the stall: the 95th percentile is one that waited 800 ms.
    assert!(response.p95 >= Some(700_000.0), "{response:?}");
    // Only those on the 64 connections were slow to the target.
    assert!(service.p95 < response.p95.map(|p95| p95 / 10.0), "{service:?} {response:?}");
    let delayed = count_above(response, Duration::from_millis(10));
    assert!(delayed >= 900, "only {delayed} responses carry the stall");
    assert!(count_above(service, Duration::from_millis(500)) <= 64, "{service:?}");
}

#[test]
fn a_proxys_delay_is_what_the_response_shifts_by() {
    let target = Target::always(Act::Say(OK));
    let delay = Duration::from_millis(20);
    let median = |there, back| {
        let proxy = proxy::start(target.address, Delay { there, back });
        let report = report(&format!("-R 200 -d 1s -c 16 http://{proxy}/"));
        assert_eq!(report.requests.completed, 200);
        report.latency.response.p50.expect("200 values")
    };
    let plain = median(Duration::ZERO, Duration::ZERO);
    for (there, back, expected) in [
        (delay, Duration::ZERO, 20_000.0),
        (Duration::ZERO, delay, 20_000.0),
        (delay, delay, 40_000.0),
    ] {
        let shift = median(there, back) - plain;
        assert!((shift - expected).abs() < 8_000.0, "{there:?} and {back:?} shift by {shift} us");
    }
}

#[test]
fn a_stall_of_the_generator_is_its_own_fault_and_makes_it_limited() {
    let starve = |options: &str| {
        let target = Target::always(Act::Say(OK));
        let args = format!("-R 500 -d 3s -c 16 {options} {}", target.url());
        let run = Running::start(command(&args));
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
                assert_eq!((verdict.generator.as_str(), verdict.pass), ("limited", false));
                assert!(!verdict.reasons.is_empty(), "{options}: {verdict:?}");
                // Half of the slots were due while it slept: their lateness is its own.
                let late = count_above(&report.latency.pacing, Duration::from_millis(10));
                assert!(late >= 600, "{options}: {late} slots were late");
            });
        }
    });
}
