//! Notes on the nodes of a merged report.

use std::fmt;

use super::Coded;
use crate::core::units::{format_count, format_time};

/// A fact about nodes that a reader must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeNote {
    /// Nodes run on one host.
    ShareHost { host: String, nodes: Vec<u64> },
    /// A node measured other latencies than the rest.
    Differs {
        node: u64,
        /// The latency: `response`, `arrival`.
        of: &'static str,
        p99_us: f64,
        /// Median of all nodes.
        others_us: f64,
    },
    /// Each node subscribes to the messages of all.
    ArrivalsMultiplied { nodes: u64, delivered_per_s: f64 },
    /// The measurements of lost nodes have no service times, lateness and pacing.
    LostWithoutTimes,
    /// The time of the start was not known well.
    StartUncertain { bound_us: f64 },
}

impl Coded for NodeNote {
    fn code(&self) -> &'static str {
        match self {
            Self::ShareHost { .. } => "nodes_share_host",
            Self::Differs { .. } => "node_differs",
            Self::ArrivalsMultiplied { .. } => "arrivals_multiplied",
            Self::LostWithoutTimes => "lost_node_without_times",
            Self::StartUncertain { .. } => "start_uncertain",
        }
    }
}

impl fmt::Display for NodeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShareHost { host, nodes } => {
                let nodes: Vec<_> = nodes.iter().map(u64::to_string).collect();
                write!(
                    f,
                    "nodes {} are on one host ({host}): they share its CPUs and its network",
                    nodes.join(", ")
                )
            }
            Self::Differs { node, of, p99_us, others_us } => write!(
                f,
                "node {node} differs from the others: its p99 of {of} is {}, the median of all nodes is {}; look at its \
                 machine and its network",
                format_time(*p99_us),
                format_time(*others_us)
            ),
            Self::ArrivalsMultiplied { nodes, delivered_per_s } => write!(
                f,
                "each of the {nodes} nodes subscribes to the messages of all: the broker delivers {} messages a second \
                 instead of {}, and may be slower for it",
                format_count(delivered_per_s.round() as u64),
                format_count((delivered_per_s / *nodes as f64).round() as u64)
            ),
            Self::LostWithoutTimes => f.write_str(
                "of the nodes that were lost, requests, response and arrival are in the sums until the last heartbeat; \
                 service, lateness and pacing are those of the other nodes",
            ),
            Self::StartUncertain { bound_us } => write!(
                f,
                "two nodes may have started {} apart: so exactly each of them could read the clock of Redis",
                format_time(*bound_us)
            ),
        }
    }
}
