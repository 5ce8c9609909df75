//! Access of a service to Redis and the broker: passwords and certificates, and the wait for them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::plan::PlanError;
use crate::config::plan::password_file::with_password_of;
use crate::config::plan::server_tls::set_tls_files;
use crate::core::units::parse_duration;
use crate::core::{Address, ServerType, TlsFiles};

/// Password and certificates for Redis.
#[derive(Debug, Args)]
pub(in crate::cli) struct RedisAccess {
    /// File with the password of Redis, instead of one in --redis
    #[arg(long, value_name = "FILE", env = "LOADGEN_REDIS_PASSWORD_FILE")]
    redis_password_file: Option<PathBuf>,

    /// CA certificates to trust for Redis over TLS instead of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "LOADGEN_REDIS_CACERT")]
    redis_cacert: Option<PathBuf>,

    /// Client certificate for Redis over TLS (PEM: the chain, and the key if --redis-key is not given)
    #[arg(long, value_name = "FILE", env = "LOADGEN_REDIS_CERT")]
    redis_cert: Option<PathBuf>,

    /// Private key of --redis-cert (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "LOADGEN_REDIS_KEY")]
    redis_key: Option<PathBuf>,
}

impl RedisAccess {
    /// Puts the password into the address of the queue, and the certificates into both addresses.
    pub(in crate::cli) fn apply(
        &self,
        mut redis: Option<&mut Address>,
        log_server: Option<&mut Address>,
    ) -> Result<(), PlanError> {
        if let (Some(file), Some(address)) = (&self.redis_password_file, &mut redis) {
            **address = with_password_of(address.clone(), "--redis-password-file", file)?;
        }
        let files = TlsFiles {
            server: ServerType::Redis,
            cacert: self.redis_cacert.clone(),
            cert: self.redis_cert.clone(),
            key: self.redis_key.clone(),
        };
        set_tls_files(&files, redis.into_iter().chain(log_server).collect())
    }
}

/// Password and certificates for the broker.
#[derive(Debug, Args)]
pub(in crate::cli) struct MqttAccess {
    /// File with the password of the broker's user, instead of one in --mqtt
    #[arg(long, value_name = "FILE", env = "LOADGEN_MQTT_PASSWORD_FILE")]
    mqtt_password_file: Option<PathBuf>,

    /// CA certificates to trust for the broker over TLS instead of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "LOADGEN_MQTT_CACERT")]
    mqtt_cacert: Option<PathBuf>,

    /// Client certificate for the broker over TLS (PEM: the chain, and the key if --mqtt-key is not given)
    #[arg(long, value_name = "FILE", env = "LOADGEN_MQTT_CERT")]
    mqtt_cert: Option<PathBuf>,

    /// Private key of --mqtt-cert (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "LOADGEN_MQTT_KEY")]
    mqtt_key: Option<PathBuf>,
}

impl MqttAccess {
    /// Puts the password and the certificates into the address.
    pub(in crate::cli) fn apply(&self, address: &mut Address) -> Result<(), PlanError> {
        if let Some(file) = &self.mqtt_password_file {
            *address = with_password_of(address.clone(), "--mqtt-password-file", file)?;
        }
        let files = TlsFiles {
            server: ServerType::Mqtt,
            cacert: self.mqtt_cacert.clone(),
            cert: self.mqtt_cert.clone(),
            key: self.mqtt_key.clone(),
        };
        set_tls_files(&files, vec![address])
    }
}

/// Wait for the servers of a service at its start.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServerWait {
    /// Longest wait at the start for Redis and the broker, until each of them takes connections (default: 0s)
    #[arg(long, value_name = "TIME", env = "LOADGEN_WAIT_FOR", value_parser = parse_duration)]
    pub(in crate::cli) wait_for: Option<Duration>,
}
