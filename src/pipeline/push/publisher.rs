//! Publishing messages to the broker: a batch goes out in one write, and no message is lost over a reconnect.
//!
//! A message is held until it is published: at QoS 0 when the kernel has its last byte, at QoS 1 when the
//! broker has acknowledged it. After a reconnect the held messages, and only those, are sent again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use tokio::time::Instant;

use super::keepalive::KeepAlive;
use crate::core::Address;
use crate::core::ReconnectPolicy;
use crate::core::clock::Nanos;
use crate::message::{Checkpoint, MAX_BODY, MsgId};
use crate::pipeline::metrics::Counter;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt::{self, MqttSender, PING_EVERY, Receiver};
use crate::pipeline::settings::BrokerSettings;
use crate::pipeline::stamps::Stamper;

/// Most unacknowledged messages at QoS 1: far more than a loopback round trip needs, below the 65,535
/// that packet ids allow.
const WINDOW: usize = 8_192;
/// Time allowed for the DISCONNECT packet, which a broker that hangs does not take.
const GOODBYE: Duration = Duration::from_millis(50);

/// A message to publish.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) payload: Bytes,
    /// Its id, if it is in the sample.
    pub(super) stamped: Option<MsgId>,
}

/// A message that is not published yet.
#[derive(Debug)]
struct Held {
    message: Outgoing,
    /// End of its frame, counted in bytes of this connection; 0 while it has no frame.
    frame_end: u64,
    pkid: u16,
    /// It was sent over an earlier connection.
    again: bool,
}

/// Numbers that publishers count.
#[derive(Debug, Default)]
pub struct PublishCounts {
    /// Messages published.
    pub published: Counter,
    /// Messages sent again after a connection was lost.
    pub resent: Counter,
    /// Messages too large to publish.
    pub refused: Counter,
    /// Connections lost.
    pub reconnects: Counter,
}

/// A publisher with a connection of its own.
#[derive(Debug)]
pub(super) struct Publisher {
    address: Address,
    client_id: String,
    frame: Publish,
    stamper: Stamper,
    counts: Arc<PublishCounts>,
    connection: PublisherConnection,
    /// False while the connection is lost. Then no message is framed or written: a socket whose peer is gone
    /// still takes bytes.
    connected: bool,
    reconnects: ReconnectPolicy,
    held: VecDeque<Held>,
    /// Number of messages of `held`, from the front, that have a frame on this connection.
    framed: usize,
    /// Number of those that the kernel has taken.
    written: usize,
    next_pkid: u16,
}

/// A connection to the broker, and the frames that wait to be written.
#[derive(Debug)]
struct PublisherConnection {
    sender: MqttSender,
    receiver: Receiver,
    frames: BytesMut,
    /// Bytes framed since the connection was made.
    framed_bytes: u64,
    /// Time of the last write.
    written_at: Nanos,
    /// TLS may still hold some of what was written.
    unflushed: bool,
    alive: KeepAlive,
}

impl PublisherConnection {
    async fn open(address: &Address, client_id: &str) -> Result<Self, StackError> {
        let (sender, receiver) =
            mqtt::connect(address, client_id, mqtt::ReceiptTimes::Read).await?;
        Ok(Self {
            sender,
            receiver,
            frames: BytesMut::new(),
            framed_bytes: 0,
            written_at: Nanos::ZERO,
            unflushed: false,
            alive: KeepAlive::new(PING_EVERY, Instant::now()),
        })
    }

    fn has_output(&self) -> bool {
        !self.frames.is_empty() || self.unflushed
    }

    fn written_bytes(&self) -> u64 {
        self.framed_bytes - self.frames.len() as u64
    }

    /// Reads packets, or writes some of the frames, or sends a ping: the first that is possible. Reading comes
    /// first, so that no frame is written after the broker has closed the connection. Returns the packet ids
    /// that the broker has acknowledged. The future may be dropped at any time.
    async fn step(&mut self) -> io::Result<Vec<u16>> {
        let has_output = self.has_output();
        tokio::select! {
            biased;
            filled = self.receiver.fill() => {
                filled?;
                self.alive.heard(Instant::now());
                self.acknowledged()
            }
            written = write_some(&mut self.sender, &mut self.frames), if has_output => {
                let written_at = written?;
                self.unflushed = written_at.is_some();
                self.written_at = written_at.unwrap_or(self.written_at);
                Ok(Vec::new())
            }
            () = tokio::time::sleep_until(self.alive.due()) => self.ping(),
        }
    }

    /// Adds a ping to the frames. A network can fail without an error: then no ping is answered, which is an
    /// error here.
    fn ping(&mut self) -> io::Result<Vec<u16>> {
        self.alive.ask(Instant::now())?;
        let before = self.frames.len();
        Packet::PingReq.write(&mut self.frames, MAX_BODY).map_err(io::Error::other)?;
        self.framed_bytes += (self.frames.len() - before) as u64;
        Ok(Vec::new())
    }

    fn acknowledged(&mut self) -> io::Result<Vec<u16>> {
        let mut pkids = Vec::new();
        while let Some(packet) = self.receiver.decode()? {
            if let Packet::PubAck(ack) = packet {
                pkids.push(ack.pkid);
            }
        }
        Ok(pkids)
    }
}

/// Writes some of the frames and returns the time. Without frames it flushes the sender.
async fn write_some(sender: &mut MqttSender, frames: &mut BytesMut) -> io::Result<Option<Nanos>> {
    if frames.is_empty() {
        sender.flush().await?;
        return Ok(None);
    }
    sender.write_some(frames).await.map(Some)
}

impl Publisher {
    /// Connects for the first time. An error if the broker does not answer.
    pub(super) async fn open(
        broker: &BrokerSettings,
        client_id: String,
        stamper: Stamper,
        counts: Arc<PublishCounts>,
    ) -> Result<Self, StackError> {
        let connection = PublisherConnection::open(&broker.mqtt, &client_id).await?;
        let topic = broker.topics.first().map_or("", String::as_str);
        Ok(Self {
            address: broker.mqtt.clone(),
            client_id,
            frame: Publish::from_bytes(topic, mqtt::quality(broker.qos), Bytes::new()),
            stamper,
            counts,
            connection,
            connected: true,
            reconnects: ReconnectPolicy::new(std::time::Instant::now()),
            held: VecDeque::new(),
            framed: 0,
            written: 0,
            next_pkid: 1,
        })
    }

    /// Takes messages over; [`Self::flush`] sends them.
    pub(super) fn hold(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        for message in messages {
            if message.payload.len() > MAX_BODY {
                log::warn!("a message of {} bytes is too large to publish", message.payload.len());
                self.counts.refused.add(1);
                continue;
            }
            self.held.push_back(Held { message, frame_end: 0, pkid: 0, again: false });
        }
    }

    /// Writes all held messages, over as many reconnects as it takes. At QoS 1 the last ones may still wait for
    /// their acknowledgement.
    pub(super) async fn flush(&mut self) {
        loop {
            if self.connected {
                self.encode();
                if !self.connection.has_output() && self.framed == self.held.len() {
                    return;
                }
            }
            self.step().await;
        }
    }

    /// Waits until no message is held any more.
    pub(super) async fn settle(&mut self) {
        self.flush().await;
        while !self.held.is_empty() {
            self.step().await;
            self.flush().await;
        }
    }

    /// Keeps the idle connection alive, and makes it again when it is lost. Never returns: the caller drops the
    /// future when there is a message to publish.
    pub(super) async fn keep_alive(&mut self) {
        loop {
            self.flush().await;
            self.step().await;
        }
    }

    /// Disconnects, and returns the messages that are still held.
    pub(super) async fn close(mut self) -> Vec<Bytes> {
        // In the middle of a frame the broker would read a DISCONNECT as a part of it.
        if self.connected && !self.connection.has_output() {
            let goodbye = self.connection.sender.send(&Packet::Disconnect);
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
        self.held.drain(..).map(|held| held.message.payload).collect()
    }

    async fn step(&mut self) {
        if !self.connected {
            return self.reconnect().await;
        }
        match self.connection.step().await {
            Ok(pkids) => self.progress(&pkids),
            Err(error) => self.lost(&error),
        }
    }

    fn progress(&mut self, pkids: &[u16]) {
        self.complete();
        self.acknowledge(pkids);
    }

    /// Frames the messages that have no frame yet, as far as the window allows.
    fn encode(&mut self) {
        let unlimited = self.frame.qos == QoS::AtMostOnce;
        while self.framed < self.held.len() && (unlimited || self.framed < WINDOW) {
            let held = &mut self.held[self.framed];
            if !unlimited {
                if held.pkid == 0 {
                    held.pkid = self.next_pkid;
                    self.next_pkid = self.next_pkid.checked_add(1).unwrap_or(1);
                }
                self.frame.pkid = held.pkid;
                self.frame.dup = held.again;
            }
            self.frame.payload = held.message.payload.clone();
            let before = self.connection.frames.len();
            // Fails only above MQTT's limit of 256 MB, and `hold` refuses messages above `MAX_BODY`.
            let _ = self.frame.write(&mut self.connection.frames);
            self.connection.framed_bytes += (self.connection.frames.len() - before) as u64;
            held.frame_end = self.connection.framed_bytes;
            self.counts.resent.add(u64::from(held.again));
            self.framed += 1;
        }
    }

    /// Stamps the messages that the kernel has taken. At QoS 0 they are published then.
    fn complete(&mut self) {
        let written_to = self.connection.written_bytes();
        let at = self.connection.written_at;
        while self.written < self.framed && self.held[self.written].frame_end <= written_to {
            if let Some(id) = self.held[self.written].message.stamped {
                self.stamper.stamp(Checkpoint::Published, id, at);
            }
            self.written += 1;
        }
        if self.frame.qos == QoS::AtMostOnce {
            self.held.drain(..self.written);
            self.counts.published.add(self.written as u64);
            self.framed -= self.written;
            self.written = 0;
        }
    }

    fn acknowledge(&mut self, pkids: &[u16]) {
        for pkid in pkids {
            // Mostly the first message, as brokers acknowledge in order. They need not.
            let found = self.held.iter().take(self.written).position(|held| held.pkid == *pkid);
            if let Some(at) = found {
                self.held.remove(at);
                self.framed -= 1;
                self.written -= 1;
                self.counts.published.add(1);
                self.reconnects.worked();
            }
        }
    }

    /// Takes in that the connection is lost: the held messages go out over the next one.
    fn lost(&mut self, error: &io::Error) {
        log::warn!("lost the MQTT broker at {}: {error}", self.address);
        self.connected = false;
        self.reconnects.lost(std::time::Instant::now());
        self.counts.reconnects.add(1);
        self.held.iter_mut().take(self.written).for_each(|held| held.again = true);
        (self.framed, self.written) = (0, 0);
    }

    /// Connects again, however long it takes. The future may be dropped at any time.
    async fn reconnect(&mut self) {
        loop {
            tokio::time::sleep_until(self.reconnects.retry_at().into()).await;
            match PublisherConnection::open(&self.address, &self.client_id).await {
                Ok(connection) => {
                    self.connection = connection;
                    break;
                }
                Err(_) => self.reconnects.failed(std::time::Instant::now()),
            }
        }
        self.reconnects.connected(std::time::Instant::now());
        self.connected = true;
        log::info!("connected to the MQTT broker at {} again", self.address);
    }
}
