//! A delay between loadgen and the api of a real pipeline, seen at the response and at the arrival.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::plan::Address;
use loadgen::stack::spawned::{start_mosquitto, start_redis};

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

#[tokio::test]
async fn a_proxys_delay_before_the_api_shifts_response_and_arrival_alike() {
    let redis = start_redis().await.expect("redis-server");
    let broker = start_mosquitto().await.expect("mosquitto");
    let (redis, mqtt) = (&redis.address, &broker.address);
    let api = Service::start(&["api", "--listen", "127.0.0.1:0"], redis, mqtt);
    let push = Service::start(&["push"], redis, mqtt);
    assert_eq!(push.ready, "ready");
    let listening = api.ready.strip_prefix("listening on ").and_then(|text| text.parse().ok());
    let api_address: SocketAddr = listening.unwrap_or_else(|| panic!("{}", api.ready));

    let medians = |there, back| {
        let proxy = proxy::start(api_address, Delay { there, back });
        let (redis, mqtt) = (redis.secret_url(), mqtt.secret_url());
        let load = "-R 200 -d 1s -c 16";
        let report = report(&format!("{load} --redis {redis} --mqtt {mqtt} http://{proxy}/"));
        let messages = report.messages.as_ref().expect("it listens");
        assert_eq!((messages.accepted, messages.arrived, messages.lost), (200, 200, 0));
        let arrival = report.arrival.as_ref().and_then(|arrival| arrival.p50);
        (report.latency.response.p50.expect("200 values"), arrival.expect("200 values"))
    };
    let delay = Duration::from_millis(20);
    let plain = medians(Duration::ZERO, Duration::ZERO);
    // A message is on its way while its answer still travels back.
    for (there, back, response, arrival) in
        [(delay, Duration::ZERO, 20_000.0, 20_000.0), (Duration::ZERO, delay, 20_000.0, 0.0)]
    {
        let shifted = medians(there, back);
        let shifts = (shifted.0 - plain.0, shifted.1 - plain.1);
        eprintln!("{there:?} there, {back:?} back: response and arrival shift by {shifts:?} us");
        assert!((shifts.0 - response).abs() < 8_000.0, "{shifts:?}: {plain:?} to {shifted:?}");
        assert!((shifts.1 - arrival).abs() < 8_000.0, "{shifts:?}: {plain:?} to {shifted:?}");
    }
}
