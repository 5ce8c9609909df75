//! Topic matching against Mosquitto, and any input in any pieces.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::brokers::Broker;
use super::client::{MqttClient, connect, publish, subscribe, unsubscribe};

/// Few words, so that many pairs match.
fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just(""), Just("ä"), Just("$x"), Just("$")]
}

fn topic() -> impl Strategy<Value = String> {
    let levels = prop::collection::vec(level(), 1..4).prop_map(|levels| levels.join("/"));
    levels.prop_filter("topics are not empty", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+"), 1 => Just("#")];
    let levels = prop::collection::vec(level, 1..4).prop_map(|levels| levels.join("/"));
    levels.prop_filter("`#` is the last level, and there is a level", |filter| {
        let before_last = filter.rsplit_once('/').map_or("", |(before, _)| before);
        !filter.is_empty() && !before_last.contains('#')
    })
}

/// The topics of which a message reaches a subscriber with this filter.
fn matching(client: &mut MqttClient, filter: &str, topics: &[&str]) -> Vec<String> {
    client.send(&subscribe(1, &[(filter, 0)]));
    assert_eq!(client.next(), [0x90, 3, 0, 1, 0]);
    for topic in topics {
        client.send(&publish(topic, b"", None));
    }
    client.send(&unsubscribe(2, &[filter]));
    std::iter::repeat_with(|| client.next())
        .take_while(|bytes| bytes[0] != 0xb0)
        .map(|bytes| String::from_utf8_lossy(&bytes[4..]).into_owned())
        .collect()
}

#[test]
fn filters_match_as_in_mosquitto() {
    let Some(mosquitto) = Broker::mosquitto() else { return };
    let embedded = Broker::embedded();
    let clients = [&mosquitto, &embedded].map(|broker| MqttClient::connected(broker, "c"));
    let clients = RefCell::new(clients);
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let case = (filter(), prop::collection::vec(topic(), 20));
    let result = runner.run(&case, |(filter, topics)| {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let [theirs, ours] = &mut *clients.borrow_mut();
        let (theirs, ours) = (matching(theirs, &filter, &topics), matching(ours, &filter, &topics));
        prop_assert_eq!(ours, theirs, "under {}", filter);
        Ok(())
    });
    result.expect("both agree");
}

/// Bytes that are often nearly packets.
fn nearly_packets() -> impl Strategy<Value = Vec<u8>> {
    let mutated =
        (0..5_usize, any::<(prop::sample::Index, u8)>()).prop_map(|(which, (at, byte))| {
            let mut bytes = match which {
                0 => publish("ä/b", b"hello", Some(7)),
                1 => publish("a", b"", None),
                2 => subscribe(3, &[("a/+", 1), ("#", 0)]),
                3 => unsubscribe(4, &["a/+", "b"]),
                _ => connect("c", 4, 2, 60),
            };
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let anything = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop_oneof![4 => mutated, 1 => anything], 1..6)
        .prop_map(|parts| parts.concat())
}

#[test]
fn random_input_does_not_harm_the_broker() {
    let broker = Broker::embedded();
    let witness = RefCell::new(MqttClient::subscribed(&broker, "witness", &[("w", 0)]));
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let result =
        TestRunner::new(config).run(&(nearly_packets(), any::<bool>()), |(bytes, known)| {
            let mut client = MqttClient::raw(broker.address);
            if known {
                client.send(&connect("c", 4, 2, 60));
            }
            // It may be closed half-way through.
            for part in bytes.chunks(7) {
                let _ = std::io::Write::write_all(&mut client.socket, part);
            }
            let mut witness = witness.borrow_mut();
            witness.send(&publish("w", b"", None));
            prop_assert_eq!(witness.message().topic, "w");
            Ok(())
        });
    result.expect("it goes on");
}
