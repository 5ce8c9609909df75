//! One keep-alive connection of the raw transport: a non-blocking socket, what is on it, and what
//! of a large request the kernel has not taken yet.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::Ticket;
use super::receipt::{self, Received, WallClock};
use super::response::ResponseReader;
use crate::clock::Nanos;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Closed; may connect again at that time.
    Down { retry_at: Nanos },
    /// The kernel is connecting, since then.
    Connecting { since: Nanos },
    /// Open, nothing on it.
    Idle,
    /// A request is on it.
    Busy { ticket: Ticket, sent: Nanos },
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
    socket: Option<TcpStream>,
    /// What the kernel has not taken of the request.
    unsent: Vec<u8>,
    pause: Nanos,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            state: State::Down { retry_at: Nanos::ZERO },
            reader: ResponseReader::new(false),
            serial: 0,
            socket: None,
            unsent: Vec::new(),
            pause: Nanos::ZERO,
        }
    }

    /// Starts to connect, without waiting. With `notes` the kernel is asked to note when responses
    /// arrive; whether it will.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        notes: bool,
        now: Nanos,
    ) -> io::Result<bool> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        // Nagle would hold a request back until the last one's acknowledgement: up to 40 ms.
        sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.reader.reset();
        self.unsent.clear();
        let socket = TcpStream::from(socket);
        let noted = notes && receipt::note_times(&socket);
        self.socket = Some(socket);
        self.state = State::Connecting { since: now };
        Ok(noted)
    }

    /// The kernel is done connecting: whether it worked.
    pub(super) fn finish_connect(&mut self) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        sockopt::socket_error(socket)??;
        self.state = State::Idle;
        Ok(())
    }

    /// Closes; may connect again after a pause that grows while connections bring nothing.
    pub(super) fn close(&mut self, now: Nanos) {
        self.socket = None;
        self.state = State::Down { retry_at: now + self.pause };
        self.pause = Nanos((self.pause.0 * 2).clamp(FIRST_PAUSE.0, LAST_PAUSE.0));
    }

    /// A response came: the peer serves, so a close needs no pause.
    pub(super) fn answered(&mut self) {
        self.pause = Nanos::ZERO;
        self.state = State::Idle;
    }

    /// Writes a request; what the kernel does not take at once is kept for [`Self::flush`].
    pub(super) fn write(&mut self, request: &[u8]) -> io::Result<usize> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let taken = match socket.write(request) {
            Ok(taken) => taken,
            Err(e) if is_would_block(&e) => 0,
            Err(e) => return Err(e),
        };
        self.unsent.extend_from_slice(&request[taken..]);
        Ok(taken)
    }

    /// Writes on; how much the kernel took.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match socket.write(&self.unsent) {
            Ok(taken) => {
                self.unsent.drain(..taken);
                Ok(taken)
            }
            Err(e) if is_would_block(&e) => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Whether the kernel still has to take some of the request.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads once: `None` when there is nothing, a length of 0 when the peer closed. With a wall
    /// clock it reads the kernel's note of the time too.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wall_clock: Option<WallClock>,
    ) -> io::Result<Option<Received>> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let received = match wall_clock {
            Some(wall_clock) => receipt::read(socket, buffer, wall_clock),
            None => socket.read(buffer).map(|len| Received { len, at: None }),
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(e) if is_would_block(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

fn is_would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
