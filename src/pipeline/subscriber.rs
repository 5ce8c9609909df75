//! Receiving messages from the broker, each with the time at which the kernel received it, however much
//! later it is read.

use std::future::ready;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, PubComp, PubRec};
use tokio::time::{Instant, interval_at};

use super::metrics::Counter;
use super::{Shutdown, stopped};
use crate::plan::Address;
use crate::stack::mqtt::{self, Came, PING_EVERY, Receiver, Sender, Times};
use crate::stack::{Backoff, StackError};

/// Whose messages to receive.
#[derive(Debug, Clone)]
pub struct SubscribeSettings {
    /// The broker.
    pub mqtt: Address,
    /// The topic; wildcards are allowed.
    pub topic: String,
    /// 0 or 1.
    pub qos: u8,
}

/// What a subscriber did beside receiving.
#[derive(Debug, Default)]
pub struct SubscribeCounts {
    /// Connections lost.
    pub reconnects: Counter,
}

/// What receives: each message's body and when it came, then the end of each read.
pub trait Sink {
    /// One message.
    fn message(&mut self, payload: &[u8], came: Came);
    /// All messages that were there were handed over, or a while passed without any.
    fn pause(&mut self) {}
}

/// Reads in a row before the sink's pause is called and the broker gets its replies, even if more is there.
const BURST: usize = 512;

/// How long without a message until the sink's pause is called all the same.
const IDLE: Duration = Duration::from_millis(20);

/// Receives until `shutdown`. `ready` is called when the first subscription stands; a connection lost
/// later is made again, and what came meanwhile is lost at QoS 0, as MQTT has it.
pub async fn run(
    settings: SubscribeSettings,
    counts: &SubscribeCounts,
    sink: &mut impl Sink,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let (mut sender, mut receiver) = open(&settings).await?;
    ready();
    loop {
        let error = tokio::select! {
            error = receive(&mut sender, &mut receiver, sink) => error,
            () = stopped(&mut shutdown) => {
                let _ = sender.send(&Packet::Disconnect).await;
                return Ok(());
            }
        };
        log::warn!("lost the MQTT broker at {}: {error}", settings.mqtt);
        counts.reconnects.add(1);
        let mut backoff = Backoff::default();
        (sender, receiver) = loop {
            tokio::select! {
                opened = open(&settings) => if let Ok(pair) = opened { break pair },
                () = stopped(&mut shutdown) => return Ok(()),
            }
            sink.pause();
            tokio::time::sleep(backoff.pause()).await;
        };
        log::info!("connected to the MQTT broker at {} again", settings.mqtt);
    }
}

async fn open(settings: &SubscribeSettings) -> Result<(Sender, Receiver), StackError> {
    let client_id = mqtt::client_id("subscribe");
    let (mut sender, mut receiver) =
        mqtt::connect(&settings.mqtt, &client_id, Times::Received).await?;
    let wish = (&settings.mqtt, settings.topic.as_str(), settings.qos);
    mqtt::subscribe(&mut sender, &mut receiver, wish).await?;
    Ok((sender, receiver))
}

/// Receives until the connection is lost, and says why.
async fn receive(
    sender: &mut Sender,
    receiver: &mut Receiver,
    sink: &mut impl Sink,
) -> std::io::Error {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut pauses = interval_at(Instant::now() + IDLE, IDLE);
    pauses.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut replies = BytesMut::new();
    // What came with the subscription's answer is there already.
    let mut came = Came::now();
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

async fn reply(sender: &mut Sender, replies: &mut BytesMut) -> std::io::Result<()> {
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
    came: Came,
    replies: &mut BytesMut,
) -> std::io::Result<()> {
    while let Some(packet) = receiver.decode()? {
        let owed = match packet {
            Packet::Publish(publish) => {
                sink.message(&publish.payload, came);
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
