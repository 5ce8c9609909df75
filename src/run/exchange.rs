//! Exchange of arrivals between nodes that share one subscription: each message reaches the subscriber of one of them,
//! which passes it on to the node that sent it. That node alone knows when the message was due.

use super::Pending;
use crate::core::clock::Nanos;
use crate::message::MsgId;

/// An event at the subscriber of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message arrived.
    Message {
        /// Its id.
        id: MsgId,
        /// Time of receipt.
        at: Nanos,
        /// True if it is the time of reading, since the kernel gave none.
        when_read: bool,
    },
    /// The subscriber lost its connection.
    Disconnected,
    /// The subscriber is connected again.
    Reconnected {
        /// Since when.
        at: Nanos,
        /// True if messages of the meantime still come.
        kept: bool,
    },
}

/// Exchange with the other nodes. Times are those of this machine's monotonic clock on both ends.
pub(crate) trait ArrivalExchange: Send + Sync {
    /// Name of the group whose members share the subscription.
    fn group(&self) -> &str;

    /// Passes on what the subscriber of this process has seen: to the node that sent the message, or to all. It does not
    /// block.
    fn pass_on(&self, to: Option<u64>, heard: Heard);

    /// Takes the events that other nodes have passed on, each with the index of the node.
    fn take(&self) -> Vec<(u64, Heard)>;

    /// Notes that a message of `take` is counted as arrived.
    fn count(&self);

    /// Says that this node expects no more messages, and waits until that is so for all.
    fn until_all_drained(&self) -> Pending<'_, ()>;
}
