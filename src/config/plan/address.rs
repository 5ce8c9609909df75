//! Addresses of Redis and brokers. They may hold a password, so printing one leaves it out.

use std::fmt;

use url::Url;

use super::{PlanError, refuse};
use crate::core::percent_decode;

/// Transport security of a connection to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
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
}

/// Flag, scheme, default port, and transport security.
const SCHEMES: [(&str, &str, u16, Scheme); 6] = [
    ("--redis", "redis", 6379, Scheme::Plain),
    ("--redis", "rediss", 6379, Scheme::Tls),
    ("--log-server", "redis", 6379, Scheme::Plain),
    ("--log-server", "rediss", 6379, Scheme::Tls),
    ("--mqtt", "mqtt", 1883, Scheme::Plain),
    ("--mqtt", "mqtts", 8883, Scheme::Tls),
];

impl Address {
    /// Reads the value of `flag`: `--redis`, `--log-server` or `--mqtt`. The error never repeats the value.
    pub fn parse(flag: &str, text: &str) -> Result<Self, PlanError> {
        let kind = if flag == "--mqtt" { "mqtt" } else { "redis" };
        let example = format!("{kind}://[USER:PASSWORD@]HOST[:PORT]");
        let url = Url::parse(text)
            .map_err(|e| PlanError(format!("{flag} is not a URL ({e}); write {example}")))?;
        let known = SCHEMES.iter().find(|(f, scheme, ..)| *f == flag && *scheme == url.scheme());
        let Some((_, _, default_port, scheme)) = known else {
            return refuse(format!(
                "{flag} begins with {}://; write {example}, or {kind}s:// for TLS",
                url.scheme()
            ));
        };
        if url.host_str().is_none_or(str::is_empty) {
            return refuse(format!("{flag} names no host; write {example}"));
        }
        Ok(Self { port: url.port().unwrap_or(*default_port), scheme: *scheme, url })
    }

    /// Address of a server that loadgen started on loopback.
    pub(crate) fn loopback(kind: &str, port: u16) -> Self {
        let url = Url::parse(&format!("{kind}://127.0.0.1:{port}")).expect("a constant shape");
        Self { url, port, scheme: Scheme::Plain }
    }

    /// Host name or address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Port, the scheme's own if none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Plain or TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// User and password, percent-decoded, if there are any.
    pub fn credentials(&self) -> Option<(String, String)> {
        let user = percent_decode(self.url.username());
        let password = percent_decode(self.url.password().unwrap_or_default());
        (!user.is_empty() || !password.is_empty()).then_some((user, password))
    }

    /// Full URL with its password, to connect or to pass to a child process. Must not be printed.
    pub fn secret_url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns true if the host is a loopback address.
    pub fn is_loopback(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        self.host() == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// Host and port.
    pub fn host_port(&self) -> String {
        match self.host() {
            host if host.contains(':') => format!("[{host}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.host_port())
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
