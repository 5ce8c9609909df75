//! The nodes of a distributed run: the membership of one in a fleet, and the row of each in a merged report.

use serde::{Deserialize, Serialize};

/// Membership of a node in a fleet, or in a merged report that of all its nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Membership {
    /// Name of the fleet.
    pub name: String,
    /// Identity of the fleet's Redis: the run id that it gives itself at each start; `null` if it is not known, and in
    /// a merged report whose nodes had several.
    pub server: Option<String>,
    /// When measuring began on this node, in the time of the fleet's Redis, in microseconds since 1970. In a merged report
    /// that of the first node.
    pub start_us: u64,
    /// The most that this time can be wrong, in microseconds. In a merged report the sum of the two largest, by which
    /// the difference of two starts can be wrong.
    pub clock_bound_us: f64,
    /// Arrivals of nodes that share one subscription; absent if each subscribes on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_arrivals: Option<SharedArrivals>,
}

/// Arrivals of nodes that share one subscription (`--arrivals-at shared`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct SharedArrivals {
    /// Messages that reached another node than the one that sent them, so that their time is of two clocks.
    pub timed_by_others: u64,
    /// The most that the time of such a message can be wrong, in microseconds.
    pub bound_us: f64,
}

/// A node of a merged report. Its times are microseconds unless the name says otherwise; `null` is not known, or for a
/// percentile too few values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct NodeResult {
    /// Index of the node, from 0.
    pub index: u64,
    /// Name of its host.
    pub host: Option<String>,
    /// Id of its run.
    pub run_id: Option<String>,
    /// Version of loadgen on it.
    pub version: Option<String>,
    /// Its worker threads.
    pub threads: Option<u64>,
    /// CPUs of its machine.
    pub cores: Option<u64>,
    /// Its share of the rate, in requests a second; `null` in a closed loop.
    pub rate_target: Option<f64>,
    /// Requests that it sent. Of a lost node this and the other counts end with its last heartbeat.
    pub sent: u64,
    /// Requests answered, with any status.
    pub completed: u64,
    /// Requests that ended without an answer.
    pub failed: u64,
    /// Slots that it did not send.
    pub dropped: u64,
    /// Messages answered with 2xx; `null` if arrivals were not measured.
    pub accepted: Option<u64>,
    /// Messages that came to its subscriber; `null` if arrivals were not measured.
    pub arrived: Option<u64>,
    /// Median response time.
    pub response_p50: Option<f64>,
    /// 99th percentile of its response time.
    pub response_p99: Option<f64>,
    /// Median arrival latency.
    pub arrival_p50: Option<f64>,
    /// 99th percentile of its arrival latency.
    pub arrival_p99: Option<f64>,
    /// 99th percentile of its lateness.
    pub lateness_p99: Option<f64>,
    /// Share of its threads' time that they waited for a CPU, in percent.
    pub run_queue_percent: Option<f64>,
    /// Share of all its CPUs' time that a hypervisor gave to others, in percent.
    pub steal_percent: Option<f64>,
    /// Seconds in which its cgroup was throttled, added over its CPUs.
    pub throttled_s: Option<f64>,
    /// Share of all its CPUs' time that processes outside the experiment used, in percent.
    pub other_cpu_percent: Option<f64>,
    /// Delay of its start behind the first node's.
    pub start_offset_us: Option<u64>,
    /// The most that its start can be wrong; `null` outside a fleet.
    pub clock_bound_us: Option<f64>,
    /// Seconds from the start of the fleet until it fell silent; `null` if it sent its report.
    pub lost_at_s: Option<f64>,
    /// Reason that a lost node gave, in words; `null` if it gave none.
    pub lost_because: Option<String>,
    /// Slots of a lost node of which nothing is known; `null` if it sent its report.
    pub unaccounted: Option<u64>,
    /// True if its own verdict says that its generator held the plan.
    pub valid: bool,
}

impl NodeResult {
    /// The main time of the node: the 99th percentile of the arrival latency, without that of the response time.
    pub(crate) fn main_p99(&self) -> Option<f64> {
        self.arrival_p99.or(self.response_p99)
    }

    /// Index and host, as sentences name it: `node 3 (web-7)`.
    pub(crate) fn name(&self) -> String {
        node_name(self.index, self.host.as_deref())
    }
}

/// The name of a node in sentences: `node 3 (web-7)`, or `node 3` without a host.
pub(crate) fn node_name(index: u64, host: Option<&str>) -> String {
    match host.filter(|host| !host.is_empty()) {
        Some(host) => format!("node {index} ({host})"),
        None => format!("node {index}"),
    }
}

/// Rising indices as text; three or more in a row are a range: `0, 2, 5 to 9`.
pub(crate) fn index_list(indices: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*index) => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let mut texts = Vec::new();
    for (first, last) in ranges {
        texts.push(match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first} to {last}"),
        });
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_in_a_row_are_a_range() {
        for (indices, text) in [
            (&[][..], ""),
            (&[3], "3"),
            (&[0, 1], "0, 1"),
            (&[0, 1, 2], "0 to 2"),
            (&[0, 2, 4, 5, 6, 7, 9, 10], "0, 2, 4 to 7, 9, 10"),
            (&[u64::MAX - 1, u64::MAX], "18446744073709551614, 18446744073709551615"),
        ] {
            assert_eq!(index_list(indices), text);
        }
    }

    #[test]
    fn a_node_is_named_with_its_host() {
        let node = NodeResult { index: 3, host: Some("web-7".to_owned()), ..NodeResult::default() };
        assert_eq!(node.name(), "node 3 (web-7)");
        assert_eq!(
            (node_name(0, None), node_name(1, Some(""))),
            ("node 0".into(), "node 1".into())
        );
    }
}
