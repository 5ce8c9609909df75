//! The list that the embedded broker and Mosquitto must both pass.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loadgen::plan::Address;
use loadgen::stack::mqtt;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish};

use super::brokers::{Broker, find};
use super::client::{Client, connect, packet, puback, publish, string, subscribe, unsubscribe};

/// Each test twice.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod embedded {
            $(#[test] fn $test() { super::$test(&super::Broker::embedded()); })*
        }
        mod mosquitto {
            $(#[test] fn $test() {
                if let Some(broker) = super::Broker::mosquitto() { super::$test(&broker); }
            })*
        }
    };
}

on_both! {
    a_connection_is_accepted_and_pings_are_answered
    other_protocol_levels_are_refused
    a_client_without_a_name_gets_one
    any_credentials_will_do
    a_message_reaches_its_subscribers_and_nobody_else
    wildcards_take_what_they_should
    filters_of_one_subscription_are_answered_one_by_one
    subscribing_again_changes_the_quality
    unsubscribing_ends_it
    the_lower_quality_counts
    acknowledged_messages_use_each_id_once
    overlapping_filters_deliver_at_the_best_quality
    packets_may_come_in_any_pieces
    many_packets_may_come_at_once
    large_messages_pass
    a_client_id_is_taken_over
    silence_beyond_the_keep_alive_ends_the_connection
    a_goodbye_ends_the_connection
    order_is_kept_over_ten_thousand_messages
    protocol_errors_end_that_connection_only
    the_version_is_told
    foreign_clients_are_served
    our_own_client_is_served
}

fn a_connection_is_accepted_and_pings_are_answered(broker: &Broker) {
    let mut client = Client::connected(broker, "c");
    client.send(&[0xc0, 0, 0xc0, 0]);
    assert_eq!((client.next(), client.next()), (vec![0xd0, 0], vec![0xd0, 0]));
}

fn other_protocol_levels_are_refused(broker: &Broker) {
    let mut client = Client::raw(broker.address);
    client.send(&connect("c", 9, 2, 60));
    assert_eq!(client.next(), [0x20, 2, 0, 1]);
    client.expect_end();
    let mut client = Client::raw(broker.address);
    let body = [string(b"HTTP"), vec![4, 2, 0, 60], string(b"c")].concat();
    client.send(&packet(0x10, &body));
    client.expect_end();
}

fn a_client_without_a_name_gets_one(broker: &Broker) {
    let (mut one, mut other) = (Client::connected(broker, ""), Client::connected(broker, ""));
    one.expect_nothing();
    other.expect_nothing();
    let mut kept = Client::raw(broker.address);
    kept.send(&connect("", 4, 0, 60));
    assert_eq!(kept.next(), [0x20, 2, 0, 2]);
    kept.expect_end();
}

fn any_credentials_will_do(broker: &Broker) {
    let mut client = Client::raw(broker.address);
    let head = [string(b"MQTT"), vec![4, 0xc2, 0, 60], string(b"c")].concat();
    client.send(&packet(0x10, &[head, string(b"user"), string(b"word")].concat()));
    assert_eq!(client.next(), [0x20, 2, 0, 0]);
}

fn a_message_reaches_its_subscribers_and_nobody_else(broker: &Broker) {
    let mut one = Client::subscribed(broker, "one", &[("a/b", 0)]);
    let mut two = Client::subscribed(broker, "two", &[("a/b", 0)]);
    let mut stranger = Client::subscribed(broker, "stranger", &[("a/c", 0)]);
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

fn wildcards_take_what_they_should(broker: &Broker) {
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("a/+", &["a/b", "a/"], &["a", "a/b/c", "b/a"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"], &["ab", "b/a"]),
        ("#", &["a", "/a", "a/b/c"], &["$own/a"]),
        ("+/b", &["a/b", "/b"], &["b", "a/b/c", "$own/b"]),
        ("+", &["a"], &["a/b", "/a"]),
        ("a/+/c/#", &["a/b/c", "a//c/d/e"], &["a/c", "a/b/d"]),
        ("ä/+", &["ä/ö"], &["a/ö"]),
    ];
    let mut sender = Client::connected(broker, "sender");
    for (filter, taken, left) in cases {
        let mut client = Client::subscribed(broker, "c", &[(filter, 0), ("the/end", 0)]);
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

fn filters_of_one_subscription_are_answered_one_by_one(broker: &Broker) {
    let mut client = Client::connected(broker, "c");
    client.send(&subscribe(0x1234, &[("a", 0), ("b", 1), ("c/#", 1), ("d", 0)]));
    assert_eq!(client.next(), [0x90, 6, 0x12, 0x34, 0, 1, 1, 0]);
    client.send(&[publish("b", b"1", None), publish("d", b"2", None)].concat());
    assert_eq!((client.message().topic, client.message().topic), ("b".into(), "d".into()));
}

fn subscribing_again_changes_the_quality(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("a", 0)]);
    client.send(&subscribe(2, &[("a", 1)]));
    assert_eq!(client.next(), [0x90, 3, 0, 2, 1]);
    let mut sender = Client::connected(broker, "sender");
    sender.send(&publish("a", b"x", Some(9)));
    assert_eq!(client.message().first, 0x32);
    client.expect_nothing();
}

fn unsubscribing_ends_it(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("a", 0), ("b", 0)]);
    client.send(&unsubscribe(7, &["a", "never"]));
    assert_eq!(client.next(), [0xb0, 2, 0, 7]);
    client.send(&[publish("a", b"", None), publish("b", b"", None)].concat());
    assert_eq!(client.message().topic, "b");
    client.expect_nothing();
}

fn the_lower_quality_counts(broker: &Broker) {
    let mut zero = Client::subscribed(broker, "zero", &[("a", 0)]);
    let mut one = Client::subscribed(broker, "one", &[("a", 1)]);
    let mut sender = Client::connected(broker, "sender");
    sender.send(&[publish("a", b"0", None), publish("a", b"1", Some(5))].concat());
    assert_eq!(sender.next(), [0x40, 2, 0, 5]);
    assert_eq!((zero.message().first, zero.message().first), (0x30, 0x30));
    assert_eq!((one.message().first, one.message().first), (0x30, 0x32));
    sender.expect_nothing();
}

fn acknowledged_messages_use_each_id_once(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("a", 1)]);
    let mut sender = Client::connected(broker, "sender");
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

fn overlapping_filters_deliver_at_the_best_quality(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("a/#", 0), ("a/b", 1), ("+/b", 0)]);
    let mut sender = Client::connected(broker, "sender");
    sender.send(&publish("a/b", b"x", Some(1)));
    assert_eq!(sender.next(), puback(1));
    // MQTT lets a broker deliver once at the best quality, or once for each filter.
    sender.send(&publish("a/z", b"end", None));
    let arrived: Vec<_> =
        std::iter::repeat_with(|| client.message()).take_while(|m| m.payload != b"end").collect();
    assert!((1..=3).contains(&arrived.len()), "{arrived:?}");
    assert!(arrived.iter().any(|message| message.first == 0x32), "{arrived:?}");
}

fn packets_may_come_in_any_pieces(broker: &Broker) {
    let mut sub = Client::subscribed(broker, "sub", &[("a/+", 1)]);
    let script = [
        connect("c", 4, 2, 60),
        publish("a/b", b"0", None),
        publish("a/c", &[7; 200], Some(3)),
        vec![0xc0, 0],
    ]
    .concat();
    for cut in 1..script.len() {
        let mut client = Client::raw(broker.address);
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
    let mut client = Client::raw(broker.address);
    script.iter().for_each(|byte| client.send(&[*byte]));
    assert_eq!((client.next(), client.next()), (vec![0x20, 2, 0, 0], puback(3)));
}

fn many_packets_may_come_at_once(broker: &Broker) {
    let mut client = Client::raw(broker.address);
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

fn large_messages_pass(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("a", 1)]);
    let mut sender = Client::connected(broker, "sender");
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

fn a_client_id_is_taken_over(broker: &Broker) {
    let mut older = Client::subscribed(broker, "same", &[("a", 0)]);
    let mut newer = Client::connected(broker, "same");
    older.expect_end();
    // A clean session begins without subscriptions.
    newer.send(&publish("a", b"", None));
    newer.expect_nothing();
    newer.send(&subscribe(1, &[("b", 0)]));
    assert_eq!(newer.next(), [0x90, 3, 0, 1, 0]);
    newer.send(&publish("b", b"", None));
    assert_eq!(newer.message().topic, "b");
}

fn silence_beyond_the_keep_alive_ends_the_connection(broker: &Broker) {
    let mut client = Client::raw(broker.address);
    client.send(&connect("c", 4, 2, 1));
    assert_eq!(client.next(), [0x20, 2, 0, 0]);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(400));
        client.expect_nothing();
    }
    let begin = Instant::now();
    assert!(client.ends_within(Duration::from_secs(8)));
    assert!(begin.elapsed() > Duration::from_millis(1_000), "after {:?}", begin.elapsed());
}

fn a_goodbye_ends_the_connection(broker: &Broker) {
    let mut sub = Client::subscribed(broker, "sub", &[("a", 0)]);
    let mut client = Client::connected(broker, "c");
    client.send(&[publish("a", b"last words", None), vec![0xe0, 0]].concat());
    client.expect_end();
    assert_eq!(sub.message().payload, b"last words");
}

fn order_is_kept_over_ten_thousand_messages(broker: &Broker) {
    let mut sub = Client::subscribed(broker, "sub", &[("a/#", 1)]);
    let mut sender = Client::connected(broker, "sender");
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

fn protocol_errors_end_that_connection_only(broker: &Broker) {
    let mut witness = Client::subscribed(broker, "witness", &[("a", 0)]);
    let errors: [(&str, Vec<u8>); 16] = [
        ("CONNECT twice", connect("c", 4, 2, 60)),
        ("SUBSCRIBE without filters", packet(0x82, &[0, 1])),
        ("SUBSCRIBE with id 0", subscribe(0, &[("a", 0)])),
        ("SUBSCRIBE with the wrong flags", packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        ("SUBSCRIBE at QoS 3", subscribe(1, &[("a", 3)])),
        ("a filter with # in the middle", subscribe(1, &[("a/#/b", 0)])),
        ("a filter with + in a level", subscribe(1, &[("a+", 0)])),
        ("an empty filter", subscribe(1, &[("", 0)])),
        ("UNSUBSCRIBE without filters", packet(0xa2, &[0, 1])),
        ("a topic with a wildcard", publish("a/+", b"", None)),
        ("an empty topic", publish("", b"", None)),
        ("a message with id 0", publish("a", b"", Some(0))),
        ("a message at QoS 3", packet(0x36, &[0, 1, b'a', 0, 1])),
        ("a topic that is no UTF-8", packet(0x30, &[0, 2, 0xc3, 0x28])),
        ("a topic beyond its packet", packet(0x30, &[0, 9, b'a'])),
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ];
    for (what, bytes) in errors {
        let mut client = Client::connected(broker, "c");
        client.send(&bytes);
        assert!(client.ends_within(Duration::from_secs(5)), "{what}");
    }
    let mut stranger = Client::raw(broker.address);
    stranger.send(&publish("a", b"", None));
    stranger.expect_end();
    witness.expect_nothing();
}

fn the_version_is_told(broker: &Broker) {
    let mut client = Client::subscribed(broker, "c", &[("$SYS/broker/version", 0)]);
    let told = client.message();
    assert_eq!((told.first, told.topic.as_str()), (0x31, "$SYS/broker/version"));
    assert!(String::from_utf8_lossy(&told.payload).contains(' '), "{told:?}");
}

fn foreign_clients_are_served(broker: &Broker) {
    if find("mosquitto_sub").is_none() || find("mosquitto_pub").is_none() {
        return;
    }
    for qos in ["0", "1"] {
        let mut sub = broker.foreign("mosquitto_sub");
        sub.args(["-q", qos, "-t", "x/+", "-F", "%q %t %p", "-W", "20"]);
        let mut sub = sub.stdout(Stdio::piped()).spawn().expect("mosquitto_sub starts");
        let stdout = BufReader::new(sub.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        mark_until(broker, || _ = lines.next());
        for payload in ["one", "two", "three", "four"] {
            let mut publisher = broker.foreign("mosquitto_pub");
            publisher.args(["-q", qos, "-t", "x/y", "-m", payload]);
            assert!(publisher.status().expect("mosquitto_pub runs").success());
        }
        let arrived: Vec<_> = lines.filter(|line| !line.ends_with("mark")).take(4).collect();
        assert_eq!(arrived, ["one", "two", "three", "four"].map(|p| format!("{qos} x/y {p}")));
        sub.kill().and_then(|()| sub.wait()).expect("mosquitto_sub ends");
    }
}

/// Publishes marks until `taken` returns: a foreign client does not say when it has subscribed.
fn mark_until(broker: &Broker, taken: impl FnOnce()) {
    let mut marker = Client::connected(broker, "marker");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                marker.send(&publish("x/mark", b"mark", None));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        taken();
        done.store(true, Relaxed);
    });
}

fn our_own_client_is_served(broker: &Broker) {
    let url = format!("mqtt://user:word@{}", broker.address);
    let address: Address = Address::parse("--mqtt", &url).expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let id = mqtt::client_id("test");
        let (mut sender, mut receiver) = mqtt::connect(&address, &id).await.expect("it connects");
        let wish = (&address, "a/b", 1);
        mqtt::subscribe(&mut sender, &mut receiver, wish).await.expect("it subscribes");
        for payload in ["one", "two"] {
            let mut message = Publish::new("a/b", QoS::AtLeastOnce, payload);
            message.pkid = 1;
            sender.send(&Packet::Publish(message)).await.expect("it publishes");
            let (mut arrived, mut acknowledged) = (None, false);
            while arrived.is_none() || !acknowledged {
                match receiver.decode().expect("MQTT") {
                    Some(Packet::Publish(message)) => arrived = Some(message.payload),
                    Some(Packet::PubAck(ack)) => acknowledged = ack.pkid == 1,
                    Some(other) => panic!("{other:?}"),
                    None => _ = receiver.fill().await.expect("the connection stands"),
                }
            }
            assert_eq!(arrived.expect("it is there"), payload);
        }
        let version = mqtt::version(&address).await.expect("it tells its version");
        assert!(version.contains("version") || version.contains("embedded"), "{version}");
    });
}
