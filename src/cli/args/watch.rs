//! Progress and metrics of a run or a service while it lasts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::super::metrics::parse_address;
use crate::pipeline::access::{AccessFlags, AccessSettings};

/// Progress output of a run.
#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    /// Serve metrics for Prometheus at http://ADDR/metrics during the run; a port alone listens on 127.0.0.1, port 0 selects a free one
    #[arg(long, value_name = "ADDR", env = "LOADGEN_METRICS", value_parser = parse_address, help_heading = "Report")]
    pub(in crate::cli) metrics: Option<SocketAddr>,

    #[command(flatten)]
    pub(in crate::cli) metrics_access: MetricsAccess,

    /// Print no progress (without it: a live view on a terminal, else a line at intervals)
    #[arg(short, long, env = "LOADGEN_QUIET", help_heading = "Report")]
    pub(in crate::cli) quiet: bool,
}

/// Metrics of a service.
#[cfg(feature = "pipeline")]
#[derive(Debug, Args)]
pub(in crate::cli) struct ServiceMetrics {
    /// Serve metrics for Prometheus at http://ADDR/metrics; a port alone listens on 127.0.0.1, port 0 selects a free one
    #[arg(long, value_name = "ADDR", env = "LOADGEN_METRICS", value_parser = parse_address)]
    pub(in crate::cli) metrics: Option<SocketAddr>,

    #[command(flatten)]
    pub(in crate::cli) access: MetricsAccess,
}

/// Access to metrics.
#[derive(Debug, Args)]
pub(in crate::cli) struct MetricsAccess {
    /// Certificate (PEM) to serve --metrics over TLS with, and the chain above it
    #[arg(long, value_name = "FILE", env = "LOADGEN_METRICS_TLS_CERT", help_heading = "Report")]
    metrics_tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --metrics-tls-cert (default: in the same file)
    #[arg(
        long,
        value_name = "FILE",
        env = "LOADGEN_METRICS_TLS_KEY",
        requires = "metrics_tls_cert",
        help_heading = "Report"
    )]
    metrics_tls_key: Option<PathBuf>,

    /// CA certificates (PEM): a reader of --metrics needs a certificate of one of them
    #[arg(
        long,
        value_name = "FILE",
        env = "LOADGEN_METRICS_CLIENT_CA",
        requires = "metrics_tls_cert",
        help_heading = "Report"
    )]
    metrics_client_ca: Option<PathBuf>,

    /// File of tokens, one a line: a reader of --metrics needs 'Authorization: Bearer TOKEN'. Read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "LOADGEN_METRICS_TOKEN_FILE", help_heading = "Report")]
    metrics_token_file: Option<PathBuf>,

    /// Serve --metrics beyond this machine without tokens and client certificates, as in a private network
    #[arg(long, env = "LOADGEN_METRICS_INSECURE_LISTEN", help_heading = "Report")]
    metrics_insecure_listen: bool,
}

impl MetricsAccess {
    /// Returns the settings of the listener.
    pub(in crate::cli) fn settings(&self) -> AccessSettings {
        AccessSettings {
            tls_cert: self.metrics_tls_cert.clone(),
            tls_key: self.metrics_tls_key.clone(),
            client_ca: self.metrics_client_ca.clone(),
            token_file: self.metrics_token_file.clone(),
            insecure_listen: self.metrics_insecure_listen,
            flags: AccessFlags::METRICS,
        }
    }
}
