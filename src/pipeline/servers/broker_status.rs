//! Status that a broker publishes under `$SYS` while a run is on: its version, and how many
//! messages it has dropped for clients that were slow or away. Brokers need not publish either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::mqttbytes::v4::Packet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::StackError;
use super::mqtt::{self, ReceiptTimes, SessionKind};
use crate::core::Address;

const VERSION: &str = "$SYS/broker/version";
/// Messages that Mosquitto dropped at its limits of messages in flight and in queues.
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

/// Time allowed for a broker to publish its version.
const VERSION_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Pause before a connection is tried again that could not be made, or was lost.
const RETRY_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Facts that a broker has published about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BrokerFacts {
    /// Name and version.
    pub version: Option<String>,
    /// The first count of dropped messages that it published to us, and the last one.
    dropped: Option<(u64, u64)>,
}

impl BrokerFacts {
    /// Messages dropped while the status was watched; 0 where the broker does not count them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.map_or(0, |(first, last)| last.saturating_sub(first))
    }

    fn note(&mut self, topic: &str, text: &str) {
        match topic {
            VERSION => self.version = Some(text.to_owned()),
            DROPPED => {
                if let Ok(count) = text.trim().parse() {
                    let first = self.dropped.map_or(count, |(first, _)| first);
                    self.dropped = Some((first, count));
                }
            }
            _ => {}
        }
    }
}

/// A client of its own that listens to the broker's status topics.
#[derive(Debug)]
pub(crate) struct BrokerStatus {
    facts: Arc<Mutex<BrokerFacts>>,
    task: JoinHandle<()>,
    started: Instant,
}

impl BrokerStatus {
    /// Begins to listen. Needs a tokio runtime.
    pub(crate) fn watch(address: Address) -> Self {
        let facts = Arc::<Mutex<BrokerFacts>>::default();
        let shared = Arc::clone(&facts);
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&address, &shared).await {
                    // Access lists may forbid it, and a run does not depend on it.
                    log::debug!("no status of the MQTT broker at {address}: {error}");
                }
                tokio::time::sleep(RETRY_EVERY).await;
            }
        });
        Self { facts, task, started: Instant::now() }
    }

    /// Stops listening, once the version is there or should be.
    pub(crate) async fn finish(self) -> BrokerFacts {
        let deadline = self.started + VERSION_TIMEOUT;
        loop {
            let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let now = Instant::now();
            if facts.version.is_some() || now >= deadline {
                return facts;
            }
            sleep_until(deadline.min(now + LOOK_EVERY)).await;
        }
    }
}

impl Drop for BrokerStatus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(address: &Address, facts: &Mutex<BrokerFacts>) -> Result<(), StackError> {
    let client_id = mqtt::client_id("status");
    let mut connection =
        mqtt::connect_session(address, &client_id, ReceiptTimes::Read, SessionKind::Clean).await?;
    let mut pings = tokio::time::interval(mqtt::PING_EVERY);
    // A broker may refuse one topic and allow the other, so the answer to the request is not read.
    let topics = [VERSION.to_owned(), DROPPED.to_owned()];
    let request = mqtt::subscription(&topics, 0);
    let _ = connection.sender.send(&Packet::Subscribe(request)).await;
    loop {
        tokio::select! {
            packet = connection.receiver.next() => match packet {
                Ok(Packet::Publish(message)) => {
                    let text = String::from_utf8_lossy(&message.payload);
                    facts.lock().unwrap_or_else(PoisonError::into_inner).note(&message.topic, &text);
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            },
            _ = pings.tick() => {
                if connection.sender.send(&Packet::PingReq).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_messages_are_those_since_the_first_count() {
        let mut facts = BrokerFacts::default();
        facts.note(VERSION, "mosquitto version 2.0.11");
        assert_eq!(facts.dropped(), 0);
        for text in ["40", "not a number", "52"] {
            facts.note(DROPPED, text);
        }
        facts.note("$SYS/broker/uptime", "99");
        assert_eq!(facts.dropped(), 12);
        assert_eq!(facts.version.as_deref(), Some("mosquitto version 2.0.11"));
        facts.note(DROPPED, "3");
        assert_eq!(facts.dropped(), 0, "the broker was restarted");
    }
}
