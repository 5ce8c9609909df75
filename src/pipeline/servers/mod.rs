//! Redis and the broker: started here or named by the user, and the clients for them.

#[cfg(feature = "pipeline")]
pub(crate) mod broker_status;
#[cfg(feature = "pipeline")]
pub(crate) mod child;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "pipeline")]
pub(crate) mod mqtt;
#[cfg(feature = "pipeline")]
pub(crate) mod mqtt_publish;
#[cfg(feature = "pipeline")]
pub(crate) mod password;
#[cfg(feature = "pipeline")]
mod read_size;
#[cfg(feature = "pipeline")]
pub mod redis;
#[cfg(feature = "pipeline")]
mod redis_node;
#[cfg(feature = "pipeline")]
mod secure;
#[cfg(feature = "pipeline")]
pub(crate) mod spawned;
#[cfg(feature = "pipeline")]
mod timed;
#[cfg(feature = "pipeline")]
mod wrong_scheme;

use crate::core::Address;

/// Version that the embedded servers report: one word, as Redis's is.
pub(crate) const EMBEDDED_VERSION: &str = concat!("loadgen-embedded-", env!("CARGO_PKG_VERSION"));

/// Failure of a server, with its address and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The server does not answer, or refuses.
    #[error("{server} at {address}: {reason}")]
    Unreachable {
        /// `Redis` or `the MQTT broker`.
        server: &'static str,
        /// Address; printed without credentials.
        address: Box<Address>,
        /// Error of the server or of the connection, and what to do.
        reason: String,
    },
    /// A program is not installed.
    #[error(
        "{program} is not installed; install it (on Debian: apt-get install {package}), give {flag}, or \
         take --stack embedded"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package.
        package: &'static str,
        /// The flag that makes it unnecessary.
        flag: &'static str,
    },
    /// An embedded server is needed, and this build has none.
    #[error(
        "this build has no embedded {server} (cargo feature `embedded`): install redis-server and mosquitto, or give {flag}"
    )]
    NoEmbedded {
        /// `queue` or `broker`.
        server: &'static str,
        /// The flag that makes it unnecessary.
        flag: &'static str,
    },
    /// A child process did not start.
    #[error("{program} did not start: {reason}")]
    Start {
        /// The program.
        program: String,
        /// Error that the program printed.
        reason: String,
    },
}
