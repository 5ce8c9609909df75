//! Settings of a push server, and the numbers that it counts.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::publisher::PublishCounts;
use crate::config::plan::Plan;
use crate::config::settings::Coupling;
use crate::core::units::Rate;
#[cfg(feature = "cli")]
use crate::core::units::parse_size;
use crate::pipeline::metrics::{Counter, Format, MetricsText};
use crate::pipeline::queue::ReadCounts;
#[cfg(feature = "cli")]
use crate::pipeline::settings::parse_threads;
use crate::pipeline::settings::{BrokerSettings, MessageSettings, QueueSettings, ServerAddresses};

/// Settings of a push server. A child process gets all of them as flags, but the addresses.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct PushSettings {
    /// Queue that gives the messages.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub queue: QueueSettings,

    /// Ids and stamps of the messages.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub message: MessageSettings,

    /// Broker that the messages are published to.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub broker: BrokerSettings,

    /// Workers, each with a Redis and a broker connection
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_PUSH_WORKERS",
        default_value = "1",
        value_parser = parse_threads
    ))]
    pub workers: usize,

    /// Threads the workers are spread over
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_PUSH_THREADS",
        default_value = "1",
        value_parser = parse_threads
    ))]
    pub threads: usize,

    /// Coupling of pop and publish: side by side with a channel between, or in turn
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "KIND", env = "LOADGEN_COUPLING", default_value = "channel")
    )]
    pub coupling: Coupling,

    /// Take and publish at most RATE messages a second, to try out a slower push server; the rest waits in the queue (default: no limit)
    #[cfg_attr(feature = "cli", arg(long, value_name = "RATE", env = "LOADGEN_PUSH_LIMIT"))]
    #[serde(serialize_with = "as_text")]
    pub limit: Option<Rate>,

    /// Publish no message larger than SIZE bytes; larger ones go to the list of rejected messages (default: what the broker says by MQTT 5)
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "SIZE",
        env = "LOADGEN_MAX_MESSAGE",
        value_parser = parse_max_message
    ))]
    pub max_message: Option<u64>,
}

impl PushSettings {
    /// Largest message that is published, in bytes.
    pub(super) fn max_message(&self) -> usize {
        self.max_message.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Settings of the push server that a run starts.
    pub(crate) fn of_run(plan: &Plan, servers: &ServerAddresses) -> Self {
        let pipeline = &plan.pipeline;
        Self {
            queue: QueueSettings::of_run(plan, servers),
            message: MessageSettings::of_run(plan),
            broker: BrokerSettings {
                mqtt: servers.mqtt.clone(),
                topics: pipeline.topics.clone(),
                qos: pipeline.qos,
            },
            workers: pipeline.push_workers,
            threads: pipeline.push_threads,
            coupling: pipeline.coupling,
            limit: pipeline.push_limit,
            max_message: None,
        }
    }

    /// Environment variables of a child process with these settings.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = self.queue.secrets();
        secrets.extend(self.broker.secrets());
        secrets
    }
}

/// Reads a size in bytes.
#[cfg(feature = "cli")]
fn parse_max_message(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("it must be at least 1".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

/// Writes a rate as it is typed.
#[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_text<S: Serializer>(rate: &Option<Rate>, serializer: S) -> Result<S::Ok, S::Error> {
    rate.map(|rate| rate.to_string()).serialize(serializer)
}

impl PushCounts {
    /// Counts messages that are neither published nor anywhere else when the server ends as lost.
    pub(crate) fn settle(&self) {
        let kept = self.publish.published.get()
            + self.dead.get()
            + self.returned.get()
            + self.unsure.get()
            + self.lost.get();
        self.lost.add(self.popped.get().saturating_sub(kept));
    }

    /// Writes the counts as metrics.
    pub(crate) fn metrics(&self, format: Format) -> String {
        let mut text = MetricsText::new(format);
        let publish = &self.publish;
        for (name, help, counter) in [
            ("loadgen_push_popped", "Messages taken from the queue.", &self.popped),
            ("loadgen_push_published", "Messages published.", &publish.published),
            (
                "loadgen_push_acknowledged",
                "Messages that the broker has shown to have read.",
                &publish.acknowledged,
            ),
            ("loadgen_push_sent_again", "Messages sent over a second connection.", &publish.resent),
            ("loadgen_push_put_back", "Messages put back into the queue.", &self.returned),
            ("loadgen_push_dead", "Messages that the broker does not take.", &self.dead),
            ("loadgen_push_lost", "Messages neither published nor kept.", &self.lost),
            ("loadgen_push_broker_lost", "Connections to the broker lost.", &publish.reconnects),
        ] {
            text.counter(name, help, counter.get());
        }
        let help = "Messages that may be lost, at most.";
        text.counter("loadgen_push_unaccounted", help, self.ended_unaccounted());
        text.finish()
    }

    /// Upper bound of the messages that may be lost without being counted as lost.
    pub fn unaccounted(&self) -> u64 {
        self.ended_unaccounted() + self.read.asked.get()
    }

    /// The same without what is asked for now: that still comes unless the server ends.
    fn ended_unaccounted(&self) -> u64 {
        self.read.unaccounted.get() + self.unsure.get() + self.publish.unconfirmed.get()
    }
}

/// Numbers that a push server counts.
#[derive(Debug, Default)]
pub struct PushCounts {
    /// Messages taken from the queue.
    pub popped: Counter,
    /// Messages put back, since the broker was away at the end.
    pub returned: Counter,
    /// Messages that could be neither published nor put back.
    pub lost: Counter,
    /// Messages that the broker does not take, kept in the list of rejected messages.
    pub dead: Counter,
    /// Most messages that were sent back to the queue without its answer: they are there or lost.
    pub unsure: Counter,
    /// Numbers that the readers of the queue count.
    pub read: Arc<ReadCounts>,
    /// Numbers that the publishers count.
    pub publish: Arc<PublishCounts>,
}
