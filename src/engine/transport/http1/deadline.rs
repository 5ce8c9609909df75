//! Deadlines of the raw transport's requests.

use super::connection::Connection;
use crate::core::clock::Nanos;

/// Deadline of a request. All requests have the same timeout, so deadlines are in the order of sending.
#[derive(Debug)]
pub(super) struct Deadline {
    pub(super) at: Nanos,
    pub(super) connection: usize,
    pub(super) serial: u64,
}

impl Deadline {
    /// Returns true if its request is still in flight.
    pub(super) fn is_current(&self, connections: &[Connection]) -> bool {
        let connection = &connections[self.connection];
        connection.serial == self.serial && connection.request().is_some()
    }
}
