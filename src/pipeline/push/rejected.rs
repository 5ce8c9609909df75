//! Messages that the broker does not take: they go to a list of their own.

use std::fmt::{self, Display, Formatter};

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use tokio::sync::mpsc;

use super::PushParts;
use super::close_search::CLOSES_ON_ONE;
use crate::core::Backoff;
use crate::core::units::format_count;
use crate::pipeline::queue::Queue;
use crate::pipeline::{Shutdown, is_stopped, stopped};

/// Most messages that are set aside at once.
const BATCH: usize = 100;

/// A message that cannot be published.
#[derive(Debug)]
pub(super) struct RejectedMessage {
    pub(super) payload: Bytes,
    pub(super) reason: Rejection,
}

/// Reason why a message cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The broker closed the connection each time it got this message alone.
    Closed,
    /// It is larger than this number of bytes, the limit of the broker or of `--max-message`.
    TooLarge(usize),
    /// The broker refused it, by MQTT 5.
    Refused(PubAckReason),
}

impl Display for Rejection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => {
                write!(f, "the broker closed the connection on it {CLOSES_ON_ONE} times")
            }
            Self::TooLarge(most) => {
                let most = format_count(*most as u64);
                write!(f, "the broker or --max-message takes {most} bytes at most")
            }
            Self::Refused(reason) => write!(f, "the broker refused it ({reason:?})"),
        }
    }
}

impl<Q: Queue> PushParts<Q> {
    /// Sets messages aside until the sender of the channel is dropped.
    pub(super) async fn set_aside(
        &self,
        mut rejected: mpsc::UnboundedReceiver<RejectedMessage>,
        mut shutdown: Shutdown,
    ) {
        let mut batch = Vec::new();
        while rejected.recv_many(&mut batch, BATCH).await > 0 {
            let mut payloads = Vec::new();
            for RejectedMessage { payload, reason } in batch.drain(..) {
                log::warn!("message {} is not published: {reason}", self.name(&payload));
                payloads.push(payload);
            }
            self.set_batch_aside(&payloads, &mut shutdown).await;
        }
    }

    /// Adds messages to the list, however long the queue is away. After the shutdown one attempt is made.
    async fn set_batch_aside(&self, payloads: &[Bytes], shutdown: &mut Shutdown) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.queue.set_aside(payloads).await {
                Ok(kept) => return self.count_set_aside(payloads.len(), kept),
                Err(error) => error,
            };
            log::warn!("cannot set {} messages aside: {error}", payloads.len());
            if is_stopped(shutdown) {
                return self.count_set_aside(payloads.len(), 0);
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = stopped(shutdown) => {}
            }
        }
    }

    fn count_set_aside(&self, messages: usize, kept: usize) {
        self.counts.dead.add(kept as u64);
        let lost = (messages - kept) as u64;
        if lost > 0 {
            self.counts.lost.add(lost);
            log::error!("{lost} rejected messages lost: their list is full, or the queue is away");
        }
    }

    /// Name of a message in the log.
    fn name(&self, payload: &[u8]) -> String {
        let bytes = format_count(payload.len() as u64);
        match self.id_fields.extract(payload) {
            Ok(id) => format!("with MsgID {} ({bytes} bytes)", id.get()),
            Err(_) => format!("without a MsgID ({bytes} bytes)"),
        }
    }
}
