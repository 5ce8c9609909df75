//! `--metrics`: what a run shows of itself while it lasts.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::Signal;

use super::assert_refused;
use crate::support::{
    Act, Answer, OK, Process, Redis, Samples, Service, Target, eventually, exchange, get,
    require_stack, run, samples, start,
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Address of the metrics that a run prints.
fn endpoint(process: &Process) -> SocketAddr {
    eventually("the address of the metrics", || {
        let said = process.stderr();
        let (_, rest) = said.split_once("metrics at http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    })
}

fn scrape(address: SocketAddr) -> Samples {
    let answer = get(address, "/metrics");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(&answer.body, false)
}

fn ask(address: SocketAddr, head: &str) -> Answer {
    exchange(address, format!("{head}\r\nHost: t\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn metrics_show_counts_and_latencies_during_a_run() {
    if !require_stack() {
        return;
    }
    let process = start("-R 400 -d 1h --metrics 0 --allow-limited");
    let address = endpoint(&process);
    assert!(address.ip().is_loopback());
    let early = eventually("arrivals in the metrics", || {
        let seen = scrape(address);
        (seen.get("loadgen_messages_arrived_total") > Some(&0.0)).then_some(seen)
    });
    let run = early.keys().find(|name| name.starts_with("loadgen_run_info")).expect("what is run");
    let version = concat!("version=", env!("CARGO_PKG_VERSION"));
    for label in [version, "target=pipeline", "mode=open", "rate=400", "connections=64", "node=0/1"]
    {
        assert!(run.contains(label), "{label}: {run}");
    }
    for gauge in ["loadgen_requests_in_flight", "loadgen_queue_depth", "loadgen_messages_missing"] {
        assert!(early.contains_key(gauge), "{gauge}: {early:?}");
    }
    for (count, values) in [
        ("loadgen_messages_arrived_total", "loadgen_arrival_seconds_count"),
        ("loadgen_requests_completed_total", "loadgen_response_seconds_count"),
    ] {
        assert!(early[count] == early[values] && early[count] > 0.0, "{count}: {early:?}");
    }
    let late = eventually("another second", || {
        let seen = scrape(address);
        (seen["loadgen_requests_sent_total"] > early["loadgen_requests_sent_total"]).then_some(seen)
    });
    for (name, value) in &early {
        let grows = ["_total", "_count", "_sum"].iter().any(|ending| name.ends_with(ending));
        assert!(!(grows || name.contains("_bucket{")) || late[name] >= *value, "{name}");
    }
    process.signal(Signal::INT);
    let finished = process.finish();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert!(TcpStream::connect(address).is_err(), "it is gone with the run");
}

#[test]
fn openmetrics_is_served_on_request_and_bad_requests_do_no_harm() {
    let Some(redis) = Redis::start() else { return };
    let (_api, api) = Service::api(&format!("--redis {}", redis.url()));
    // Without a broker there are no arrivals; a password is in no label.
    let process =
        start(&format!("http://me:tulip@{api}/ -m POST -c 2 -d 1h --metrics 127.0.0.1:0"));
    let address = endpoint(&process);
    for bytes in [b"GET /metrics HTTP/1.1\r\n".as_slice(), b"\xff\x00\r\n\r\n", b""] {
        for _ in 0..10 {
            let mut stream = TcpStream::connect(address).expect("it listens");
            // It may hang up before it has everything.
            let _ = stream.write_all(bytes);
        }
    }
    let asked = || ask(address, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text");
    let seen = eventually("completed requests", || {
        let answer = asked();
        assert_eq!(answer.header("Content-Type"), Some(OPEN_METRICS));
        assert!(!answer.body.contains("tulip"), "{answer:?}");
        let seen = samples(&answer.body, true);
        (seen.get("loadgen_requests_completed_total") > Some(&0.0)).then_some(seen)
    });
    assert!(seen.keys().any(|name| name.contains("mode=closed")), "{seen:?}");
    assert!(!seen.keys().any(|name| name.contains("arriv") || name.contains("depth")), "{seen:?}");
    let refused = ask(address, "POST /metrics HTTP/1.1\r\nContent-Length: 0");
    assert_eq!((refused.status, refused.header("Allow")), (405, Some("GET")));
    assert_eq!(get(address, "/").status, 404);
    let of_api = ask(api, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text");
    assert!(samples(&of_api.body, true)["loadgen_api_accepted_total"] > 0.0);
    samples(&get(api, "/metrics").body, false);
}

#[test]
fn idle_connections_and_clients_that_never_read_keep_no_scraper_out() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", target.local_addr().expect("it is bound"));
    let process = start(&format!("{url} -c 1 -d 1h --metrics 0"));
    let address = endpoint(&process);
    let connect = || TcpStream::connect(address).expect("it listens");
    let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n".repeat(1_000);
    for _ in 0..3 {
        let silent: Vec<_> = (0..40).map(|_| connect()).collect();
        assert!(!scrape(address).is_empty());
        let greedy: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = connect();
                stream.set_nonblocking(true).expect("a socket");
                // Until its answers fill all buffers, or it is closed.
                while matches!(stream.write(&request), Ok(1..)) {}
                stream
            })
            .collect();
        assert!(!scrape(address).is_empty());
        drop((silent, greedy));
    }
}

#[test]
fn a_metrics_address_in_use_or_invalid_is_refused_before_the_run() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    assert_refused(&run(&format!("-R 10 -d 1h --metrics {address}")), 1, &["--metrics", &address]);
    assert_refused(&run("-R 10 -d 1h --metrics nowhere"), 2, &["--metrics", "ADDR:PORT"]);
}

#[test]
fn metrics_need_a_token_if_there_is_a_file_of_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tokens");
    std::fs::write(&file, "onyx-lantern\n").expect("space");
    let target = Target::always(Act::Say(OK));
    let flags = format!("--metrics 0 --metrics-token-file {}", file.display());
    let process = start(&format!("{} -c 1 -d 1h {flags}", target.url()));
    let address = endpoint(&process);
    let refused = get(address, "/metrics");
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")));
    let head = "GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n";
    let with = |more: &str| exchange(address, format!("{head}{more}\r\n").as_bytes()).status;
    assert_eq!(with("Authorization: Bearer onyx-lantern\r\n"), 200);
    assert_eq!(with("Authorization: Bearer onyx-lantern\r\nOrigin: http://evil.example\r\n"), 403);
}

#[test]
fn metrics_that_other_machines_reach_need_a_guard() {
    let finished = run("http://127.0.0.1:1/ -n 1 --metrics 0.0.0.0:0");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    for part in ["--metrics 0.0.0.0:0", "--metrics-token-file", "--metrics-insecure-listen"] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
}
