//! Faults, floods and bounds of the embedded broker: whatever a client does costs only itself.

use std::time::{Duration, Instant};

use loadgen::pipeline::servers::embedded::broker::BrokerLimits;

use super::brokers::Broker;
use super::client::{MqttClient, connect, packet, puback, publish, string, subscribe};
use crate::support::{SOON, eventually};

/// A message of some size, numbered.
fn numbered(n: u32) -> Vec<u8> {
    let mut payload = vec![b'x'; 1_000];
    payload[..4].copy_from_slice(&n.to_be_bytes());
    payload
}

fn hasty() -> BrokerLimits {
    BrokerLimits {
        outbox_bytes: 64 * 1024,
        stall_limit: Duration::from_millis(700),
        connect_limit: Duration::from_millis(500),
        part_limit: Duration::from_millis(500),
        ..BrokerLimits::default()
    }
}

#[test]
fn unsupported_features_are_refused_with_an_error() {
    let broker = Broker::embedded();
    let refused = [
        ("QoS 2", packet(0x34, &[0, 1, b'a', 0, 1])),
        ("to be retained", packet(0x31, &[0, 1, b'a', b'x'])),
        ("the broker's own topics", publish("$SYS/broker/version", b"me", None)),
        ("PUBREL", packet(0x62, &[0, 1])),
        ("a broker's packet", packet(0x20, &[0, 0])),
        ("AUTH", packet(0xf0, &[])),
        ("a duplicate at QoS 0", packet(0x38, &[0, 1, b'a'])),
    ];
    for (what, bytes) in refused {
        let mut client = MqttClient::connected(&broker, "c");
        client.send(&bytes);
        assert!(client.ends_within(SOON), "{what}");
    }
    let head = |flags| [string(b"MQTT"), vec![4, flags, 0, 60], string(b"c")].concat();
    let will = [head(0x06), string(b"will"), string(b"gone")].concat();
    for body in [will, head(0x00)] {
        let mut client = MqttClient::raw(broker.address);
        client.send(&packet(0x10, &body));
        assert_eq!(client.next(), [0x20, 2, 0, 3]);
        client.expect_end();
    }
    let mut two = MqttClient::connected(&broker, "c");
    two.send(&subscribe(1, &[("a", 2)]));
    assert_eq!(two.next(), [0x90, 3, 0, 1, 1]);
}

#[test]
fn malformed_connects_are_closed() {
    let broker = Broker::embedded();
    let good = connect("c", 4, 2, 60);
    let cases: [(&str, Vec<u8>); 6] = [
        ("the reserved flag", connect("c", 4, 3, 60)),
        ("a password without a user", connect("c", 4, 0x42, 60)),
        ("a client id beyond the packet", packet(0x10, &good[2..good.len() - 1])),
        ("more than its flags announce", packet(0x10, &[&good[2..], b"more"].concat())),
        ("no body", packet(0x10, &[])),
        ("its own flags", packet(0x11, &good[2..])),
    ];
    for (what, bytes) in cases {
        let mut client = MqttClient::raw(broker.address);
        client.send(&bytes);
        assert!(client.ends_within(SOON), "{what}");
    }
    MqttClient::connected(&broker, "c").expect_nothing();
}

#[test]
fn a_huge_length_is_refused_before_it_is_read() {
    let broker = Broker::embedded();
    let mut client = MqttClient::connected(&broker, "c");
    client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    assert!(client.ends_within(SOON));
    let mut stranger = MqttClient::raw(broker.address);
    // 1 MiB of introduction.
    stranger.send(&[0x10, 0x80, 0x80, 0x40]);
    assert!(stranger.ends_within(SOON));
}

#[test]
fn an_incomplete_packet_is_given_up() {
    let broker = Broker::embedded_with(hasty());
    let mut witness = MqttClient::connected(&broker, "witness");
    let mut silent = MqttClient::raw(broker.address);
    let mut half_connect = MqttClient::raw(broker.address);
    half_connect.send(&connect("c", 4, 2, 60)[..7]);
    let mut half = MqttClient::raw(broker.address);
    half.send(&connect("half", 4, 2, 0));
    assert_eq!(half.next(), [0x20, 2, 0, 0]);
    // Without a keep-alive silence is allowed, half a packet is not.
    std::thread::sleep(Duration::from_millis(800));
    half.expect_nothing();
    half.send(&publish("a", b"hello", None)[..5]);
    for client in [&mut silent, &mut half_connect, &mut half] {
        assert!(client.ends_within(SOON));
    }
    witness.expect_nothing();
}

#[test]
fn a_slow_subscriber_gets_everything_and_slows_its_publisher() {
    const COUNT: u32 = 40_000;
    let broker =
        Broker::embedded_with(BrokerLimits { outbox_bytes: 64 * 1024, ..hasty_but_patient() });
    for qos in [0, 1_u8] {
        let mut slow = MqttClient::subscribed(&broker, "slow", &[("a", qos)]);
        let mut sender = MqttClient::connected(&broker, "sender");
        // Who does not read acknowledgements is held back for that.
        let mut acks = sender.other_half();
        std::thread::spawn(move || (0..COUNT * u32::from(qos)).for_each(|_| _ = acks.try_next()));
        let sent = std::thread::spawn(move || {
            for n in 0..COUNT {
                let id = (qos > 0).then_some((n % 60_000) as u16 + 1);
                sender.send(&publish("a", &numbered(n), id));
            }
            Instant::now()
        });
        std::thread::sleep(Duration::from_millis(700));
        assert!(!sent.is_finished(), "40 MB are more than any buffer here takes");
        let begins = Instant::now();
        for n in 0..COUNT {
            let arrived = slow.message();
            assert_eq!(arrived.payload[..4], n.to_be_bytes(), "QoS {qos}");
            if let Some(id) = arrived.id {
                slow.send(&puback(id));
            }
        }
        assert!(sent.join().expect("all was sent") > begins);
        slow.expect_nothing();
    }
}

fn hasty_but_patient() -> BrokerLimits {
    BrokerLimits { stall_limit: Duration::from_secs(20), ..hasty() }
}

#[test]
fn a_subscriber_that_never_reads_is_disconnected_and_others_continue() {
    const COUNT: u32 = 20_000;
    let broker = Broker::embedded_with(hasty());
    let mut dead = MqttClient::subscribed(&broker, "dead", &[("#", 0)]);
    let mut sub = MqttClient::subscribed(&broker, "sub", &[("a", 0)]);
    let mut sender = MqttClient::connected(&broker, "sender");
    let sending = std::thread::spawn(move || {
        (0..COUNT).for_each(|n| sender.send(&publish("a", &numbered(n), None)));
        sender
    });
    for n in 0..COUNT {
        assert_eq!(sub.message().payload[..4], n.to_be_bytes());
    }
    sending.join().expect("all was sent").expect_nothing();
    dead.expect_end();
}

#[test]
fn a_subscriber_that_never_acknowledges_is_disconnected() {
    const COUNT: u32 = 70_000;
    let broker = Broker::embedded_with(hasty());
    let mut deaf = MqttClient::subscribed(&broker, "deaf", &[("a", 1)]);
    let mut sender = MqttClient::connected(&broker, "sender");
    let mut acks = sender.other_half();
    let reading = std::thread::spawn(move || {
        (0..COUNT).for_each(|_| _ = acks.next());
        acks
    });
    let sending = std::thread::spawn(move || {
        for n in 0..COUNT {
            sender.send(&publish("a", b"", Some((n % 60_000) as u16 + 1)));
        }
    });
    let mut count = 0;
    while deaf.try_next().is_some() {
        count += 1;
    }
    assert!((50_000..=65_535).contains(&count), "{count} packet ids were in use");
    sending.join().expect("all was sent");
    reading.join().expect("all was acknowledged").expect_nothing();
}

#[test]
fn a_client_that_sends_without_reading_blocks_only_itself() {
    let broker = Broker::embedded_with(hasty());
    let mut witness = MqttClient::subscribed(&broker, "witness", &[("a", 0)]);
    let mut flood = MqttClient::connected(&broker, "flood");
    let socket = flood.socket.try_clone().expect("a descriptor");
    let pings = [0xc0, 0].repeat(1 << 20);
    let flooding = std::thread::spawn(move || {
        use std::io::Write as _;
        // It is disconnected some time.
        while (&socket).write_all(&pings).is_ok() {}
    });
    for n in 0..200_u32 {
        witness.send(&publish("a", &n.to_be_bytes(), None));
        assert_eq!(witness.message().payload, n.to_be_bytes());
    }
    flooding.join().expect("it ends");
    while let Ok(1..) = std::io::Read::read(&mut flood.socket, &mut [0; 65_536]) {}
    witness.expect_nothing();
}

#[test]
fn a_flood_does_not_starve_other_clients() {
    let broker = Broker::embedded();
    let mut flood = MqttClient::connected(&broker, "flood");
    let socket = flood.socket.try_clone().expect("a descriptor");
    let flooding = std::thread::spawn(move || {
        let messages = publish("nobody", b"", None).repeat(5_000);
        (0..200).for_each(|_| flood.send(&messages));
    });
    let mut client = MqttClient::subscribed(&broker, "c", &[("a", 0)]);
    let mut worst = Duration::ZERO;
    while !flooding.is_finished() {
        let begin = Instant::now();
        client.send(&publish("a", b"x", None));
        client.message();
        worst = worst.max(begin.elapsed());
    }
    flooding.join().expect("all was taken");
    drop(socket);
    assert!(worst < Duration::from_secs(3), "{worst:?}");
}

#[test]
fn a_publisher_under_back_pressure_does_not_time_out() {
    let settings = BrokerLimits { stall_limit: Duration::from_secs(20), ..hasty() };
    let broker = Broker::embedded_with(settings);
    let mut slow = MqttClient::subscribed(&broker, "slow", &[("a", 0)]);
    let mut sender = MqttClient::raw(broker.address);
    sender.send(&connect("sender", 4, 2, 1));
    assert_eq!(sender.next(), [0x20, 2, 0, 0]);
    let sending = std::thread::spawn(move || {
        (0..20_000).for_each(|n| sender.send(&publish("a", &numbered(n), None)));
        sender
    });
    std::thread::sleep(Duration::from_secs(3));
    (0..20_000_u32).for_each(|n| assert_eq!(slow.message().payload[..4], n.to_be_bytes()));
    sending.join().expect("all was sent").expect_nothing();
}

#[test]
fn the_number_of_connections_is_limited() {
    let broker = Broker::embedded_with(BrokerLimits { connections: 3, ..BrokerLimits::default() });
    let mut clients: Vec<_> =
        ["a", "b", "c"].map(|id| MqttClient::connected(&broker, id)).into_iter().collect();
    assert!(MqttClient::raw(broker.address).ends_within(SOON));
    clients.pop();
    let deadline = Instant::now() + SOON;
    let admitted = std::iter::repeat_with(|| {
        let mut client = MqttClient::raw(broker.address);
        // One that is refused may be closed before this is written.
        let _ = std::io::Write::write_all(&mut client.socket, &connect("d", 4, 2, 60));
        client.ends_within(SOON)
    });
    let ended = admitted.take_while(|_| Instant::now() < deadline).find(|ended| !ended);
    assert_eq!(ended, Some(false), "the place that was left is given");
    clients.iter_mut().for_each(MqttClient::expect_nothing);
}

#[test]
fn filters_per_client_are_limited() {
    let broker = Broker::embedded();
    let mut client = MqttClient::connected(&broker, "c");
    for n in 0..1_000 {
        client.send(&subscribe(1, &[(&format!("t/{n}"), 0)]));
        assert_eq!(client.next(), [0x90, 3, 0, 1, 0]);
    }
    client.send(&subscribe(2, &[("one/more", 0), ("t/5", 1)]));
    assert_eq!(client.next(), [0x90, 4, 0, 2, 0x80, 1]);
}

#[test]
fn filters_of_all_clients_are_limited() {
    let broker = Broker::embedded();
    let filters: Vec<_> = (0..1_000).map(|n| format!("{}{n:04}", "d/".repeat(128))).collect();
    let wish: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
    let mut clients = Vec::new();
    let mut granted = 0;
    for n in 0..40 {
        let mut client = MqttClient::connected(&broker, &format!("c{n}"));
        client.send(&subscribe(1, &wish));
        granted += client.next().iter().skip(5).filter(|code| **code == 0).count();
        clients.push(client);
    }
    assert!((1_000..4_000).contains(&granted), "{granted} of 40,000");
    // Many topics that are near to them all, and a client beside.
    let mut busy = MqttClient::connected(&broker, "busy");
    let topics = (0..200).map(|n| publish(&format!("{}x{n}", "d/".repeat(128)), b"x", None));
    busy.send(&topics.flatten().collect::<Vec<_>>());
    let mut other = MqttClient::connected(&broker, "other");
    other.expect_nothing();
    busy.expect_nothing();
    // Those who leave give their filters back.
    drop(clients);
    eventually("room for a filter", || {
        other.send(&subscribe(2, &[("t", 0)]));
        (other.next() == [0x90, 3, 0, 2, 0]).then_some(())
    });
    other.send(&publish("t", b"x", None));
    assert_eq!(other.message().payload, b"x");
}

#[test]
fn unfinished_packets_are_limited_over_all_connections() {
    let limits = BrokerLimits { part_bytes: 1 << 20, ..BrokerLimits::default() };
    let broker = Broker::embedded_with(limits);
    let large = publish("a", &[0; 900_000], None);
    let mut clients: Vec<_> = (0..8)
        .map(|n| {
            let mut client = MqttClient::connected(&broker, &format!("c{n}"));
            let _ = std::io::Write::write_all(&mut client.socket, &large[..800_000]);
            client
        })
        .collect();
    let ended = clients.iter_mut().map(|client| client.ends_within(SOON / 10));
    assert!((6..=7).contains(&ended.filter(|ended| *ended).count()));
    drop(clients);
    let mut client = MqttClient::subscribed(&broker, "s", &[("a", 0)]);
    client.send(&large);
    assert_eq!(client.message().payload.len(), 900_000);
}

#[test]
fn a_client_with_a_keep_alive_does_not_keep_half_a_packet() {
    let broker = Broker::embedded_with(hasty());
    let mut half = MqttClient::raw(broker.address);
    half.send(&connect("half", 4, 2, 65_535));
    assert_eq!(half.next(), [0x20, 2, 0, 0]);
    half.send(&publish("a", b"hello", None)[..5]);
    assert!(half.ends_within(SOON));
}

#[test]
fn strangers_keep_no_client_out() {
    let broker = Broker::embedded_with(BrokerLimits { connections: 3, ..BrokerLimits::default() });
    let mut known = MqttClient::connected(&broker, "known");
    let strangers: Vec<_> = (0..10).map(|_| MqttClient::raw(broker.address)).collect();
    let mut another = MqttClient::connected(&broker, "another");
    known.expect_nothing();
    another.expect_nothing();
    drop(strangers);
}

#[test]
fn too_many_filters_are_refused_before_they_are_read() {
    let broker = Broker::embedded();
    let filters: Vec<_> = (0..1_000).map(|n| format!("{n:0260}")).collect();
    let wish: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
    let mut client = MqttClient::connected(&broker, "c");
    client.send(&subscribe(1, &wish));
    let granted = client.next();
    assert!(granted.ends_with(&[&[0, 1][..], &[0; 1_000]].concat()), "{granted:?}");
    // 1 MiB of filters, and of filters to be forgotten.
    for first in [0x82, 0xa2] {
        let mut client = MqttClient::connected(&broker, "d");
        client.send(&[first, 0x80, 0x80, 0x40]);
        assert!(client.ends_within(SOON), "{first:x}");
    }
    // A message may be that large.
    client.send(&publish("a", &[0; 1 << 20], None));
    client.expect_nothing();
}

#[test]
fn a_stop_first_writes_pending_messages() {
    let mut broker = Broker::embedded();
    let mut sub = MqttClient::subscribed(&broker, "sub", &[("a", 0)]);
    let mut sender = MqttClient::connected(&broker, "sender");
    (0..500_u32).for_each(|n| sender.send(&publish("a", &numbered(n), None)));
    sender.expect_nothing();
    assert!(broker.stop() < SOON);
    (0..500_u32).for_each(|n| assert_eq!(sub.message().payload[..4], n.to_be_bytes()));
    sub.expect_end();
    // One that takes nothing does not keep it.
    let mut broker = Broker::embedded();
    let _dead = MqttClient::subscribed(&broker, "dead", &[("a", 0)]);
    let mut sender = MqttClient::connected(&broker, "sender");
    let socket = sender.socket.try_clone().expect("a descriptor");
    socket.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let bytes = publish("a", &[0; 1_000_000], None);
    while std::io::Write::write_all(&mut sender.socket, &bytes).is_ok() {}
    assert!(broker.stop() < SOON);
}
