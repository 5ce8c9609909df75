//! `loadgen api`: its account at the end, and its exit code. Passwords of servers from files.

use std::thread::spawn;

use super::assert_does_not_start;
use crate::support::{Mosquitto, Redis, Service, eventually, get, post};

#[test]
fn the_end_of_the_api_is_told_in_one_line() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = Service::api(&format!("--redis {}", redis.url()));
    assert_eq!(post(address, r#"{"MsgID":5}"#).status, 200);
    assert_eq!(post(address, "news").status, 400);
    let finished = api.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let line =
        "1 accepted, 1 malformed, 0 unreadable, 0 denied, 0 refused with 503, 0 without an answer";
    assert_eq!(finished.stderr.matches(line).count(), 1, "{finished:?}");
}

#[test]
fn an_api_that_leaves_a_message_without_an_answer_exits_with_1() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = Service::api(&format!("--redis {}", redis.url()));
    redis.cli(&["CLIENT", "PAUSE", "30000", "WRITE"]);
    let client = spawn(move || {
        let message = r#"{"MsgID":5}"#;
        let head =
            format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", message.len());
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        std::io::Write::write_all(&mut stream, (head + message).as_bytes()).expect("it is read");
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        answer
    });
    eventually("the message is there", || {
        get(address, "/metrics").body.contains("loadgen_api_body_bytes 11\n").then_some(())
    });
    let finished = api.process.terminate();
    assert_eq!(client.join().expect("it ends"), b"", "it has no answer");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("1 without an answer"), "{finished:?}");
}

#[test]
fn passwords_come_from_files() {
    let Some(redis) = Redis::with_password("tulip-and-thorn") else { return };
    let Some(broker) = Mosquitto::with_login("sender", "onyx-lantern") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("space");
        file.display().to_string()
    };
    let right = write("redis", "tulip-and-thorn\n");
    let servers = format!(
        "--redis redis://{} --redis-password-file {right} --mqtt mqtt://sender@{} \
         --mqtt-password-file {}",
        redis.address(),
        broker.address(),
        write("mqtt", "onyx-lantern\n"),
    );
    let (_api, address) =
        Service::api(&format!("--redis redis://{} --redis-password-file {right}", redis.address()));
    assert_eq!(post(address, r#"{"MsgID":5}"#).status, 200);
    let _push = Service::start(&format!("push {servers}"));
    let _subscribe = Service::start(&format!("subscribe {servers}"));
    let run = crate::support::run(&format!("-n 5 -c 1 {servers} --queue other --topic /other"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("5 arrived"), "{run:?}");
    let missing = format!("--redis redis://{} --redis-password-file /nonexistent", redis.address());
    let finished = crate::support::run(&format!("api --listen 127.0.0.1:0 {missing}"));
    assert!(finished.stderr.contains("--redis-password-file /nonexistent"), "{finished:?}");
    let wrong = write("wrong", "wrong");
    assert_does_not_start(
        &format!("push --redis redis://{} --redis-password-file {wrong}", redis.address()),
        &["the user or password is not right"],
    );
}
