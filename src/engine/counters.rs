//! The counts of a run.

use crate::engine::transport::RequestFailure;
use crate::engine::transport::cause::{Cause, CauseCounts};

/// Requests that failed, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailureCounts {
    /// No connection.
    pub connect: u64,
    /// Broken off before the response was complete.
    pub read: u64,
    /// Not written whole.
    pub write: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Not answered in HTTP.
    pub protocol: u64,
    /// The same failures, as the operating system or the protocol names the cause.
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

/// The counts of a run. `planned = sent + dropped`, `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots whose time came; in a closed loop, requests sent.
    pub planned: u64,
    /// Handed to a connection.
    pub sent: u64,
    /// Not sent: too many in flight, or no connection until the drain ended.
    pub dropped: u64,
    /// Answered, with whatever status.
    pub completed: u64,
    /// Ended without an answer.
    pub failed: u64,
    /// On the wire when the drain ended.
    pub unfinished: u64,
    /// Of the dropped: those for which no connection came free until the drain ended.
    pub never_sent: u64,
    /// The failed ones by cause.
    pub errors: FailureCounts,
}

impl Counters {
    /// Adds another worker's.
    pub fn add(&mut self, other: Self) {
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

/// Answers by status, 0 to 999.
#[derive(Debug, Clone)]
pub struct StatusCounts(Box<[u64; 1000]>);

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

    /// Answers that are no success: neither 2xx nor 3xx, as wrk has it.
    pub fn refused(&self) -> u64 {
        self.iter().filter(|(status, _)| !(200..400).contains(status)).map(|(_, count)| count).sum()
    }

    /// The statuses that came, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().enumerate().filter(|(_, n)| **n > 0).map(|(status, n)| (status as u16, *n))
    }
}
