//! CA certificates, and certificates with their keys, read from PEM files.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::read::{MOST_PEM, read_bounded};
use super::{PlanError, refuse};
use crate::config::settings::Settings;
use crate::core::{TlsFiles, TlsFlags};
use crate::net::tls::TlsConfig;

/// Reads and checks the files that the settings name.
pub(super) fn tls(settings: &Settings) -> Result<TlsConfig, PlanError> {
    let insecure = settings.insecure.unwrap_or(false);
    if let (true, Some(file)) = (insecure, &settings.cacert) {
        return refuse(format!(
            "--insecure turns off the check that --cacert {} is for; use only one of them",
            file.display()
        ));
    }
    let flags = TlsFlags { cacert: "--cacert", cert: "--cert", key: "--key" };
    let files = [settings.cacert.as_ref(), settings.cert.as_ref(), settings.key.as_ref()];
    Ok(TlsConfig { insecure, ..read_tls(flags, files)? })
}

/// Reads the files for TLS to Redis or a broker.
pub(crate) fn server_tls(files: &TlsFiles) -> Result<TlsConfig, PlanError> {
    read_tls(files.server.tls_flags(), files.paths())
}

/// Reads and checks the files of the flags `cacert`, `cert` and `key`, in this order.
fn read_tls(flags: TlsFlags, files: [Option<&PathBuf>; 3]) -> Result<TlsConfig, PlanError> {
    let [cacert, cert, key] = files;
    let authorities = match cacert {
        Some(file) => authorities(NamedFile { flag: flags.cacert, file })?,
        None => Vec::new(),
    };
    let key = key.map(|file| NamedFile { flag: flags.key, file });
    let identity = match (cert, key) {
        (Some(file), key) => Some(identity(NamedFile { flag: flags.cert, file }, key)?),
        (None, Some(_)) => {
            let TlsFlags { cert, key, .. } = flags;
            return refuse(format!("{key} needs {cert}: it is the key of that certificate"));
        }
        (None, None) => None,
    };
    Ok(TlsConfig { insecure: false, authorities, identity })
}

/// A file, and the flag that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedFile<'a> {
    pub(crate) flag: &'static str,
    pub(crate) file: &'a Path,
}

/// Reads CA certificates.
pub(crate) fn authorities(pem: NamedFile<'_>) -> Result<Vec<CertificateDer<'static>>, PlanError> {
    let NamedFile { flag, file } = pem;
    let certificates = certificates(flag, file)?;
    for certificate in &certificates {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|e| bad(flag, file, e))?;
    }
    Ok(certificates)
}

fn certificates(
    flag: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, PlanError> {
    let text = read_pem(NamedFile { flag, file })?;
    let all = CertificateDer::pem_slice_iter(&text);
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|e| unreadable(flag, file, e))?;
    if all.is_empty() {
        return Err(unreadable(flag, file, PemError::NoItemsFound));
    }
    Ok(all)
}

/// Reads a certificate; without `key`, the private key is read from the file of the certificate.
pub(crate) fn identity(
    cert: NamedFile<'_>,
    key: Option<NamedFile<'_>>,
) -> Result<Arc<CertifiedKey>, PlanError> {
    let chain = certificates(cert.flag, cert.file)?;
    let NamedFile { flag, file } = key.unwrap_or(cert);
    let key = PrivateKeyDer::from_pem_slice(&read_pem(NamedFile { flag, file })?).map_err(
        |error| match error {
            PemError::NoItemsFound => PlanError(format!(
                "{flag} {}: it does not contain a private key (BEGIN PRIVATE KEY, not encrypted)",
                file.display()
            )),
            error => unreadable(flag, file, error),
        },
    )?;
    let identity = CertifiedKey::from_der(chain, key, &ring::default_provider());
    identity.map(Arc::new).map_err(|e| bad(flag, file, e))
}

pub(crate) fn read_pem(NamedFile { flag, file }: NamedFile<'_>) -> Result<Vec<u8>, PlanError> {
    read_bounded(file, MOST_PEM, "a file of certificates or keys").map_err(|e| bad(flag, file, e))
}

fn unreadable(flag: &str, file: &Path, error: PemError) -> PlanError {
    match error {
        PemError::Io(error) => bad(flag, file, error),
        PemError::NoItemsFound => {
            bad(flag, file, "it does not contain a certificate (PEM: BEGIN CERTIFICATE)")
        }
        error => bad(flag, file, error),
    }
}

fn bad(flag: &str, file: &Path, error: impl Display) -> PlanError {
    PlanError(format!("{flag} {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> Option<std::path::PathBuf> {
        Some(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")).into())
    }

    fn read(change: impl FnOnce(&mut Settings)) -> Result<TlsConfig, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        tls(&settings).map_err(|e| e.to_string())
    }

    #[test]
    fn files_are_read_and_the_key_is_not_shown() {
        let plan = read(|s| {
            (s.cacert, s.cert, s.key) = (data("ca.pem"), data("server.pem"), data("server.key"));
        });
        let plan = plan.expect("valid");
        assert_eq!((plan.authorities.len(), plan.identity.is_some()), (1, true));
        let key = std::fs::read_to_string(data("server.key").expect("a path")).expect("a file");
        let secret = key.lines().nth(1).expect("PEM");
        assert!(!format!("{plan:?}").contains(secret));
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 9] = [
            (
                |s| s.cacert = Some("/dev/zero".into()),
                "--cacert /dev/zero: it is larger than 4 MiB",
            ),
            (
                |s| (s.cert, s.key) = (data("server.pem"), Some("/dev/zero".into())),
                "--key /dev/zero: it is larger than 4 MiB",
            ),
            (|s| s.cacert = Some("/nowhere".into()), "--cacert /nowhere: No such file"),
            (|s| s.cacert = data("run.json"), "run.json: it does not contain a certificate"),
            (|s| s.cert = data("server.pem"), "server.pem: it does not contain a private key"),
            (|s| s.key = data("server.key"), "--key needs --cert"),
            (
                |s| (s.cert, s.key) = (data("server.pem"), data("ca.pem")),
                "does not contain a private key",
            ),
            (|s| (s.cert, s.key) = (data("ca.pem"), data("server.key")), "--key"),
            (|s| (s.insecure, s.cacert) = (Some(true), data("ca.pem")), "--insecure"),
        ];
        for (change, part) in cases {
            let error = read(change).map(|_| ()).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
