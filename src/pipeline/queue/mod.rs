//! The queue between api and push, as they see it. [`RedisList`] is the one there is; the tests have another
//! one in memory. Both services are compiled for each kind of queue, so a message costs no dynamic dispatch.

#[cfg(all(test, feature = "embedded"))]
mod memory;
pub(crate) mod dead_list;
pub(crate) mod depth;
pub(crate) mod redis_list;
mod redis_reader;

use std::sync::Arc;

use bytes::Bytes;

use super::metrics::Counter;
use super::servers::StackError;
use super::settings::QueueSettings;
use redis_list::RedisList;

/// Returns the queue that the settings name.
pub(crate) fn queue_of(settings: &QueueSettings) -> impl Queue + use<> {
    RedisList { address: settings.redis.clone(), key: settings.queue.clone() }
}

/// A queue of messages. It gives them in the order in which they were pushed.
pub(crate) trait Queue: Clone + Send + Sync + 'static {
    /// A connection that pushes.
    type Writer: QueueWriter;
    /// A connection that takes.
    type Reader: QueueReader;

    /// Connects a writer. An error if the queue does not answer.
    fn open_writer(&self) -> impl Future<Output = Result<Self::Writer, StackError>> + Send;

    /// Connects a reader. An error if the queue does not answer.
    fn open_reader(
        &self,
        batching: Batching,
        counts: Arc<ReadCounts>,
    ) -> impl Future<Output = Result<Self::Reader, StackError>> + Send;

    /// Keeps messages that cannot be published in a list of their own, and returns for how many of them, the first
    /// ones, there was room.
    fn set_aside(
        &self,
        messages: &[Bytes],
    ) -> impl Future<Output = Result<usize, StackError>> + Send;

    /// Removes all messages.
    fn clear(&self) -> impl Future<Output = Result<(), StackError>> + Send;
}

/// A connection that pushes messages. A lost connection is made again by a later call.
pub(crate) trait QueueWriter: Send + 'static {
    /// Pushes messages, the oldest first, and returns the length of the queue then. After an error the
    /// messages may be in the queue or not.
    fn push<M: AsRef<[u8]> + Sync>(
        &mut self,
        messages: &[M],
    ) -> impl Future<Output = Result<u64, QueueAway>> + Send;

    /// Returns the number of messages in the queue.
    fn length(&mut self) -> impl Future<Output = Result<u64, QueueAway>> + Send;

    /// Tries a write that changes no messages.
    fn check_write(&mut self) -> impl Future<Output = Result<(), NotReady>> + Send;
}

/// A connection that takes messages. Taking a message removes it from the queue; one that cannot be
/// delivered is given back.
pub(crate) trait QueueReader: Send + 'static {
    /// Takes the next messages, in order; none if none came within a moment, or the queue is away. Without
    /// `more` it asks for none, and returns `None` once all that was asked for before is taken. The future
    /// may be dropped without loss.
    fn take(&mut self, more: bool) -> impl Future<Output = Option<Vec<Bytes>>> + Send;

    /// Puts messages back as the next ones to be taken, in the same order.
    fn give_back(&mut self, messages: &[Bytes]) -> impl Future<Output = GivenBack> + Send;
}

/// Result of putting messages back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBack {
    /// They are in the queue.
    Yes,
    /// They are not.
    No,
    /// They were sent to the queue, and it did not answer.
    Unknown,
}

/// Numbers that the readers of a queue count together.
#[derive(Debug, Default)]
pub struct ReadCounts {
    /// Most messages that come for what is asked for now.
    pub asked: Counter,
    /// Most messages that were lost between the queue and a reader: asked for over a connection that ended.
    pub unaccounted: Counter,
}

/// Number of messages that a reader takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batching {
    /// All that are there. The reader may ask for more before the last ones are used.
    Ahead,
    /// At most this number, at least 1, and only when they are asked for.
    OnDemand(usize),
}

/// The queue did not answer, or refused. The reason is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueAway;

/// Reason for which the queue takes no messages now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReady(pub(crate) String);
