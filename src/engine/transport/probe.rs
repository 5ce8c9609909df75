//! Finds the target before the run, once: its address, that it takes a connection, and that TLS and
//! HTTP/2 work on it where they are wanted, so that what is wrong is said in words and not in counts.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Error, ProtocolVersion, StreamOwned,
};
use url::Url;

use super::ConnectError;
use super::config::{Protocol, Proxy, TransportConfig};
use super::link::{Secure, TargetEndpoint, TargetLink, connect_unix};
use crate::net::tls;

/// With TLS 1.3 a server refuses a client's certificate after the handshake. One that has nothing to say
/// is waited for so long.
const AFTERTHOUGHT: Duration = Duration::from_millis(250);

/// Resolves the target and finds the address that takes a connection within `timeout`. What is to be
/// spoken there is tried out.
pub fn reach(
    url: &Url,
    plan: &TransportConfig,
    timeout: Duration,
) -> Result<TargetLink, ConnectError> {
    let tls = if url.scheme() == "https" { Some(secure(url, plan)?) } else { None };
    let (endpoint, socket, address) = match &plan.unix_socket {
        Some(path) => dial_unix(path, timeout)?,
        None => dial(&place(url, plan), timeout)?,
    };
    let link = TargetLink { endpoint, tls, keep_alive: plan.keep_alive };
    let probe =
        Probe { address, wants_http2: plan.protocol == Protocol::Http2, streams: plan.streams };
    match &link.tls {
        Some(secure) => probe.secure(secure, socket)?,
        None if plan.protocol == Protocol::Http2 => probe.http2(socket)?,
        None => {}
    }
    Ok(link)
}

/// Finds out whether the proxy that is to find the target takes a connection within `timeout`.
pub fn reach_proxy(proxy: &Proxy, timeout: Duration) -> Result<(), ConnectError> {
    let dialed = dial(&proxy.place(), timeout);
    dialed.map(drop).map_err(|error| ConnectError::Proxy(Box::new(error)))
}

/// The protocols to offer (ALPN).
pub(super) fn protocols(plan: &TransportConfig) -> [&'static str; 1] {
    [if plan.protocol == Protocol::Http2 { "h2" } else { "http/1.1" }]
}

fn secure(url: &Url, plan: &TransportConfig) -> Result<Secure, ConnectError> {
    let config = tls::target_config(&plan.tls, &protocols(plan)).map_err(|error| {
        let hint = "name the authorities with --cacert, or check no certificate with -k";
        ConnectError::Setup(format!("{error}; {hint}"))
    })?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        ConnectError::Setup(format!("{host} is no name that a certificate can have"))
    })?;
    Ok(Secure { config: Arc::new(config), name })
}

/// A connection that is used as it comes.
trait Socket: Read + Write + Send {
    fn patience(&self, time: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Socket for UnixStream {
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// Where it is, a connection to it, and how it is called.
type Dialed = (TargetEndpoint, Box<dyn Socket>, String);

fn dial_unix(path: &Path, timeout: Duration) -> Result<Dialed, ConnectError> {
    let endpoint = TargetEndpoint::Unix(path.to_owned());
    let address = endpoint.to_string();
    let connect = || {
        let socket = connect_unix(path, timeout)?;
        socket.patience(timeout)?;
        Ok(socket)
    };
    match connect() {
        Ok(socket) => Ok((endpoint, Box::new(socket), address)),
        Err(cause) => Err(ConnectError::Unreachable { address, cause }),
    }
}

/// Host, without brackets, and port to connect to.
fn place(url: &Url, plan: &TransportConfig) -> (String, u16) {
    plan.connect_to.clone().unwrap_or_else(|| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), url.port_or_known_default().unwrap_or(80))
    })
}

fn dial((host, port): &(String, u16), timeout: Duration) -> Result<Dialed, ConnectError> {
    let unresolved = |cause| ConnectError::Resolve { host: host.clone(), cause };
    let addresses = (host.as_str(), *port).to_socket_addrs().map_err(unresolved)?;
    let mut last = unresolved(io::Error::other("the name has no address"));
    for address in addresses {
        let shown = if address.ip().to_string() == *host {
            address.to_string()
        } else {
            format!("{host}:{port} ({address})")
        };
        match connect(address, timeout) {
            Ok(socket) => return Ok((TargetEndpoint::Tcp(address), Box::new(socket), shown)),
            Err(cause) => last = ConnectError::Unreachable { address: shown, cause },
        }
    }
    Err(last)
}

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, timeout)?;
    socket.set_nodelay(true)?;
    socket.patience(timeout)?;
    Ok(socket)
}

/// A first connection, to see what is spoken there.
struct Probe {
    address: String,
    wants_http2: bool,
    streams: usize,
}

impl Probe {
    fn secure(&self, secure: &Secure, socket: Box<dyn Socket>) -> Result<(), ConnectError> {
        let refused = |error: &io::Error| self.no_tls(error, secure);
        let session = secure.session().map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| refused(&e))?;
        }
        if self.wants_http2 {
            if stream.conn.alpn_protocol() != Some(b"h2") {
                return Err(self.no_http2("it does not offer it (ALPN h2); leave --http2 out"));
            }
            return self.http2(stream);
        }
        match afterthought(&mut stream.conn, &mut stream.sock) {
            Err(error) if error.get_ref().is_some() => Err(refused(&error)),
            // It closed, or said nothing: that is seen where it matters.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn no_tls(&self, error: &io::Error, secure: &Secure) -> ConnectError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        if let (Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)), true) =
            (tls, self.wants_http2)
        {
            return self.no_http2("it does not offer it (ALPN h2); leave --http2 out");
        }
        let cause = match tls {
            Some(error) => explain(error, secure),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it closed the connection during the handshake; does it speak TLS?".to_owned()
            }
            None if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                "it did not answer the handshake within --timeout; does it speak TLS?".to_owned()
            }
            None => error.to_string(),
        };
        ConnectError::Tls { address: self.address.clone(), cause }
    }

    fn no_http2(&self, cause: impl Into<String>) -> ConnectError {
        ConnectError::Http2 { address: self.address.clone(), cause: cause.into() }
    }

    /// Says what a client says first, and hears whether it gets what a server says first (RFC 9113, 3.4).
    fn http2(&self, mut stream: impl Read + Write) -> Result<(), ConnectError> {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        const NO_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        let settings = stream
            .write_all(&[PREFACE, NO_SETTINGS].concat())
            .and_then(|()| stream.flush())
            .and_then(|()| read_settings(&mut stream));
        match settings {
            Ok(Some(most)) if (most as usize) < self.streams => Err(self.no_http2(format!(
                "it takes {most} requests at once on a connection, and --streams is {}",
                self.streams
            ))),
            Ok(_) => Ok(()),
            Err(error) => {
                Err(self
                    .no_http2(format!("it does not answer in HTTP/2 ({error}); leave --http2 out")))
            }
        }
    }
}

/// The most requests at once that a server's first frame allows, if it says.
fn read_settings(stream: &mut impl Read) -> io::Result<Option<u32>> {
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [high, middle, low, kind, ..] = head;
    let len = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    if kind != SETTINGS || len > 16_384 {
        return Err(io::Error::other("its first words are others"));
    }
    let mut settings = vec![0; len];
    stream.read_exact(&mut settings)?;
    let mut most = None;
    for setting in settings.chunks_exact(6) {
        if let ([a, b, c, d], true) = (
            [setting[2], setting[3], setting[4], setting[5]],
            setting[..2] == MAX_CONCURRENT_STREAMS,
        ) {
            most = Some(u32::from_be_bytes([a, b, c, d]));
        }
    }
    Ok(most)
}

/// Hears what a server says after the handshake, if it says something soon.
fn afterthought(session: &mut ClientConnection, socket: &mut Box<dyn Socket>) -> io::Result<()> {
    if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    socket.patience(AFTERTHOUGHT)?;
    session.read_tls(socket)?;
    session.process_new_packets().map_err(io::Error::other)?;
    Ok(())
}

/// What a user can do about it.
fn explain(error: &Error, secure: &Secure) -> String {
    use CertificateError as C;
    let host = secure.name.to_str();
    let or_not = "or check no certificate with -k";
    match error {
        Error::InvalidCertificate(C::UnknownIssuer) => format!(
            "nobody who is trusted here vouches for its certificate; name the authority, or the \
             certificate itself, with --cacert FILE, {or_not}"
        ),
        Error::InvalidCertificate(C::NotValidForName) => {
            format!("its certificate is not for {host}; take the name it is for, {or_not}")
        }
        Error::InvalidCertificate(C::NotValidForNameContext { presented, .. }) => format!(
            "its certificate is for {}, not for {host}; take a name it is for (--connect-to can say \
             where that is), {or_not}",
            presented.join(", ")
        ),
        Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            format!("its certificate has expired; have it renewed, {or_not} ({error})")
        }
        Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            format!("its certificate is not valid yet; look at the clocks, {or_not} ({error})")
        }
        error if tls::is_authoritys_own(error) => format!(
            "it vouches for itself (its certificate is an authority's); name that certificate with \
             --cacert FILE, {or_not}"
        ),
        Error::InvalidCertificate(_) => {
            format!("its certificate cannot be trusted: {error}; have it mended, {or_not}")
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => format!(
            "it refuses us ({error}): it may want a client certificate that it knows, see --cert \
             and --key"
        ),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not speak HTTP/1.1 (ALPN); try --http2".to_owned()
        }
        Error::InvalidMessage(_) => "what it says is no TLS; is it an http:// address?".to_owned(),
        error => error.to_string(),
    }
}
