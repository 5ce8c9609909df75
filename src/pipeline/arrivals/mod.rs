//! Arrivals at the end of the pipeline: a source receives messages and gives them to a sink. [`MqttSource`] is the
//! one there is; a test of `run/arrivals.rs` has another one over UDP.

#[cfg(feature = "pipeline")]
mod mqtt;

use super::Shutdown;
use super::servers::StackError;
use crate::core::clock::{self, Nanos};
#[cfg(feature = "pipeline")]
pub use mqtt::MqttSource;

/// A source of arrivals.
pub trait ArrivalSource {
    /// Receives messages until `shutdown`. `ready` is called once each message that is published from then on
    /// reaches the sink. A connection lost later is made again, and the sink is notified. An error if the
    /// first connection fails.
    fn run(
        self,
        sink: &mut impl ArrivalSink,
        ready: impl FnOnce(),
        shutdown: Shutdown,
    ) -> impl Future<Output = Result<(), StackError>>;
}

/// Receiver of the messages of a source.
pub trait ArrivalSink {
    /// Takes one message.
    fn message(&mut self, message: ReceivedMessage<'_>);
    /// Called when all messages that were there are handed over, and now and then while none comes.
    fn pause(&mut self) {}
    /// Takes in that the source lost its connection.
    fn disconnected(&mut self) {}
    /// Takes in that the source is connected again. If `kept` is true, messages of the meantime still come.
    fn reconnected(&mut self, _kept: bool) {}
}

/// A message as it was received.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedMessage<'a> {
    /// Topic, or another name of the place that it was sent to.
    pub topic: &'a str,
    /// Content; it carries the MsgID.
    pub payload: &'a [u8],
    /// Time of receipt.
    pub received: ReceivedAt,
}

/// Time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedAt {
    /// The time.
    pub at: Nanos,
    /// True if it is the time of reading, since the kernel gave none.
    pub when_read: bool,
}

impl ReceivedAt {
    /// The time of a message that was read just now.
    pub(crate) fn now() -> Self {
        Self { at: clock::now(), when_read: true }
    }
}
