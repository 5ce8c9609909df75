//! A short look at all topics of a broker, if no message has come on the topics of the run: the report then names
//! the topics that have messages.

use std::time::Duration;

use rumqttc::mqttbytes::v4::Packet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::core::Address;
use crate::message::{IdPlaces, Unjoined};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::mqtt::{self, ReceiptTimes, SessionKind};

/// Duration of the look.
const SPAN: Duration = Duration::from_millis(500);
/// Messages that are enough to know the topics.
const ENOUGH: usize = 1_000;
/// Longest wait for the result at the end of a run.
const PATIENCE: Duration = Duration::from_secs(1);

/// A look that is under way, or done.
#[derive(Debug)]
pub(super) struct OtherTopics {
    task: JoinHandle<Unjoined>,
}

impl OtherTopics {
    /// Begins to listen. A broker may forbid it: then there is no message to see.
    pub(super) fn look(address: Address, id_places: IdPlaces) -> Self {
        Self {
            task: tokio::spawn(async move {
                let mut seen = Unjoined::default();
                if let Err(error) = listen(&address, &id_places, &mut seen).await {
                    log::debug!("no look at other topics of the broker at {address}: {error}");
                }
                seen
            }),
        }
    }

    /// Returns the messages that were seen.
    pub(super) async fn finish(mut self) -> Unjoined {
        let seen = timeout(PATIENCE, &mut self.task).await;
        seen.ok().and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for OtherTopics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    address: &Address,
    id_places: &IdPlaces,
    seen: &mut Unjoined,
) -> Result<(), StackError> {
    let client_id = mqtt::client_id("topics");
    let mut connection =
        mqtt::connect_session(address, &client_id, ReceiptTimes::Read, SessionKind::Clean).await?;
    mqtt::subscribe(&mut connection, address, &["#".to_owned()], 0).await?;
    let deadline = Instant::now() + SPAN;
    let mut count = 0;
    while count < ENOUGH {
        let Ok(Ok(packet)) = timeout_at(deadline, connection.receiver.next()).await else { break };
        // Retained messages are older than the run.
        if let Packet::Publish(message) = packet
            && !message.retain
        {
            let error = id_places.find(&message.topic, &message.payload).err();
            seen.note(&message.topic, &message.payload, error.as_ref());
            count += 1;
        }
    }
    let _ = connection.sender.send(&Packet::Disconnect).await;
    Ok(())
}
