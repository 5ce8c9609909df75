//! Topic matching against Mosquitto, and any input in any pieces.

use std::cell::RefCell;

use loadgen::pipeline::servers::embedded::broker::frame::cut;
use loadgen::pipeline::servers::embedded::broker::{is_filter, is_topic, matches};
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
    levels.prop_filter("topics are not empty", |topic| is_topic(topic))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+"), 1 => Just("#")];
    let levels = prop::collection::vec(level, 1..4).prop_map(|levels| levels.join("/"));
    levels.prop_filter("valid filters", |filter| is_filter(filter))
}

#[test]
fn filters_match_as_in_mosquitto() {
    let Some(broker) = Broker::mosquitto() else { return };
    let client = RefCell::new(MqttClient::connected(&broker, "c"));
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let case = (filter(), prop::collection::vec(topic(), 20));
    let result = runner.run(&case, |(filter, topics)| {
        let mut client = client.borrow_mut();
        client.send(&subscribe(1, &[(&filter, 0)]));
        prop_assert_eq!(client.next(), [0x90, 3, 0, 1, 0]);
        for topic in &topics {
            client.send(&publish(topic, b"", None));
        }
        client.send(&unsubscribe(2, &[&filter]));
        let arrived: Vec<_> = std::iter::repeat_with(|| client.next())
            .take_while(|bytes| bytes[0] != 0xb0)
            .map(|bytes| String::from_utf8_lossy(&bytes[4..]).into_owned())
            .collect();
        let expected: Vec<_> = topics.into_iter().filter(|topic| matches(topic, &filter)).collect();
        prop_assert_eq!(arrived, expected, "under {}", filter);
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

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn cutting_and_reading_never_panic(bytes in nearly_packets()) {
        let mut rest = &bytes[..];
        while let Ok(Some(frame)) = cut(rest, 1_000) {
            prop_assert!(!frame.bytes.is_empty() && rest.starts_with(frame.bytes));
            prop_assert!(frame.bytes.ends_with(frame.body));
            let _ = (frame.kind(), frame.message(), frame.is_plain(), frame.protocol());
            let _ = frame.packet();
            rest = &rest[frame.bytes.len()..];
        }
    }

    #[test]
    fn splitting_does_not_change_how_packets_are_cut(bytes in nearly_packets()) {
        let whole = cut(&bytes, 1_000).map(|frame| frame.map(|frame| frame.bytes.len()));
        for end in 0..bytes.len() {
            match cut(&bytes[..end], 1_000) {
                Ok(None) => {}
                Ok(Some(frame)) => prop_assert_eq!(whole, Ok(Some(frame.bytes.len()))),
                Err(refusal) => prop_assert_eq!(whole, Err(refusal)),
            }
        }
    }
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
