//! Probe of the target before the run: resolves its address, opens a connection, and tries TLS and HTTP/2 if
//! they are configured, so that a mistake is reported in words and not as failed requests.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConnection, Error, ProtocolVersion, StreamOwned};
use url::Url;

use super::ConnectError;
use super::config::{Protocol, Proxy, TransportConfig};
use super::link::{TargetEndpoint, TargetLink, TlsTarget, connect_unix};
use crate::core::TlsFlags;
use crate::net::tls::{self, TlsPeer};

/// Time to wait after the handshake for an alert: with TLS 1.3 a server refuses a client certificate only
/// then.
const ALERT_WAIT: Duration = Duration::from_millis(250);
/// The target, as errors of TLS name it.
const PEER: TlsPeer<'_> = TlsPeer {
    host: "",
    flags: TlsFlags { cacert: "--cacert", cert: "--cert", key: "--key" },
    plain_scheme: "an http",
    is_target: true,
};

/// Resolves the target, finds an address that accepts a connection within `timeout`, and tries the protocol
/// there.
pub(crate) fn probe_target(
    url: &Url,
    config: &TransportConfig,
    timeout: Duration,
) -> Result<TargetLink, ConnectError> {
    let tls = if url.scheme() == "https" { Some(tls_target(url, config)?) } else { None };
    let Dialed { endpoint, socket, address } = match &config.unix_socket {
        Some(path) => dial_unix(path, timeout)?,
        None => {
            let (host, port) = host_and_port(url, config);
            dial(&host, port, timeout)?
        }
    };
    let link = TargetLink { endpoint, tls, keep_alive: config.keep_alive };
    let probe = TargetProbe { address, protocol: config.protocol, streams: config.streams };
    match &link.tls {
        Some(tls) => probe.try_tls(tls, socket)?,
        None if config.protocol == Protocol::Http2 => probe.try_http2(socket)?,
        None => {}
    }
    Ok(link)
}

/// Checks that the proxy accepts a connection within `timeout`.
pub(crate) fn probe_proxy(proxy: &Proxy, timeout: Duration) -> Result<(), ConnectError> {
    let (host, port) = proxy.host_and_port();
    let dialed = dial(&host, port, timeout);
    dialed.map(drop).map_err(|error| ConnectError::Proxy(Box::new(error)))
}

/// Protocols to offer (ALPN).
pub(super) fn alpn_protocols(config: &TransportConfig) -> [&'static str; 1] {
    [if config.protocol == Protocol::Http2 { "h2" } else { "http/1.1" }]
}

fn tls_target(url: &Url, config: &TransportConfig) -> Result<TlsTarget, ConnectError> {
    let client = tls::client_config(&config.tls, &alpn_protocols(config)).map_err(|error| {
        let hint = "pass the CA with --cacert, or skip verification with -k";
        ConnectError::Setup(format!("{error}; {hint}"))
    })?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        ConnectError::Setup(format!("{host} is not a name that a certificate can have"))
    })?;
    Ok(TlsTarget { config: Arc::new(client), name })
}

/// Connected socket of either kind.
trait ProbeSocket: Read + Write + Send {
    fn set_timeouts(&self, time: Duration) -> io::Result<()>;
}

impl ProbeSocket for TcpStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl ProbeSocket for UnixStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// Open connection.
struct Dialed {
    endpoint: TargetEndpoint,
    socket: Box<dyn ProbeSocket>,
    /// Address for messages.
    address: String,
}

fn dial_unix(path: &Path, timeout: Duration) -> Result<Dialed, ConnectError> {
    let endpoint = TargetEndpoint::Unix(path.to_owned());
    let address = endpoint.to_string();
    let socket = connect_unix(path, timeout).and_then(|socket| {
        socket.set_timeouts(timeout)?;
        Ok(socket)
    });
    match socket {
        Ok(socket) => Ok(Dialed { endpoint, socket: Box::new(socket), address }),
        Err(cause) => Err(ConnectError::Unreachable { address, cause }),
    }
}

/// Host, without brackets, and port to connect to.
fn host_and_port(url: &Url, config: &TransportConfig) -> (String, u16) {
    config.connect_to.clone().unwrap_or_else(|| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), url.port_or_known_default().unwrap_or(80))
    })
}

fn unresolved(host: &str, cause: io::Error) -> ConnectError {
    ConnectError::Resolve { host: host.to_owned(), cause }
}

/// Connects to the first address of `host` that accepts a connection.
fn dial(host: &str, port: u16, timeout: Duration) -> Result<Dialed, ConnectError> {
    let addresses = (host, port).to_socket_addrs().map_err(|cause| unresolved(host, cause))?;
    let mut last = unresolved(host, io::Error::other("the name has no address"));
    for address in addresses {
        let shown = if address.ip().to_string() == host {
            address.to_string()
        } else {
            format!("{host}:{port} ({address})")
        };
        match connect(address, timeout) {
            Ok(socket) => {
                let (endpoint, socket) = (TargetEndpoint::Tcp(address), Box::new(socket));
                return Ok(Dialed { endpoint, socket, address: shown });
            }
            Err(cause) => last = ConnectError::Unreachable { address: shown, cause },
        }
    }
    Err(last)
}

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, timeout)?;
    socket.set_nodelay(true)?;
    socket.set_timeouts(timeout)?;
    Ok(socket)
}

/// Trial of the protocol on a first connection.
struct TargetProbe {
    address: String,
    protocol: Protocol,
    streams: usize,
}

impl TargetProbe {
    fn try_tls(&self, tls: &TlsTarget, socket: Box<dyn ProbeSocket>) -> Result<(), ConnectError> {
        let session = tls.session().map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| self.no_tls(&e, tls))?;
        }
        if self.protocol == Protocol::Http2 {
            if stream.conn.alpn_protocol() != Some(b"h2") {
                return Err(self.no_http2("it does not offer it (ALPN h2); leave --http2 out"));
            }
            return self.try_http2(stream);
        }
        match wait_for_alert(&mut stream.conn, &mut stream.sock) {
            Err(error) if error.get_ref().is_some() => Err(self.no_tls(&error, tls)),
            // It closed the connection or sent nothing, which requests will show.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn no_tls(&self, error: &io::Error, target: &TlsTarget) -> ConnectError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let no_protocol = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        if self.protocol == Protocol::Http2 && tls == Some(&no_protocol) {
            return self.no_http2("it does not offer it (ALPN h2); leave --http2 out");
        }
        let cause = match tls {
            Some(error) => tls::remedy(error, TlsPeer { host: &target.name.to_str(), ..PEER }),
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

    /// Sends a client's preface and expects that of a server (RFC 9113, 3.4).
    fn try_http2(&self, mut stream: impl Read + Write) -> Result<(), ConnectError> {
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

/// Returns the limit of concurrent requests in a server's first frame, if there is one.
fn read_settings(stream: &mut impl Read) -> io::Result<Option<u32>> {
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [high, middle, low, kind, ..] = head;
    let len = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    if kind != SETTINGS || len > 16_384 {
        return Err(io::Error::other("its first frame is not SETTINGS"));
    }
    let mut settings = vec![0; len];
    stream.read_exact(&mut settings)?;
    let mut most = None;
    for setting in settings.chunks_exact(6) {
        if setting[..2] == MAX_CONCURRENT_STREAMS {
            most = Some(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]));
        }
    }
    Ok(most)
}

/// Waits for an alert of the server after the handshake.
fn wait_for_alert(
    session: &mut ClientConnection,
    socket: &mut Box<dyn ProbeSocket>,
) -> io::Result<()> {
    if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    socket.set_timeouts(ALERT_WAIT)?;
    session.read_tls(socket)?;
    session.process_new_packets().map_err(io::Error::other)?;
    Ok(())
}
