//! The service `loadgen subscribe`: it receives messages as an MQTT client of the pipeline, stamps and counts them.

use std::sync::Arc;

use serde::Serialize;

use super::Shutdown;
use super::arrivals::{ArrivalSink, ArrivalSource, MqttSource, ReceivedMessage};
use super::metrics::{Counter, Format, MetricsText};
use super::servers::StackError;
#[cfg(feature = "cli")]
use super::settings::AddressParser;
use super::settings::{BrokerSettings, MessageSettings};
use super::stamps::{self, Stamper};
use crate::core::Address;
use crate::message::{Checkpoint, IdFields};

/// Settings of a subscriber.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct SubscribeSettings {
    /// Broker that the messages come from.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub broker: BrokerSettings,

    /// Redis of the stamps and their time; without it and --log-server there are no stamps
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_REDIS",
        hide_env_values = true,
        value_parser = AddressParser("--redis")
    ))]
    #[serde(skip)]
    pub redis: Option<Address>,

    /// Redis of the stamps and their time, where it is not --redis
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_LOG_SERVER",
        hide_env_values = true,
        value_parser = AddressParser("--log-server")
    ))]
    #[serde(skip)]
    pub log_server: Option<Address>,

    /// Ids and stamps of the messages.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub message: MessageSettings,
}

/// Numbers that a subscriber counts.
#[derive(Debug, Default)]
pub struct SubscribeCounts {
    /// Messages received.
    pub messages: Counter,
    /// Messages without a valid MsgID.
    pub without_id: Counter,
    /// Bytes of all messages.
    pub bytes: Counter,
    /// Connections to the broker lost.
    pub losses: Counter,
}

impl SubscribeCounts {
    /// Writes the counts as metrics.
    pub(crate) fn metrics(&self, format: Format) -> String {
        let mut text = MetricsText::new(format);
        for (name, help, counter) in [
            ("loadgen_subscribe_messages", "Messages received.", &self.messages),
            ("loadgen_subscribe_without_id", "Messages without a MsgID.", &self.without_id),
            ("loadgen_subscribe_bytes", "Bytes of all messages.", &self.bytes),
            ("loadgen_subscribe_broker_lost", "Connections to the broker lost.", &self.losses),
        ] {
            text.counter(name, help, counter.get());
        }
        text.finish()
    }
}

/// Receives until `shutdown`. `ready` is called when the subscription is made.
pub async fn run(
    settings: SubscribeSettings,
    counts: Arc<SubscribeCounts>,
    ready: impl FnOnce(),
    shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) = match settings.log_server.as_ref().or(settings.redis.as_ref()) {
        Some(address) => {
            let (stamper, writer) = stamps::start(address, &settings.message, "subscriber").await?;
            (Some(stamper), Some(writer))
        }
        None => (None, None),
    };
    let mut sink = CountingSink { counts, id_fields: settings.message.id_fields(), stamper };
    let result = MqttSource::new(settings.broker).run(&mut sink, ready, shutdown).await;
    // The writer ends when the last stamper is gone.
    drop(sink);
    if let Some(writer) = writer {
        let _ = writer.await;
    }
    result
}

/// Counts and stamps messages.
struct CountingSink {
    counts: Arc<SubscribeCounts>,
    id_fields: IdFields,
    stamper: Option<Stamper>,
}

impl ArrivalSink for CountingSink {
    fn disconnected(&mut self) {
        self.counts.losses.add(1);
    }

    fn message(&mut self, ReceivedMessage { payload, received, .. }: ReceivedMessage<'_>) {
        self.counts.messages.add(1);
        self.counts.bytes.add(payload.len() as u64);
        match (self.id_fields.extract(payload), &self.stamper) {
            (Ok(id), Some(stamper)) => stamper.stamp(Checkpoint::MqttClient, id, received.at),
            (Ok(_), None) => {}
            (Err(_), _) => self.counts.without_id.add(1),
        }
    }
}
