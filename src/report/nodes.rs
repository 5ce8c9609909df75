//! The nodes of a fleet or of a merged report.

use serde::{Deserialize, Serialize};

/// Place of a run in a fleet (`--fleet`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Membership {
    /// Name of the fleet.
    pub name: String,
    /// Identity of the Redis that the nodes met in: the run id that Redis gives itself at each start.
    pub server: Option<String>,
    /// When measuring began, in the time of that Redis, in microseconds since 1970. All nodes agreed on it.
    pub start_us: u64,
    /// The most by which the node misread that time, in microseconds; merged, the most by which two nodes began apart.
    pub clock_bound_us: f64,
}

/// Result of one node in a merged report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct NodeResult {
    /// Index of the node, from 0.
    pub index: u64,
    /// Name of its host; `null` if it is not known.
    pub host: Option<String>,
    /// Id of its run; `null` of a node that was lost.
    pub run: Option<String>,
    /// Its worker threads.
    pub threads: u64,
    /// CPUs of its machine; `null` if it is not known.
    pub cores: Option<u64>,
    /// Its part of the rate, in requests a second; `null` in a closed loop.
    pub rate_target: Option<f64>,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered.
    pub completed: u64,
    /// Requests without an answer.
    pub failed: u64,
    /// Slots that were not sent.
    pub dropped: u64,
    /// Messages accepted; `null` if arrivals were not measured.
    pub accepted: Option<u64>,
    /// Messages that arrived; `null` if arrivals were not measured.
    pub arrived: Option<u64>,
    /// Median of due → answered.
    pub response_p50: Option<f64>,
    /// 99th percentile of due → answered.
    pub response_p99: Option<f64>,
    /// 99th percentile of due → arrived.
    pub arrival_p99: Option<f64>,
    /// 99th percentile of due → sent.
    pub lateness_p99: Option<f64>,
    /// Share of all CPUs' time that processes outside the experiment used; `null` if it is not known.
    pub other_cpu_percent: Option<f64>,
    /// Share of all CPUs' time that a hypervisor gave to others; `null` if it is not known.
    pub steal_percent: Option<f64>,
    /// Seconds in which its cgroup was throttled; `null` if it is not known.
    pub throttled_s: Option<f64>,
    /// Second of the run since which the node was silent; `null` of a node whose report is there.
    pub lost_at_s: Option<f64>,
    /// Slots of the node that are not accounted for; `null` of a node whose report is there, and if the number is not
    /// planned.
    pub unaccounted: Option<u64>,
    /// The generator held its plan there.
    pub valid: bool,
}
