//! Handing messages to the broker: a whole batch in one write, nothing forgotten over a reconnect.
//!
//! A message is held until it is done: at QoS 0 when the kernel has its last byte, at QoS 1 when the
//! broker has acknowledged it. After a reconnect what is held is sent again, and only that.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use tokio::time::Instant;

use super::keepalive::KeepAlive;
use super::metrics::Counter;
use super::stamps::Stamper;
use crate::core::Address;
use crate::core::Backoff;
use crate::core::clock::Nanos;
use crate::message::{Checkpoint, MAX_BODY, MsgId};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt::{self, MqttSender, PING_EVERY, Receiver};

/// Unacknowledged messages at QoS 1: far more than a loopback round trip needs, below the 65,535
/// that packet ids allow.
const WINDOW: usize = 8_192;
/// How long a goodbye may take: a broker that hangs takes none.
const GOODBYE: Duration = Duration::from_millis(50);

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The body.
    pub payload: Bytes,
    /// Its id, if it is stamped.
    pub stamped: Option<MsgId>,
}

#[derive(Debug)]
struct Held {
    message: Outgoing,
    /// Where its frame ends in the bytes of this session; 0 while it has none.
    frame_end: u64,
    pkid: u16,
    /// It was sent in an earlier session.
    again: bool,
}

/// What publishers did.
#[derive(Debug, Default)]
pub struct PublishCounts {
    /// Messages done.
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
pub struct Publisher {
    address: Address,
    client_id: String,
    frame: Publish,
    stamper: Stamper,
    counts: Arc<PublishCounts>,
    session: Session,
    /// Whether the session stands. While it does not, nothing is framed or written: a socket whose
    /// peer is gone still takes bytes.
    connected: bool,
    held: VecDeque<Held>,
    /// How many of `held`, from the front, have a frame in this session, and how many of those the
    /// kernel has taken.
    framed: usize,
    written: usize,
    next_pkid: u16,
}

/// One connection's lifetime.
#[derive(Debug)]
struct Session {
    sender: MqttSender,
    receiver: Receiver,
    frames: BytesMut,
    /// Bytes framed since the connection stands.
    framed_bytes: u64,
    /// When the kernel was given what was written last.
    written_at: Nanos,
    /// TLS may still hold some of what was written.
    unflushed: bool,
    alive: KeepAlive,
}

impl Session {
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

    /// Takes in what came, or writes some of the frames, or pings: whatever is possible first. The
    /// end of the connection is among what comes, so nothing is written behind it. It may be dropped
    /// at any time and called again.
    async fn step(&mut self) -> io::Result<Vec<u16>> {
        let has_output = self.has_output();
        tokio::select! {
            biased;
            filled = self.receiver.fill() => {
                filled?;
                self.alive.heard(Instant::now());
                self.acknowledged()
            }
            put = put(&mut self.sender, &mut self.frames), if has_output => {
                let written_at = put?;
                self.unflushed = written_at.is_some();
                self.written_at = written_at.unwrap_or(self.written_at);
                Ok(Vec::new())
            }
            () = tokio::time::sleep_until(self.alive.due()) => self.ping(),
        }
    }

    /// A network can go without a word; then no ping is answered.
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

/// Writes some of the frames, and gives the time; or hands the kernel what was written, when there are none.
async fn put(sender: &mut MqttSender, frames: &mut BytesMut) -> io::Result<Option<Nanos>> {
    if frames.is_empty() {
        sender.flush().await?;
        return Ok(None);
    }
    sender.write_some(frames).await.map(Some)
}

impl Publisher {
    /// Connects for the first time; here the broker being away is an error.
    pub async fn open(
        address: &Address,
        client_id: String,
        (topic, qos): (&str, u8),
        stamper: Stamper,
        counts: Arc<PublishCounts>,
    ) -> Result<Self, StackError> {
        let session = Session::open(address, &client_id).await?;
        Ok(Self {
            address: address.clone(),
            client_id,
            frame: Publish::from_bytes(topic, mqtt::quality(qos), Bytes::new()),
            stamper,
            counts,
            session,
            connected: true,
            held: VecDeque::new(),
            framed: 0,
            written: 0,
            next_pkid: 1,
        })
    }

    /// Takes messages over; [`Self::flush`] sends them.
    pub fn hold(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        for message in messages {
            if message.payload.len() > MAX_BODY {
                log::warn!("a message of {} bytes is too large to publish", message.payload.len());
                self.counts.refused.add(1);
                continue;
            }
            self.held.push_back(Held { message, frame_end: 0, pkid: 0, again: false });
        }
    }

    /// Writes all that is held, over as many reconnects as it takes. At QoS 1 the acknowledgements
    /// of the last ones may still be out.
    pub async fn flush(&mut self) {
        loop {
            if self.connected {
                self.encode();
                if !self.session.has_output() && self.framed == self.held.len() {
                    return;
                }
            }
            self.step().await;
        }
    }

    /// Waits until nothing is held any more.
    pub async fn settle(&mut self) {
        self.flush().await;
        while !self.held.is_empty() {
            self.step().await;
            self.flush().await;
        }
    }

    /// Keeps the idle connection alive and notices when it is lost. Never returns: to be dropped
    /// when there is something to publish.
    pub async fn tend(&mut self) {
        loop {
            self.flush().await;
            self.step().await;
        }
    }

    /// Says goodbye, and gives back what could not be sent.
    pub async fn close(mut self) -> Vec<Bytes> {
        // A goodbye in the middle of a frame would be read as a part of it.
        if self.connected && !self.session.has_output() {
            let goodbye = self.session.sender.send(&Packet::Disconnect);
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
        self.held.drain(..).map(|held| held.message.payload).collect()
    }

    async fn step(&mut self) {
        if !self.connected {
            return self.reconnect().await;
        }
        match self.session.step().await {
            Ok(pkids) => self.progress(&pkids),
            Err(error) => self.lose(&error),
        }
    }

    fn progress(&mut self, pkids: &[u16]) {
        self.complete();
        self.acknowledge(pkids);
    }

    /// Frames for what has none yet, as far as the window allows.
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
            let before = self.session.frames.len();
            // It can only fail above MQTT's 256 MB, which `hold` lets nobody near.
            let _ = self.frame.write(&mut self.session.frames);
            self.session.framed_bytes += (self.session.frames.len() - before) as u64;
            held.frame_end = self.session.framed_bytes;
            self.counts.resent.add(u64::from(held.again));
            self.framed += 1;
        }
    }

    /// Stamps what the kernel has taken; at QoS 0 that is all there is to know.
    fn complete(&mut self) {
        let written_to = self.session.written_bytes();
        let at = self.session.written_at;
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
            // Brokers acknowledge in order, so it is the first; one that does not is allowed to.
            let found = self.held.iter().take(self.written).position(|held| held.pkid == *pkid);
            if let Some(at) = found {
                self.held.remove(at);
                self.framed -= 1;
                self.written -= 1;
                self.counts.published.add(1);
            }
        }
    }

    /// The session is over: all that is held will be sent in the next one.
    fn lose(&mut self, error: &io::Error) {
        log::warn!("lost the MQTT broker at {}: {error}", self.address);
        self.connected = false;
        self.counts.reconnects.add(1);
        self.held.iter_mut().take(self.written).for_each(|held| held.again = true);
        (self.framed, self.written) = (0, 0);
    }

    /// Connects again, however long it takes. It may be dropped and called again.
    async fn reconnect(&mut self) {
        let mut backoff = Backoff::default();
        self.session = loop {
            match Session::open(&self.address, &self.client_id).await {
                Ok(session) => break session,
                Err(_) => tokio::time::sleep(backoff.pause()).await,
            }
        };
        self.connected = true;
        log::info!("connected to the MQTT broker at {} again", self.address);
    }
}
