//! Counts of requests.

use crate::engine::transport::RequestFailure;
use crate::engine::transport::cause::{Cause, CauseCounts};

/// Failed requests by phase and by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FailureCounts {
    /// No connection could be opened.
    pub connect: u64,
    /// The connection broke before the response was complete.
    pub read: u64,
    /// The request could not be written completely.
    pub write: u64,
    /// There was no complete response within the timeout.
    pub timeout: u64,
    /// The response was not HTTP.
    pub protocol: u64,
    /// All failures by their cause in the operating system or the protocol.
    pub by_cause: CauseCounts,
}

impl FailureCounts {
    pub(super) fn count(&mut self, failure: RequestFailure, cause: Cause) {
        self.by_cause.count(cause);
        *match failure {
            RequestFailure::Connect => &mut self.connect,
            RequestFailure::Read => &mut self.read,
            RequestFailure::Write => &mut self.write,
            RequestFailure::Timeout => &mut self.timeout,
            RequestFailure::Protocol => &mut self.protocol,
        } += 1;
    }

    fn add(&mut self, other: Self) {
        self.connect += other.connect;
        self.read += other.read;
        self.write += other.write;
        self.timeout += other.timeout;
        self.protocol += other.protocol;
        self.by_cause.add(other.by_cause);
    }
}

/// Counts of a load. `planned = sent + dropped`, `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Slots that became due; in a closed loop, requests sent.
    pub planned: u64,
    /// Requests handed to a connection.
    pub sent: u64,
    /// Slots not sent: too many in flight, or no free connection until the drain ended.
    pub dropped: u64,
    /// Requests with a response, of any status.
    pub completed: u64,
    /// Requests that ended without a response.
    pub failed: u64,
    /// Requests in flight when the drain ended.
    pub unfinished: u64,
    /// Part of `dropped`: slots without a free connection until the drain ended.
    pub never_sent: u64,
    /// Failed requests by phase and cause.
    pub errors: FailureCounts,
}

impl Counters {
    /// Adds the counts of another worker.
    pub(crate) fn add(&mut self, other: Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.completed += other.completed;
        self.failed += other.failed;
        self.unfinished += other.unfinished;
        self.never_sent += other.never_sent;
        self.errors.add(other.errors);
    }
}

/// Responses by status, 0 to 999.
#[derive(Debug, Clone)]
pub(crate) struct StatusCounts(Box<[u64; 1000]>);

impl Default for StatusCounts {
    fn default() -> Self {
        Self(Box::new([0; 1000]))
    }
}

impl StatusCounts {
    pub(super) fn count(&mut self, status: u16) {
        self.0[usize::from(status).min(999)] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own += other);
    }

    /// Responses with neither 2xx nor 3xx, which wrk counts as errors.
    pub(crate) fn refused(&self) -> u64 {
        self.iter().filter(|(status, _)| !(200..400).contains(status)).map(|(_, count)| count).sum()
    }

    /// Statuses that occurred, with their counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().enumerate().filter(|(_, n)| **n > 0).map(|(status, n)| (status as u16, *n))
    }
}
