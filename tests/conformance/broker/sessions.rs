//! Connections to both brokers: accepting, refusing, taking over and closing; and the clients that they serve.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use loadgen::core::Address;
use loadgen::pipeline::settings::{BrokerSettings, MessageSettings};
use loadgen::pipeline::subscribe::{self, SubscribeCounts, SubscribeSettings};
use tokio::sync::watch;

use super::brokers::Broker;
use super::client::{MqttClient, connect, packet, publish, string, subscribe};
use crate::support::{LIMIT, Process, eventually, require};

on_both! {
    a_connection_is_accepted_and_pings_are_answered
    other_protocol_levels_are_refused
    a_client_without_an_id_gets_one
    any_credentials_are_accepted
    a_second_connection_takes_over_its_client_id
    silence_beyond_keep_alive_closes_the_connection
    disconnect_closes_the_connection
    protocol_errors_close_only_that_connection
    the_version_is_published
    clients_of_mosquitto_are_served
    loadgens_own_client_is_served
}

fn a_connection_is_accepted_and_pings_are_answered(broker: &Broker) {
    let mut client = MqttClient::connected(broker, "c");
    client.send(&[0xc0, 0, 0xc0, 0]);
    assert_eq!((client.next(), client.next()), (vec![0xd0, 0], vec![0xd0, 0]));
}

fn other_protocol_levels_are_refused(broker: &Broker) {
    let mut client = MqttClient::raw(broker.address);
    client.send(&connect("c", 9, 2, 60));
    assert_eq!(client.next(), [0x20, 2, 0, 1]);
    client.expect_end();
    let mut client = MqttClient::raw(broker.address);
    let body = [string(b"HTTP"), vec![4, 2, 0, 60], string(b"c")].concat();
    client.send(&packet(0x10, &body));
    client.expect_end();
}

fn a_client_without_an_id_gets_one(broker: &Broker) {
    let (mut one, mut other) =
        (MqttClient::connected(broker, ""), MqttClient::connected(broker, ""));
    one.expect_nothing();
    other.expect_nothing();
    let mut kept = MqttClient::raw(broker.address);
    kept.send(&connect("", 4, 0, 60));
    assert_eq!(kept.next(), [0x20, 2, 0, 2]);
    kept.expect_end();
}

fn any_credentials_are_accepted(broker: &Broker) {
    let mut client = MqttClient::raw(broker.address);
    let head = [string(b"MQTT"), vec![4, 0xc2, 0, 60], string(b"c")].concat();
    client.send(&packet(0x10, &[head, string(b"user"), string(b"word")].concat()));
    assert_eq!(client.next(), [0x20, 2, 0, 0]);
}

fn a_second_connection_takes_over_its_client_id(broker: &Broker) {
    let mut older = MqttClient::subscribed(broker, "same", &[("a", 0)]);
    let mut newer = MqttClient::connected(broker, "same");
    older.expect_end();
    // A clean session begins without subscriptions.
    newer.send(&publish("a", b"", None));
    newer.expect_nothing();
    newer.send(&subscribe(1, &[("b", 0)]));
    assert_eq!(newer.next(), [0x90, 3, 0, 1, 0]);
    newer.send(&publish("b", b"", None));
    assert_eq!(newer.message().topic, "b");
}

fn silence_beyond_keep_alive_closes_the_connection(broker: &Broker) {
    let mut client = MqttClient::raw(broker.address);
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

fn disconnect_closes_the_connection(broker: &Broker) {
    let mut sub = MqttClient::subscribed(broker, "sub", &[("a", 0)]);
    let mut client = MqttClient::connected(broker, "c");
    client.send(&[publish("a", b"last words", None), vec![0xe0, 0]].concat());
    client.expect_end();
    assert_eq!(sub.message().payload, b"last words");
}

fn protocol_errors_close_only_that_connection(broker: &Broker) {
    let mut witness = MqttClient::subscribed(broker, "witness", &[("a", 0)]);
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
        ("a topic that is not UTF-8", packet(0x30, &[0, 2, 0xc3, 0x28])),
        ("a topic beyond its packet", packet(0x30, &[0, 9, b'a'])),
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ];
    for (what, bytes) in errors {
        let mut client = MqttClient::connected(broker, "c");
        client.send(&bytes);
        assert!(client.ends_within(Duration::from_secs(5)), "{what}");
    }
    let mut stranger = MqttClient::raw(broker.address);
    stranger.send(&publish("a", b"", None));
    stranger.expect_end();
    witness.expect_nothing();
}

fn the_version_is_published(broker: &Broker) {
    let mut client = MqttClient::subscribed(broker, "c", &[("$SYS/broker/version", 0)]);
    let told = client.message();
    assert_eq!((told.first, told.topic.as_str()), (0x31, "$SYS/broker/version"));
    assert!(String::from_utf8_lossy(&told.payload).contains('.'), "{told:?}");
}

fn clients_of_mosquitto_are_served(broker: &Broker) {
    if !(require("mosquitto_sub") && require("mosquitto_pub")) {
        return;
    }
    for qos in ["0", "1"] {
        let mut command = broker.foreign("mosquitto_sub");
        command.args(["-q", qos, "-t", "x/+", "-F", "%q %t %p", "-W", "20"]);
        let mut sub = Process::start("mosquitto_sub", &mut command);
        mark_until(broker, || sub.await_line(|_| Some(())));
        for payload in ["one", "two", "three", "four"] {
            let mut publisher = broker.foreign("mosquitto_pub");
            publisher.args(["-q", qos, "-t", "x/y", "-m", payload]);
            let finished = Process::start("mosquitto_pub", &mut publisher).finish();
            assert_eq!(finished.code, Some(0), "{finished:?}");
        }
        let expected = ["one", "two", "three", "four"].map(|p| format!("{qos} x/y {p}"));
        sub.await_line(|line| (line == expected[3]).then_some(()));
        let output = sub.stdout();
        let arrived: Vec<_> = output.lines().filter(|line| !line.ends_with("mark")).collect();
        assert_eq!(arrived, expected);
    }
}

/// Publishes marks until `taken` returns: `mosquitto_sub` does not report when it has subscribed.
fn mark_until(broker: &Broker, taken: impl FnOnce()) {
    let mut marker = MqttClient::connected(broker, "marker");
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

fn loadgens_own_client_is_served(broker: &Broker) {
    let url = format!("mqtt://user:word@{}", broker.address);
    let settings = SubscribeSettings {
        broker: BrokerSettings {
            mqtt: Address::parse("--mqtt", &url).expect("an address"),
            topics: vec!["a/b".to_owned(), "a/other/+".to_owned()],
            qos: 1,
        },
        redis: None,
        log_server: None,
        message: MessageSettings { sample: 100, id_field: None, stamps_keep: 100_000 },
    };
    let counts = Arc::<SubscribeCounts>::default();
    let (stop, shutdown) = watch::channel(false);
    let (ready, is_ready) = mpsc::channel();
    std::thread::scope(|scope| {
        let counted = Arc::clone(&counts);
        let subscriber = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let call = || ready.send(()).expect("the test waits");
            let run = subscribe::run(settings, counted, call, shutdown);
            runtime.expect("a runtime").block_on(run)
        });
        is_ready.recv_timeout(LIMIT).expect("it subscribes");
        let mut publisher = MqttClient::connected(broker, "publisher");
        for (n, topic) in ["a/b", "a/other/c", "elsewhere", "a/b"].iter().enumerate() {
            let body = format!(r#"{{"MsgID":{n}}}"#);
            publisher.send(&publish(topic, body.as_bytes(), Some(1)));
            assert_eq!(publisher.next(), [0x40, 2, 0, 1]);
        }
        eventually("three messages", || (counts.messages.get() == 3).then_some(()));
        assert_eq!((counts.without_id.get(), counts.bytes.get()), (0, 33));
        stop.send(true).expect("it runs");
        subscriber.join().expect("no panic").expect("it ends as asked");
    });
}
