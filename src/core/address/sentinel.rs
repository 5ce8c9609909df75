//! Addresses of a Redis that is found by its Sentinels.

use super::AddressError;

/// Port of a Sentinel without one.
const DEFAULT_PORT: u16 = 26379;

/// Sentinels, and the name by which they know a master.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SentinelAddress {
    nodes: Vec<(String, u16)>,
    master: String,
    /// The URL as it was given, with its password.
    text: String,
}

impl SentinelAddress {
    /// Reads `redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DB]`, also with `rediss`. Returns
    /// it with the URL of the first Sentinel; `None` if the text has another scheme.
    pub(super) fn parse(flag: &str, text: &str) -> Result<Option<(Self, String)>, AddressError> {
        let Some((scheme, rest)) = text.split_once("+sentinel://") else { return Ok(None) };
        if !["redis", "rediss"].contains(&scheme) {
            return Ok(None);
        }
        let bad = |reason| Err(AddressError::BadSentinel { flag: flag.to_owned(), reason });
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let Some(nodes) = hosts.split(',').map(host_and_port).collect::<Option<Vec<_>>>() else {
            return bad("a Sentinel has no host, or a port that is not a number");
        };
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return bad("it names no master");
        }
        let (host, port) = &nodes[0];
        let url = format!("{scheme}://{login}{}:{port}/{database}", bracketed(host));
        let sentinel = Self { nodes, master: master.to_owned(), text: text.to_owned() };
        Ok(Some((sentinel, url)))
    }

    /// Returns the same Sentinels with credentials of Redis, percent-encoded.
    pub(super) fn with_login(&self, user: &str, password: &str) -> Self {
        let (scheme, rest) = self.text.split_once("://").unwrap_or_default();
        let end = rest.find('/').unwrap_or(rest.len());
        let hosts = rest[..end].rfind('@').map_or(0, |at| at + 1);
        let text = format!("{scheme}://{user}:{password}@{}", &rest[hosts..]);
        Self { text, ..self.clone() }
    }

    /// Host and port of each Sentinel.
    #[cfg(feature = "pipeline")]
    pub(crate) fn nodes(&self) -> &[(String, u16)] {
        &self.nodes
    }

    /// Name of the master.
    #[cfg(feature = "pipeline")]
    pub(crate) fn master(&self) -> &str {
        &self.master
    }

    /// The whole URL, with its password.
    pub(super) fn secret_text(&self) -> &str {
        &self.text
    }
}

/// Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, DEFAULT_PORT),
    };
    let host = host.trim_matches(['[', ']']);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::Address;

    #[test]
    fn sentinels_are_read_and_the_password_is_not_printed() {
        let text = "redis+sentinel://user:secret@one,[::1]:7000,three:26380/primary/2";
        let address = Address::parse("--redis", text).expect("valid");
        assert_eq!(
            format!("{address} {address:?}"),
            [&["redis+sentinel://one:26379"; 2].join(" ")[..]].concat()
        );
        assert_eq!(address.secret_url(), text);
        assert_eq!(address.secret_node_url(), "redis://user:secret@one:26379/2");
        let sentinel = address.sentinel().expect("it has some");
        let nodes = [("one", 26379), ("::1", 7000), ("three", 26380)];
        assert_eq!(sentinel.nodes(), nodes.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(sentinel.master(), "primary");
        let other = address.with_password("p@ss/w:rd");
        let read = Address::parse("--redis", other.secret_url()).expect("valid");
        assert_eq!(read.credentials(), Some(("user".to_owned(), "p@ss/w:rd".to_owned())));
        assert_eq!(read.secret_node_url(), other.secret_node_url());
    }

    #[test]
    fn an_incomplete_address_of_sentinels_is_refused_without_its_password() {
        for text in [
            "redis+sentinel://:secret@one:x/primary",
            "redis+sentinel://:secret@one,,two/primary",
            "redis+sentinel://:secret@/primary",
            "redis+sentinel://:secret@one",
            "redis+sentinel://:secret@one/",
            "mqtt+sentinel://:secret@one/primary",
        ] {
            let error = Address::parse("--redis", text).expect_err(text).to_string();
            assert!(error.contains("--redis") && !error.contains("secret"), "{error}");
        }
        assert!(Address::parse("--mqtt", "redis+sentinel://one/primary").is_err());
    }
}
