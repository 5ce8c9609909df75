//! `loadgen api`: what it is sent, and what its Redis does to it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use crate::support::{Answer, Redis, Service, eventually, exchange, get, post, report_of};

fn start(flags: &str) -> Option<(Redis, Service, SocketAddr)> {
    let redis = Redis::start()?;
    let (service, address) = Service::api(&format!("--redis {} {flags}", redis.url()));
    Some((redis, service, address))
}

fn assert_serves(address: SocketAddr) {
    assert_eq!(post(address, r#"{"MsgID":5}"#).status, 200);
}

#[test]
fn messages_are_queued_unchanged_and_in_order() {
    let Some((redis, _api, address)) = start("") else { return };
    let bodies = [
        r#"{"MsgID":0}"#,
        r#"{ "data" : "näws", "id" : 12001 }"#,
        r#"{"MsgID":9007199254740991,"id":"not this one"}"#,
    ];
    for body in bodies {
        assert_eq!(post(address, body).status, 200, "{body}");
    }
    let mut queued = redis.list("myapp");
    queued.reverse();
    assert_eq!(queued, bodies);
}

#[test]
fn bodies_that_are_not_messages_get_400_and_do_no_harm() {
    let Some((redis, _api, address)) = start("") else { return };
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], &str); 15] = [
        (b"", "not a JSON object"),
        (b"news", "not a JSON object"),
        (b"{\"MsgID\":1", "not a JSON object"),
        (b"{\"MsgID\":1} {\"MsgID\":2}", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe\x00", "not a JSON object"),
        (deep.as_bytes(), "not a JSON object"),
        (b"{}", "no MsgID or id"),
        (b"{\"msgid\":1}", "no MsgID or id"),
        (b"{\"MsgID\":-1}", "MsgID that is not an integer"),
        (b"{\"MsgID\":9007199254740992}", "MsgID that is not an integer"),
        (b"{\"MsgID\":1e999}", "body"),
        (b"{\"MsgID\":\"12\"}", "MsgID that is not an integer"),
        (b"{\"MsgID\":1.5}", "MsgID that is not an integer"),
        (b"{\"id\":null}", "id that is not an integer"),
    ];
    for (body, part) in cases {
        let (answer, shown) = (post(address, body), String::from_utf8_lossy(body));
        let shown: String = shown.chars().take(40).collect();
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert!(answer.body.contains(part), "{shown}: {answer:?}");
    }
    assert_eq!(redis.len("myapp"), 0);
    assert_serves(address);
    let metrics = get(address, "/metrics");
    let kind = metrics.header("Content-Type").unwrap_or_default();
    assert!(metrics.status == 200 && kind.starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    for line in ["loadgen_api_accepted_total 1", "loadgen_api_malformed_total 15"] {
        assert!(metrics.body.lines().any(|l| l == line), "{line}: {metrics:?}");
    }
}

#[test]
fn a_body_of_ten_megabytes_gets_413() {
    let Some((redis, _api, address)) = start("") else { return };
    let body = format!(r#"{{"MsgID":1,"data":"{}"}}"#, "x".repeat(10_000_000));
    for answer in [post(address, &body), post_chunked(address, body.as_bytes())] {
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(answer.body.contains("1048576"), "the limit is said: {answer:?}");
    }
    assert_eq!(redis.len("myapp"), 0);
    assert_serves(address);
}

#[test]
fn the_largest_body_can_be_set() {
    let Some((redis, _api, address)) = start("--max-body 100") else { return };
    let body = |len: usize| format!(r#"{{"MsgID":1,"data":"{}"}}"#, "x".repeat(len - 21));
    assert_eq!(post(address, body(100)).status, 200);
    assert_eq!(post_chunked(address, body(100).as_bytes()).status, 200);
    assert_eq!(post(address, body(101)).status, 413);
    assert_eq!(post_chunked(address, body(101).as_bytes()).status, 413);
    assert_eq!(redis.list("myapp"), [body(100), body(100)]);
}

fn post_chunked(address: SocketAddr, body: &[u8]) -> Answer {
    let mut request = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n".to_vec();
    request.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(60_000) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    exchange(address, &request)
}

#[test]
fn other_methods_get_405_with_the_allowed_method() {
    let Some((_redis, _api, address)) = start("") else { return };
    for method in ["GET", "PUT", "DELETE"] {
        let request = format!("{method} /any HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, request.as_bytes());
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("POST")), "{answer:?}");
    }
    assert_eq!(get(address, "/healthz").status, 200);
    let post_anywhere = "POST /any/path?x=y HTTP/1.1\r\nHost: t\r\nConnection: close\r\n";
    let request = format!("{post_anywhere}Content-Length: 11\r\n\r\n{{\"MsgID\":1}}");
    assert_eq!(exchange(address, request.as_bytes()).status, 200);
}

#[test]
fn incomplete_requests_and_silent_clients_delay_neither_others_nor_the_stop() {
    let Some((_redis, api, address)) = start("") else { return };
    let halves = [
        "",
        "POST / HT",
        "POST / HTTP/1.1\r\nHost: test\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\n{\"MsgID\":",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{",
    ];
    let silent = |half: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(half.as_bytes()).expect("it is read");
        stream
    };
    let _silent: Vec<_> =
        halves.into_iter().flat_map(|half| [silent(half), silent(half)]).collect();
    assert_serves(address);
    let finished = api.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn bytes_that_are_not_http_do_no_harm() {
    let Some((_redis, _api, address)) = start("") else { return };
    let garbage: [&[u8]; 3] = [b"\x16\x03\x01\x02\x00", b"\r\n\r\n\r\n", &[0xff; 70_000]];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).expect("it listens");
        // It may hang up before it has everything.
        let _ = stream.write_all(bytes);
    }
    assert_serves(address);
}

#[test]
fn a_full_queue_gives_503_until_it_has_room() {
    let Some((redis, _api, address)) = start("--max-queue 3") else { return };
    let message = r#"{"MsgID":7}"#;
    let statuses = [(); 6].map(|()| post(address, message).status);
    assert_eq!(statuses, [200, 200, 200, 503, 503, 503]);
    let refused = post(address, message);
    assert_eq!(refused.header("Retry-After"), Some("1"), "{refused:?}");
    assert!(refused.body.contains("full"), "{refused:?}");
    assert_eq!(redis.len("myapp"), 3);
    assert_eq!(get(address, "/readyz").status, 200, "it is full, not ill");
    redis.cli(&["DEL", "myapp"]);
    eventually("room in the queue", || (post(address, message).status == 200).then_some(()));
    assert_eq!(redis.len("myapp"), 1);
}

#[test]
fn the_api_recovers_after_a_redis_restart() {
    let Some((mut redis, _api, address)) = start("") else { return };
    let message = r#"{"MsgID":7}"#;
    assert_serves(address);
    redis.kill();
    let refused = post(address, message);
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")), "{refused:?}");
    assert_eq!(get(address, "/readyz").status, 503);
    assert_eq!(get(address, "/healthz").status, 200, "it is alive");
    redis.restart();
    eventually("service again", || (post(address, message).status == 200).then_some(()));
    eventually("health again", || (get(address, "/readyz").status == 200).then_some(()));
    assert_eq!(redis.list("myapp"), [message], "none that was refused got in");
}

#[test]
fn simultaneous_checks_of_readiness_share_one_redis_command() {
    let Some((redis, _api, address)) = start("") else { return };
    get(address, "/readyz");
    let writes = || {
        let stats = redis.cli(&["INFO", "commandstats"]);
        let (_, rest) = stats.split_once("cmdstat_set:calls=").expect("the api has asked");
        let (calls, _) = rest.split_once(',').expect("more follows");
        calls.parse::<u64>().expect("a number")
    };
    let before = writes();
    let (finished, report) =
        report_of(&format!("http://{address}/readyz -m GET -c 64 -n 2000"), |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.status.200"), 2_000);
    let asked = writes() - before;
    assert!((1..1_500).contains(&asked), "{asked} SETs for 2,000 checks, 64 at a time");
}

/// A load balancer sends no messages to an instance that is not ready, so it must get ready without them.
#[test]
fn readiness_follows_redis_without_messages() {
    let Some((mut redis, _api, address)) = start("") else { return };
    let becomes = |status| {
        let what = format!("readiness {status}");
        eventually(&what, || (get(address, "/readyz").status == status).then_some(()));
    };
    becomes(200);
    redis.kill();
    becomes(503);
    redis.restart();
    becomes(200);
}
