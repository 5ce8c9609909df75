//! Where connections go and what is spoken on them: found out once, before the run.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// Where a socket connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
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
pub struct Link {
    /// Where to.
    pub endpoint: Endpoint,
    /// With TLS, or without.
    pub tls: Option<Secure>,
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
}

impl From<SocketAddr> for Link {
    /// Plain connections that are kept.
    fn from(address: SocketAddr) -> Self {
        Self { endpoint: Endpoint::Tcp(address), tls: None, keep_alive: true }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "the unix socket {}", path.display()),
        }
    }
}
