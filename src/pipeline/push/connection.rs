//! A connection of a publisher: frames that wait to be written, and what the broker answers.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, PubAckReason};
use tokio::time::Instant;

use super::keepalive::KeepAlive;
use crate::core::clock::Nanos;
use crate::message::MAX_BODY;
use crate::pipeline::servers::mqtt::{MqttSender, PING_EVERY};
use crate::pipeline::servers::mqtt_publish::{
    BrokerPacket, PublishFrame, PublishPacket, PublisherLink,
};

/// Time allowed for the DISCONNECT packet, which a broker that hangs does not take.
const GOODBYE: Duration = Duration::from_millis(50);

/// Step of a connection.
#[derive(Debug)]
pub(super) enum ConnectionStep {
    /// The broker sent packets; these acknowledge messages.
    Heard(Vec<Acknowledgement>),
    /// Some of the frames were written.
    Written,
    /// The time of a ping has come.
    PingDue,
}

/// Acknowledgement of a message at QoS 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledgement {
    pub(super) pkid: u16,
    /// Reason why the broker does not take the message.
    pub(super) refusal: Option<PubAckReason>,
}

/// A connection to the broker, and the frames that wait to be written.
#[derive(Debug)]
pub(super) struct PublisherConnection {
    link: PublisherLink,
    frames: BytesMut,
    /// Bytes framed since the connection was made.
    framed_bytes: u64,
    /// Time of the last write.
    written_at: Nanos,
    /// TLS may still hold some of what was written.
    unflushed: bool,
    alive: KeepAlive,
    pings: u64,
    pongs: u64,
}

impl PublisherConnection {
    /// Takes over a connection that was just made.
    pub(super) fn new(link: PublisherLink) -> Self {
        Self {
            link,
            frames: BytesMut::new(),
            framed_bytes: 0,
            written_at: Nanos::ZERO,
            unflushed: false,
            alive: KeepAlive::new(PING_EVERY, Instant::now()),
            pings: 0,
            pongs: 0,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        !self.frames.is_empty() || self.unflushed
    }

    /// Bytes that the kernel has taken, of those framed.
    pub(super) fn written_bytes(&self) -> u64 {
        self.framed_bytes - self.frames.len() as u64
    }

    pub(super) fn framed_bytes(&self) -> u64 {
        self.framed_bytes
    }

    pub(super) fn written_at(&self) -> Nanos {
        self.written_at
    }

    /// Largest payload that the broker takes.
    pub(super) fn max_payload(&self, frame: &PublishFrame) -> usize {
        frame.max_payload(self.link.max_packet, self.link.version)
    }

    /// Number of pings that were answered.
    pub(super) fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Reads packets, or writes some of the frames, or waits until a ping is due, at `ping_at` or by the keep-alive:
    /// the first that is possible. Reading comes first, so that no frame is written after the broker has closed the
    /// connection. The future may be dropped at any time.
    pub(super) async fn step(&mut self, ping_at: Option<Instant>) -> io::Result<ConnectionStep> {
        let has_output = self.has_output();
        let due = ping_at.map_or(self.alive.due(), |at| at.min(self.alive.due()));
        tokio::select! {
            biased;
            filled = self.link.receiver.fill() => {
                filled?;
                self.alive.heard(Instant::now());
                self.acknowledgements().map(ConnectionStep::Heard)
            }
            written = write_some(&mut self.link.sender, &mut self.frames), if has_output => {
                let written_at = written?;
                self.unflushed = written_at.is_some();
                self.written_at = written_at.unwrap_or(self.written_at);
                Ok(ConnectionStep::Written)
            }
            () = tokio::time::sleep_until(due) => Ok(ConnectionStep::PingDue),
        }
    }

    /// Adds a message to the frames.
    pub(super) fn add(&mut self, frame: &mut PublishFrame, packet: PublishPacket<'_>) {
        let before = self.frames.len();
        frame.write(packet, self.link.version, &mut self.frames);
        self.framed_bytes += (self.frames.len() - before) as u64;
    }

    /// Adds a ping to the frames, and returns its number. The broker answers it after it has read what is before it.
    pub(super) fn ping(&mut self) -> io::Result<u64> {
        let before = self.frames.len();
        Packet::PingReq.write(&mut self.frames, MAX_BODY).map_err(io::Error::other)?;
        self.framed_bytes += (self.frames.len() - before) as u64;
        self.pings += 1;
        Ok(self.pings)
    }

    /// Takes in that a ping is sent for the keep-alive, if it is due. A network can fail without an error: then no
    /// ping is answered, which is an error here.
    pub(super) fn keep_alive(&mut self, now: Instant) -> io::Result<()> {
        if now >= self.alive.due() { self.alive.ask(now) } else { Ok(()) }
    }

    fn acknowledgements(&mut self) -> io::Result<Vec<Acknowledgement>> {
        let mut acknowledged = Vec::new();
        while let Some(packet) = self.link.decode()? {
            match packet {
                BrokerPacket::Acknowledged { pkid, refusal } => {
                    acknowledged.push(Acknowledgement { pkid, refusal });
                }
                BrokerPacket::Pong => self.pongs += 1,
                BrokerPacket::Closing(reason) => return Err(closed(reason)),
                BrokerPacket::Other => {}
            }
        }
        Ok(acknowledged)
    }

    /// Disconnects.
    pub(super) async fn close(&mut self) {
        // In the middle of a frame the broker would read a DISCONNECT as a part of it. Its form is the same in MQTT 5.
        if !self.has_output() {
            let goodbye = self.link.sender.send(&Packet::Disconnect);
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
    }
}

/// The error of a connection that the broker closes for a reason. Its kind is `Interrupted` if the reason is the
/// broker's own, and not what it was sent.
fn closed(reason: DisconnectReasonCode) -> io::Error {
    use DisconnectReasonCode as Reason;
    let is_own = matches!(
        reason,
        Reason::NormalDisconnection
            | Reason::ServerBusy
            | Reason::ServerShuttingDown
            | Reason::KeepAliveTimeout
            | Reason::SessionTakenOver
            | Reason::MessageRateTooHigh
            | Reason::AdministrativeAction
            | Reason::UseAnotherServer
            | Reason::ServerMoved
            | Reason::ConnectionRateExceeded
            | Reason::MaximumConnectTime
    );
    let kind = if is_own { io::ErrorKind::Interrupted } else { io::ErrorKind::ConnectionAborted };
    io::Error::new(kind, format!("it closed the connection ({reason:?})"))
}

/// Writes some of the frames and returns the time. Without frames it flushes the sender.
async fn write_some(sender: &mut MqttSender, frames: &mut BytesMut) -> io::Result<Option<Nanos>> {
    if frames.is_empty() {
        sender.flush().await?;
        return Ok(None);
    }
    sender.write_some(frames).await.map(Some)
}
