//! A delay between loadgen and the api of a real pipeline, seen at the response and at the arrival.

use std::net::SocketAddr;
use std::time::Duration;

use super::proxy::{self, Delay};
use crate::support::{Mosquitto, Redis, Service, report_from_stdout};

/// A proxy before the api that adds 20 ms shifts response and arrival, within `tolerance` microseconds.
fn shifted(seconds: u64, tolerance: f64) {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let (_api, api_address) = Service::api(&format!("--redis {}", redis.url()));
    let _push = Service::start(&format!("push {servers}"));

    let medians = |address: SocketAddr| {
        let load = format!("-R 200 -d {seconds}s -c 16 {servers}");
        let report = report_from_stdout(&format!("{load} http://{address}/"));
        let messages = report.messages.as_ref().expect("it listens");
        let all = seconds * 200;
        assert_eq!((messages.accepted, messages.arrived, messages.lost), (all, all, 0));
        let arrival = report.arrival.as_ref().and_then(|arrival| arrival.p50);
        [report.latency.response.p50, arrival].map(|p50| p50.expect("enough values"))
    };
    let delay = Duration::from_millis(20);
    let plain = medians(api_address);
    // A message is on its way while its answer still travels back.
    for (there, back, expected) in
        [(delay, Duration::ZERO, [20_000.0, 20_000.0]), (Duration::ZERO, delay, [20_000.0, 0.0])]
    {
        let slow = medians(proxy::start(api_address, Delay { there, back }));
        let shifts = [slow[0] - plain[0], slow[1] - plain[1]];
        eprintln!(
            "{there:?} there and {back:?} back shift response and arrival by {shifts:.0?} us"
        );
        for (shift, expected) in shifts.into_iter().zip(expected) {
            assert!((shift - expected).abs() < tolerance, "{shifts:?}: {plain:?} to {slow:?}");
        }
    }
}

#[test]
fn a_delay_before_the_api_shifts_response_and_arrival_equally() {
    shifted(1, 8_000.0);
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
fn a_delay_before_the_api_shifts_response_and_arrival_by_that_delay_within_1_ms() {
    shifted(3, 1_000.0);
}
