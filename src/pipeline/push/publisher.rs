//! Publishing messages to the broker: a batch goes out in one write, and no message is lost over a reconnect.
//!
//! A message is held until it is published: at QoS 0 when the kernel has its last byte, at QoS 1 when the
//! broker has acknowledged it. After a reconnect the held messages, and only those, are sent again. While the
//! [`CloseSearch`] is on, one message is in flight at a time, and at QoS 0 it is held until the broker has answered a ping
//! behind it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::close_search::{CLOSES_ON_ONE, CloseSearch};
use super::connection::{Acknowledgement, ConnectionStep, PublisherConnection};
use super::rejected::{RejectedMessage, Rejection};
use super::unconfirmed::Unconfirmed;
use crate::core::ReconnectPolicy;
use crate::message::{Checkpoint, MAX_BODY, MsgId};
use crate::pipeline::metrics::Counter;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt;
use crate::pipeline::servers::mqtt_publish::{
    self, PublishFrame, PublishPacket, PublisherLink, PublisherNeeds,
};
use crate::pipeline::settings::BrokerSettings;
use crate::pipeline::stamps::Stamper;

/// Most unacknowledged messages at QoS 1: far more than a loopback round trip needs, below the 65,535
/// that packet ids allow.
const WINDOW: usize = 8_192;

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
    /// Begin and end of its frame, counted in bytes of this connection; 0 while it has no frame.
    frame_start: u64,
    frame_end: u64,
    pkid: u16,
    /// It was sent over an earlier connection.
    again: bool,
    /// Closes of the connection while it was alone in flight.
    closes: u8,
}

/// Numbers that publishers count.
#[derive(Debug, Default)]
pub struct PublishCounts {
    /// Messages published.
    pub published: Counter,
    /// Messages that the broker has shown to have read: by a PUBACK, or the answer to a ping behind them.
    pub acknowledged: Counter,
    /// Messages published at QoS 0 over a connection that ended before the broker showed that it has read them.
    pub unconfirmed: Counter,
    /// Messages sent again after a connection was lost.
    pub resent: Counter,
    /// Connections lost.
    pub reconnects: Counter,
}

/// Place of a publisher in its push server.
#[derive(Debug)]
pub(super) struct PublisherParts {
    pub(super) broker: BrokerSettings,
    pub(super) client_id: String,
    pub(super) stamper: Stamper,
    pub(super) counts: Arc<PublishCounts>,
    /// Takes the messages that cannot be published.
    pub(super) rejected: UnboundedSender<RejectedMessage>,
    /// Largest payload that is published, in bytes.
    pub(super) max_message: usize,
}

impl PublisherParts {
    /// Connects, by MQTT 5 if `try_v5` and the broker speaks it.
    async fn connect(&self, try_v5: bool) -> Result<PublisherLink, StackError> {
        let address = &self.broker.mqtt;
        if !try_v5 {
            return mqtt_publish::connect_v311(address, &self.client_id).await;
        }
        let needs = PublisherNeeds { qos: mqtt::quality(self.broker.qos), window: WINDOW };
        mqtt_publish::connect_publisher(address, &self.client_id, needs).await
    }
}

/// A publisher with a connection of its own.
#[derive(Debug)]
pub(super) struct Publisher {
    parts: PublisherParts,
    frame: PublishFrame,
    connection: PublisherConnection,
    /// Largest payload for this connection.
    max_payload: usize,
    /// False while the connection is lost. Then no message is framed or written: a socket whose peer is gone
    /// still takes bytes.
    connected: bool,
    /// MQTT 5 is tried before 3.1.1.
    tries_v5: bool,
    reconnects: ReconnectPolicy,
    search: CloseSearch,
    /// Messages written at QoS 0.
    unconfirmed: Unconfirmed,
    held: VecDeque<Held>,
    /// Number of messages of `held`, from the front, that have a frame on this connection.
    framed: usize,
    /// Number of those that the kernel has taken.
    written: usize,
    next_pkid: u16,
}

impl Publisher {
    /// Connects for the first time. An error if the broker does not answer.
    pub(super) async fn open(parts: PublisherParts) -> Result<Self, StackError> {
        let topic = parts.broker.topics.first().map_or("", String::as_str);
        let frame = PublishFrame::new(topic, mqtt::quality(parts.broker.qos));
        let link = parts.connect(true).await?;
        let (now, tries_v5) = (Instant::now(), link.speaks_v5);
        let connection = PublisherConnection::new(link);
        let mut publisher = Self {
            parts,
            frame,
            connection,
            max_payload: 0,
            connected: true,
            tries_v5,
            reconnects: ReconnectPolicy::new(now.into_std()),
            search: CloseSearch::default(),
            unconfirmed: Unconfirmed::new(now),
            held: VecDeque::new(),
            framed: 0,
            written: 0,
            next_pkid: 1,
        };
        publisher.take_limits();
        Ok(publisher)
    }

    /// Takes over the limits of a new connection.
    fn take_limits(&mut self) {
        let limit = self.connection.max_payload(&self.frame);
        self.max_payload = limit.min(self.parts.max_message).min(MAX_BODY);
    }

    /// Takes messages over; [`Self::flush`] sends them.
    pub(super) fn hold(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        for message in messages {
            self.held.push_back(Held {
                message,
                frame_start: 0,
                frame_end: 0,
                pkid: 0,
                again: false,
                closes: 0,
            });
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

    /// Waits until no message is held any more, and until the broker has read all.
    pub(super) async fn settle(&mut self) {
        self.flush().await;
        self.unconfirmed.confirm_now(Instant::now());
        while !self.held.is_empty() || self.unconfirmed.pending() > 0 {
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
        if self.connected {
            self.connection.close().await;
        }
        self.parts.counts.unconfirmed.add(self.unconfirmed.pending());
        self.held.drain(..).map(|held| held.message.payload).collect()
    }

    async fn step(&mut self) {
        if !self.connected {
            return self.reconnect().await;
        }
        let ping_at = self.unconfirmed.ping_at();
        let done = match self.connection.step(ping_at).await {
            Ok(ConnectionStep::Heard(acknowledged)) => {
                self.confirm();
                self.acknowledge(&acknowledged);
                Ok(())
            }
            Ok(ConnectionStep::Written) => self.complete(),
            Ok(ConnectionStep::PingDue) => self.ping(),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.lost(&error);
        }
    }

    /// Most messages in flight.
    fn window(&self) -> usize {
        if self.search.is_on() {
            1
        } else if self.frame.qos() == QoS::AtMostOnce {
            usize::MAX
        } else {
            WINDOW
        }
    }

    /// Frames the messages that have no frame yet, as far as the window allows.
    fn encode(&mut self) {
        let (window, at_qos_0) = (self.window(), self.frame.qos() == QoS::AtMostOnce);
        while self.framed < self.held.len() && self.framed < window {
            let held = &mut self.held[self.framed];
            if held.message.payload.len() > self.max_payload {
                self.reject(self.framed, Rejection::TooLarge(self.max_payload));
                continue;
            }
            if !at_qos_0 && held.pkid == 0 {
                held.pkid = self.next_pkid;
                self.next_pkid = self.next_pkid.checked_add(1).unwrap_or(1);
            }
            let dup = held.again && !at_qos_0;
            let packet = PublishPacket { pkid: held.pkid, dup, payload: &held.message.payload };
            held.frame_start = self.connection.framed_bytes();
            self.connection.add(&mut self.frame, packet);
            held.frame_end = self.connection.framed_bytes();
            self.parts.counts.resent.add(u64::from(held.again));
            self.framed += 1;
        }
    }

    /// Takes a message off, and hands it to what keeps rejected messages.
    fn reject(&mut self, at: usize, reason: Rejection) {
        if let Some(held) = self.held.remove(at) {
            // The receiver lives as long as this publisher.
            let _ =
                self.parts.rejected.send(RejectedMessage { payload: held.message.payload, reason });
        }
    }

    /// Stamps the messages that the kernel has taken. At QoS 0 they are published then, unless they are sent one at a
    /// time.
    fn complete(&mut self) -> io::Result<()> {
        let written_to = self.connection.written_bytes();
        let at = self.connection.written_at();
        let before = self.written;
        while self.written < self.framed && self.held[self.written].frame_end <= written_to {
            if let Some(id) = self.held[self.written].message.stamped {
                self.parts.stamper.stamp(Checkpoint::Published, id, at);
            }
            self.written += 1;
        }
        if self.frame.qos() != QoS::AtMostOnce || self.written == before {
            return Ok(());
        }
        self.unconfirmed.write((self.written - before) as u64);
        if self.search.is_on() {
            self.unconfirmed.confirm_now(Instant::now());
            return self.ping();
        }
        self.parts.counts.published.add(self.written as u64);
        self.held.drain(..self.written);
        self.framed -= self.written;
        self.written = 0;
        if self.unconfirmed.is_ping_due(Instant::now()) { self.ping() } else { Ok(()) }
    }

    /// Sends a ping. At QoS 0 its answer confirms the messages before it.
    fn ping(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.connection.keep_alive(now)?;
        let number = self.connection.ping()?;
        self.unconfirmed.pinged(number);
        Ok(())
    }

    /// Takes in the answers to pings.
    fn confirm(&mut self) {
        let confirmed = self.unconfirmed.answered(self.connection.pongs(), Instant::now());
        if confirmed == 0 {
            return;
        }
        self.parts.counts.acknowledged.add(confirmed);
        self.reconnects.worked();
        if self.search.is_on() && self.written > 0 {
            self.parts.counts.published.add(self.written as u64);
            self.held.drain(..self.written);
            self.framed -= self.written;
            self.written = 0;
            self.search.passed();
        }
    }

    fn acknowledge(&mut self, acknowledged: &[Acknowledgement]) {
        for Acknowledgement { pkid, refusal } in acknowledged {
            // Mostly the first message, as brokers acknowledge in order. They need not.
            let found = self.held.iter().take(self.written).position(|held| held.pkid == *pkid);
            let Some(at) = found else { continue };
            self.framed -= 1;
            self.written -= 1;
            self.reconnects.worked();
            self.search.passed();
            if let Some(reason) = refusal {
                self.reject(at, Rejection::Refused(*reason));
            } else {
                self.held.remove(at);
                self.parts.counts.published.add(1);
                self.parts.counts.acknowledged.add(1);
            }
        }
    }

    /// Takes in that the connection is lost: the held messages go out over the next one.
    fn lost(&mut self, error: &io::Error) {
        self.report_loss(error);
        let now = Instant::now();
        let in_flight = self.has_in_flight();
        let lifetime = self.reconnects.lifetime(now.into_std());
        self.reconnects.lost(now.into_std());
        self.parts.counts.reconnects.add(1);
        self.connected = false;
        self.held.iter_mut().take(self.written).for_each(|held| held.again = true);
        (self.framed, self.written) = (0, 0);
        self.unconfirmed = Unconfirmed::new(now);
        // A network that is silent, or a broker with a reason of its own, says nothing about the messages.
        let is_own = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted);
        if in_flight && !is_own {
            self.suspect(lifetime);
        }
    }

    /// Takes in that the broker closed the connection with messages in flight.
    fn suspect(&mut self, lifetime: Duration) {
        if !self.search.is_on() {
            return self.search.closed(lifetime);
        }
        let Some(first) = self.held.front_mut() else { return };
        first.closes += 1;
        if first.closes >= CLOSES_ON_ONE {
            self.reject(0, Rejection::Closed);
        }
    }

    /// Returns true if the broker may have read a part of a message that it has not confirmed.
    fn has_in_flight(&self) -> bool {
        let written = self.connection.written_bytes();
        let first = self.held.front().filter(|_| self.framed > 0);
        first.is_some_and(|held| held.frame_start < written) || self.unconfirmed.pending() > 0
    }

    /// Logs the loss of the connection, and counts what was published over it and may be lost.
    fn report_loss(&self, error: &io::Error) {
        let address = &self.parts.broker.mqtt;
        // A message that is sent again is not lost.
        let unconfirmed = self.unconfirmed.pending().saturating_sub(self.written as u64);
        if unconfirmed == 0 {
            log::warn!("lost the MQTT broker at {address}: {error}");
            return;
        }
        self.parts.counts.unconfirmed.add(unconfirmed);
        log::warn!(
            "lost the MQTT broker at {address}: {error}; up to {unconfirmed} of the messages that it was sent at QoS 0 may \
             be lost"
        );
    }

    /// Connects again, however long it takes. The future may be dropped at any time.
    async fn reconnect(&mut self) {
        let link = loop {
            tokio::time::sleep_until(self.reconnects.retry_at().into()).await;
            match self.parts.connect(self.tries_v5).await {
                Ok(link) => break link,
                Err(_) => self.reconnects.failed(Instant::now().into_std()),
            }
        };
        self.connection = PublisherConnection::new(link);
        self.take_limits();
        let now = Instant::now();
        self.reconnects.connected(now.into_std());
        self.unconfirmed = Unconfirmed::new(now);
        self.connected = true;
        log::info!("connected to the MQTT broker at {} again", self.parts.broker.mqtt);
    }
}
