//! Our subscriber on a Mosquitto with default settings, which uses Nagle's algorithm: how promptly we
//! acknowledge decides when the broker sends the next message.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use ::loadgen::config::plan::Address;
use ::loadgen::pipeline::arrivals::{ArrivalSink, ArrivalSource as _, MqttSource, ReceivedMessage};
use ::loadgen::pipeline::settings::BrokerSettings;
use tokio::sync::{oneshot, watch};

use crate::support::{LIMIT, Mosquitto, Recorder};

const MESSAGES: usize = 800;
const APART: Duration = Duration::from_millis(1);
const TOPIC: &[u8] = b"/channel";

/// An MQTT client of a few bytes, without any socket option.
fn plain_client(broker: &Mosquitto, id: &[u8; 4]) -> TcpStream {
    let mut socket = TcpStream::connect(broker.address()).expect("the broker listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a socket");
    let connect = [&b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04"[..], id].concat();
    socket.write_all(&connect).expect("writes");
    socket.read_exact(&mut [0; 4]).expect("an acknowledged connection");
    socket
}

/// Subscribes a plain client. The thread counts the reads that bring all messages.
fn count_reads(broker: &Mosquitto) -> thread::JoinHandle<usize> {
    let mut socket = plain_client(broker, b"read");
    let subscribe = [b"\x82\x0d\x00\x01\x00\x08", TOPIC, b"\x00"].concat();
    socket.write_all(&subscribe).expect("writes");
    socket.read_exact(&mut [0; 5]).expect("an acknowledged subscription");
    let total = MESSAGES * message(0).len();
    thread::spawn(move || {
        let (mut reads, mut bytes, mut buffer) = (0, 0, [0; 4_096]);
        while bytes < total {
            bytes += socket.read(&mut buffer).expect("all messages come");
            reads += 1;
        }
        reads
    })
}

/// A PUBLISH packet; all have the same length.
fn message(id: usize) -> Vec<u8> {
    let payload = format!(r#"{{"MsgID":{id:05},"data":"a short message"}}"#);
    let body = [b"\x00\x08", TOPIC, payload.as_bytes()].concat();
    [&[0x30, u8::try_from(body.len()).expect("a short packet")], &body[..]].concat()
}

/// Receives until all messages are there; the times at which they came.
#[derive(Default)]
struct ReceiptTimes {
    messages: usize,
    received: BTreeSet<u64>,
    done: Option<watch::Sender<bool>>,
}

impl ArrivalSink for ReceiptTimes {
    fn message(&mut self, message: ReceivedMessage<'_>) {
        self.messages += 1;
        self.received.insert(message.received.at.0);
        if self.messages == MESSAGES
            && let Some(done) = &self.done
        {
            let _ = done.send(true);
        }
    }
}

fn subscribe(broker: &Mosquitto, ready: oneshot::Sender<()>) -> thread::JoinHandle<usize> {
    let settings = BrokerSettings {
        mqtt: Address::parse("--mqtt", &broker.url()).expect("a URL"),
        topics: vec!["/channel".to_owned()],
        qos: 0,
    };
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (done, shutdown) = watch::channel(false);
        let mut times = ReceiptTimes { done: Some(done), ..ReceiptTimes::default() };
        let tell = || _ = ready.send(());
        let receive = MqttSource::new(settings).run(&mut times, tell, shutdown);
        let receive = async { tokio::time::timeout(LIMIT, receive).await };
        let received = runtime.expect("a runtime").block_on(receive);
        received.expect("all messages come in time").expect("the broker stays");
        times.received.len()
    })
}

#[test]
fn a_broker_with_nagle_delivers_as_fast_to_us_as_to_a_plain_client() {
    let Some(broker) = Mosquitto::stock() else { return };
    // Two other subscribers, which have been idle for longer than an acknowledgement is delayed.
    let other = Recorder::start(&broker, "/channel");
    let plain = count_reads(&broker);
    let mut publisher = plain_client(&broker, b"send");
    publisher.set_nodelay(true).expect("a socket");
    thread::sleep(Duration::from_millis(200));
    let (ready, is_ready) = oneshot::channel();
    let ours = subscribe(&broker, ready);
    is_ready.blocking_recv().expect("it subscribes");
    let start = Instant::now();
    for id in 0..MESSAGES {
        let due = start + APART * u32::try_from(id).expect("a small number");
        thread::sleep(due.saturating_duration_since(Instant::now()));
        publisher.write_all(&message(id)).expect("writes");
    }
    let plain = plain.join().expect("it counts");
    let ours = ours.join().expect("it receives");
    assert!(2 * ours > plain, "{ours} times of receipt, and a plain client had {plain} reads");
    drop(other);
}
