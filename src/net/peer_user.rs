//! The user who opened a connection, as the kernel knows it. Only for peers on this machine.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto};

/// `SOCK_DIAG_BY_FAMILY` of the kernel's `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` of `linux/netlink.h`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR` of `linux/netlink.h`: the answer is an error number.
const ERROR: u16 = 2;
/// Protocol number of TCP.
const TCP: u8 = 6;
/// State of an open connection, in `linux/tcp_states.h`.
const ESTABLISHED: u8 = 1;
/// Cookie of a request that names a socket by its addresses alone.
const NO_COOKIE: u32 = u32::MAX;
/// Bytes of a request, and of the header before it and before an answer.
const REQUEST_LENGTH: u32 = 72;
/// Bytes of an answer without attributes.
const ANSWER_LENGTH: usize = 88;

/// Asks the kernel which user opened a connection (`sock_diag(7)`).
#[derive(Debug)]
pub(crate) struct PeerUsers(OwnedFd);

impl PeerUsers {
    /// Opens the socket for the questions. An error means that the kernel does not offer it.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            flags,
            Some(netlink::SOCK_DIAG),
        )?;
        Ok(Self(socket))
    }

    /// Returns the number of the user who opened the connection from `client` to `server`. `None` if the client's
    /// end is not open on this machine: another machine has it, or the client closed it already.
    pub(crate) fn user_of(
        &self,
        client: SocketAddr,
        server: SocketAddr,
    ) -> io::Result<Option<u32>> {
        let (client, server) = (canonical(client), canonical(server));
        let Some(request) = request(client, server) else { return Ok(None) };
        sendto(&self.0, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 512];
        // The kernel has answered when the request is sent.
        let (_, length) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        user_in(&answer[..length.min(answer.len())])
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// `inet_diag_req_v2` of `linux/inet_diag.h` behind its header. `None` if the addresses are of two families.
fn request(client: SocketAddr, server: SocketAddr) -> Option<Vec<u8>> {
    let family = match (client.ip(), server.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AddressFamily::INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AddressFamily::INET6,
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(REQUEST_LENGTH as usize);
    bytes.extend(REQUEST_LENGTH.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender: the socket has one question at a time.
    bytes.extend([0; 8]);
    bytes.extend([family.as_raw().try_into().ok()?, TCP, 0, 0]);
    let all_states = u32::MAX;
    bytes.extend(all_states.to_ne_bytes());
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(server.port().to_be_bytes());
    bytes.extend(sixteen_bytes(client.ip()));
    bytes.extend(sixteen_bytes(server.ip()));
    let any_interface = 0_u32;
    bytes.extend(any_interface.to_ne_bytes());
    bytes.extend(NO_COOKIE.to_ne_bytes());
    bytes.extend(NO_COOKIE.to_ne_bytes());
    Some(bytes)
}

/// An address in a field of 16 bytes.
fn sixteen_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The user in an answer of the kernel (`inet_diag_msg` behind its header).
fn user_in(answer: &[u8]) -> io::Result<Option<u32>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is too short");
    let kind = answer.get(4..6).ok_or_else(bad)?;
    if kind == ERROR.to_ne_bytes() {
        let error = -(number_at(answer, 16).ok_or_else(bad)?.cast_signed());
        let error = io::Error::from_raw_os_error(error);
        return if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) };
    }
    if answer.len() < ANSWER_LENGTH {
        return Err(bad());
    }
    let (user, inode) = (number_at(answer, 80), number_at(answer, 84));
    // A socket that was closed is shown as one of root, without an inode.
    let is_open = answer[17] == ESTABLISHED && inode != Some(0);
    Ok(user.filter(|_| is_open))
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    four.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::process::getuid;

    use super::*;

    /// Ends of a connection: the client's address, the server's, and the sockets.
    fn connection(listen: &str) -> (SocketAddr, SocketAddr, TcpStream, TcpStream) {
        let listener = TcpListener::bind(listen).expect("a free port");
        let server = listener.local_addr().expect("it is bound");
        let client = TcpStream::connect(server).expect("it listens");
        let (accepted, address) = listener.accept().expect("a client connects");
        (address, server, client, accepted)
    }

    #[test]
    fn the_user_of_an_open_connection_is_known() {
        let users = PeerUsers::open().expect("the kernel offers it");
        for listen in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let (client, server, _open, _accepted) = connection(listen);
            let server = SocketAddr::new(client.ip(), server.port());
            let user = users.user_of(client, server).expect("an answer");
            assert_eq!(user, Some(getuid().as_raw()), "{listen}");
        }
    }

    #[test]
    fn a_closed_or_foreign_end_has_no_user() {
        let users = PeerUsers::open().expect("the kernel offers it");
        let (client, server, open, _accepted) = connection("127.0.0.1:0");
        drop(open);
        assert_eq!(users.user_of(client, server).expect("an answer"), None);
        let elsewhere = "192.0.2.1:4000".parse().expect("an address");
        assert_eq!(users.user_of(elsewhere, server).expect("an answer"), None);
        let of_two_families = users.user_of("[::1]:4000".parse().expect("an address"), server);
        assert_eq!(of_two_families.expect("no question"), None);
    }

    #[test]
    fn a_short_answer_is_an_error() {
        for length in [0, 5, 17, 87] {
            let answer = vec![0; length];
            assert!(user_in(&answer).is_err(), "{length}");
        }
    }
}
