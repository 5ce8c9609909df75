//! `loadgen api`: who may send messages.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use rustix::process::Signal;

use super::assert_does_not_start;
use crate::support::{
    Answer, JsonReport, Redis, Service, data, eventually, exchange, get, post, report_of, run,
};
use crate::transports::authority::Authority;

const MESSAGE: &str = r#"{"MsgID":5}"#;

fn start(flags: &str) -> Option<(Redis, Service, SocketAddr)> {
    let redis = Redis::start()?;
    let (service, address) = Service::api(&format!("--redis {} {flags}", redis.url()));
    Some((redis, service, address))
}

/// Posts a message with these header lines, and no others but its length.
fn post_with(address: SocketAddr, headers: &str) -> Answer {
    let length = MESSAGE.len();
    let head = "POST / HTTP/1.1\r\nConnection: close\r\n";
    let request = format!("{head}{headers}Content-Length: {length}\r\n\r\n{MESSAGE}");
    exchange(address, request.as_bytes())
}

/// Statuses of three requests to the api over TLS.
fn secure(address: SocketAddr, flags: &str) -> JsonReport {
    let words = format!("https://localhost:{}/ -n 3 -c 1 {flags}", address.port());
    report_of(&format!("{words} --allow-failed --body {MESSAGE}"), |_| ()).1
}

#[test]
fn requests_of_web_pages_are_refused_and_those_of_curl_are_not() {
    let Some((redis, _api, address)) = start("") else { return };
    for page in [
        "Origin: http://evil.example\r\nContent-Type: text/plain\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = post_with(address, &format!("Host: t\r\n{page}"));
        assert_eq!(answer.status, 403, "{page}: {answer:?}");
        assert!(answer.body.contains("web page"), "{answer:?}");
    }
    assert_eq!(redis.len("myapp"), 0);
    let curl = "Host: t\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(post_with(address, curl).status, 200);
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("loadgen_api_denied_total 3\n"), "{metrics}");
}

#[test]
fn a_request_has_one_host() {
    let Some((_redis, _api, address)) = start("") else { return };
    for (headers, status) in [("", 400), ("Host: a\r\nHost: b\r\n", 400), ("Host: a\r\n", 200)] {
        assert_eq!(post_with(address, headers).status, status, "{headers}");
    }
}

#[test]
fn bodies_that_parsers_read_in_two_ways_are_refused() {
    let Some((redis, _api, address)) = start("") else { return };
    let cases: [(&[u8], &str); 3] = [
        (b"{\"MsgID\":1,\"d\":\"\xff\"}", "not UTF-8 at byte 16"),
        (br#"{"MsgID":1,"d":"\ud800"}"#, "hex escape"),
        (br#"{"MsgID":1,"MsgID":2}"#, "MsgID more than once"),
    ];
    for (body, part) in cases {
        let answer = post(address, body);
        assert!(answer.status == 400 && answer.body.contains(part), "{part}: {answer:?}");
    }
    assert_eq!(redis.len("myapp"), 0);
}

#[test]
fn a_token_is_needed_and_the_file_is_read_again_at_sighup() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tokens");
    std::fs::write(&file, "onyx-lantern\n").expect("space");
    let flags = format!("--token-file {}", file.display());
    let Some((_redis, api, address)) = start(&flags) else { return };
    let with = |token: &str| {
        post_with(address, &format!("Host: t\r\nAuthorization: Bearer {token}\r\n")).status
    };
    let refused = post(address, MESSAGE);
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")));
    assert_eq!((with("wrong"), with("onyx-lantern")), (401, 200));
    let open = ["/healthz", "/readyz", "/metrics"].map(|path| get(address, path).status);
    assert_eq!(open, [200, 200, 401], "probes have no token");
    std::fs::write(&file, "tulip\n").expect("space");
    api.process.signal(Signal::HUP);
    eventually("the new token", || (with("tulip") == 200).then_some(()));
    assert_eq!(with("onyx-lantern"), 401);
    let finished = api.process.terminate();
    assert!(!finished.stderr.contains("tulip"), "{finished:?}");
}

#[test]
fn messages_come_over_tls() {
    let tls = format!("--tls-cert {} --tls-key {}", data("server.pem"), data("server.key"));
    let Some((redis, _api, address)) = start(&tls) else { return };
    let report = secure(address, &format!("--cacert {}", data("ca.pem")));
    assert_eq!(report.count("requests.status.200"), 3);
    assert_eq!(redis.len("myapp"), 3);
    let plain = run(&format!("http://localhost:{}/ -n 1", address.port()));
    assert_ne!(plain.code, Some(0), "{plain:?}");
}

#[test]
fn a_client_certificate_of_the_ca_is_needed() {
    let (server, clients) = (Authority::new(), Authority::new());
    let identity = server.issue("localhost");
    let flags = format!(
        "--tls-cert {} --client-ca {}",
        server.write("server", &format!("{}{}", identity.pem, identity.key)),
        clients.file()
    );
    let Some((redis, _api, address)) = start(&flags) else { return };
    let trusted = format!("--cacert {}", server.file());
    let client = clients.issue("a client");
    let file = clients.write("client", &format!("{}{}", client.pem, client.key));
    let own = format!("{trusted} --cert {file}");
    assert_eq!(secure(address, &own).count("requests.status.200"), 3);
    let stranger = run(&format!("https://localhost:{}/ -n 1 {trusted}", address.port()));
    assert_ne!(stranger.code, Some(0), "{stranger:?}");
    assert_eq!(redis.len("myapp"), 3);
}

#[test]
fn an_address_that_other_machines_reach_needs_a_guard() {
    let Some(redis) = Redis::start() else { return };
    let words = format!("api --redis {} --listen {}:0", redis.url(), Ipv4Addr::UNSPECIFIED);
    let finished = run(&words);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    for part in ["--listen 0.0.0.0:0", "--token-file", "--client-ca", "--insecure-listen"] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
    let (api, _) = Service::api(&format!(
        "--redis {} --listen {}:0 --insecure-listen",
        redis.url(),
        Ipv4Addr::UNSPECIFIED
    ));
    api.process.await_complaint("without --tls-cert");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let Some(redis) = Redis::start() else { return };
    let missing = Path::new("/nonexistent/file");
    for flag in ["--tls-cert", "--token-file"] {
        let words = format!(
            "api --listen 127.0.0.1:0 --redis {} {flag} {}",
            redis.url(),
            missing.display()
        );
        assert_does_not_start(&words, &[flag, "/nonexistent/file"]);
    }
}
