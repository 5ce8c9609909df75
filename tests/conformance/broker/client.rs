//! A raw MQTT client: packets as bytes, written by hand, so that they can be cut, joined and broken.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::brokers::Broker;
use crate::support::LIMIT;

/// A connection.
#[derive(Debug)]
pub(crate) struct MqttClient {
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
}

/// A string as MQTT writes it.
pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("a short string");
    [&len.to_be_bytes()[..], text].concat()
}

/// A packet: first byte, length, body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    while len > 0x7f {
        bytes.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(body);
    bytes
}

/// CONNECT with these flags.
pub(crate) fn connect(id: &str, level: u8, flags: u8, keep_alive: u16) -> Vec<u8> {
    let head = [string(b"MQTT"), vec![level, flags], keep_alive.to_be_bytes().to_vec()].concat();
    packet(0x10, &[head, string(id.as_bytes())].concat())
}

/// PUBLISH; at QoS 1 with a packet id.
pub(crate) fn publish(topic: &str, payload: &[u8], id: Option<u16>) -> Vec<u8> {
    let id_bytes = id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default();
    let body = [string(topic.as_bytes()), id_bytes, payload.to_vec()].concat();
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// SUBSCRIBE to filters, each at its QoS.
pub(crate) fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let wishes = filters.iter().flat_map(|(filter, qos)| {
        string(filter.as_bytes()).into_iter().chain([*qos]).collect::<Vec<_>>()
    });
    packet(0x82, &[id.to_be_bytes().to_vec(), wishes.collect()].concat())
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let names = filters.iter().flat_map(|filter| string(filter.as_bytes()));
    packet(0xa2, &[id.to_be_bytes().to_vec(), names.collect()].concat())
}

/// PUBACK.
pub(crate) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) first: u8,
    pub(crate) topic: String,
    pub(crate) id: Option<u16>,
    pub(crate) payload: Vec<u8>,
}

impl MqttClient {
    /// A connection on which nothing was said yet.
    pub(crate) fn raw(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the broker listens");
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        socket.set_write_timeout(Some(LIMIT)).expect("a socket");
        Self { socket, buffer: Vec::new() }
    }

    /// A second handle of the connection, for reading on another thread.
    pub(crate) fn other_half(&self) -> Self {
        Self { socket: self.socket.try_clone().expect("a descriptor"), buffer: Vec::new() }
    }

    /// Connected with a clean session.
    pub(crate) fn connected(broker: &Broker, id: &str) -> Self {
        let mut client = Self::raw(broker.address);
        client.send(&connect(id, 4, 2, 60));
        assert_eq!(client.next(), [0x20, 2, 0, 0]);
        client
    }

    /// Connected and subscribed.
    pub(crate) fn subscribed(broker: &Broker, id: &str, filters: &[(&str, u8)]) -> Self {
        let mut client = Self::connected(broker, id);
        client.send(&subscribe(1, filters));
        let granted: Vec<u8> = filters.iter().map(|(_, qos)| *qos).collect();
        assert_eq!(client.next(), packet(0x90, &[vec![0, 1], granted].concat()));
        client
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the broker reads");
    }

    /// The next packet; `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn try_next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(len) = whole(&self.buffer) {
                return Some(self.buffer.drain(..len).collect());
            }
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.try_next().expect("the connection stands")
    }

    /// The next message, whatever its flags.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Arrived {
        let bytes = self.next();
        assert_eq!(bytes[0] >> 4, 3, "a message: {bytes:?}");
        let body =
            &bytes[1 + bytes[1..].iter().position(|b| b & 0x80 == 0).expect("a length") + 1..];
        let (len, rest) = body.split_at(2);
        let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([len[0], len[1]])));
        let topic = String::from_utf8(topic.to_vec()).expect("a topic is text");
        let with_id = bytes[0] & 0x06 != 0;
        let id = with_id.then(|| u16::from_be_bytes([rest[0], rest[1]]));
        let payload = if with_id { &rest[2..] } else { rest }.to_vec();
        Arrived { first: bytes[0], topic, id, payload }
    }

    /// Nothing comes before the answer to a ping.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.send(&[0xc0, 0]);
        assert_eq!(self.next(), [0xd0, 0]);
    }

    /// The connection ends, whatever comes before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        while self.try_next().is_some() {}
    }

    /// `true` if the connection closes within `limit` without any byte before.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(limit)).expect("a socket");
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// The length of the packet that `bytes` begins with, if it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let mut len = 0;
    for (at, byte) in bytes.iter().skip(1).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (bytes.len() >= 2 + at + len).then_some(2 + at + len);
        }
    }
    None
}
