//! Route to the target: endpoint and TLS, determined once before the run.

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

/// Pause before the next attempt to connect to a unix socket whose queue is full.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Address of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetEndpoint {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Path of a unix socket.
    Unix(PathBuf),
}

/// TLS client configuration for a server.
#[derive(Clone)]
pub(crate) struct TlsTarget {
    /// Trusted certificates and offered protocols.
    pub(crate) config: Arc<ClientConfig>,
    /// Name that the server's certificate must have.
    pub(crate) name: ServerName<'static>,
}

impl fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTarget").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsTarget {
    /// Creates a session that has not started its handshake.
    pub(super) fn session(&self) -> Result<ClientConnection, rustls::Error> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        // A large body is buffered here until the kernel takes it.
        session.set_buffer_limit(None);
        Ok(session)
    }
}

/// Route to the target.
#[derive(Debug, Clone)]
pub(crate) struct TargetLink {
    /// Endpoint to connect to.
    pub(crate) endpoint: TargetEndpoint,
    /// TLS, if the target uses it.
    pub(crate) tls: Option<TlsTarget>,
    /// True if a connection carries more than one request.
    pub(crate) keep_alive: bool,
}

/// Connects to a unix socket. If its queue is full, retries until `timeout` has passed.
pub(crate) fn connect_unix(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let until = Instant::now() + timeout;
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
            Err(Errno::AGAIN) if Instant::now() < until => std::thread::sleep(RETRY_PAUSE),
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

impl From<SocketAddr> for TargetLink {
    /// Route with plain, persistent connections.
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
    fn connecting_to_a_unix_socket_with_a_full_queue_times_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("full");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path");
        rustix::net::listen(&listener, 1).expect("it listens");
        let mut waiting = Vec::new();
        let error = loop {
            match connect_unix(&path, Duration::from_millis(20)) {
                Ok(stream) if waiting.len() < 10 => waiting.push(stream),
                Ok(_) => panic!("ten wait in a queue of one"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Accepting one connection makes room in the queue.
        drop(listener.accept().expect("one waits"));
        assert!(connect_unix(&path, Duration::from_secs(5)).is_ok());
    }
}
