//! `--wait-for`: runs and services that are started before their servers.

use rustix::process::Signal;

use super::assert_does_not_start;
use crate::support::{Mosquitto, Redis, SOON, Service, free_port, report_of, start};

/// Longest wait in these tests: no test reaches it.
const LONG: &str = "--wait-for 10m";

#[test]
fn a_service_waits_for_its_servers() {
    let (Some(mut redis), Some(mut broker)) = (Redis::start(), Mosquitto::start()) else { return };
    redis.kill();
    broker.stop();
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let mut api = start(&format!("api --listen 127.0.0.1:0 {LONG} --redis {}", redis.url()));
    let mut push = start(&format!("push {LONG} {servers}"));
    let mut subscriber = start(&format!("subscribe {LONG} --mqtt {}", broker.url()));
    api.await_complaint("waiting at most");
    push.await_complaint(&redis.address());
    subscriber.await_complaint(&broker.address());
    redis.restart();
    push.await_complaint(&broker.address());
    broker.restart();
    api.await_line(|line| line.starts_with("listening on ").then_some(()));
    for service in [&mut push, &mut subscriber] {
        service.await_line(|line| (line == "ready").then_some(()));
    }
    let said = push.stderr();
    assert!(said.contains("Redis at redis://") && said.contains("answers after"), "{said}");
    assert_eq!(said.matches("waiting at most").count(), 2, "each is told once: {said}");
}

#[test]
fn a_run_waits_for_its_target_and_servers() {
    let (Some(redis), Some(mut broker)) = (Redis::start(), Mosquitto::start()) else { return };
    broker.stop();
    let port = free_port();
    let (redis_url, mqtt) = (redis.url(), broker.url());
    let words = format!(
        "http://127.0.0.1:{port}/ {LONG} -R 200 -d 1s --redis {redis_url} --mqtt {mqtt} --allow-failed"
    );
    let mut services = Vec::new();
    let (finished, report) = report_of(&words, |process| {
        process.await_complaint(&broker.address());
        broker.restart();
        process.await_complaint(&format!("cannot connect to 127.0.0.1:{port}"));
        let api = format!("--listen 127.0.0.1:{port} --redis {redis_url}");
        services.push(Service::api(&api).0);
        services.push(Service::start(&format!("push --redis {redis_url} --mqtt {mqtt}")));
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.status.200"), 200);
    assert!(finished.stderr.contains("the target http://127.0.0.1"), "{finished:?}");
}

#[test]
fn after_the_time_the_error_is_that_of_a_server_that_is_away() {
    let address = format!("127.0.0.1:{}", free_port());
    let waited = "waited 0.3s for it: --wait-for";
    let wait = "--wait-for 300ms";
    let (redis, mqtt) = (format!("--redis redis://{address}"), format!("--mqtt mqtt://{address}"));
    for service in [
        format!("api --listen 127.0.0.1:0 {redis}"),
        format!("push {redis} {mqtt}"),
        format!("subscribe {mqtt}"),
    ] {
        let words = format!("{service} {wait}");
        assert_does_not_start(&words, &[&address, "is it running there?", waited]);
    }
    let target = format!("http://{address}/ -R 10 -d 1s {wait}");
    for words in [target, format!("-R 10 -d 1s {wait} --mqtt mqtt://{address}")] {
        assert_does_not_start(&words, &[&address, "refused", waited]);
    }
}

#[test]
fn ctrl_c_ends_the_wait() {
    let address = format!("127.0.0.1:{}", free_port());
    let profile = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(profile.path(), "rate = 10\nduration = '1s'\n[[step]]\nname = 'a'\n")
        .expect("space");
    let profile = profile.path().display();
    for words in [
        format!("api --listen 127.0.0.1:0 {LONG} --redis redis://{address}"),
        format!("subscribe {LONG} --mqtt mqtt://{address}"),
        format!("http://{address}/ {LONG} -R 10"),
        format!("ramp {profile} {LONG} --mqtt mqtt://{address}"),
    ] {
        let process = start(&words);
        process.await_complaint("waiting at most");
        process.signal(Signal::INT);
        let finished = process.finish_within(SOON);
        assert_eq!(finished.code, Some(130), "{words}: {finished:?}");
    }
}
