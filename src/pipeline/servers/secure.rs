//! TLS to Redis and brokers.

use std::io;
use std::sync::Arc;

use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisError, TlsCertificates};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::wrong_scheme::is_cut_off;
use crate::config::plan::PlanError;
use crate::config::plan::tls::{NamedFile, read_pem, server_tls};
use crate::core::{Address, Scheme, ServerType, TlsFiles};
use crate::net::tls::{self, TlsConfig, TlsPeer, client_config};

/// Does the handshake with a server over an open connection.
pub(super) async fn handshake<S>(address: &Address, socket: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = match address.tls_files() {
        Some(files) => server_tls(files).map_err(io::Error::other)?,
        None => TlsConfig::default(),
    };
    let config = client_config(&config, &[]).map_err(io::Error::other)?;
    let name = ServerName::try_from(address.host().to_owned());
    let name = name.map_err(|_| io::Error::other("TLS needs a host name or an address"))?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Client of Redis with the files for TLS that the address has.
pub(super) fn redis_client(address: &Address, info: ConnectionInfo) -> Result<Client, RedisError> {
    let Some(files) = address.tls_files() else { return Client::open(info) };
    let certificates = redis_certificates(files).map_err(io::Error::other)?;
    Client::build_with_tls(info, certificates)
}

fn redis_certificates(files: &TlsFiles) -> Result<TlsCertificates, PlanError> {
    // The library does not say which file is at fault.
    server_tls(files)?;
    let [cacert, cert, key] = files.paths();
    let flags = files.server.tls_flags();
    let read = |flag: &'static str, file: Option<&std::path::PathBuf>| {
        file.map(|file| read_pem(NamedFile { flag, file })).transpose()
    };
    let root_cert = read(flags.cacert, cacert)?;
    let client_tls = match read(flags.cert, cert)? {
        Some(client_cert) => {
            let client_key = read(flags.key, key)?.unwrap_or_else(|| client_cert.clone());
            Some(ClientTlsConfig { client_cert, client_key })
        }
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

/// Text of an error of a connection with TLS, and what to do about it; `None` if TLS is not the reason.
pub(super) fn tls_advice(address: &Address, error: &io::Error) -> Option<String> {
    if address.scheme() == Scheme::Plain {
        return None;
    }
    let server = address.server_type();
    let flags = server.tls_flags();
    let plain_scheme = match server {
        ServerType::Redis => "a redis",
        ServerType::Mqtt => "an mqtt",
    };
    let Some(tls_error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return is_cut_off(error).then(|| {
            let has_cert = address.tls_files().is_some_and(|files| files.cert.is_some());
            let mut advice =
                format!("the server did not answer with TLS; is this {plain_scheme}:// address?");
            if !has_cert {
                let (cert, key) = (flags.cert, flags.key);
                advice += &format!(" If not, it may want a client certificate: {cert}, {key}");
            }
            advice
        });
    };
    let has_cacert = address.tls_files().is_some_and(|files| files.cacert.is_some());
    if server == ServerType::Redis && has_cacert && tls::is_authoritys_own(tls_error) {
        return Some(
            "its certificate is a CA certificate and signs itself, which is not accepted from Redis; \
             use a certificate that a CA signed"
                .to_owned(),
        );
    }
    let peer = TlsPeer { host: address.host(), flags, plain_scheme, is_target: false };
    Some(tls::remedy(tls_error, peer))
}
