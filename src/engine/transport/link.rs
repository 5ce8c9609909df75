//! Where connections go and what is spoken on them: found out once, before the run.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// How long to leave a unix socket in peace on which too many wait.
const KNOCK_AGAIN: Duration = Duration::from_millis(5);

/// Where a socket connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetEndpoint {
    /// A port of a host.
    Tcp(SocketAddr),
    /// A socket of this machine.
    Unix(PathBuf),
}

/// TLS with a certain server.
#[derive(Clone)]
pub struct Secure {
    /// Whom to trust, what to offer.
    pub config: Arc<ClientConfig>,
    /// Whose certificate it must be.
    pub name: ServerName<'static>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Secure {
    /// A connection that has not said anything yet.
    pub(super) fn session(&self) -> Result<ClientConnection, rustls::Error> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        // A large body is taken whole; what the kernel does not take of it waits here.
        session.set_buffer_limit(None);
        Ok(session)
    }
}

/// How connections are made.
#[derive(Debug, Clone)]
pub struct TargetLink {
    /// Where to.
    pub endpoint: TargetEndpoint,
    /// With TLS, or without.
    pub tls: Option<Secure>,
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
}

/// Connects to a unix socket. One on which too many wait is tried again for as long as `patience`.
pub fn connect_unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let until = Instant::now() + patience;
    let address = SocketAddrUnix::new(path)?;
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(Errno::AGAIN) if Instant::now() < until => std::thread::sleep(KNOCK_AGAIN),
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<SocketAddr> for TargetLink {
    /// Plain connections that are kept.
    fn from(address: SocketAddr) -> Self {
        Self { endpoint: TargetEndpoint::Tcp(address), tls: None, keep_alive: true }
    }
}

impl fmt::Display for TargetEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "the unix socket {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_on_which_too_many_wait_is_given_up_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("full");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path");
        rustix::net::listen(&listener, 1).expect("it listens");
        let mut waiting = Vec::new();
        let error = loop {
            match connect_unix(&path, Duration::from_millis(20)) {
                Ok(stream) if waiting.len() < 10 => waiting.push(stream),
                Ok(_) => panic!("ten wait on a socket that lets one wait"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Taken from the line, the next one has its place.
        drop(listener.accept().expect("one waits"));
        assert!(connect_unix(&path, Duration::from_secs(5)).is_ok());
    }
}
