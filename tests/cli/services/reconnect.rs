//! A broker that accepts each connection and closes it: push and subscribe pause before they come back.

use std::time::Duration;

use crate::support::{Misbehaviour, Redis, ScriptedBroker, Service, eventually};

/// More connections than pauses that double from 20 ms leave room for in two seconds.
const MANY: usize = 20;

/// Counts the connections in two seconds after the third one, and stops the service.
fn assert_pauses(broker: &ScriptedBroker, service: Service) {
    eventually("three connections", || (broker.accepted() >= 3).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    let connections = broker.accepted();
    assert!(connections < MANY, "{connections} connections");
    let finished = service.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines = finished.stderr.lines().count();
    assert!(lines < 3 * MANY, "{lines} lines of log");
}

#[test]
fn push_pauses_before_a_broker_that_closes_after_connack() {
    let Some(redis) = Redis::start() else { return };
    let broker = ScriptedBroker::start(Misbehaviour::ClosesAtOnce);
    let words = format!("push --redis {} --mqtt {}", redis.url(), broker.url());
    assert_pauses(&broker, Service::start(&words));
}

#[test]
fn subscribe_pauses_before_a_broker_that_closes_after_suback() {
    let broker = ScriptedBroker::start(Misbehaviour::ClosesAtOnce);
    assert_pauses(&broker, Service::start(&format!("subscribe --mqtt {}", broker.url())));
}
