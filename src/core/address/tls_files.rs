//! Files for TLS to a server: the CA certificates that are trusted, and the client's own certificate.

use std::path::{Path, PathBuf};

use super::{Address, ServerType};

/// Names of the flags for TLS to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TlsFlags {
    pub(crate) cacert: &'static str,
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
}

/// PEM files for TLS to Redis or a broker. They are read for each connection, so that a renewed certificate is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) server: ServerType,
    /// CA certificates to trust instead of the system's.
    pub(crate) cacert: Option<PathBuf>,
    /// Client certificate with its chain.
    pub(crate) cert: Option<PathBuf>,
    /// Private key of `cert`; without it, the key is in the same file.
    pub(crate) key: Option<PathBuf>,
}

impl ServerType {
    /// Flags of the files for TLS.
    pub(crate) fn tls_flags(self) -> TlsFlags {
        match self {
            Self::Redis => {
                TlsFlags { cacert: "--redis-cacert", cert: "--redis-cert", key: "--redis-key" }
            }
            Self::Mqtt => {
                TlsFlags { cacert: "--mqtt-cacert", cert: "--mqtt-cert", key: "--mqtt-key" }
            }
        }
    }

    /// Flag of the address.
    pub(crate) fn address_flag(self) -> &'static str {
        match self {
            Self::Redis => "--redis",
            Self::Mqtt => "--mqtt",
        }
    }

    /// Environment variables of the files, in the order of [`TlsFiles::paths`].
    #[cfg(feature = "pipeline")]
    fn tls_variables(self) -> [&'static str; 3] {
        match self {
            Self::Redis => ["LOADGEN_REDIS_CACERT", "LOADGEN_REDIS_CERT", "LOADGEN_REDIS_KEY"],
            Self::Mqtt => ["LOADGEN_MQTT_CACERT", "LOADGEN_MQTT_CERT", "LOADGEN_MQTT_KEY"],
        }
    }
}

impl TlsFiles {
    /// The files in the order of the flags: `cacert`, `cert`, `key`.
    pub(crate) fn paths(&self) -> [Option<&PathBuf>; 3] {
        [self.cacert.as_ref(), self.cert.as_ref(), self.key.as_ref()]
    }

    /// Given files with their flags.
    pub(crate) fn given(&self) -> Vec<(&'static str, &Path)> {
        let TlsFlags { cacert, cert, key } = self.server.tls_flags();
        let flags = [cacert, cert, key].into_iter().zip(self.paths());
        flags.filter_map(|(flag, path)| Some((flag, path?.as_path()))).collect()
    }

    /// Environment variables that give a child process these files.
    #[cfg(feature = "pipeline")]
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let variables = self.server.tls_variables().into_iter().zip(self.paths());
        let given =
            variables.filter_map(|(name, path)| Some((name, path?.to_string_lossy().into_owned())));
        given.collect()
    }
}

impl Address {
    /// Kind of server.
    #[cfg(feature = "pipeline")]
    pub(crate) fn server_type(&self) -> ServerType {
        if self.url.scheme().starts_with("mqtt") { ServerType::Mqtt } else { ServerType::Redis }
    }

    /// Sets the files for TLS.
    pub(crate) fn set_tls_files(&mut self, files: TlsFiles) {
        self.tls_files = Some(files.into());
    }

    /// Files for TLS, if some were given.
    #[cfg(feature = "pipeline")]
    pub(crate) fn tls_files(&self) -> Option<&TlsFiles> {
        self.tls_files.as_deref()
    }
}
