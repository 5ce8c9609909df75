//! The nodes of a fleet.

use serde::{Deserialize, Serialize};

use crate::engine::shards::{NodePlace, NodeShare};

/// A node that has joined, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeFacts {
    /// Unique over all processes.
    pub(super) token: String,
    pub(super) host: String,
    pub(super) pid: u32,
    /// When it joined, in the time of Redis, in microseconds since 1970.
    pub(super) joined_us: u64,
    /// Its workers.
    pub(super) threads: u64,
    /// Its CPUs.
    pub(super) cores: u64,
}

/// A node of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RosterNode {
    /// Number under which it joined. With fewer nodes than could be, numbers may be missing.
    pub(super) rank: u64,
    #[serde(flatten)]
    pub(super) facts: NodeFacts,
}

/// The nodes that the load is divided among, by rank. The place in the list is a node's index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Roster {
    pub(super) nodes: Vec<RosterNode>,
}

impl Roster {
    /// The index of a process; `None` if it is not one of the nodes.
    pub(super) fn index_of(&self, token: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.facts.token == token)
    }

    /// The place of a node in the load: workers are numbered over all nodes in the order of the roster.
    pub(super) fn place(&self, index: usize) -> NodePlace {
        let threads = |nodes: &[RosterNode]| nodes.iter().map(|node| node.facts.threads).sum();
        NodePlace {
            share: NodeShare { index: index as u64, count: self.nodes.len() as u64 },
            first_worker: threads(&self.nodes[..index]),
            workers: threads(&self.nodes),
        }
    }

    /// Name of a node in messages: `node 3 (web-7)`.
    pub(super) fn name(&self, index: usize) -> String {
        let host = self.nodes.get(index).map_or("?", |node| node.facts.host.as_str());
        format!("node {index} ({host})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_numbered_in_the_order_of_the_roster() {
        let node = |(rank, threads): (u64, u64)| RosterNode {
            rank,
            facts: NodeFacts {
                token: format!("t{rank}"),
                host: format!("web-{rank}"),
                pid: 1,
                joined_us: 0,
                threads,
                cores: 2,
            },
        };
        let roster = Roster { nodes: [(0, 2), (2, 1), (3, 4)].map(node).to_vec() };
        let places = [0, 1, 2].map(|index| {
            let NodePlace { share, first_worker, workers } = roster.place(index);
            [share.index, share.count, first_worker, workers]
        });
        assert_eq!(places, [[0, 3, 0, 7], [1, 3, 2, 7], [2, 3, 3, 7]]);
        assert_eq!((roster.index_of("t3"), roster.index_of("t1")), (Some(2), None));
        assert_eq!(roster.name(1), "node 1 (web-2)");
    }
}
