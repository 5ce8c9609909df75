//! What the raw transport looks after by the clock: timeouts, broken connections, new attempts.

use std::cmp::Reverse;
use std::io;

use rustix::event::epoll;

use super::RawTransport;
use crate::clock::Nanos;
use crate::http::connection::State;
use crate::http::{Ended, Failure, Outcome};

/// The least time a connection gets to stand: a server that many knock at drops handshakes, and the
/// kernel tries again after 1 s and after 2 s more. The timeout is about requests.
const CONNECT_PATIENCE: Nanos = Nanos::from_secs(5);

/// How long a connection that carried its one request waits for the server to close it. Who closes first
/// has its port blocked for a minute; that many ports no client has.
pub(super) const CLOSING: Nanos = Nanos::from_millis(20);

/// Deadlines of ended requests that are kept however few connections there are.
const SLACK: usize = 256;

impl RawTransport {
    /// How long an attempt to connect may take.
    pub(super) fn patience(&self) -> Nanos {
        self.timeout.max(CONNECT_PATIENCE)
    }

    /// The connection carries nothing more.
    pub(super) fn lay_down(&mut self, index: usize, now: Nanos) {
        let connection = &mut self.connections[index];
        if self.link.keep_alive {
            connection.close(now);
            return self.ailing.push(index);
        }
        if let Some(stream) = connection.take_stream() {
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
        self.held.push(Reverse((until, index)));
    }

    pub(super) fn fail(
        &mut self,
        index: usize,
        failure: Failure,
        now: Nanos,
        ended: &mut Vec<Ended>,
    ) {
        let connection = &mut self.connections[index];
        if let Some((ticket, sent, connect)) = connection.request() {
            let outcome = Outcome::Failed(failure);
            let tickets = std::iter::once(ticket).chain(connection.following.drain(..));
            ended.extend(tickets.map(|ticket| Ended { ticket, sent, at: now, outcome, connect }));
            if failure == Failure::Timeout {
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
        self.idle.retain(|i| *i != index);
        self.held.retain(|Reverse((_, i))| *i != index);
        self.connections[index].close(now);
        self.ailing.push(index);
    }

    /// One request that hangs must not keep the deadlines of all that ended since.
    pub(super) fn forget_ended(&mut self) {
        if self.deadlines.len() > 2 * self.connections.len() + SLACK {
            let connections = &self.connections;
            self.deadlines.retain(|deadline| deadline.is_current(connections));
        }
    }

    /// Ends what is past its timeout.
    pub(super) fn expire(&mut self, now: Nanos, ended: &mut Vec<Ended>) {
        while let Some(first) = self.deadlines.front() {
            let (index, current) = (first.connection, first.is_current(&self.connections));
            if current && first.at > now {
                break;
            }
            self.deadlines.pop_front();
            if current {
                self.fail(index, Failure::Timeout, now, ended);
            }
        }
    }

    /// Connects what may be connected again, gives up attempts that take too long, and lets go what was
    /// held back.
    pub(super) fn tend(&mut self, now: Nanos) {
        while self.held.peek().is_some_and(|Reverse((until, _))| *until <= now) {
            self.idle.extend(self.held.pop().map(|Reverse((_, index))| index));
        }
        for at in 0..self.ailing.len() {
            let index = self.ailing[at];
            let failed = match self.connections[index].state {
                State::Down { retry_at } if retry_at <= now => self.open(index, now).err(),
                State::Connecting { since } if since + self.patience() <= now => {
                    Some(io::ErrorKind::TimedOut.into())
                }
                _ => None,
            };
            if let Some(error) = failed {
                self.connections[index].close(now);
                self.note_refusal(error);
            }
        }
    }

    /// A connection could not be made.
    pub(super) fn note_refusal(&mut self, error: io::Error) {
        self.traffic.connect_failures += 1;
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
        let duty = |index: &usize| match self.connections[*index].state {
            State::Down { retry_at } => retry_at,
            State::Connecting { since } => since + self.patience(),
            State::Idle | State::Busy { .. } | State::Opening { .. } => Nanos::MAX,
        };
        let held = self.held.peek().map_or(Nanos::MAX, |Reverse((until, _))| *until);
        self.ailing.iter().map(duty).min().unwrap_or(Nanos::MAX).min(deadline).min(held)
    }
}
