//! A delay between loadgen and the api of a real pipeline, seen at the response and at the arrival.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::config::plan::Address;
use loadgen::pipeline::servers::spawned::{start_mosquitto, start_redis};

use super::drive::{clean, report};
use super::proxy::{self, Delay};

/// A service of the binary; gone when dropped.
struct Service {
    child: Child,
    /// The line it said when it was ready.
    ready: String,
}

impl Service {
    fn start(args: &[&str], redis: &Address, mqtt: &Address) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        clean(&mut command);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("LOADGEN_REDIS", redis.secret_url()).env("LOADGEN_MQTT", mqtt.secret_url());
        let mut child = command.spawn().expect("it starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        Self { child, ready: ready.trim_end().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy before the api that adds 20 ms shifts response and arrival, within `tolerance` microseconds.
async fn shifted(seconds: u64, tolerance: f64) {
    let redis = start_redis().await.expect("redis-server");
    let broker = start_mosquitto().await.expect("mosquitto");
    let (redis, mqtt) = (&redis.address, &broker.address);
    let api = Service::start(&["api", "--listen", "127.0.0.1:0"], redis, mqtt);
    let push = Service::start(&["push"], redis, mqtt);
    assert_eq!(push.ready, "ready");
    let listening = api.ready.strip_prefix("listening on ").and_then(|text| text.parse().ok());
    let api_address: SocketAddr = listening.unwrap_or_else(|| panic!("{}", api.ready));

    let medians = |address: SocketAddr| {
        let (redis, mqtt) = (redis.secret_url(), mqtt.secret_url());
        let load = format!("-R 200 -d {seconds}s -c 16 --redis {redis} --mqtt {mqtt}");
        let report = report(&format!("{load} http://{address}/"));
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

#[tokio::test]
async fn a_proxys_delay_before_the_api_shifts_response_and_arrival_alike() {
    shifted(1, 8_000.0).await;
}

#[tokio::test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
async fn a_proxys_delay_before_the_api_shifts_both_to_the_millisecond() {
    shifted(3, 1_000.0).await;
}
