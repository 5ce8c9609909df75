//! Settings of an API server, and the numbers that it counts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde::Serialize;

use super::client_limits::ClientLimits;
#[cfg(feature = "cli")]
use super::client_limits::parse_size;
use crate::config::plan::Plan;
use crate::message::MAX_BODY;
use crate::pipeline::access::AccessSettings;
use crate::pipeline::metrics::{Counter, Format, MetricsText};
#[cfg(feature = "cli")]
use crate::pipeline::settings::parse_threads;
use crate::pipeline::settings::{MessageSettings, QueueSettings, ServerAddresses};

/// Default of the largest body, in bytes.
pub(crate) const DEFAULT_MAX_BODY: usize = 1024 * 1024;
/// Connections of a run beside those of its load: health checks, and those that are being replaced.
const SPARE_CONNECTIONS: usize = 1_000;

/// Settings of an API server. A child process gets all of them as flags, but the addresses.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ApiSettings {
    /// Address to listen on; port 0 takes a free one
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "ADDR", env = "LOADGEN_LISTEN", default_value = "127.0.0.1:8080")
    )]
    pub listen: SocketAddr,

    /// Queue that takes the messages.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub queue: QueueSettings,

    /// Ids and stamps of the messages.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub message: MessageSettings,

    /// Answer 503 while N messages or more wait in the queue (default: none)
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_MAX_QUEUE",
        value_parser = crate::core::units::parse_count
    ))]
    pub max_queue: Option<u64>,

    /// Largest body; a larger one is answered with 413
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "SIZE",
        env = "LOADGEN_MAX_BODY",
        default_value_t = DEFAULT_MAX_BODY,
        value_parser = parse_max_body
    ))]
    pub max_body: usize,

    /// Bounds of what clients may make the server hold.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub limits: ClientLimits,

    /// Access to the listener.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(skip)]
    pub access: AccessSettings,

    /// Refuse connections that other users of this machine (but root), or other machines, open
    #[cfg_attr(feature = "cli", arg(long, env = "LOADGEN_OWN_USER_ONLY"))]
    pub own_user_only: bool,

    /// Threads, each with a Redis connection
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_API_THREADS",
        default_value = "1",
        value_parser = parse_threads
    ))]
    pub threads: usize,
}

impl ApiSettings {
    /// Settings of the api that a run starts on a free loopback port.
    pub(crate) fn of_run(plan: &Plan, servers: &ServerAddresses) -> Self {
        let (max_body, connections) = (longest_body(plan), plan.load.connections);
        let bodies = connections as u64 * max_body as u64;
        let clients = connections + SPARE_CONNECTIONS;
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            queue: QueueSettings::of_run(plan, servers),
            message: MessageSettings::of_run(plan),
            max_queue: None,
            max_body,
            access: AccessSettings::default(),
            own_user_only: true,
            limits: ClientLimits {
                max_memory: ClientLimits::default().max_memory.max(bodies),
                max_connections: ClientLimits::default().max_connections.max(clients),
                ..ClientLimits::default()
            },
            threads: plan.pipeline.api_threads,
        }
    }

    /// Opens the listener.
    pub(crate) fn bind(&self) -> std::io::Result<TcpListener> {
        TcpListener::bind(self.listen)
    }

    /// Environment variables of a child process with these settings.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        self.queue.secrets()
    }
}

/// Returns a limit that every body of the run is within. A script may send bodies of any length.
fn longest_body(plan: &Plan) -> usize {
    if plan.script.is_some() {
        return MAX_BODY;
    }
    let longest = plan.request.requests.iter().map(|request| request.body.longest()).max();
    longest.unwrap_or(0).max(DEFAULT_MAX_BODY)
}

/// Reads a size in bytes. The pipeline takes no body above [`MAX_BODY`].
#[cfg(feature = "cli")]
fn parse_max_body(text: &str) -> Result<usize, String> {
    Ok(usize::try_from(parse_size(text)?).unwrap_or(usize::MAX).min(MAX_BODY))
}

/// Numbers that an API server counts.
#[derive(Debug, Default)]
pub struct ApiCounts {
    /// Messages that were put into the queue.
    pub accepted: Counter,
    /// Bodies without a valid MsgID.
    pub malformed: Counter,
    /// Bodies that were too large or came too slowly.
    pub unreadable: Counter,
    /// Requests refused before they were read: without a token, of a web page, without a Host; and connections of
    /// other users, if those are refused.
    pub denied: Counter,
    /// Messages refused with 503.
    pub unavailable: Counter,
    /// Messages that were read and had no answer when the service stopped. The queue may have them.
    pub unanswered: Counter,
    /// Messages refused with 503 because too many bytes of bodies were in flight.
    pub out_of_memory: Counter,
    /// Connections refused because too many were open.
    pub refused_connections: Counter,
    /// Messages in the queue when its length was read last.
    pub queue_depth: Counter,
}

impl ApiCounts {
    /// Writes the counts as metrics, with the bytes of bodies in flight.
    pub(super) fn metrics(&self, format: Format, body_bytes: u64) -> String {
        let mut text = MetricsText::new(format);
        for (name, help, counter) in [
            ("loadgen_api_accepted", "Messages put into the queue.", &self.accepted),
            ("loadgen_api_malformed", "Bodies without a valid MsgID.", &self.malformed),
            ("loadgen_api_unreadable", "Bodies too large or too slow.", &self.unreadable),
            ("loadgen_api_denied", "Requests refused with 400, 401 or 403.", &self.denied),
            ("loadgen_api_unavailable", "Messages refused with 503.", &self.unavailable),
            (
                "loadgen_api_out_of_memory",
                "Of those, refused because of --max-memory.",
                &self.out_of_memory,
            ),
            (
                "loadgen_api_refused_connections",
                "Connections above --max-connections.",
                &self.refused_connections,
            ),
        ] {
            text.counter(name, help, counter.get());
        }
        let help = "Messages in the queue, as last seen.";
        text.gauge("loadgen_api_queue_depth", help, self.queue_depth.get());
        text.gauge("loadgen_api_body_bytes", "Bytes of bodies in flight.", body_bytes);
        text.finish()
    }
}
