//! `--disable-keepalive`: a connection for each request, and its making is not the target's service.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::answered;
use super::authority::Authority;
use super::server::{OK, RecordingServer, field};
use crate::support::{report_of, run};

#[test]
fn without_keepalive_each_request_has_its_own_connection() {
    let authority = Authority::new();
    let secure = || RecordingServer::tls(authority.issue("localhost").server());
    for load in ["-c 4", "-c 4 -R 400"] {
        for (scheme, server) in [("http", RecordingServer::plain()), ("https", secure())] {
            let url = format!("{scheme}://localhost:{}/", server.port());
            let words = format!("{url} -n 100 {load} -k --disable-keepalive");
            let report = answered(&words, 100, 200);
            assert_eq!(report.count("latency.connect.count"), 100, "{words}");
            assert_eq!(report.count("requests.reconnects"), 0);
            assert_eq!((server.heads().len(), server.connections()), (100, 1 + 100), "{words}");
            let closes = |head: &String| field(head, "Connection") == Some("close");
            assert!(server.heads().iter().all(closes));
        }
    }
    // Where connections are kept there is no such figure.
    let kept = RecordingServer::plain();
    let report = answered(&format!("http://{}/ -n 10 -c 2", kept.address), 10, 200);
    assert!(report.value("latency.connect").is_null());
}

#[test]
fn connecting_is_part_of_the_response_time_but_not_of_the_service_time() {
    let authority = Authority::new();
    let pause = 30_000.0;
    let config = authority.issue("localhost").server();
    let server = RecordingServer::slow_tls(config, Duration::from_micros(pause as u64));
    for load in ["-c 2", "-c 2 -R 40"] {
        let url = format!("https://localhost:{}/", server.port());
        let words = format!("{url} -n 20 {load} -k --disable-keepalive");
        let report = answered(&words, 20, 200);
        let least = |name: &str| report.value(&format!("latency.{name}.min")).as_f64().expect(name);
        assert!(least("connect") >= pause * 0.99, "{}", report.json());
        assert!(least("response") >= pause * 0.99 && least("lateness") >= pause * 0.99);
        assert!(least("service") < pause, "{}", report.json());
    }
    let text = run(&format!(
        "https://localhost:{}/ -n 20 -c 2 -k --disable-keepalive --allow-limited",
        server.port()
    ));
    for line in ["  response  due → answered", "  service   sent", "  connect   of lateness"] {
        assert!(text.stdout.contains(line), "{}", text.stdout);
    }
}

#[test]
fn a_failed_connection_fails_its_request() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    // One to see whether it is there, ten that are answered, and it is gone.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().take(1 + 10).flatten() {
            let mut request = [0; 4096];
            if matches!(socket.read(&mut request), Ok(1..)) {
                let _ = socket.write_all(OK.as_bytes());
            }
        }
    });
    let words = format!("http://{address}/ -n 16 -c 1 --disable-keepalive");
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let count = |name: &str| report.count(&format!("requests.{name}"));
    assert_eq!((count("completed"), count("failed"), count("errors.connect")), (10, 6, 6));
    assert_eq!(report.count("latency.connect.count"), 10);
}

#[test]
fn a_connection_timeout_enters_the_latencies_with_its_age() {
    let authority = Authority::new();
    let config = authority.issue("localhost").server();
    // The run's own first try is waited for longer.
    let server = RecordingServer::slow_tls(config, Duration::from_millis(600));
    let url = format!("https://localhost:{}/", server.port());
    let finished = run(&format!(
        "{url} -n 4 -c 2 -k --disable-keepalive -T 200ms --format json --allow-limited --allow-failed"
    ));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("a report");
    assert_eq!(report["requests"]["errors"]["timeout"], 4, "{report}");
    assert_eq!(report["latency"]["connect"]["count"], 0);
    for name in ["service", "response"] {
        let least = report["latency"][name]["min"].as_f64().expect("a time");
        assert!(least >= 198_000.0, "{name}: {least}");
    }
}

#[test]
fn attempts_to_reach_a_dead_target_are_limited() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("api");
    let server = RecordingServer::unix(&path, None);
    let gone = path.clone();
    std::thread::spawn(move || {
        while server.heads().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::remove_file(gone)
    });
    let options = "-d 500ms -c 4 -t 1 --disable-keepalive";
    let words = format!("http://h/ {options} --unix-socket {}", path.display());
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let refused = report.count("requests.errors.connect");
    // Each connection waits 0, 5, 10, 20, ... ms before the next attempt.
    assert!((1..=4 * 10).contains(&refused), "{refused} attempts");
    assert_eq!(report.count("requests.unfinished"), 0);
}
