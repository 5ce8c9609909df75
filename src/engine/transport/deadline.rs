//! When a request of the raw transport has had its time.

use super::connection::Connection;
use crate::core::clock::Nanos;

/// A request's place in the order of deadlines; all have the same timeout, so it is the order of sending.
#[derive(Debug)]
pub(super) struct Deadline {
    pub(super) at: Nanos,
    pub(super) connection: usize,
    pub(super) serial: u64,
}

impl Deadline {
    /// Whether its request is still on the wire.
    pub(super) fn is_current(&self, connections: &[Connection]) -> bool {
        let connection = &connections[self.connection];
        connection.serial == self.serial && connection.request().is_some()
    }
}
