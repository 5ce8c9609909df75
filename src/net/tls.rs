//! TLS as a client: whose certificates are taken, and what is offered. TLS as a server.

use std::sync::Arc;

#[cfg(any(feature = "reqwest", feature = "cli", feature = "pipeline"))]
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, client::WantsClientCert};
#[cfg(any(feature = "cli", feature = "pipeline"))]
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;

mod remedy;
mod verify;

pub(crate) use remedy::{TlsPeer, remedy};
pub(crate) use verify::is_authoritys_own;

/// Certificate verification and the client certificate.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// True if the target's certificate is not verified.
    pub insecure: bool,
    /// Trusted CA certificates; if empty, those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Client certificate with its chain and key.
    pub identity: Option<Arc<CertifiedKey>>,
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
}

fn offering(mut config: ClientConfig, protocols: &[&str]) -> ClientConfig {
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Configuration of a client that offers `protocols` (ALPN). No session is taken up again: each connection is
/// made as that of a new user. `SSL_CERT_FILE` names further authorities of the system, as with OpenSSL.
pub(crate) fn client_config(
    plan: &TlsConfig,
    protocols: &[&str],
) -> Result<ClientConfig, rustls::Error> {
    let verified = trusting(plan)?;
    let mut config = match &plan.identity {
        Some(identity) => {
            let identity = SingleCertAndKey::from((**identity).clone());
            verified.with_client_cert_resolver(Arc::new(identity))
        }
        None => verified.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(offering(config, protocols))
}

fn trusting(
    plan: &TlsConfig,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    if plan.insecure {
        let verifier = Arc::new(verify::Anyone::new());
        return Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier));
    }
    if plan.authorities.is_empty() {
        return builder()?.with_platform_verifier();
    }
    let verifier = Arc::new(verify::TrustedCertificates::new(&plan.authorities)?);
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier))
}

/// Configuration of a server that speaks HTTP/1.1. If there are `client_authorities`, a client needs a certificate of
/// one of them.
#[cfg(any(feature = "cli", feature = "pipeline"))]
pub(crate) fn server_config(
    identity: &CertifiedKey,
    client_authorities: &[CertificateDer<'static>],
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if client_authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in client_authorities {
            roots.add(authority.clone())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|e| rustls::Error::General(e.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.clone())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Configuration without trusted certificates, for a client that must have one and does not use it.
#[cfg(feature = "reqwest")]
pub(crate) fn unused_config() -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
