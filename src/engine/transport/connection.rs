//! One connection of the raw transport: what is on it, and what of a request could not be written yet.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::Ticket;
use super::link::TargetLink;
use super::response::ResponseReader;
use super::stream::{Stream, is_would_block};
use crate::core::clock::Nanos;
use crate::net::kernel_timestamp::{Received, WallClock};

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Closed; may connect again at that time.
    Down { retry_at: Nanos },
    /// It is being made, since then.
    Connecting { since: Nanos },
    /// It is being made for this request, which waits for it, since then.
    Opening { ticket: Ticket, since: Nanos },
    /// Open, nothing on it.
    Idle,
    /// A request is on it. `connect` is how long the connection took that was made for it alone.
    Busy { ticket: Ticket, sent: Nanos, connect: Option<Nanos> },
}

/// Pause before a connection that brought nothing is made again: doubles from the first to the last.
const FIRST_PAUSE: Nanos = Nanos::from_millis(5);
const LAST_PAUSE: Nanos = Nanos::from_millis(1_000);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) reader: ResponseReader,
    /// Tells this request from others that were on the connection before.
    pub(super) serial: u64,
    /// Requests that were written with the one in [`State::Busy`]: their responses come after its own.
    pub(super) following: VecDeque<Ticket>,
    stream: Option<Stream>,
    /// What could not be written of the request.
    unsent: Vec<u8>,
    /// It is among those that are looked after as long as they are [midway](Self::is_midway).
    pub(super) watched: bool,
    pause: Nanos,
    /// Time of the last close.
    pub(super) closed_at: Nanos,
    /// Number of times that it was held back or closed: tells an old hold from the present one.
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
            watched: false,
            pause: Nanos::ZERO,
            closed_at: Nanos::ZERO,
            hold: 0,
        }
    }

    /// Starts to connect, without waiting. With `notes` the kernel is asked to note when responses
    /// arrive; whether it will.
    pub(super) fn connect(
        &mut self,
        link: &TargetLink,
        notes: bool,
        now: Nanos,
    ) -> io::Result<bool> {
        let stream = match Stream::connect(link) {
            Ok(stream) => stream,
            // A unix socket on which too many wait says so at once, where TCP knocks again by itself.
            Err(e) if is_would_block(&e) => {
                self.state = State::Down { retry_at: now + FIRST_PAUSE };
                return Ok(notes);
            }
            Err(e) => return Err(e),
        };
        self.reader.reset();
        let noted = notes && stream.note_times(true);
        self.stream = Some(stream);
        self.state = State::Connecting { since: now };
        Ok(noted)
    }

    /// Asks the kernel to note when responses arrive from now on, or not to; whether it will do so.
    pub(super) fn note_times(&self, on: bool) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.note_times(on))
    }

    /// Something came of connecting: whether the connection stands now.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?.finish_connect()
    }

    /// Closes; may connect again after a pause that grows while connections bring nothing: then.
    pub(super) fn close(&mut self, now: Nanos) -> Nanos {
        self.stream = None;
        self.unsent.clear();
        if !matches!(self.state, State::Down { .. } | State::Connecting { .. }) {
            self.closed_at = now;
        }
        let retry_at = now + self.pause;
        self.state = State::Down { retry_at };
        self.pause = Nanos((self.pause.0 * 2).clamp(FIRST_PAUSE.0, LAST_PAUSE.0));
        retry_at
    }

    /// Gives the stream away, which leaves the connection closed, to be made again at any time.
    pub(super) fn take_stream(&mut self) -> Option<Stream> {
        self.unsent.clear();
        self.state = State::Down { retry_at: Nanos::ZERO };
        self.stream.take()
    }

    /// The peer serves, if late: a close needs no pause.
    pub(super) fn has_served(&mut self) {
        self.pause = Nanos::ZERO;
    }

    /// A response to what [`State::Busy`] has on it is complete: goes on to the next request that was written
    /// with it. Whether there is one.
    pub(super) fn answered(&mut self) -> bool {
        self.has_served();
        let next = self.following.pop_front();
        self.state = match (next, self.state) {
            (Some(ticket), State::Busy { sent, .. }) => State::Busy { ticket, sent, connect: None },
            _ => State::Idle,
        };
        next.is_some()
    }

    /// Whether bytes are about to come or to go: a part of a request or of a response has.
    pub(super) fn is_midway(&self) -> bool {
        matches!(self.state, State::Busy { .. }) && (self.reader.is_midway() || self.has_unsent())
    }

    /// Writes a request; what cannot be written at once is kept for [`Self::flush`].
    pub(super) fn write(&mut self, request: &[u8]) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let taken = stream.write(request)?;
        self.unsent.extend_from_slice(&request[taken..]);
        Ok(taken)
    }

    /// Keeps a request until the connection stands, for [`Self::flush`].
    pub(super) fn keep(&mut self, request: &[u8]) {
        self.unsent.extend_from_slice(request);
    }

    /// Writes on; how much of the request was taken.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.flush()?;
        if self.unsent.is_empty() {
            return Ok(0);
        }
        let taken = stream.write(&self.unsent)?;
        self.unsent.drain(..taken);
        Ok(taken)
    }

    /// Whether something waits to be written.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.stream.as_ref().is_some_and(Stream::has_unsent)
    }

    /// Reads once, as [`Stream::read`].
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wall_clock: Option<WallClock>,
    ) -> io::Result<Option<Received>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.read(buffer, wall_clock)
    }

    /// Whether the peer has said that nothing more comes, with what was read last.
    pub(super) fn has_ended(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::has_ended)
    }

    /// The request on it or waiting for it: its ticket, since when it is, and how long connecting took.
    pub(super) fn request(&self) -> Option<(Ticket, Nanos, Option<Nanos>)> {
        match self.state {
            State::Busy { ticket, sent, connect } => Some((ticket, sent, connect)),
            // Nobody has seen it yet: its age is what counts.
            State::Opening { ticket, since } => Some((ticket, since, None)),
            State::Down { .. } | State::Connecting { .. } | State::Idle => None,
        }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MsgId;

    #[test]
    fn only_what_brings_nothing_makes_the_pause_grow() {
        let mut connection = Connection::new();
        let pauses = |connection: &mut Connection| [(); 3].map(|()| connection.close(Nanos::ZERO));
        let growing = [0, 5, 10].map(Nanos::from_millis);
        assert_eq!(pauses(&mut connection), growing);
        // It waited as long as it may; that is no fault of the connection.
        connection.has_served();
        assert_eq!(pauses(&mut connection), growing);
        // The first of two that were written together is answered.
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
