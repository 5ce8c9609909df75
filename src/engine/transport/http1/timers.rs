//! What the raw transport looks after by the clock: timeouts, broken connections, new attempts.

use std::cmp::Reverse;
use std::io;

use rustix::event::epoll;

use super::Http1Transport;
use crate::core::clock::Nanos;
use crate::engine::transport::cause::Cause;
use crate::engine::transport::connection::State;
use crate::engine::transport::{Completion, RequestFailure, RequestOutcome};

/// The least time a connection gets to stand: a server that many knock at drops handshakes, and the
/// kernel tries again after 1 s and after 2 s more. The timeout is about requests.
const CONNECT_PATIENCE: Nanos = Nanos::from_secs(5);

/// How long a connection that carried its one request waits for the server to close it. Who closes first
/// has its port blocked for a minute; that many ports no client has.
pub(super) const CLOSING: Nanos = Nanos::from_millis(20);

/// Deadlines of ended requests that are kept however few connections there are.
const SLACK: usize = 256;

impl Http1Transport {
    /// Longest time of an attempt to connect.
    pub(super) fn patience(&self) -> Nanos {
        self.timeout.max(CONNECT_PATIENCE)
    }

    /// The connection carries nothing more.
    pub(super) fn lay_down(&mut self, index: usize, now: Nanos) {
        if self.link.keep_alive {
            return self.reconnect(index, now);
        }
        if let Some(stream) = self.connections[index].take_stream() {
            // Nobody asks any more what comes on it.
            let _ = epoll::delete(&self.epoll, &stream);
            if self.closing.len() >= self.connections.len() {
                self.closing.pop_front();
            }
            self.closing.push_back((now, stream));
        }
        self.free(index, now);
    }

    /// No connection could be made for a request: the next one is not tried at once, or a target that is
    /// gone would be knocked at without end.
    fn hold_back(&mut self, index: usize, now: Nanos) {
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

    /// Closes an open connection, to be made again.
    fn reconnect(&mut self, index: usize, now: Nanos) {
        self.reconnecting += 1;
        self.close(index, now);
    }

    /// Closes a connection, and sets the time of the next attempt.
    pub(super) fn close(&mut self, index: usize, now: Nanos) {
        let connection = &mut self.connections[index];
        connection.hold += 1;
        let retry_at = connection.close(now);
        self.traffic.paused += retry_at - now;
        self.schedule_duty(index);
    }

    /// Notes when a connection that is closed or being made needs attention.
    pub(super) fn schedule_duty(&mut self, index: usize) {
        if let Some(at) = self.duty(index) {
            self.duties.push(Reverse((at, index)));
        }
    }

    fn duty(&self, index: usize) -> Option<Nanos> {
        match self.connections[index].state {
            State::Down { retry_at } => Some(retry_at),
            State::Connecting { since } => Some(since + self.patience()),
            State::Idle | State::Busy { .. } | State::Opening { .. } => None,
        }
    }

    /// Time since the connections that are not open now were closed, added over all of them.
    pub(super) fn time_reconnecting(&self, now: Nanos) -> Nanos {
        if self.reconnecting == 0 {
            return Nanos::ZERO;
        }
        let down = |state| matches!(state, State::Down { .. } | State::Connecting { .. });
        let all = self.connections.iter().filter(|connection| down(connection.state));
        Nanos(all.map(|connection| (now - connection.closed_at).0).sum())
    }

    pub(super) fn fail(
        &mut self,
        index: usize,
        failure: RequestFailure,
        cause: Cause,
        now: Nanos,
        ended: &mut Vec<Completion>,
    ) {
        let connection = &mut self.connections[index];
        if let Some((ticket, sent, connect)) = connection.request() {
            let outcome = RequestOutcome::Failed(failure, cause);
            let tickets = std::iter::once(ticket).chain(connection.following.drain(..));
            ended.extend(tickets.map(|ticket| Completion {
                ticket,
                sent,
                at: now,
                outcome,
                connect,
            }));
            if failure == RequestFailure::Timeout {
                // It was made, and waited as long as it may. A pause on top would be taken for the target's.
                connection.has_served();
            }
            match connection.state {
                State::Opening { .. } => self.hold_back(index, now),
                _ => self.lay_down(index, now),
            }
        } else if connection.state == State::Idle {
            // A server may close what it does not need: no request is hurt.
            self.drop_idle(index, now);
        }
    }

    pub(super) fn drop_idle(&mut self, index: usize, now: Nanos) {
        self.idle.remove(index);
        self.reconnect(index, now);
    }

    /// One request that hangs must not keep the deadlines of all that ended since.
    pub(super) fn forget_ended(&mut self) {
        if self.deadlines.len() > 2 * self.connections.len() + SLACK {
            let connections = &self.connections;
            self.deadlines.retain(|deadline| deadline.is_current(connections));
        }
    }

    /// Ends what is past its timeout.
    pub(super) fn expire(&mut self, now: Nanos, ended: &mut Vec<Completion>) {
        while let Some(first) = self.deadlines.front() {
            let (index, current) = (first.connection, first.is_current(&self.connections));
            if current && first.at > now {
                break;
            }
            self.deadlines.pop_front();
            if current {
                self.fail(index, RequestFailure::Timeout, Cause::Timeout, now, ended);
            }
        }
    }

    /// Connects what may be connected again, gives up attempts that take too long, and lets go what was
    /// held back.
    pub(super) fn tend(&mut self, now: Nanos) {
        while let Some(Reverse((until, index, hold))) = self.held.peek().copied()
            && until <= now
        {
            self.held.pop();
            if self.connections[index].hold == hold {
                self.idle.push(index);
            }
        }
        while let Some(Reverse((at, index))) = self.duties.peek().copied()
            && at <= now
        {
            self.duties.pop();
            if self.duty(index) == Some(at) {
                self.attend(index, now);
            }
        }
    }

    /// Opens a connection whose pause is over, or gives up an attempt that takes too long.
    fn attend(&mut self, index: usize, now: Nanos) {
        let opened = match self.connections[index].state {
            State::Down { .. } => self.open(index, now),
            _ => Err(io::ErrorKind::TimedOut.into()),
        };
        match opened {
            Ok(()) => self.schedule_duty(index),
            Err(error) => self.note_refusal(index, error, now),
        }
    }

    /// A connection could not be made: closes it, to be tried again.
    pub(super) fn note_refusal(&mut self, index: usize, error: io::Error, now: Nanos) {
        self.close(index, now);
        self.traffic.connect_failures += 1;
        self.traffic.connect_causes.count(Cause::of(&error));
        self.refusal = Some(error);
    }

    /// Looks after a connection as long as it is midway.
    pub(super) fn watch(&mut self, index: usize) {
        if !std::mem::replace(&mut self.connections[index].watched, true) {
            self.midway.push(index);
        }
    }

    /// Whether bytes are about to come or to go on any connection.
    pub(super) fn is_midway(&mut self) -> bool {
        let connections = &mut self.connections;
        self.midway.retain(|index| {
            let connection = &mut connections[*index];
            connection.watched = connection.is_midway();
            connection.watched
        });
        !self.midway.is_empty()
    }

    /// When something must be done although nothing comes.
    pub(super) fn next_duty(&self) -> Nanos {
        let deadline = self.deadlines.front().map_or(Nanos::MAX, |first| first.at);
        let duty = self.duties.peek().map_or(Nanos::MAX, |Reverse((at, _))| *at);
        let held = self.held.peek().map_or(Nanos::MAX, |Reverse((until, ..))| *until);
        duty.min(deadline).min(held)
    }
}
