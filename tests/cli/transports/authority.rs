//! An authority of the tests' own, and what it signs.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

/// A certificate and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) key: String,
    certificate: CertificateDer<'static>,
    secret: PrivateKeyDer<'static>,
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            key: key.serialize_pem(),
            certificate: certificate.der().clone(),
            secret: PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        }
    }

    /// A self-signed certificate that is marked as an authority, as made by `openssl req -x509`.
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::new(&params.self_signed(&key).expect("a certificate"), &key)
    }

    pub(crate) fn server(&self) -> ServerConfig {
        self.speaking(rustls::ALL_VERSIONS)
    }

    pub(crate) fn speaking(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth();
        let chain = vec![self.certificate.clone()];
        config.with_single_cert(chain, self.secret.clone_key()).expect("its key")
    }

    /// A server that asks for a certificate of `authority`.
    pub(crate) fn asking(&self, authority: &Authority) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).expect("an authority");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"));
        let chain = vec![self.certificate.clone()];
        config.with_single_cert(chain, self.secret.clone_key()).expect("its key")
    }
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

/// Signs certificates, and has files for loadgen to read.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        // Two of one name would look like one whose signature is wrong.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// A certificate for a host.
    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.sign(&params(name))
    }

    /// One that was good once.
    pub(crate) fn issue_expired(&self, name: &str) -> Identity {
        let mut params = params(name);
        (params.not_before, params.not_after) =
            (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity::new(&certificate, &key)
    }

    /// Its own certificate as a file.
    pub(crate) fn file(&self) -> String {
        self.write("ca.pem", &self.pem)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, text).expect("space");
        file.display().to_string()
    }
}
