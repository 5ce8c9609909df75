//! `api`, `push` and `subscribe` on their own: bad input, servers that go and come back, stopping.

mod access;
mod api;
mod bounds;
mod ends;
mod failover;
mod logs;
mod losses;
mod metrics;
mod push;
mod reconnect;
mod rejected;
mod stock_broker;
mod subscribe;
mod wait_for;

use std::net::TcpListener;

use crate::support::{Mosquitto, Redis, Service, free_port, run};

/// Starting with these words fails with exit 1 and says all of `parts`.
#[track_caller]
fn assert_does_not_start(words: &str, parts: &[&str]) {
    let finished = run(words);
    assert_eq!(finished.code, Some(1), "{words}: {finished:?}");
    assert_eq!(finished.stdout, "", "{words}: it was never ready");
    for part in parts {
        assert!(finished.stderr.contains(part), "'{part}' is missing: {finished:?}");
    }
}

#[test]
fn an_unreachable_redis_at_the_start_is_named() {
    let address = format!("127.0.0.1:{}", free_port());
    for service in ["api --listen 127.0.0.1:0", "push", "subscribe"] {
        let words = format!("{service} --redis redis://{address}");
        assert_does_not_start(&words, &["Redis", &address, "is it running there?"]);
    }
}

#[test]
fn an_unreachable_broker_at_the_start_is_named() {
    let Some(redis) = Redis::start() else { return };
    let address = format!("127.0.0.1:{}", free_port());
    for service in ["push", "subscribe"] {
        let words = format!("{service} --redis {} --mqtt mqtt://{address}", redis.url());
        assert_does_not_start(&words, &["MQTT broker", &address, "is it running there?"]);
    }
}

#[test]
fn a_missing_or_wrong_redis_password_gives_advice() {
    let Some(redis) = Redis::with_password("tulip-and-thorn") else { return };
    let address = redis.address();
    for service in ["api --listen 127.0.0.1:0", "push", "subscribe"] {
        for (login, advice) in [("", "it wants a password"), (":wrong-one@", "is not right")] {
            let words = format!("{service} --redis redis://{login}{address}");
            assert_does_not_start(&words, &[&address, advice]);
        }
    }
}

#[test]
fn a_missing_or_wrong_broker_login_gives_advice() {
    let Some(redis) = Redis::start() else { return };
    let Some(broker) = Mosquitto::with_login("sender", "onyx-lantern") else { return };
    let address = broker.address();
    for service in ["push", "subscribe"] {
        for (login, advice) in [("", "wants a user"), ("sender:wrong-one@", "does not accept")] {
            let words = format!("{service} --redis {} --mqtt mqtt://{login}{address}", redis.url());
            assert_does_not_start(&words, &[&address, advice]);
        }
    }
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let Some(redis) = Redis::start() else { return };
    let words = format!("api --redis {} --listen {address}", redis.url());
    assert_does_not_start(&words, &["--listen", &address]);
}

#[test]
fn sigterm_ends_every_service_with_exit_0() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let (api, _) = Service::api(&format!("--redis {}", redis.url()));
    let push = Service::start(&format!("push {servers}"));
    let direct = Service::start(&format!("push {servers} --coupling direct --workers 2"));
    let subscribe = Service::start(&format!("subscribe {servers}"));
    for service in [api, push, direct, subscribe] {
        let finished = service.process.terminate();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!finished.stderr.contains("without finishing"), "{finished:?}");
    }
}
