//! Addresses of Redis and brokers. They may hold a password, so printing one leaves it out.

use std::fmt;

use std::sync::Arc;

use url::Url;

use super::percent_decode;

mod sentinel;
mod tls_files;

pub(crate) use sentinel::SentinelAddress;
pub(crate) use tls_files::{TlsFiles, TlsFlags};

/// Transport security of a connection to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `redis://` or `mqtt://`
    Plain,
    /// `rediss://` or `mqtts://`
    Tls,
}

/// A server's address with its credentials. `Display` and `Debug` show scheme, host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    port: u16,
    scheme: Scheme,
    /// The Sentinels that know the server, if it is named by them. The URL has the first of them as its host.
    sentinel: Option<Arc<SentinelAddress>>,
    /// Files for TLS, if some were given.
    tls_files: Option<Arc<TlsFiles>>,
}

/// A text that is not the address of a server. It names the flag, and never repeats the text, which may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is not a URL.
    #[error("{flag} is not a URL ({reason}); write {}", .server.example())]
    NotUrl {
        /// Flag that the text is the value of.
        flag: String,
        /// Kind of server that the flag expects.
        server: ServerType,
        /// Fault of the text.
        reason: url::ParseError,
    },
    /// The text is a host and a port.
    #[error("{flag} does not begin with a scheme; write {}, or {}:// for TLS", .server.example(), .server.tls_scheme())]
    NoScheme {
        /// Flag that the text is the value of.
        flag: String,
        /// Kind of server that the flag expects.
        server: ServerType,
    },
    /// The URL is of another kind of server.
    #[error("{flag} begins with {scheme}://; write {}, or {}:// for TLS", .server.example(), .server.tls_scheme())]
    WrongScheme {
        /// Flag that the text is the value of.
        flag: String,
        /// Kind of server that the flag expects.
        server: ServerType,
        /// Scheme of the URL.
        scheme: String,
    },
    /// The URL has no host.
    #[error("{flag} names no host; write {}", .server.example())]
    NoHost {
        /// Flag that the text is the value of.
        flag: String,
        /// Kind of server that the flag expects.
        server: ServerType,
    },
    /// The URL of Sentinels is incomplete.
    #[error(
        "{flag}: {reason}; write redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DB]"
    )]
    BadSentinel {
        /// Flag that the text is the value of.
        flag: String,
        /// Fault of the text.
        reason: &'static str,
    },
}

/// Kinds of servers that an address can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerType {
    /// Redis, for the queue and the stamps.
    Redis,
    /// MQTT broker.
    Mqtt,
}

impl ServerType {
    /// Kind of server that a flag is for: `--redis`, `--log-server` or `--mqtt`.
    fn of_flag(flag: &str) -> Self {
        if flag == "--mqtt" { Self::Mqtt } else { Self::Redis }
    }

    pub(crate) fn plain_scheme(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Mqtt => "mqtt",
        }
    }

    pub(crate) fn tls_scheme(self) -> &'static str {
        match self {
            Self::Redis => "rediss",
            Self::Mqtt => "mqtts",
        }
    }

    fn default_port(self, scheme: Scheme) -> u16 {
        match (self, scheme) {
            (Self::Redis, _) => 6379,
            (Self::Mqtt, Scheme::Plain) => 1883,
            (Self::Mqtt, Scheme::Tls) => 8883,
        }
    }

    /// Shape of an address, for error messages.
    fn example(self) -> String {
        format!("{}://[USER:PASSWORD@]HOST[:PORT]", self.plain_scheme())
    }
}

impl Address {
    /// Reads the value of `flag`: `--redis`, `--log-server` or `--mqtt`. The error never repeats the value.
    pub fn parse(flag: &str, text: &str) -> Result<Self, AddressError> {
        let (server, flag) = (ServerType::of_flag(flag), flag.to_owned());
        let sentinel = match server {
            ServerType::Redis => SentinelAddress::parse(&flag, text)?,
            ServerType::Mqtt => None,
        };
        let url = match Url::parse(sentinel.as_ref().map_or(text, |(_, url)| url)) {
            Ok(url) => url,
            Err(reason) => return Err(AddressError::NotUrl { flag, server, reason }),
        };
        let scheme = if url.scheme() == server.plain_scheme() {
            Scheme::Plain
        } else if url.scheme() == server.tls_scheme() {
            Scheme::Tls
        } else if url.cannot_be_a_base() {
            // The parser takes the host in HOST:PORT for a scheme.
            return Err(AddressError::NoScheme { flag, server });
        } else {
            let scheme = url.scheme().to_owned();
            return Err(AddressError::WrongScheme { flag, server, scheme });
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(AddressError::NoHost { flag, server });
        }
        let port = url.port().unwrap_or_else(|| server.default_port(scheme));
        let sentinel = sentinel.map(|(address, _)| Arc::new(address));
        Ok(Self { url, port, scheme, sentinel, tls_files: None })
    }

    /// Address of a server that loadgen started on loopback.
    pub(crate) fn loopback(kind: &str, port: u16) -> Self {
        let url = Url::parse(&format!("{kind}://127.0.0.1:{port}")).expect("a constant shape");
        Self { url, port, scheme: Scheme::Plain, sentinel: None, tls_files: None }
    }

    /// Adds a user, which may be empty, and a password.
    pub(crate) fn with_login(mut self, user: &str, password: &str) -> Self {
        let set = self.url.set_username(user).and_then(|()| self.url.set_password(Some(password)));
        set.expect("an address has a host, and so may have a login");
        if let Some(sentinel) = self.sentinel.take() {
            let password = self.url.password().unwrap_or_default();
            let sentinel = sentinel.with_login(self.url.username(), password);
            self.sentinel = Some(Arc::new(sentinel));
        }
        self
    }

    /// Host name or address, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Port, the scheme's own if none was given.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Plain or TLS.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// User and password, percent-decoded, if there are any.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        let user = percent_decode(self.url.username());
        let password = percent_decode(self.url.password().unwrap_or_default());
        (!user.is_empty() || !password.is_empty()).then_some((user, password))
    }

    /// Full URL with its password, to connect or to pass to a child process. Must not be printed.
    pub(crate) fn secret_url(&self) -> &str {
        self.sentinel.as_ref().map_or(self.url.as_str(), |sentinel| sentinel.secret_text())
    }

    /// URL with the password, to read credentials and database from. Its host is a Sentinel if the address has
    /// Sentinels. Must not be printed.
    #[cfg(feature = "pipeline")]
    pub(crate) fn secret_node_url(&self) -> &str {
        self.url.as_str()
    }

    /// The Sentinels that know the server, if it is named by them.
    #[cfg(feature = "pipeline")]
    pub(crate) fn sentinel(&self) -> Option<&SentinelAddress> {
        self.sentinel.as_deref()
    }

    /// Returns the same server and user with another password.
    pub(crate) fn with_password(self, password: &str) -> Self {
        let user = percent_decode(self.url.username());
        self.with_login(&user, password)
    }

    /// Returns true if the host is a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        self.host() == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// Host and port.
    pub(crate) fn host_port(&self) -> String {
        match self.host() {
            host if host.contains(':') => format!("[{host}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.sentinel.is_some() { "+sentinel" } else { "" };
        write!(f, "{}{kind}://{}", self.url.scheme(), self.host_port())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_defaults() {
        let redis = Address::parse("--redis", "redis://:p%40ss@example.com/2").expect("valid");
        assert_eq!(
            (redis.host(), redis.port(), redis.scheme()),
            ("example.com", 6379, Scheme::Plain)
        );
        assert_eq!(redis.credentials(), Some((String::new(), "p@ss".to_owned())));
        let broker = Address::parse("--mqtt", "mqtts://[::1]").expect("valid");
        assert_eq!((broker.host_port(), broker.scheme()), ("[::1]:8883".to_owned(), Scheme::Tls));
        assert_eq!(broker.credentials(), None);
    }

    #[test]
    fn an_error_names_the_flag_and_the_shape_of_an_address() {
        for (flag, text, message) in [
            (
                "--redis",
                "x",
                "--redis is not a URL (relative URL without a base); write redis://[USER:PASSWORD@]HOST[:PORT]",
            ),
            (
                "--mqtt",
                "redis://h",
                "--mqtt begins with redis://; write mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS",
            ),
            (
                "--log-server",
                "redis:x",
                "--log-server names no host; write redis://[USER:PASSWORD@]HOST[:PORT]",
            ),
        ] {
            let error = Address::parse(flag, text).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let address = Address::parse("--redis", "redis://user:secret@host:1").expect("valid");
        assert_eq!(format!("{address} {address:?}"), "redis://host:1 redis://host:1");
        for text in [
            "redis://user:secret@",
            "redis://user:secret@host:99999",
            "mqtt://user:secret@host",
            "secret",
        ] {
            let error = Address::parse("--redis", text).expect_err(text).to_string();
            assert!(!error.contains("secret") && error.contains("--redis"), "{error}");
        }
    }
}
