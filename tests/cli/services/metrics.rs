//! `--metrics` of push and subscribe.

use std::net::SocketAddr;

use super::push::{enqueue, messages};
use crate::support::{Mosquitto, Redis, Service, eventually, get, run, samples};

/// Address of the metrics in the log of a service.
fn metrics_of(service: &Service) -> SocketAddr {
    eventually("the address of the metrics", || {
        let log = service.process.stderr();
        let (_, rest) = log.split_once("metrics at http://")?;
        rest.split_once('/')?.0.parse().ok()
    })
}

#[test]
fn push_and_subscribe_show_their_counts() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let words = format!("subscribe --mqtt {} --metrics 0", broker.url());
    let subscribe = Service::start(&words);
    let words = format!("push --redis {} --mqtt {} --metrics 0", redis.url(), broker.url());
    let push = Service::start(&format!("{words} --max-message 100"));
    enqueue(&redis, &[messages(1, 9, 0), messages(10, 1, 200)].concat());

    let address = metrics_of(&push);
    let counts = eventually("all messages", || {
        let counts = samples(&get(address, "/metrics").body, false);
        (counts["loadgen_push_acknowledged_total"] == 9.0
            && counts["loadgen_push_dead_total"] == 1.0)
            .then_some(counts)
    });
    for (name, value) in [
        ("popped", 10.0),
        ("published", 9.0),
        ("sent_again", 0.0),
        ("put_back", 0.0),
        ("lost", 0.0),
        ("unaccounted", 0.0),
        ("broker_lost", 0.0),
    ] {
        assert_eq!(counts[&format!("loadgen_push_{name}_total")], value, "{name}");
    }
    let address = metrics_of(&subscribe);
    eventually("all received", || {
        let counts = samples(&get(address, "/metrics").body, false);
        (counts["loadgen_subscribe_messages_total"] == 9.0).then_some(())
    });
    assert_eq!(get(address, "/").status, 404);
    for service in [push, subscribe] {
        assert_eq!(service.process.terminate().code, Some(0));
    }
}

#[test]
fn metrics_beyond_loopback_need_a_guard() {
    let refused = run("push --metrics 0.0.0.0:0");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--metrics"), "{refused:?}");
}
