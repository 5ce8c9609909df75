//! Errors of TLS in words, each with its remedy.

use rustls::{AlertDescription, CertificateError, Error};

use super::is_authoritys_own;
use crate::core::TlsFlags;

/// Peer of a TLS connection, for the advice after an error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TlsPeer<'a> {
    /// Host that its certificate must name.
    pub(crate) host: &'a str,
    /// Flags of the certificates.
    pub(crate) flags: TlsFlags,
    /// Scheme of an address without TLS, with its article.
    pub(crate) plain_scheme: &'static str,
    /// True if it is the target, whose certificate can be left unverified and whose address can be set.
    pub(crate) is_target: bool,
}

/// Describes an error of TLS and its remedy.
pub(crate) fn remedy(error: &Error, peer: TlsPeer<'_>) -> String {
    use CertificateError as C;
    let TlsPeer { host, flags, plain_scheme, is_target } = peer;
    let TlsFlags { cacert, cert, key } = flags;
    let or_not = if is_target { ", or skip verification with -k" } else { "" };
    match error {
        Error::InvalidCertificate(C::UnknownIssuer) => format!(
            "certificate not trusted: unknown issuer. Pass the CA (or the certificate) with {cacert} FILE{or_not}"
        ),
        Error::InvalidCertificate(C::NotValidForName) => {
            format!("its certificate is not valid for {host}; use the name in it{or_not}")
        }
        Error::InvalidCertificate(C::NotValidForNameContext { presented, .. }) => {
            let setting = if is_target { " (--connect-to sets the address)" } else { "" };
            format!(
                "its certificate is for {}, not for {host}; use a name in it{setting}{or_not}",
                presented.join(", ")
            )
        }
        Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            format!("its certificate has expired; renew it{or_not} ({error})")
        }
        Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            format!("its certificate is not valid yet; check the clocks{or_not} ({error})")
        }
        error if is_authoritys_own(error) => format!(
            "its certificate is a CA certificate and signs itself; pass that certificate with {cacert} \
             FILE{or_not}"
        ),
        Error::InvalidCertificate(_) => {
            format!("its certificate cannot be trusted: {error}; replace it{or_not}")
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
            "it refused the connection ({error}): it may require a client certificate, see {cert} and {key}"
        ),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not speak HTTP/1.1 (ALPN); try --http2".to_owned()
        }
        Error::InvalidMessage(_) => {
            format!("the server did not answer with TLS; is this {plain_scheme}:// address?")
        }
        error => error.to_string(),
    }
}
