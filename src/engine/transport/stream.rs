//! What carries a connection's bytes: a socket, or TLS on a socket. Nothing here waits.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, ipproto, recv,
    sockopt,
};
use rustls::ClientConnection;

use super::link::{TargetEndpoint, TargetLink};
use crate::net::kernel_timestamp::{self, Received, WallClock};

/// A non-blocking socket, with TLS on it where the target wants it.
#[derive(Debug)]
pub(super) struct Stream {
    socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
    /// TLS has heard the peer's goodbye.
    ended: bool,
}

impl Stream {
    /// Starts to connect. [`io::ErrorKind::WouldBlock`]: the socket's queue is full just now.
    pub(super) fn connect(link: &TargetLink) -> io::Result<Self> {
        let session = link.tls.as_ref().map(|tls| tls.session()).transpose();
        let tls = session.map_err(io::Error::other)?.map(Box::new);
        let socket = match &link.endpoint {
            TargetEndpoint::Tcp(address) => {
                let family =
                    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let socket = socket(family, Some(ipproto::TCP))?;
                // Nagle would hold a request back until the last one's acknowledgement: up to 40 ms.
                sockopt::set_tcp_nodelay(&socket, true)?;
                begun(rustix::net::connect(&socket, address))?;
                socket
            }
            TargetEndpoint::Unix(path) => {
                let socket = socket(AddressFamily::UNIX, None)?;
                rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
                socket
            }
        };
        Ok(Self { socket, tls, ended: false })
    }

    /// Asks the kernel to note when bytes arrive, or not to; whether it will do so. Of a unix socket's it
    /// never notes any.
    pub(super) fn note_times(&self, on: bool) -> bool {
        let is_tcp = !matches!(sockopt::socket_domain(&self.socket), Ok(AddressFamily::UNIX));
        is_tcp && kernel_timestamp::note_times(&self.socket, on)
    }

    /// Goes on connecting as far as it goes without waiting; whether requests can be written now.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        sockopt::socket_error(&self.socket)??;
        self.tls.as_mut().map_or(Ok(true), |session| shake_hands(&self.socket, session))
    }

    /// Writes; how much was taken, which can be nothing. With TLS all is taken, see [`Self::flush`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => send(&self.socket, bytes),
            Some(session) => {
                session.writer().write_all(bytes)?;
                send_records(&self.socket, session)?;
                Ok(bytes.len())
            }
        }
    }

    /// Hands the kernel what it has not taken yet of what TLS has to say.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |session| send_records(&self.socket, session))
    }

    /// Whether TLS has something to say that the kernel has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Reads once: `None` when there is nothing, a length of 0 when the peer closed. With a wall
    /// clock it reads the kernel's note of the time too. `buffer` holds 64 KiB.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wall_clock: Option<WallClock>,
    ) -> io::Result<Option<Received>> {
        match &mut self.tls {
            None => receive(&self.socket, buffer, wall_clock),
            Some(session) => {
                let received = read_records(&self.socket, session, buffer, wall_clock)?;
                Ok(received.map(|(received, ended)| {
                    self.ended = ended;
                    received
                }))
            }
        }
    }

    /// Whether the peer said with what was read last that nothing more comes. A plain socket says so by
    /// itself, when it is read again.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn socket(family: AddressFamily, protocol: Option<rustix::net::Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, protocol)?)
}

fn begun(connecting: Result<(), Errno>) -> io::Result<()> {
    match connecting {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends what the kernel takes, which can be nothing.
fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(taken) => Ok(taken),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    wall_clock: Option<WallClock>,
) -> io::Result<Option<Received>> {
    let received = match wall_clock {
        Some(wall_clock) => kernel_timestamp::read(socket, buffer, wall_clock),
        None => recv(socket, buffer, RecvFlags::empty())
            .map(|(len, _)| Received { len, at: None })
            .map_err(io::Error::from),
    };
    match received {
        Ok(received) => Ok(Some(received)),
        Err(e) if is_would_block(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) fn is_would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A socket as rustls wants it.
struct Wire<'a>(&'a OwnedFd);

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0, buffer, RecvFlags::empty())?.0)
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match send(self.0, bytes)? {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send_records(socket: &OwnedFd, session: &mut ClientConnection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(&mut Wire(socket)) {
            Ok(_) => {}
            Err(e) if is_would_block(&e) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Says and hears what it can of the handshake; whether it is done.
fn shake_hands(socket: &OwnedFd, session: &mut ClientConnection) -> io::Result<bool> {
    loop {
        send_records(socket, session)?;
        if !session.is_handshaking() {
            return Ok(!session.wants_write());
        }
        match session.read_tls(&mut Wire(socket)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) if is_would_block(&e) => return Ok(false),
            Err(e) => return Err(e),
        }
        if let Err(error) = session.process_new_packets() {
            // The peer is told why, if it still listens.
            let _ = send_records(socket, session);
            return Err(io::Error::other(error));
        }
    }
}

/// Reads once from the socket, and gives what that completed. The last quarter of the buffer takes what
/// comes over the wire, so that the rest has room for it and for a record that was begun before. Whether
/// the peer's goodbye came with it, too: nothing on the socket tells of that again.
fn read_records(
    socket: &OwnedFd,
    session: &mut ClientConnection,
    buffer: &mut [u8],
    wall_clock: Option<WallClock>,
) -> io::Result<Option<(Received, bool)>> {
    let (plain, wire) = buffer.split_at_mut(buffer.len() / 4 * 3);
    let Some(Received { len: came, at }) = receive(socket, wire, wall_clock)? else {
        return Ok(None);
    };
    let (mut rest, mut len, mut closed) = (&wire[..came], 0, false);
    loop {
        // An empty rest tells that the peer closed.
        session.read_tls(&mut rest)?;
        let state = session.process_new_packets().map_err(io::Error::other)?;
        match session.reader().read(&mut plain[len..]) {
            Ok(more) => {
                len += more;
                closed = more == 0 || state.peer_has_closed();
            }
            Err(e) if is_would_block(&e) => {}
            Err(e) => return Err(e),
        }
        // After its goodbye nothing of what the peer says counts, and nothing of it is taken.
        if closed || rest.is_empty() {
            break;
        }
    }
    // An answer to what TLS itself had to say, such as new keys.
    send_records(socket, session)?;
    Ok((len > 0 || closed).then_some((Received { len, at }, closed)))
}
