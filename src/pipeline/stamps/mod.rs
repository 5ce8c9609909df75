//! Stamps: the times at which sampled messages passed a checkpoint, in the log server's time. Lists and format are
//! those of the original, so that its tools read our stamps, and we read its. The newest stamp is at the head.
//!
//! A stamp costs the hot path one push into a bounded buffer. A task converts the times and writes them in
//! batches. Stamps that do not fit into the buffer are counted.

mod stamp;
#[cfg(feature = "pipeline")]
mod writer;

use std::sync::Arc;

use tokio::sync::mpsc;

use super::metrics::Counter;
use crate::core::clock::Nanos;
use crate::message::{Checkpoint, MsgId};
pub(crate) use stamp::{Stamp, shape};
#[cfg(feature = "pipeline")]
pub(crate) use writer::clear;
#[cfg(feature = "pipeline")]
pub(crate) use writer::read_bound;
#[cfg(feature = "pipeline")]
pub(crate) use writer::read_counters;
#[cfg(feature = "pipeline")]
pub(crate) use writer::start;

/// Most stamps that wait to be written. At 1 in 100 that is minutes of a full load.
const BUFFER: usize = 65_536;

/// Entry of a stamper: the message passed the checkpoint at this time of the monotonic clock.
pub(crate) type Passage = (Checkpoint, MsgId, Nanos);

/// Handle of the hot path, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stamper {
    sample: u64,
    buffer: mpsc::Sender<Passage>,
    dropped: Arc<Counter>,
}

impl Stamper {
    /// Creates a stamper of one message in `sample`, at least 1, and the receiver of its entries. `start`
    /// creates one whose entries are written to Redis.
    pub(crate) fn new(sample: u64) -> (Self, mpsc::Receiver<Passage>) {
        let (buffer, passages) = mpsc::channel(BUFFER);
        (Self { sample, buffer, dropped: Arc::default() }, passages)
    }

    /// Returns true if this message is in the sample.
    pub(crate) fn wants(&self, id: MsgId) -> bool {
        id.is_sampled(self.sample)
    }

    /// Adds an entry if the message is in the sample. Never waits.
    pub(crate) fn stamp(&self, checkpoint: Checkpoint, id: MsgId, at: Nanos) {
        if self.wants(id) && self.buffer.try_send((checkpoint, id, at)).is_err() {
            self.dropped.add(1);
        }
    }

    /// Stamps that did not fit into the buffer or could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}
