//! `loadgen api`: bounds of what clients may make it hold.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};

use crate::support::{
    Answer, LIMIT, Redis, Service, eventually, get, peak_memory, post, prepared, report_of,
};

const MEGABYTE: u64 = 1_000_000;

fn start(flags: &str) -> Option<(Redis, Service, SocketAddr)> {
    let redis = Redis::start()?;
    let (service, address) = Service::api(&format!("--redis {} {flags}", redis.url()));
    Some((redis, service, address))
}

fn body_of(len: u64) -> String {
    format!(r#"{{"MsgID":1,"data":"{}"}}"#, "x".repeat(len as usize - 21))
}

/// Sends the same body on `count` connections at once.
fn post_at_once(address: SocketAddr, body: &Arc<String>, count: usize) -> Vec<Answer> {
    let clients: Vec<JoinHandle<Answer>> = (0..count)
        .map(|_| {
            let body = Arc::clone(body);
            spawn(move || post(address, body.as_bytes()))
        })
        .collect();
    clients.into_iter().map(|client| client.join().expect("it has an answer")).collect()
}

/// A connection on which these bytes were sent.
fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a valid timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a valid timeout");
    stream.write_all(bytes).expect("it is read");
    stream
}

/// Waits until the server closes, and returns all that it sent.
fn read_until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it closes");
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_hundred_large_bodies_are_held_within_the_memory_that_is_allowed() {
    let Some((redis, api, address)) = start("--max-body 16M --client-timeout 60s") else { return };
    // Redis is slow meanwhile, so that all of them are in flight at once.
    redis.cli(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    let body = Arc::new(body_of(15 * MEGABYTE));
    let answers = post_at_once(address, &body, 100);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted + refused.len(), 100, "{accepted} accepted");
    assert!(accepted >= 10 && !refused.is_empty(), "{accepted} accepted");
    for answer in refused {
        assert_eq!(answer.header("Retry-After"), Some("1"), "{answer:?}");
        assert!(answer.body.contains("too many bytes"), "{answer:?}");
    }
    let peak = peak_memory(api.process.pid());
    assert!(peak < 256 * MEGABYTE, "{} MB", peak / MEGABYTE);
    assert_eq!(redis.len("myapp"), accepted as u64);
    redis.cli(&["DEL", "myapp"]);
    eventually("all bodies are given back", || {
        get(address, "/metrics").body.contains("loadgen_api_body_bytes 0\n").then_some(())
    });
    let statuses: Vec<_> =
        post_at_once(address, &body, 10).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200; 10]);
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("loadgen_api_body_bytes 0\n"), "{metrics}");
}

#[test]
fn a_body_takes_memory_until_its_client_has_gone() {
    let Some((_redis, _api, address)) = start("--max-body 1M --max-memory 1M") else { return };
    let half = open(address, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 900000\r\n\r\n{");
    let body = body_of(200_000);
    eventually("a refusal", || {
        let answer = post(address, &body);
        (answer.status == 503 && answer.header("Retry-After") == Some("1")).then_some(())
    });
    assert_eq!(post(address, body_of(50_000)).status, 200, "there is memory for a small one");
    drop(half);
    eventually("memory again", || (post(address, &body).status == 200).then_some(()));
}

#[test]
fn bodies_of_a_mebibyte_go_through_the_embedded_queue() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("body.json");
    let head = r#"{"MsgID":{{msg_id}},"data":""#;
    let text = format!("{head}{}\"}}", "x".repeat(1024 * 1024 - head.len() - 40));
    std::fs::write(&file, text).expect("a file of ours");
    let words = format!("--stack embedded -c 100 -n 200 -f {}", file.display());
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(report.count("requests.status.200"), 200, "{finished:?}");
    assert_eq!(report.count("messages.arrived"), 200, "{finished:?}");
}

#[test]
fn half_a_head_is_given_up_and_an_idle_connection_is_not() {
    let Some((_redis, _api, address)) = start("--client-timeout 300ms") else { return };
    let idle = open(address, b"");
    let half = open(address, b"POST / HTTP/1.1\r\nHost: t");
    let after_another = open(address, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\nPOST / HT");
    assert_eq!(read_until_closed(half), "");
    drop(after_another);
    let mut idle = idle;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .expect("it is open");
    assert!(read_until_closed(idle).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_body_that_does_not_come_in_time_gets_408() {
    let Some((_redis, _api, address)) = start("--client-timeout 300ms") else { return };
    let slow = open(address, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{");
    let answer = read_until_closed(slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("within 300ms"), "{answer}");
}

#[test]
fn a_client_that_takes_no_answers_is_given_up() {
    let Some((_redis, _api, address)) = start("--client-timeout 300ms") else { return };
    let mut greedy = open(address, b"");
    let requests = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n".repeat(1_000);
    let gave_up = (0..10_000).find_map(|_| greedy.write_all(&requests).err());
    let kind = gave_up.expect("it closes the connection").kind();
    assert!(
        matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
        "{kind}"
    );
    assert_eq!(get(address, "/healthz").status, 200);
}

#[test]
fn connections_above_the_limit_get_503_until_another_one_closes() {
    let Some((_redis, _api, address)) = start("--max-connections 2") else { return };
    let first = open(address, b"");
    let _second = open(address, b"");
    let refused = read_until_closed(open(address, b""));
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.to_lowercase().contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("too many connections"), "{refused}");
    drop(first);
    let metrics = eventually("a place", || {
        let answer = read_until_closed(open(
            address,
            b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        ));
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    });
    assert!(!metrics.contains("refused_connections_total 0\n"), "{metrics}");
}

#[test]
fn the_requests_of_a_connection_can_be_limited() {
    let Some((_redis, _api, address)) = start("--max-requests 2") else { return };
    let request = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n".repeat(3);
    let answers = read_until_closed(open(address, &request)).to_lowercase();
    assert_eq!(answers.matches("http/1.1 200").count(), 2, "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let Some(redis) = Redis::start() else { return };
    let binary = env!("CARGO_BIN_EXE_loadgen");
    let words =
        format!("ulimit -Sn 40; exec {binary} api --listen 127.0.0.1:0 --redis {}", redis.url());
    let mut command = prepared(Command::new("sh"), "-c");
    command.arg(words);
    let (_api, address) = Service::api_of("sh", &mut command);
    let held: Vec<_> = (0..100).map(|_| open(address, b"")).collect();
    assert_eq!(post(address, r#"{"MsgID":5}"#).status, 200);
    drop(held);
}
