//! Notes on the nodes of a merged report.

use std::fmt;

use super::Coded;
use crate::core::units::{format_count, format_some, format_time};
use crate::report::nodes::index_list;

/// Hosts that a note names one by one; the table of nodes has all.
const NAMED_HOSTS: usize = 3;

/// A fact about the nodes of a merged report that a reader must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeNote {
    /// Only a part of what lost nodes measured is known.
    LostNumbers {
        /// Lost nodes that have values in the report, rising.
        nodes: Vec<u64>,
    },
    /// Several nodes run on one host.
    ShareHost(Vec<SharedHost>),
    /// A node whose times are far from those of the others.
    Differs(DifferingNode),
    /// Each node subscribes to the messages of all nodes.
    ArrivalsMultiplied {
        /// Nodes that subscribe, at least two.
        nodes: u64,
        /// Messages a second that the broker delivers to all of them.
        per_s: f64,
    },
    /// Messages reached another node than the one that sent them.
    ArrivalsShared {
        /// Their number.
        timed_by_others: u64,
        /// Messages that arrived in all.
        arrived: u64,
        /// The most that the time of such a message can be wrong, in microseconds.
        bound_us: f64,
    },
}

/// A host on which several nodes run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedHost {
    /// Its name.
    pub(crate) host: String,
    /// Indices of its nodes, rising.
    pub(crate) nodes: Vec<u64>,
}

/// A node whose 99th percentile is far from those of the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DifferingNode {
    /// Its index and host, in words.
    pub(crate) node: String,
    /// The time: `arrival` or `response`.
    pub(crate) time: &'static str,
    /// Its 99th percentile, in microseconds.
    pub(crate) p99_us: f64,
    /// Median of those of the other nodes, in microseconds.
    pub(crate) others_us: f64,
}

impl Coded for NodeNote {
    fn code(&self) -> &'static str {
        match self {
            Self::LostNumbers { .. } => "lost_numbers_incomplete",
            Self::ShareHost(_) => "nodes_share_host",
            Self::Differs(_) => "node_differs",
            Self::ArrivalsMultiplied { .. } => "arrivals_multiplied",
            Self::ArrivalsShared { .. } => "arrivals_shared",
        }
    }
}

impl fmt::Display for NodeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostNumbers { nodes } => write!(
                f,
                "service, lateness, pacing, stages and the heat map are of the other nodes; of lost {} {} the report \
                 has only counts, response and arrival",
                if nodes.len() == 1 { "node" } else { "nodes" },
                index_list(nodes)
            ),
            Self::ShareHost(hosts) => {
                let mut texts = Vec::new();
                for SharedHost { host, nodes } in hosts.iter().take(NAMED_HOSTS) {
                    texts.push(format!("nodes {} run on one host ({host})", index_list(nodes)));
                }
                if let Some(more) = hosts.len().checked_sub(NAMED_HOSTS).filter(|more| *more > 0) {
                    let hosts = format_some(more as u64, "more host has", "more hosts have");
                    texts.push(format!("{hosts} several nodes"));
                }
                write!(f, "{}; they share its cores and its network", texts.join(", "))
            }
            Self::Differs(DifferingNode { node, time, p99_us, others_us }) => write!(
                f,
                "{node} differs from the others: its {time} p99 is {}, that of the others {}; look at its machine \
                 and its network",
                format_time(*p99_us),
                format_time(*others_us)
            ),
            Self::ArrivalsMultiplied { nodes, per_s } => write!(
                f,
                "{nodes} nodes subscribe to all messages: the broker delivers {}/s of them, {nodes} times the load. \
                 If this is too much for it, take --arrivals-at shared, or a --topic with {{{{node}}}} where the request \
                 chooses the topic",
                format_count(per_s.round() as u64)
            ),
            Self::ArrivalsShared { timed_by_others, arrived, bound_us } => write!(
                f,
                "{} of {} messages reached another node than the one that sent them: the arrival latency of each is \
                 exact to ±{}, the error of two clocks",
                format_count(*timed_by_others),
                format_count(*arrived),
                format_time(*bound_us)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Remark;

    #[test]
    fn hosts_are_named_up_to_three() {
        let host = |number: u64| SharedHost {
            host: format!("web-{number}"),
            nodes: vec![number, number + 10],
        };
        let note = |count: u64| NodeNote::ShareHost((0..count).map(host).collect()).to_string();
        let end = "; they share its cores and its network";
        assert_eq!(note(1), format!("nodes 0, 10 run on one host (web-0){end}"));
        let two = "nodes 0, 10 run on one host (web-0), nodes 1, 11 run on one host (web-1)";
        assert_eq!(note(2), format!("{two}{end}"));
        assert!(note(4).contains("(web-2), 1 more host has several nodes; they"), "{}", note(4));
        assert!(note(9).contains("6 more hosts have several nodes"), "{}", note(9));
    }

    #[test]
    fn a_note_is_read_back_as_it_was() {
        let differing = DifferingNode {
            node: "node 2 (web-7)".to_owned(),
            time: "arrival",
            p99_us: 12_345.0,
            others_us: 3_100.0,
        };
        for note in [
            NodeNote::Differs(differing),
            NodeNote::LostNumbers { nodes: vec![3] },
            NodeNote::ArrivalsMultiplied { nodes: 4, per_s: 16_000.0 },
            NodeNote::ArrivalsShared { timed_by_others: 30, arrived: 40, bound_us: 81.5 },
        ] {
            let remark = Remark::from(note);
            let read = Remark::read(&remark.to_string(), Some(&remark.code().to_owned()));
            assert_eq!(read, remark);
        }
    }
}
