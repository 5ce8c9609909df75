//! Byte stream of a connection: a socket, or TLS on a socket. No call here blocks.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, ipproto, recv,
    sockopt,
};
use rustls::ClientConnection;

use crate::engine::transport::link::{TargetEndpoint, TargetLink};
use crate::net::kernel_timestamp::{self, Received, WallClock};

/// Non-blocking socket, with TLS for an https target.
#[derive(Debug)]
pub(super) struct Stream {
    socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
    /// True if the peer has closed the TLS session (close_notify).
    ended: bool,
}

impl Stream {
    /// Starts to connect. Fails with [`io::ErrorKind::WouldBlock`] if the queue of a unix socket is full.
    pub(super) fn connect(link: &TargetLink) -> io::Result<Self> {
        let session = link.tls.as_ref().map(|tls| tls.session()).transpose();
        let tls = session.map_err(io::Error::other)?.map(Box::new);
        let socket = match &link.endpoint {
            TargetEndpoint::Tcp(address) => {
                let family =
                    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let socket = socket(family, Some(ipproto::TCP))?;
                // Nagle's algorithm would hold a request back until the previous one is acknowledged: up to
                // 40 ms.
                sockopt::set_tcp_nodelay(&socket, true)?;
                accept_in_progress(rustix::net::connect(&socket, address))?;
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

    /// Switches kernel timestamps of received bytes on or off. Returns false if the kernel refuses; a unix
    /// socket has none.
    pub(super) fn request_timestamps(&self, on: bool) -> bool {
        let is_tcp = !matches!(sockopt::socket_domain(&self.socket), Ok(AddressFamily::UNIX));
        is_tcp && kernel_timestamp::note_times(&self.socket, on)
    }

    /// Continues to connect as far as possible without waiting. Returns true if requests can be written now.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        sockopt::socket_error(&self.socket)??;
        self.tls.as_mut().map_or(Ok(true), |session| shake_hands(&self.socket, session))
    }

    /// Writes and returns the number of bytes taken, which can be 0. With TLS all bytes are taken; see
    /// [`Self::flush`].
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

    /// Sends buffered TLS records.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |session| send_records(&self.socket, session))
    }

    /// Returns true if TLS records wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Reads once. Returns `None` if there is nothing to read, and a length of 0 if the peer closed. With a
    /// wall clock, reads the kernel timestamp too. `buffer` holds 64 KiB.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wall_clock: Option<WallClock>,
    ) -> io::Result<Option<Received>> {
        match &mut self.tls {
            None => receive(&self.socket, buffer, wall_clock),
            Some(session) => {
                let read = read_records(&self.socket, session, buffer, wall_clock)?;
                Ok(read.map(|PlainText { received, closed }| {
                    self.ended = closed;
                    received
                }))
            }
        }
    }

    /// Returns true if the peer closed the TLS session with the bytes that were read last. A plain socket
    /// reports this at the next read.
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

/// Treats a connection that is still being opened as a success.
fn accept_in_progress(connecting: Result<(), Errno>) -> io::Result<()> {
    match connecting {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends and returns the number of bytes that the kernel took, which can be 0.
fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
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

/// Adapter of a socket to rustls.
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
            sent => Ok(sent),
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

/// Continues the handshake as far as possible without waiting. Returns true if it is done.
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
            // Sends the alert with the reason, if the peer still reads.
            let _ = send_records(socket, session);
            return Err(io::Error::other(error));
        }
    }
}

/// Decrypted bytes of one read.
struct PlainText {
    received: Received,
    /// True if the peer closed the session with these bytes. The socket does not report it again.
    closed: bool,
}

/// Reads once from the socket and decrypts the complete records. The last quarter of the buffer takes the
/// encrypted bytes, so that the rest has room for them and for the beginning of a record that came earlier.
fn read_records(
    socket: &OwnedFd,
    session: &mut ClientConnection,
    buffer: &mut [u8],
    wall_clock: Option<WallClock>,
) -> io::Result<Option<PlainText>> {
    let (plain, wire) = buffer.split_at_mut(buffer.len() / 4 * 3);
    let Some(Received { len: encrypted, at }) = receive(socket, wire, wall_clock)? else {
        return Ok(None);
    };
    let (mut rest, mut len, mut closed) = (&wire[..encrypted], 0, false);
    loop {
        // An empty slice means to rustls that the peer closed.
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
        // rustls takes no bytes after the session is closed.
        if closed || rest.is_empty() {
            break;
        }
    }
    // Sends replies of TLS itself, such as to a key update.
    send_records(socket, session)?;
    Ok((len > 0 || closed).then_some(PlainText { received: Received { len, at }, closed }))
}
