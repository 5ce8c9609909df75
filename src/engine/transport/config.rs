//! Configuration of the transport: engine, protocol, route and certificates.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::core::secrets::mask_url;
use crate::net::tls::TlsConfig;

/// Event loop or client library that carries the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Our HTTP/1.1 fast path.
    Raw,
    /// reqwest: HTTP/2, proxies, redirects.
    Reqwest,
}

impl Engine {
    /// Name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Reqwest => "reqwest",
        }
    }
}

/// Version of HTTP on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: one request at a time on a connection.
    Http1,
    /// HTTP/2 only, also without TLS: as many requests at a time as there are streams.
    Http2,
}

/// Protocol, route and certificates of the connections to the target.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Event loop or client library that carries the requests.
    pub engine: Engine,
    /// Version of HTTP.
    pub protocol: Protocol,
    /// Concurrent requests per connection, at least 1; with HTTP/1.1 always 1.
    pub streams: usize,
    /// True if a connection is reused for further requests.
    pub keep_alive: bool,
    /// Unix socket to connect to, instead of TCP.
    pub unix_socket: Option<PathBuf>,
    /// Host and port to connect to, instead of the URL's.
    pub connect_to: Option<(String, u16)>,
    /// Proxy between loadgen and the target.
    pub proxy: Option<Proxy>,
    /// Largest number of redirects to follow per request.
    pub redirects: usize,
    /// Certificates.
    pub tls: TlsConfig,
    /// True if the beginning of the first refused answer is kept for the report. The raw engine can.
    pub shows_refusal: bool,
}

/// A proxy. `Debug` and `Display` leave its credentials out.
#[derive(Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `--proxy`
    Url(Url),
    /// Host and port from `HTTP_PROXY`, `HTTPS_PROXY` or `ALL_PROXY`.
    Environment(String, u16),
}

impl Proxy {
    /// Host and port to connect to.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        match self {
            Self::Url(url) => {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                (host.to_owned(), url.port_or_known_default().unwrap_or(80))
            }
            Self::Environment(host, port) => (host.trim_matches(['[', ']']).to_owned(), *port),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&mask_url(url.as_str())),
            Self::Environment(host, port) => write!(f, "{host}:{port} (from the environment)"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
