//! Settings of what clients may make an API server hold.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::core::units::format_duration;
#[cfg(feature = "cli")]
use crate::pipeline::settings::parse_positive;

/// Bounds of what clients may make an API server hold.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ClientLimits {
    /// Bytes of bodies in flight; above it, requests are answered with 503. One body of --max-body always fits
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "SIZE",
        env = "LOADGEN_MAX_MEMORY",
        default_value_t = ClientLimits::default().max_memory,
        value_parser = parse_size
    ))]
    pub max_memory: u64,

    /// Connections of clients at a time; a further one is answered with 503 and closed
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_MAX_CONNECTIONS",
        default_value_t = ClientLimits::default().max_connections,
        value_parser = parse_connections
    ))]
    pub max_connections: usize,

    /// Requests after which a connection is closed (default: no limit)
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_MAX_REQUESTS",
        value_parser = parse_positive
    ))]
    pub max_requests: Option<u64>,

    /// Time a client has for each head, for each body, and for taking each answer
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "TIME",
        env = "LOADGEN_CLIENT_TIMEOUT",
        default_value = "10s",
        value_parser = parse_client_timeout
    ))]
    #[serde(serialize_with = "duration_as_text")]
    pub client_timeout: Duration,
}

impl Default for ClientLimits {
    /// Bounds that hold 100 bodies of 15 MB, sent at once, within 256 MB of memory.
    fn default() -> Self {
        Self {
            max_memory: 160 * 1024 * 1024,
            max_connections: 10_000,
            max_requests: None,
            client_timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(feature = "cli")]
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    crate::core::units::parse_size(text).map_err(|error| error.to_string())
}

/// Reads a number of connections, at least one.
#[cfg(feature = "cli")]
fn parse_connections(text: &str) -> Result<usize, String> {
    Ok(usize::try_from(parse_positive(text)?).unwrap_or(usize::MAX))
}

/// Reads the time that a client has, which is not 0.
#[cfg(feature = "cli")]
fn parse_client_timeout(text: &str) -> Result<Duration, String> {
    match crate::core::units::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

/// Writes a duration as it is typed.
fn duration_as_text<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*time))
}
