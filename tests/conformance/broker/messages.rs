//! Messages on both brokers: their receivers, quality of service and order, however
//! their bytes come.

use std::time::Duration;

use super::brokers::Broker;
use super::client::{MqttClient, connect, puback, publish, subscribe, unsubscribe};

on_both! {
    a_message_reaches_only_its_subscribers
    wildcards_match_as_specified
    each_filter_of_a_subscription_gets_its_own_return_code
    subscribing_again_changes_the_qos
    unsubscribing_ends_delivery
    the_lower_qos_applies
    packet_ids_of_unacknowledged_messages_are_unique
    overlapping_filters_deliver_at_the_highest_qos
    packets_may_be_split_anywhere
    many_packets_may_come_together
    large_messages_are_delivered
    order_is_kept_over_ten_thousand_messages
}

fn a_message_reaches_only_its_subscribers(broker: &Broker) {
    let mut one = MqttClient::subscribed(broker, "one", &[("a/b", 0)]);
    let mut two = MqttClient::subscribed(broker, "two", &[("a/b", 0)]);
    let mut stranger = MqttClient::subscribed(broker, "stranger", &[("a/c", 0)]);
    one.send(&publish("a/b", b"hello", None));
    for client in [&mut one, &mut two] {
        let arrived = client.message();
        assert_eq!((arrived.first, arrived.topic.as_str()), (0x30, "a/b"));
        assert_eq!(arrived.payload, b"hello");
        client.expect_nothing();
    }
    stranger.expect_nothing();
    two.send(&publish("a/c", b"", None));
    assert_eq!(stranger.message().payload, b"");
}

fn wildcards_match_as_specified(broker: &Broker) {
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("a/+", &["a/b", "a/"], &["a", "a/b/c", "b/a"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"], &["ab", "b/a"]),
        ("#", &["a", "/a", "a/b/c"], &["$own/a"]),
        ("+/b", &["a/b", "/b"], &["b", "a/b/c", "$own/b"]),
        ("+", &["a"], &["a/b", "/a"]),
        ("a/+/c/#", &["a/b/c", "a//c/d/e"], &["a/c", "a/b/d"]),
        ("ä/+", &["ä/ö"], &["a/ö"]),
    ];
    let mut sender = MqttClient::connected(broker, "sender");
    for (filter, taken, left) in cases {
        let mut client = MqttClient::subscribed(broker, "c", &[(filter, 0), ("the/end", 0)]);
        for topic in left.iter().chain(taken) {
            sender.send(&publish(topic, topic.as_bytes(), None));
        }
        sender.send(&publish("the/end", b"", None));
        let expected = taken.iter().copied().chain((filter == "#").then_some("the/end"));
        for topic in expected.take(taken.len()) {
            assert_eq!(client.message().topic, topic, "under {filter}");
        }
        assert_eq!(client.message().topic, "the/end", "under {filter}");
    }
}

fn each_filter_of_a_subscription_gets_its_own_return_code(broker: &Broker) {
    let mut client = MqttClient::connected(broker, "c");
    client.send(&subscribe(0x1234, &[("a", 0), ("b", 1), ("c/#", 1), ("d", 0)]));
    assert_eq!(client.next(), [0x90, 6, 0x12, 0x34, 0, 1, 1, 0]);
    client.send(&[publish("b", b"1", None), publish("d", b"2", None)].concat());
    assert_eq!((client.message().topic, client.message().topic), ("b".into(), "d".into()));
}

fn subscribing_again_changes_the_qos(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("a", 0)]);
    client.send(&subscribe(2, &[("a", 1)]));
    assert_eq!(client.next(), [0x90, 3, 0, 2, 1]);
    let mut sender = MqttClient::connected(broker, "sender");
    sender.send(&publish("a", b"x", Some(9)));
    assert_eq!(client.message().first, 0x32);
    client.expect_nothing();
}

fn unsubscribing_ends_delivery(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("a", 0), ("b", 0)]);
    client.send(&unsubscribe(7, &["a", "never"]));
    assert_eq!(client.next(), [0xb0, 2, 0, 7]);
    client.send(&[publish("a", b"", None), publish("b", b"", None)].concat());
    assert_eq!(client.message().topic, "b");
    client.expect_nothing();
}

fn the_lower_qos_applies(broker: &Broker) {
    let mut zero = MqttClient::subscribed(broker, "zero", &[("a", 0)]);
    let mut one = MqttClient::subscribed(broker, "one", &[("a", 1)]);
    let mut sender = MqttClient::connected(broker, "sender");
    sender.send(&[publish("a", b"0", None), publish("a", b"1", Some(5))].concat());
    assert_eq!(sender.next(), [0x40, 2, 0, 5]);
    assert_eq!((zero.message().first, zero.message().first), (0x30, 0x30));
    assert_eq!((one.message().first, one.message().first), (0x30, 0x32));
    sender.expect_nothing();
}

fn packet_ids_of_unacknowledged_messages_are_unique(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("a", 1)]);
    let mut sender = MqttClient::connected(broker, "sender");
    let mut seen = std::collections::HashSet::new();
    for id in 1..=500 {
        sender.send(&publish("a", b"x", Some(id)));
        assert_eq!(sender.next(), puback(id));
        let given = client.message().id.expect("QoS 1");
        assert!(given > 0 && seen.insert(given), "{given} is in flight");
        // Every other one is acknowledged, and may come again; some acknowledgements are of nothing.
        if id % 2 == 0 {
            client.send(&puback(given));
            client.expect_nothing();
            seen.remove(&given);
        }
    }
}

fn overlapping_filters_deliver_at_the_highest_qos(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("a/#", 0), ("a/b", 1), ("+/b", 0)]);
    let mut sender = MqttClient::connected(broker, "sender");
    sender.send(&publish("a/b", b"x", Some(1)));
    assert_eq!(sender.next(), puback(1));
    // MQTT lets a broker deliver once at the best quality, or once for each filter.
    sender.send(&publish("a/z", b"end", None));
    let arrived: Vec<_> =
        std::iter::repeat_with(|| client.message()).take_while(|m| m.payload != b"end").collect();
    assert!((1..=3).contains(&arrived.len()), "{arrived:?}");
    assert!(arrived.iter().any(|message| message.first == 0x32), "{arrived:?}");
}

fn packets_may_be_split_anywhere(broker: &Broker) {
    let mut sub = MqttClient::subscribed(broker, "sub", &[("a/+", 1)]);
    let script = [
        connect("c", 4, 2, 60),
        publish("a/b", b"0", None),
        publish("a/c", &[7; 200], Some(3)),
        vec![0xc0, 0],
    ]
    .concat();
    for cut in 1..script.len() {
        let mut client = MqttClient::raw(broker.address);
        client.send(&script[..cut]);
        // Most of these arrive apart.
        std::thread::sleep(Duration::from_micros(300));
        client.send(&script[cut..]);
        assert_eq!(client.next(), [0x20, 2, 0, 0], "cut at {cut}");
        assert_eq!(client.next(), puback(3), "cut at {cut}");
        assert_eq!(client.next(), [0xd0, 0], "cut at {cut}");
        assert_eq!(sub.message().payload, b"0");
        assert_eq!(sub.message().payload, [7; 200]);
    }
    let mut client = MqttClient::raw(broker.address);
    script.iter().for_each(|byte| client.send(&[*byte]));
    assert_eq!((client.next(), client.next()), (vec![0x20, 2, 0, 0], puback(3)));
}

fn many_packets_may_come_together(broker: &Broker) {
    let mut client = MqttClient::raw(broker.address);
    let messages = (1..=200)
        .flat_map(|n: u16| publish("a", &n.to_be_bytes(), n.is_multiple_of(3).then_some(n)));
    let all: Vec<u8> = connect("c", 4, 2, 60)
        .into_iter()
        .chain(subscribe(1, &[("a", 0)]))
        .chain(messages)
        .chain(unsubscribe(2, &["a"]))
        .chain(publish("a", b"nobody", None))
        .chain([0xc0, 0])
        .collect();
    client.send(&all);
    let answers: Vec<_> = std::iter::repeat_with(|| client.next())
        .take_while(|answer| answer[..] != [0xd0, 0])
        .collect();
    let of = |kind: u8| answers.iter().filter(move |answer| answer[0] >> 4 == kind);
    assert_eq!((of(2).count(), of(9).count(), of(11).count()), (1, 1, 1));
    assert_eq!((of(3).count(), of(4).count()), (200, 66));
    let numbers = of(3).map(|m| u16::from_be_bytes([m[m.len() - 2], m[m.len() - 1]]));
    assert!(numbers.eq(1..=200));
}

fn large_messages_are_delivered(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("a", 1)]);
    let mut sender = MqttClient::connected(broker, "sender");
    for (id, size) in [(1, 127), (2, 16_383), (3, 70_000), (4, 3_000_000)] {
        let payload: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        sender.send(&publish("a", &payload, Some(id)));
        sender.send(&publish("a", &payload, None));
        let (first, second) = (client.message(), client.message());
        assert!(first.payload == payload && second.payload == payload, "{size} bytes");
        assert_eq!((first.first, second.first), (0x32, 0x30));
        assert_eq!(sender.next(), puback(id));
    }
}

fn order_is_kept_over_ten_thousand_messages(broker: &Broker) {
    let mut sub = MqttClient::subscribed(broker, "sub", &[("a/#", 1)]);
    let mut sender = MqttClient::connected(broker, "sender");
    let all = |n: u32| match n % 3 {
        0 => publish("a/b", &n.to_be_bytes(), None),
        _ => publish("a", &n.to_be_bytes(), None),
    };
    let bytes: Vec<u8> = (0..10_000).flat_map(all).collect();
    let writer = std::thread::spawn(move || {
        bytes.chunks(3_001).for_each(|chunk| sender.send(chunk));
        sender
    });
    for n in 0..10_000_u32 {
        assert_eq!(sub.message().payload, n.to_be_bytes());
    }
    writer.join().expect("all was sent");
}
