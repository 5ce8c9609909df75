//! Receiving messages from the broker, each with the time at which the kernel received it, however much
//! later it is read.

use std::future::ready;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, PubComp, PubRec};
use tokio::time::{Instant, interval_at, timeout};

use super::metrics::Counter;
use super::{Shutdown, stopped};
use crate::core::Address;
use crate::core::Backoff;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt::{
    self, MqttConnection, MqttSender, PING_EVERY, ReceiptTimes, ReceivedAt, Receiver, SessionKind,
};

/// Whose messages to receive.
#[derive(Debug, Clone)]
pub struct SubscribeSettings {
    /// The broker.
    pub mqtt: Address,
    /// The topics; wildcards are allowed. A broker may deliver a message twice that two of them match.
    pub topics: Vec<String>,
    /// 0 or 1. At 1 the broker keeps messages for us while we are disconnected.
    pub qos: u8,
}

/// What a subscriber did beside receiving.
#[derive(Debug, Default)]
pub struct SubscribeCounts {
    /// Connections lost.
    pub reconnects: Counter,
}

/// A message as it was received.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedMessage<'a> {
    /// Topic that it was published on.
    pub topic: &'a str,
    /// Its body.
    pub payload: &'a [u8],
    /// Time of its receipt.
    pub came: ReceivedAt,
}

/// What receives: each message, then the end of each read.
pub trait Sink {
    /// One message.
    fn message(&mut self, message: ReceivedMessage<'_>);
    /// All messages that were there were handed over, or a while passed without any.
    fn pause(&mut self) {}
    /// The connection to the broker is lost.
    fn disconnected(&mut self) {}
    /// The subscription stands again. With `session_kept` the broker has queued messages meanwhile.
    fn reconnected(&mut self, _session_kept: bool) {}
}

/// Reads in a row before the sink's pause is called and the broker gets its replies, even if more is there.
const BURST: usize = 512;

/// How long without a message until the sink's pause is called all the same.
const IDLE: Duration = Duration::from_millis(20);

/// Time allowed for deleting a kept session at the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// Receives until `shutdown`. `ready` is called when the first subscription stands; a connection lost
/// later is made again under the same client id. What is published meanwhile is missed at QoS 0; at
/// QoS 1 the broker keeps it, within its limits, if it keeps sessions at all.
pub async fn run(
    settings: SubscribeSettings,
    counts: &SubscribeCounts,
    sink: &mut impl Sink,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let mut client = Client::new(settings);
    let mut connection = match client.open_first().await {
        Ok(connection) => connection,
        Err(error) => {
            client.forget_session().await;
            return Err(error);
        }
    };
    ready();
    loop {
        let error = tokio::select! {
            error = receive(&mut connection, sink) => error,
            () = stopped(&mut shutdown) => {
                let _ = connection.sender.send(&Packet::Disconnect).await;
                client.forget_session().await;
                return Ok(());
            }
        };
        log::warn!("lost the MQTT broker at {}: {error}", client.settings.mqtt);
        counts.reconnects.add(1);
        sink.disconnected();
        let mut backoff = Backoff::default();
        connection = loop {
            tokio::select! {
                opened = client.open() => if let Ok(connection) = opened { break connection },
                () = stopped(&mut shutdown) => {
                    client.forget_session().await;
                    return Ok(());
                }
            }
            sink.pause();
            tokio::time::sleep(backoff.pause()).await;
        };
        sink.reconnected(connection.session_present);
        log::info!("connected to the MQTT broker at {} again", client.settings.mqtt);
    }
}

/// A client of the broker: it has one id for as long as it lives.
struct Client {
    settings: SubscribeSettings,
    id: String,
    session: SessionKind,
}

impl Client {
    fn new(settings: SubscribeSettings) -> Self {
        let session =
            if settings.qos == 0 { SessionKind::Clean } else { SessionKind::CapturedResponse };
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

    async fn open(&self) -> Result<MqttConnection, StackError> {
        let SubscribeSettings { mqtt, topics, qos } = &self.settings;
        let mut connection =
            mqtt::connect_session(mqtt, &self.id, ReceiptTimes::Received, self.session).await?;
        // A session that was kept has its subscriptions.
        if !connection.session_present {
            mqtt::subscribe(&mut connection, mqtt, topics, *qos).await?;
        }
        Ok(connection)
    }

    /// Has the broker delete the session that it keeps: a clean one under the same id replaces it.
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

/// Receives until the connection is lost, and says why.
async fn receive(connection: &mut MqttConnection, sink: &mut impl Sink) -> std::io::Error {
    let MqttConnection { sender, receiver, .. } = connection;
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut pauses = interval_at(Instant::now() + IDLE, IDLE);
    pauses.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut replies = BytesMut::new();
    // What came with the subscription's answer is there already.
    let mut came = ReceivedAt::now();
    // A network can go without a word; then no ping is answered.
    let mut heard = Instant::now();
    let mut reads = 0;
    loop {
        if let Err(error) = hand_over(receiver, sink, came, &mut replies) {
            return error;
        }
        // A read may bring one message of many that are there.
        tokio::select! {
            biased;
            filled = receiver.fill(), if reads < BURST => match filled {
                Ok(new) => {
                    (came, heard) = (new, Instant::now());
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
                Ok(new) => (came, heard) = (new, Instant::now()),
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

/// Gives every complete message to the sink, and collects what the broker is owed in return.
fn hand_over(
    receiver: &mut Receiver,
    sink: &mut impl Sink,
    came: ReceivedAt,
    replies: &mut BytesMut,
) -> std::io::Result<()> {
    while let Some(packet) = receiver.decode()? {
        let owed = match packet {
            Packet::Publish(publish) => {
                sink.message(ReceivedMessage {
                    topic: &publish.topic,
                    payload: &publish.payload,
                    came,
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
        if let Some(reply) = owed {
            reply.write(replies, usize::MAX).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}
