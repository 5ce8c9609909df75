//! Messages from an MQTT broker, each with the time at which the kernel received it, however much later it is
//! read.

use std::future::ready;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, PubComp, PubRec};
use tokio::time::{Instant, interval_at, timeout};

use super::{ArrivalSink, ArrivalSource, ReceivedAt, ReceivedMessage};
use crate::core::ReconnectPolicy;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt::{
    self, MqttConnection, MqttSender, PING_EVERY, ReceiptTimes, Receiver, SessionKind,
};
use crate::pipeline::settings::BrokerSettings;
use crate::pipeline::{Shutdown, stopped};

/// Most reads in a row. Then the sink's pause is called, and the broker gets its replies.
const BURST: usize = 512;

/// Time without a message after which the sink's pause is called.
const IDLE: Duration = Duration::from_millis(20);

/// Time allowed for deleting a kept session at the end.
const FAREWELL: Duration = Duration::from_millis(500);

impl ArrivalSource for MqttSource {
    /// A lost connection is made again under the same client id. Messages published meanwhile are missed at
    /// QoS 0; at QoS 1 the broker keeps them, within its limits, if it keeps sessions at all.
    async fn run(
        mut self,
        sink: &mut impl ArrivalSink,
        ready: impl FnOnce(),
        mut shutdown: Shutdown,
    ) -> Result<(), StackError> {
        let mut connection = match self.open_first().await {
            Ok(connection) => connection,
            Err(error) => {
                self.forget_session().await;
                return Err(error);
            }
        };
        ready();
        let mut reconnects = ReconnectPolicy::new(std::time::Instant::now());
        loop {
            let error = tokio::select! {
                error = receive(&mut connection, sink, &mut reconnects) => error,
                () = stopped(&mut shutdown) => {
                    let _ = connection.sender.send(&Packet::Disconnect).await;
                    break;
                }
            };
            log::warn!("lost the MQTT broker at {}: {error}", self.settings.mqtt);
            sink.disconnected();
            reconnects.lost(std::time::Instant::now());
            connection = tokio::select! {
                connection = self.reconnect(sink, &mut reconnects) => connection,
                () = stopped(&mut shutdown) => break,
            };
            sink.reconnected(connection.session_present);
            log::info!("connected to the MQTT broker at {} again", self.settings.mqtt);
        }
        self.forget_session().await;
        Ok(())
    }
}

/// A subscriber of an MQTT broker. Its client id stays the same over reconnects.
#[derive(Debug)]
pub struct MqttSource {
    settings: BrokerSettings,
    id: String,
    session: SessionKind,
}

impl MqttSource {
    /// Subscribes to the topics, which may have wildcards. A broker may deliver a message twice if two topics
    /// match it.
    pub fn new(settings: BrokerSettings) -> Self {
        let session = if settings.qos == 0 { SessionKind::Clean } else { SessionKind::Kept };
        Self { settings, id: mqtt::client_id("subscribe"), session }
    }

    /// Opens the first connection. A broker that does not keep sessions is used without one.
    async fn open_first(&mut self) -> Result<MqttConnection, StackError> {
        let opened = self.open().await;
        if opened.is_ok() || self.session == SessionKind::Clean {
            return opened;
        }
        self.session = SessionKind::Clean;
        self.open().await
    }

    /// Connects again, however long it takes.
    async fn reconnect(
        &self,
        sink: &mut impl ArrivalSink,
        reconnects: &mut ReconnectPolicy,
    ) -> MqttConnection {
        loop {
            sink.pause();
            tokio::time::sleep_until(reconnects.retry_at().into()).await;
            let opened = self.open().await;
            let now = std::time::Instant::now();
            match opened {
                Ok(connection) => {
                    reconnects.connected(now);
                    return connection;
                }
                Err(_) => reconnects.failed(now),
            }
        }
    }

    async fn open(&self) -> Result<MqttConnection, StackError> {
        let BrokerSettings { mqtt, topics, qos } = &self.settings;
        let mut connection =
            mqtt::connect_session(mqtt, &self.id, ReceiptTimes::Received, self.session).await?;
        // A session that the broker kept still has its subscriptions.
        if !connection.session_present {
            mqtt::subscribe(&mut connection, mqtt, topics, *qos).await?;
        }
        Ok(connection)
    }

    /// Deletes the session that the broker keeps: a clean one under the same id replaces it.
    async fn forget_session(&self) {
        if self.session == SessionKind::Clean {
            return;
        }
        let replace = async {
            let connected = mqtt::connect(&self.settings.mqtt, &self.id, ReceiptTimes::Read).await;
            if let Ok((mut sender, _receiver)) = connected {
                let _ = sender.send(&Packet::Disconnect).await;
            }
        };
        if timeout(FAREWELL, replace).await.is_err() {
            log::warn!(
                "the MQTT broker at {} may still keep the session of client {}",
                self.settings.mqtt,
                self.id
            );
        }
    }
}

/// Receives until the connection is lost, and returns the error.
async fn receive(
    connection: &mut MqttConnection,
    sink: &mut impl ArrivalSink,
    reconnects: &mut ReconnectPolicy,
) -> std::io::Error {
    let MqttConnection { sender, receiver, .. } = connection;
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut pauses = interval_at(Instant::now() + IDLE, IDLE);
    pauses.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut replies = BytesMut::new();
    // Messages that came with the answer to the subscription are there already.
    let mut received = ReceivedAt::now();
    // A network can fail without an error: then no ping is answered.
    let mut heard = Instant::now();
    let mut reads = 0;
    loop {
        match hand_over(receiver, sink, received, &mut replies) {
            Ok(0) => {}
            Ok(_) => reconnects.worked(),
            Err(error) => return error,
        }
        // A read may bring only one of several messages that are there.
        tokio::select! {
            biased;
            filled = receiver.fill(), if reads < BURST => match filled {
                Ok(new) => {
                    (received, heard) = (new, Instant::now());
                    reads += 1;
                    continue;
                }
                Err(error) => return error,
            },
            () = ready(()) => {}
        }
        reads = 0;
        sink.pause();
        if let Err(error) = reply(sender, &mut replies).await {
            return error;
        }
        tokio::select! {
            biased;
            filled = receiver.fill() => match filled {
                Ok(new) => (received, heard) = (new, Instant::now()),
                Err(error) => return error,
            },
            _ = pings.tick() => {
                if heard.elapsed() > 2 * PING_EVERY {
                    return std::io::ErrorKind::TimedOut.into();
                }
                if let Err(error) = sender.send(&Packet::PingReq).await {
                    return error;
                }
            }
            _ = pauses.tick() => {}
        }
    }
}

async fn reply(sender: &mut MqttSender, replies: &mut BytesMut) -> std::io::Result<()> {
    if replies.is_empty() {
        return Ok(());
    }
    while !replies.is_empty() {
        sender.write_some(replies).await?;
    }
    sender.flush().await
}

/// Gives every complete message to the sink, and collects the replies to the broker. Returns the number of messages.
fn hand_over(
    receiver: &mut Receiver,
    sink: &mut impl ArrivalSink,
    received: ReceivedAt,
    replies: &mut BytesMut,
) -> std::io::Result<usize> {
    let mut messages = 0;
    while let Some(packet) = receiver.decode()? {
        let reply = match packet {
            Packet::Publish(publish) => {
                messages += 1;
                sink.message(ReceivedMessage {
                    topic: &publish.topic,
                    payload: &publish.payload,
                    received,
                });
                match publish.qos {
                    QoS::AtMostOnce => None,
                    QoS::AtLeastOnce => Some(Packet::PubAck(PubAck::new(publish.pkid))),
                    QoS::ExactlyOnce => Some(Packet::PubRec(PubRec::new(publish.pkid))),
                }
            }
            Packet::PubRel(release) => Some(Packet::PubComp(PubComp::new(release.pkid))),
            _ => None,
        };
        if let Some(reply) = reply {
            reply.write(replies, usize::MAX).map_err(std::io::Error::other)?;
        }
    }
    Ok(messages)
}
