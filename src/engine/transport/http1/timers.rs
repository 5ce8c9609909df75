//! Timers of the raw transport: timeouts, reconnects, and connections that are held back.

use std::cmp::Reverse;
use std::io;

use rustix::event::epoll;

use super::Http1Transport;
use super::connection::State;
use crate::core::clock::Nanos;
use crate::engine::transport::cause::Cause;
use crate::engine::transport::{Completion, RequestFailure, RequestOutcome};

/// Shortest time allowed to open a connection. A busy server drops handshakes, and the kernel retries after
/// 1 s and after 2 s more. The timeout of the user is about requests.
const MIN_CONNECT_TIMEOUT: Nanos = Nanos::from_secs(5);

/// Time for which a connection that carried its only request waits for the server to close it. The side that
/// closes first keeps the port in TIME_WAIT for a minute and would run out of ports.
pub(super) const CLOSE_WAIT: Nanos = Nanos::from_millis(20);

/// Deadlines of completed requests that are kept beside two for each connection.
const SPARE_DEADLINES: usize = 256;

impl Http1Transport {
    /// Longest time of an attempt to connect.
    pub(super) fn connect_timeout(&self) -> Nanos {
        self.timeout.max(MIN_CONNECT_TIMEOUT)
    }

    /// Takes a connection out of use that cannot carry another request.
    pub(super) fn retire(&mut self, index: usize, now: Nanos) {
        if self.link.keep_alive {
            return self.reconnect(index, now);
        }
        if let Some(stream) = self.connections[index].take_stream() {
            // Events on it are no longer of interest.
            let _ = epoll::delete(&self.epoll, &stream);
            if self.closing.len() >= self.connections.len() {
                self.closing.pop_front();
            }
            self.closing.push_back((now, stream));
        }
        self.release(index, now);
    }

    /// Delays the next attempt after a connection for a request could not be opened, so that a target that is
    /// gone does not get attempts without pause.
    fn delay_next_attempt(&mut self, index: usize, now: Nanos) {
        let until = self.connections[index].close(now);
        self.traffic.paused += until - now;
        self.hold_until(index, until);
    }

    /// Leaves a free connection unused until `until`.
    pub(super) fn hold_until(&mut self, index: usize, until: Nanos) {
        let connection = &mut self.connections[index];
        connection.hold += 1;
        self.held.push(Reverse((until, index, connection.hold)));
    }

    /// Closes an open connection, to be opened again.
    fn reconnect(&mut self, index: usize, now: Nanos) {
        self.reconnecting += 1;
        self.close(index, now);
    }

    /// Closes a connection and schedules the next attempt.
    pub(super) fn close(&mut self, index: usize, now: Nanos) {
        let connection = &mut self.connections[index];
        connection.hold += 1;
        let retry_at = connection.close(now);
        self.traffic.paused += retry_at - now;
        self.schedule_reconnect(index);
    }

    /// Schedules attention for a connection that is closed or being opened.
    pub(super) fn schedule_reconnect(&mut self, index: usize) {
        if let Some(at) = self.reconnect_time(index) {
            self.reconnect_times.push(Reverse((at, index)));
        }
    }

    /// Time at which a connection needs attention: its pause ends, or its attempt has taken too long.
    fn reconnect_time(&self, index: usize) -> Option<Nanos> {
        match self.connections[index].state {
            State::Down { retry_at } => Some(retry_at),
            State::Connecting { since } => Some(since + self.connect_timeout()),
            State::Idle | State::Busy { .. } | State::Opening { .. } => None,
        }
    }

    /// Time since the connections that are not open now were closed, summed over all of them.
    pub(super) fn time_reconnecting(&self, now: Nanos) -> Nanos {
        if self.reconnecting == 0 {
            return Nanos::ZERO;
        }
        let times = self.connections.iter().map(|connection| match connection.state {
            State::Down { .. } | State::Connecting { .. } => (now - connection.closed_at).0,
            State::Opening { .. } | State::Idle | State::Busy { .. } => 0,
        });
        Nanos(times.sum())
    }

    /// Fails the request of a connection and closes the connection.
    pub(super) fn fail(
        &mut self,
        index: usize,
        failure: RequestFailure,
        cause: Cause,
        now: Nanos,
        completed: &mut Vec<Completion>,
    ) {
        let connection = &mut self.connections[index];
        if connection.complete_all(RequestOutcome::Failed(failure, cause), now, completed) {
            if failure == RequestFailure::Timeout {
                // The connection was open and waited for the timeout. A pause on top would look like one of
                // the target.
                connection.has_served();
            }
            match connection.state {
                State::Opening { .. } => self.delay_next_attempt(index, now),
                _ => self.retire(index, now),
            }
        } else if connection.state == State::Idle {
            // A server may close idle connections; no request is affected.
            self.drop_idle(index, now);
        }
    }

    /// Closes an idle connection, to be opened again.
    pub(super) fn drop_idle(&mut self, index: usize, now: Nanos) {
        self.idle.remove(index);
        self.reconnect(index, now);
    }

    /// Removes the deadlines of completed requests if there are many: one request without a response must not
    /// keep those of all requests after it.
    pub(super) fn compact_deadlines(&mut self) {
        if self.deadlines.len() > 2 * self.connections.len() + SPARE_DEADLINES {
            let connections = &self.connections;
            self.deadlines.retain(|deadline| deadline.is_current(connections));
        }
    }

    /// Fails the requests whose deadline has passed.
    pub(super) fn expire(&mut self, now: Nanos, completed: &mut Vec<Completion>) {
        while let Some(first) = self.deadlines.front() {
            let (index, current) = (first.connection, first.is_current(&self.connections));
            if current && first.at > now {
                break;
            }
            self.deadlines.pop_front();
            if current {
                self.fail(index, RequestFailure::Timeout, Cause::Timeout, now, completed);
            }
        }
    }

    /// Releases connections whose hold is over, connects again, and gives up attempts that take too long.
    pub(super) fn run_timers(&mut self, now: Nanos) {
        while let Some(Reverse((until, index, hold))) = self.held.peek().copied()
            && until <= now
        {
            self.held.pop();
            if self.connections[index].hold == hold {
                self.idle.push(index);
            }
        }
        while let Some(Reverse((at, index))) = self.reconnect_times.peek().copied()
            && at <= now
        {
            self.reconnect_times.pop();
            if self.reconnect_time(index) == Some(at) {
                self.connect_or_give_up(index, now);
            }
        }
    }

    /// Opens a connection whose pause is over, or gives up an attempt that takes too long.
    fn connect_or_give_up(&mut self, index: usize, now: Nanos) {
        let opened = match self.connections[index].state {
            State::Down { .. } => self.open(index, now),
            _ => Err(io::ErrorKind::TimedOut.into()),
        };
        match opened {
            Ok(()) => self.schedule_reconnect(index),
            Err(error) => self.retry_connect(index, error, now),
        }
    }

    /// Closes a connection that could not be opened, for another attempt.
    pub(super) fn retry_connect(&mut self, index: usize, error: io::Error, now: Nanos) {
        self.close(index, now);
        self.traffic.connect_failures += 1;
        self.traffic.connect_causes.count(Cause::of(&error));
        self.last_connect_error = Some(error);
    }

    /// Tracks a connection as long as part of its request or response is outstanding.
    pub(super) fn track_progress(&mut self, index: usize) {
        if !std::mem::replace(&mut self.connections[index].tracked, true) {
            self.in_progress.push(index);
        }
    }

    /// Returns true if part of a request or of a response is outstanding on any connection.
    pub(super) fn has_progress(&mut self) -> bool {
        let connections = &mut self.connections;
        self.in_progress.retain(|index| {
            let connection = &mut connections[*index];
            connection.tracked = connection.is_in_progress();
            connection.tracked
        });
        !self.in_progress.is_empty()
    }

    /// Time at which a timer expires next; the maximum if there is none.
    pub(super) fn next_deadline(&self) -> Nanos {
        let deadline = self.deadlines.front().map_or(Nanos::MAX, |first| first.at);
        let reconnect = self.reconnect_times.peek().map_or(Nanos::MAX, |Reverse((at, _))| *at);
        let held = self.held.peek().map_or(Nanos::MAX, |Reverse((until, ..))| *until);
        reconnect.min(deadline).min(held)
    }
}
