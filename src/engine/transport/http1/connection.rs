//! One connection of the raw transport: its state, its requests, and bytes that could not be written yet.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::response::ResponseReader;
use super::stream::{Stream, is_would_block};
use crate::core::Backoff;
use crate::core::clock::Nanos;
use crate::engine::transport::link::TargetLink;
use crate::engine::transport::{Completion, RequestOutcome, Ticket};
use crate::net::kernel_timestamp::{Received, WallClock};

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Closed; may connect again at `retry_at`.
    Down { retry_at: Nanos },
    /// Being opened.
    Connecting { since: Nanos },
    /// Being opened for a request that waits for it.
    Opening { ticket: Ticket, since: Nanos },
    /// Open, without a request.
    Idle,
    /// A request is in flight. `connect` is the time to open the connection if it was opened for it alone.
    Busy { ticket: Ticket, sent: Nanos, connect: Option<Nanos> },
}

/// Request that waits for a connection or for its response.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingRequest {
    pub(super) ticket: Ticket,
    /// Time at which it was sent; while the connection is being opened, the time at which that began.
    pub(super) sent: Nanos,
    /// Time to open the connection if it was opened for this request alone.
    pub(super) connect: Option<Nanos>,
}

/// Shortest pause before a connection that served no request is opened again.
const SHORTEST_PAUSE: Nanos = Nanos::from_millis(5);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) reader: ResponseReader,
    /// Number of the request: distinguishes it from earlier ones on the same connection.
    pub(super) serial: u64,
    /// Requests that were written together with the one in [`State::Busy`]; their responses follow its own.
    pub(super) following: VecDeque<Ticket>,
    stream: Option<Stream>,
    /// Bytes of the request that could not be written yet.
    unsent: Vec<u8>,
    /// True if the transport tracks it as long as it is [in progress](Self::is_in_progress).
    pub(super) tracked: bool,
    /// Pauses before attempts to connect. A connection that served a request is opened again at once.
    backoff: Backoff,
    /// Time of the last close.
    pub(super) closed_at: Nanos,
    /// Number of times that it was held back or closed: distinguishes an old hold from the present one.
    pub(super) hold: u64,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            state: State::Down { retry_at: Nanos::ZERO },
            reader: ResponseReader::default(),
            serial: 0,
            following: VecDeque::new(),
            stream: None,
            unsent: Vec::new(),
            tracked: false,
            backoff: Backoff::first_at_once(SHORTEST_PAUSE),
            closed_at: Nanos::ZERO,
            hold: 0,
        }
    }

    /// Starts to connect, without waiting. With `timestamps`, requests kernel timestamps of responses; returns
    /// true if the kernel will provide them.
    pub(super) fn connect(
        &mut self,
        link: &TargetLink,
        timestamps: bool,
        now: Nanos,
    ) -> io::Result<bool> {
        let stream = match Stream::connect(link) {
            Ok(stream) => stream,
            // A unix socket whose queue is full refuses at once, whereas TCP retries by itself.
            Err(e) if is_would_block(&e) => {
                self.state = State::Down { retry_at: now + SHORTEST_PAUSE };
                return Ok(timestamps);
            }
            Err(e) => return Err(e),
        };
        self.reader.reset();
        let timestamps = timestamps && stream.request_timestamps(true);
        self.stream = Some(stream);
        self.state = State::Connecting { since: now };
        Ok(timestamps)
    }

    /// Switches kernel timestamps on or off. Returns false if the kernel refuses.
    pub(super) fn request_timestamps(&self, on: bool) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.request_timestamps(on))
    }

    /// Continues to connect after an event. Returns true if the connection is open now.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?.finish_connect()
    }

    /// Closes the connection. Returns the time at which it may connect again: the pause doubles until a
    /// request is served.
    pub(super) fn close(&mut self, now: Nanos) -> Nanos {
        self.stream = None;
        self.unsent.clear();
        if !matches!(self.state, State::Down { .. } | State::Connecting { .. }) {
            self.closed_at = now;
        }
        let retry_at = now + Nanos::from(self.backoff.pause());
        self.state = State::Down { retry_at };
        retry_at
    }

    /// Takes the stream out. The connection counts as closed and may be opened again at any time.
    pub(super) fn take_stream(&mut self) -> Option<Stream> {
        self.unsent.clear();
        self.state = State::Down { retry_at: Nanos::ZERO };
        self.stream.take()
    }

    /// Resets the pause: the peer serves requests, even if late.
    pub(super) fn has_served(&mut self) {
        self.backoff.reset();
    }

    /// Moves on to the next request of a batch after a complete response. Returns false if there is none;
    /// the connection is idle then.
    pub(super) fn answered(&mut self) -> bool {
        self.has_served();
        let next = self.following.pop_front();
        self.state = match (next, self.state) {
            (Some(ticket), State::Busy { sent, .. }) => State::Busy { ticket, sent, connect: None },
            _ => State::Idle,
        };
        next.is_some()
    }

    /// Returns true if part of a request or of a response has passed, so that more is to follow.
    pub(super) fn is_in_progress(&self) -> bool {
        let is_busy = matches!(self.state, State::Busy { .. });
        is_busy && (self.reader.is_in_progress() || self.has_unsent())
    }

    /// Writes a request and returns the number of bytes written; the rest is stored for [`Self::flush`].
    pub(super) fn write(&mut self, request: &[u8]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let written = stream.write(request)?;
        self.unsent.extend_from_slice(&request[written..]);
        Ok(written)
    }

    /// Stores a request until the connection is open, for [`Self::flush`].
    pub(super) fn store(&mut self, request: &[u8]) {
        self.unsent.extend_from_slice(request);
    }

    /// Writes stored bytes. Returns the number of bytes of the request that were written.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.flush()?;
        if self.unsent.is_empty() {
            return Ok(0);
        }
        let written = stream.write(&self.unsent)?;
        self.unsent.drain(..written);
        Ok(written)
    }

    /// Returns true if something waits to be written.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.stream.as_ref().is_some_and(Stream::has_unsent)
    }

    /// Reads once; see [`Stream::read`].
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wall_clock: Option<WallClock>,
    ) -> io::Result<Option<Received>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.read(buffer, wall_clock)
    }

    /// Returns true if the peer ended the stream with the bytes that were read last.
    pub(super) fn has_ended(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::has_ended)
    }

    /// Request in flight or waiting for the connection.
    pub(super) fn request(&self) -> Option<PendingRequest> {
        match self.state {
            State::Busy { ticket, sent, connect } => Some(PendingRequest { ticket, sent, connect }),
            // Not sent yet: its age counts from the attempt to connect.
            State::Opening { ticket, since } => {
                Some(PendingRequest { ticket, sent: since, connect: None })
            }
            State::Down { .. } | State::Connecting { .. } | State::Idle => None,
        }
    }

    /// Completes the request and those that were written together with it. Returns false if there is none.
    pub(super) fn complete_all(
        &mut self,
        outcome: RequestOutcome,
        at: Nanos,
        completed: &mut Vec<Completion>,
    ) -> bool {
        let Some(PendingRequest { ticket, sent, connect }) = self.request() else { return false };
        let tickets = std::iter::once(ticket).chain(self.following.drain(..));
        completed.extend(tickets.map(|ticket| Completion { ticket, sent, at, outcome, connect }));
        true
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MsgId;

    fn pauses(connection: &mut Connection) -> [Nanos; 3] {
        [(); 3].map(|()| connection.close(Nanos::ZERO))
    }

    #[test]
    fn the_pause_grows_until_a_request_is_served() {
        let mut connection = Connection::new();
        let growing = [0, 5, 10].map(Nanos::from_millis);
        assert_eq!(pauses(&mut connection), growing);
        // A request timed out, which is not the connection's fault.
        connection.has_served();
        assert_eq!(pauses(&mut connection), growing);
        // The first of two requests that were written together is answered.
        let ticket =
            Ticket { due: Nanos::ZERO, ready: Nanos::ZERO, id: MsgId::new(1).expect("small") };
        connection.state = State::Busy { ticket, sent: Nanos(7), connect: None };
        connection.following.push_back(ticket);
        assert!(connection.answered());
        assert_eq!(connection.state, State::Busy { ticket, sent: Nanos(7), connect: None });
        assert_eq!(pauses(&mut connection), growing);
        connection.state = State::Busy { ticket, sent: Nanos(7), connect: None };
        assert!(!connection.answered() && connection.state == State::Idle);
    }
}
