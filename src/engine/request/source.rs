//! Sources of requests: a fixed request, a mix of several, or a user's script.

use std::fmt;
use std::sync::Arc;

use super::shape::RequestSet;
use crate::message::{Mix, Values};

/// Number of requests that were prepared together, and of the ids that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Requests in the batch, at least 1. As many responses are expected, in their order.
    pub requests: u64,
    /// Ids in use, from that of the first message on; at least `requests`.
    pub ids: u64,
    /// Requests that do not carry the id of their message, as far as is known: the last ones.
    pub unnumbered: u64,
}

impl Batch {
    /// One request with the id of its message.
    pub(crate) const ONE: Self = Self { requests: 1, ids: 1, unnumbered: 0 };
}

/// Content of a prepared request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreparedContent {
    /// One of the run's request shapes; the transport renders it.
    Shape {
        /// Index of the shape in [`RequestSet::shapes`].
        index: usize,
        /// Values of its placeholders.
        values: Values,
    },
    /// Text of HTTP/1.1, in [`RequestSource::text`].
    Text {
        /// True if the requests are HEAD, whose responses have no body.
        bodyless: bool,
    },
}

/// A prepared request, or a batch of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Number of requests and ids.
    pub batch: Batch,
    /// Content to send.
    pub content: PreparedContent,
}

impl Prepared {
    /// One request of shape `index`.
    pub(crate) fn shape(index: usize, values: Values) -> Self {
        Self { batch: Batch::ONE, content: PreparedContent::Shape { index, values } }
    }
}

/// Source of one worker's requests. All methods are called on that worker's thread.
pub(crate) trait RequestSource: fmt::Debug + Send {
    /// Prepares the request of the message with these values. A batch contains the requests of the
    /// messages that follow it, too. The time it takes is not part of the service time.
    fn prepare(&mut self, values: &Values) -> Prepared;

    /// Text of the request that was prepared last, if its content is [`PreparedContent::Text`]. Empty if
    /// it could not be written: the request fails then.
    fn text(&self) -> &[u8] {
        &[]
    }

    /// Returns true if [`Self::is_stopped`] may become true. Called once, before the load.
    fn may_stop(&self) -> bool {
        false
    }

    /// Returns true if the worker must send nothing more.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Source of one request shape.
#[derive(Debug)]
struct Fixed;

impl RequestSource for Fixed {
    fn prepare(&mut self, values: &Values) -> Prepared {
        Prepared::shape(0, *values)
    }
}

/// Source of several request shapes, each as often as its weight says.
#[derive(Debug)]
struct Mixed {
    mix: Arc<Mix>,
}

impl RequestSource for Mixed {
    fn prepare(&mut self, values: &Values) -> Prepared {
        let turn = self.mix.turn(values.turn);
        Prepared::shape(turn.request, Values { turn: turn.nth, ..*values })
    }
}

/// Returns the source of the requests of a plan.
pub(crate) fn source_of(requests: &RequestSet) -> Box<dyn RequestSource> {
    match requests.shapes() {
        [_] => Box::new(Fixed),
        _ => Box::new(Mixed { mix: Arc::clone(requests.mix()) }),
    }
}
