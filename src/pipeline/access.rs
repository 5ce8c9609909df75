//! Access to a listener: TLS, client certificates, tokens, and requests that web pages send.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{StatusCode, Version};
use rustls::ServerConfig;
use subtle::{Choice, ConstantTimeEq as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::config::plan::PlanError;
use crate::config::plan::read::read_text_bounded;
use crate::config::plan::tls::{NamedFile, authorities, identity};
use crate::net::tls::server_config;

/// The largest file of tokens.
const MOST_TOKENS: u64 = 64 * 1024;
/// Header in which a browser says from where a request comes.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Names of the flags of a listener, for its errors.
#[derive(Debug, Clone, Copy)]
pub struct AccessFlags {
    listen: &'static str,
    tls_cert: &'static str,
    tls_key: &'static str,
    client_ca: &'static str,
    token_file: &'static str,
    insecure_listen: &'static str,
}

impl Default for AccessFlags {
    /// Flags of a service.
    fn default() -> Self {
        Self {
            listen: "--listen",
            tls_cert: "--tls-cert",
            tls_key: "--tls-key",
            client_ca: "--client-ca",
            token_file: "--token-file",
            insecure_listen: "--insecure-listen",
        }
    }
}

impl AccessFlags {
    /// Flags of the metrics of a run.
    pub(crate) const METRICS: Self = Self {
        listen: "--metrics",
        tls_cert: "--metrics-tls-cert",
        tls_key: "--metrics-tls-key",
        client_ca: "--metrics-client-ca",
        token_file: "--metrics-token-file",
        insecure_listen: "--metrics-insecure-listen",
    };
}

/// Settings of a listener: who may use it.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct AccessSettings {
    /// Certificate (PEM) to serve TLS with, and the chain above it
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE", env = "LOADGEN_TLS_CERT"))]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert (default: in the same file)
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "FILE", env = "LOADGEN_TLS_KEY", requires = "tls_cert")
    )]
    pub tls_key: Option<PathBuf>,

    /// CA certificates (PEM): a client needs a certificate of one of them
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "FILE", env = "LOADGEN_CLIENT_CA", requires = "tls_cert")
    )]
    pub client_ca: Option<PathBuf>,

    /// File of tokens, one a line: a request needs 'Authorization: Bearer TOKEN'. Read again on SIGHUP
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE", env = "LOADGEN_TOKEN_FILE"))]
    pub token_file: Option<PathBuf>,

    /// Listen beyond this machine without tokens and client certificates, as in a private network
    #[cfg_attr(feature = "cli", arg(long, env = "LOADGEN_INSECURE_LISTEN"))]
    pub insecure_listen: bool,

    /// Names of these settings.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub flags: AccessFlags,
}

impl AccessSettings {
    /// Refuses an address that other machines reach if nothing says who may use it. Warns if it has no TLS.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), PlanError> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let AccessFlags { listen, tls_cert, client_ca, token_file, insecure_listen, .. } =
            self.flags;
        let is_guarded = self.token_file.is_some() || self.client_ca.is_some();
        if !is_guarded && !self.insecure_listen {
            return Err(PlanError::new(format!(
                "{listen} {address}: other machines reach this address, and anybody there could use it; give \
                 {token_file} or {client_ca}, or {insecure_listen} in a private network"
            )));
        }
        if self.tls_cert.is_none() {
            log::warn!(
                "{listen} {address}: without {tls_cert} others on the way can read and change everything"
            );
        }
        Ok(())
    }
}

/// Reason for which a request is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessError {
    /// It has no Host header, or several.
    BadHost,
    /// A web page sent it.
    FromWebPage,
    /// It has no valid token.
    NoToken,
}

impl AccessError {
    /// Status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::FromWebPage => StatusCode::FORBIDDEN,
            Self::NoToken => StatusCode::UNAUTHORIZED,
        }
    }

    /// Text of the answer.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::BadHost => "a request has one Host header\n",
            Self::FromWebPage => "requests of web pages are refused\n",
            Self::NoToken => "a valid token is needed: Authorization: Bearer TOKEN\n",
        }
    }
}

/// Checks of the connections and requests of a listener.
#[derive(Default)]
pub(crate) struct AccessControl {
    tls: Option<TlsAcceptor>,
    tokens: Option<TokenFile>,
}

impl AccessControl {
    /// Reads the files that the settings name.
    pub(crate) fn open(settings: &AccessSettings) -> Result<Arc<Self>, PlanError> {
        let tls = match &settings.tls_cert {
            Some(cert) => Some(TlsAcceptor::from(Arc::new(tls(cert, settings)?))),
            None => None,
        };
        let tokens = (settings.token_file.as_deref())
            .map(|file| TokenFile::open(NamedFile { flag: settings.flags.token_file, file }))
            .transpose()?;
        Ok(Arc::new(Self { tls, tokens }))
    }

    /// TLS for connections, if they use it.
    pub(crate) fn tls(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    /// Checks the head of a request, whose path may be open to clients without a token.
    pub(crate) fn check(
        &self,
        version: Version,
        headers: &HeaderMap,
        needs_token: bool,
    ) -> Result<(), AccessError> {
        let (mut hosts, mut is_from_page, mut authorization) = (0, false, None);
        for (name, value) in headers {
            if name == HOST {
                hosts += 1;
            } else if name == ORIGIN {
                is_from_page = true;
            } else if name == AUTHORIZATION {
                authorization = Some(value);
            } else if name.as_str() == SEC_FETCH_SITE {
                is_from_page |= value.as_bytes() == b"cross-site";
            }
        }
        if hosts > 1 || (hosts == 0 && version > Version::HTTP_10) {
            return Err(AccessError::BadHost);
        }
        if is_from_page {
            return Err(AccessError::FromWebPage);
        }
        match &self.tokens {
            Some(tokens) if needs_token && !tokens.permit(authorization) => {
                Err(AccessError::NoToken)
            }
            _ => Ok(()),
        }
    }

    /// Reads the tokens again at each SIGHUP. Never returns.
    pub(crate) async fn reload_on_hangup(self: Arc<Self>) {
        let Some(tokens) = &self.tokens else { return std::future::pending().await };
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                log::warn!("SIGHUP is not heard: {error}");
                return std::future::pending().await;
            }
        };
        while hangups.recv().await.is_some() {
            match tokens.reload() {
                Ok(count) => log::info!("read {count} tokens again"),
                Err(error) => log::error!("{error}; the tokens of before stay"),
            }
        }
    }
}

fn tls(cert: &Path, settings: &AccessSettings) -> Result<ServerConfig, PlanError> {
    let cert = NamedFile { flag: settings.flags.tls_cert, file: cert };
    let key =
        settings.tls_key.as_deref().map(|file| NamedFile { flag: settings.flags.tls_key, file });
    let identity = identity(cert, key)?;
    let authorities = match settings.client_ca.as_deref() {
        Some(file) => authorities(NamedFile { flag: settings.flags.client_ca, file })?,
        None => Vec::new(),
    };
    server_config(&identity, &authorities)
        .map_err(|error| PlanError::new(format!("{} {}: {error}", cert.flag, cert.file.display())))
}

/// Tokens that permit a request, and the file that they are read from.
struct TokenFile {
    flag: &'static str,
    file: PathBuf,
    tokens: RwLock<Vec<String>>,
}

impl TokenFile {
    fn open(named: NamedFile<'_>) -> Result<Self, PlanError> {
        let tokens = RwLock::new(read_tokens(named)?);
        Ok(Self { flag: named.flag, file: named.file.to_owned(), tokens })
    }

    /// Reads the file again. Returns the number of tokens; after an error those of before stay.
    fn reload(&self) -> Result<usize, PlanError> {
        let tokens = read_tokens(NamedFile { flag: self.flag, file: &self.file })?;
        let count = tokens.len();
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        Ok(count)
    }

    /// Returns true if the header has a valid token. The time depends on no byte of a token.
    fn permit(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, given)) =
            authorization.and_then(|value| value.to_str().ok()?.split_once(' '))
        else {
            return false;
        };
        let given = given.trim().as_bytes();
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let is_valid = tokens
            .iter()
            .fold(Choice::from(0), |valid, token| valid | token.as_bytes().ct_eq(given));
        scheme.eq_ignore_ascii_case("bearer") && bool::from(is_valid)
    }
}

fn read_tokens(NamedFile { flag, file }: NamedFile<'_>) -> Result<Vec<String>, PlanError> {
    let bad = |reason: String| PlanError::new(format!("{flag} {}: {reason}", file.display()));
    let text = read_text_bounded(file, MOST_TOKENS, "a file of tokens");
    let text = text.map_err(|error| bad(error.to_string()))?;
    let tokens: Vec<_> = text.lines().map(str::trim).filter(|token| !token.is_empty()).collect();
    if tokens.is_empty() {
        return Err(bad("it has no token; write one a line".to_owned()));
    }
    Ok(tokens.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn a_request_has_one_host_and_is_not_of_a_web_page() {
        let access = AccessControl::default();
        let check = |lines: &[_]| access.check(Version::HTTP_11, &headers(lines), true);
        assert_eq!(check(&[("host", "a")]), Ok(()));
        assert_eq!(check(&[("host", "a"), ("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(check(&[]), Err(AccessError::BadHost));
        assert_eq!(check(&[("host", "a"), ("host", "a")]), Err(AccessError::BadHost));
        let page = Err(AccessError::FromWebPage);
        assert_eq!(check(&[("host", "a"), ("origin", "null")]), page);
        assert_eq!(check(&[("host", "a"), ("sec-fetch-site", "cross-site")]), page);
        assert_eq!(access.check(Version::HTTP_10, &headers(&[]), true), Ok(()));
    }

    #[test]
    fn a_token_of_the_file_is_needed_and_the_file_is_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("tokens");
        std::fs::write(&file, "onyx\n\n tulip \n").expect("space");
        let tokens =
            TokenFile::open(NamedFile { flag: "--token-file", file: &file }).expect("two tokens");
        let permits = |value: &'static str| tokens.permit(Some(&HeaderValue::from_static(value)));
        assert!(permits("Bearer onyx") && permits("bearer tulip"));
        for wrong in ["", "onyx", "Bearer", "Bearer ", "Bearer ony", "Bearer onyxx", "Basic onyx"] {
            assert!(!permits(wrong), "{wrong}");
        }
        assert!(!tokens.permit(None));
        std::fs::write(&file, "\n").expect("space");
        let error = tokens.reload().expect_err("no token").to_string();
        assert!(error.contains("--token-file") && permits("Bearer onyx"), "{error}");
        std::fs::write(&file, "new").expect("space");
        assert_eq!(tokens.reload(), Ok(1));
        assert!(permits("Bearer new") && !permits("Bearer onyx"));
    }

    #[test]
    fn an_address_of_other_machines_needs_a_guard_or_a_word() {
        let outside = SocketAddr::from(([0, 0, 0, 0], 80));
        let none = AccessSettings::default();
        let error = none.check_address(outside).expect_err("open").to_string();
        assert!(error.contains("--token-file") && error.contains("--insecure-listen"), "{error}");
        let local = ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"];
        for address in local.map(|text| text.parse().expect("an address")) {
            assert_eq!(none.check_address(address), Ok(()));
        }
        let some = Some(PathBuf::from("f"));
        for guarded in [
            AccessSettings { token_file: some.clone(), ..AccessSettings::default() },
            AccessSettings { client_ca: some, ..AccessSettings::default() },
            AccessSettings { insecure_listen: true, ..AccessSettings::default() },
        ] {
            assert_eq!(guarded.check_address(outside), Ok(()));
        }
    }
}
