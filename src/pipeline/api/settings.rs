//! What an API server needs to know, and what it counts.

use crate::core::Address;
use crate::message::IdFields;
use crate::pipeline::metrics::{Counter, Format, MetricsText};

/// The largest body where none is set.
pub const DEFAULT_MAX_BODY: usize = 1024 * 1024;

/// What an API server needs to know.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where the queue is.
    pub redis: Address,
    /// The log server; the queue's Redis unless told otherwise.
    pub log_server: Address,
    /// The list's key.
    pub queue: String,
    /// Answer 503 while so many messages wait in the queue.
    pub max_queue: Option<u64>,
    /// Largest body in bytes.
    pub max_body: usize,
    /// Lanes, at least 1.
    pub threads: usize,
    /// One message in so many is stamped.
    pub sample: u64,
    /// Where a message carries its id.
    pub id_fields: IdFields,
}

/// What an API server did.
#[derive(Debug, Default)]
pub struct ApiCounts {
    /// Messages in the queue.
    pub accepted: Counter,
    /// Bodies that were no message.
    pub malformed: Counter,
    /// Bodies that were too large or came too slowly.
    pub unreadable: Counter,
    /// Messages refused because Redis was away or the queue full.
    pub unavailable: Counter,
    /// Messages in the queue when it was last looked at.
    pub queue_depth: Counter,
}

impl ApiCounts {
    /// The counts as text.
    pub fn exposition(&self, format: Format) -> String {
        let mut text = MetricsText::new(format);
        let mut counter = |name, help, counter: &Counter| text.counter(name, help, counter.get());
        counter("loadgen_api_accepted", "Messages put into the queue.", &self.accepted);
        counter("loadgen_api_malformed", "Bodies without a valid MsgID.", &self.malformed);
        counter("loadgen_api_unreadable", "Bodies too large or too slow.", &self.unreadable);
        counter("loadgen_api_unavailable", "Messages refused with 503.", &self.unavailable);
        let help = "Messages in the queue, as last seen.";
        text.gauge("loadgen_api_queue_depth", help, self.queue_depth.get());
        text.finish()
    }
}
