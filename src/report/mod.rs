//! The data of a run: the numbers as people and machines read them. A report can be saved as
//! JSON and read back; every other form is made from the report alone, so all say the same.

mod check;
pub(crate) mod component;
pub(crate) mod failures;
pub(crate) mod finding;
mod figures;
pub(crate) mod heatmap;
pub(crate) mod lookup;
pub(crate) mod machine;
pub(crate) mod merge;
pub(crate) mod nodes;
pub mod ramp;
pub(crate) mod remark;
mod requests;
pub(crate) mod result;
mod saved;
mod trial;
pub(crate) mod thresholds;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::core::distribution::Distribution;
use crate::core::printable::printable_json;

pub use crate::host::resources::Resource;
pub use check::CheckError;
pub use figures::{
    ByRequest, Errors, Examples, Latency, Messages, MissedWindow, PerThread, Requests, Row, Script,
    Stage, StampList,
};
pub use lookup::number;
pub(crate) use lookup::{
    check_conditions, check_name, check_unit, format_number, numbers_ending_in,
};
pub use machine::Generator;
pub use merge::{MergeError, Named, merge};
pub use nodes::{Membership, NodeResult, SharedArrivals};
use remark::SavedVerdict;
pub use remark::{Remark, sentences};
pub use result::{Allowed, RunFailed};
pub(crate) use result::{CommandOutcome, RunResult};
pub use saved::{Saved, SavedError};
pub use words::{
    ClockSource, EngineName, GeneratorState, HttpVersion, LoopMode, ServerKind, SlotSpacing,
    StartClock,
};

/// The version of this file format; it changes when a field changes its meaning or goes.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// One run's report. Durations are microseconds unless the name says otherwise; `null` is "not
/// measured", or for a percentile "too few values".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Report {
    /// Version of the file format; it rises if a field changes its meaning or is removed.
    #[cfg_attr(test, schemars(extend("const" = 1)))]
    pub schema_version: u32,
    /// Program that wrote the report.
    pub tool: Tool,
    /// Settings and servers of the run.
    pub run: Run,
    /// Counts and rates of the requests.
    pub requests: Requests,
    /// Time of the script; `null` without a script.
    #[serde(default)]
    pub script: Option<Script>,
    /// Latencies of the requests.
    pub latency: Latency,
    /// Results of the messages; `null` if arrivals were not measured.
    pub messages: Option<Messages>,
    /// due → arrived; `null` if arrivals were not measured. Its values are the arrived messages, and the lost,
    /// failed and dropped ones with the age they had reached; none if no message arrived.
    pub arrival: Option<Distribution>,
    /// Results of each request of a profile with several requests; else empty.
    #[serde(default)]
    pub by_request: Vec<ByRequest>,
    /// Sampled messages, from moment to moment.
    pub stages: Vec<Stage>,
    /// The stamp lists of the log server; none where there is none, and in reports of before they were
    /// counted.
    #[serde(default)]
    pub stamps: Vec<StampList>,
    /// Machine of the generator; `null` in reports of versions that did not measure it.
    #[serde(default)]
    pub generator: Option<Generator>,
    /// CPU and memory per component.
    pub resources: Vec<Resource>,
    /// One row a second.
    pub series: Vec<Row>,
    /// Number of values by second and by latency; `null` without values, and in reports of versions that did not save it.
    #[serde(default)]
    pub(crate) heatmap: Option<heatmap::HeatMap>,
    /// Nodes of a merged report, also those that were lost; empty for the report of one process.
    #[serde(default)]
    pub nodes: Vec<NodeResult>,
    /// Judgement on the run.
    pub verdict: Verdict,
}

/// The program that wrote a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Tool {
    /// `loadgen`
    #[cfg_attr(test, schemars(extend("const" = "loadgen")))]
    pub name: String,
    /// Its version.
    pub version: String,
    /// Git revision it was built from, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// Settings and servers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Run {
    /// Tells runs apart.
    pub id: String,
    /// When measuring began, RFC 3339 in UTC.
    #[cfg_attr(test, schemars(regex(pattern = crate::core::schema_file::TIME)))]
    pub started_at: String,
    /// Measured sending time in seconds.
    pub duration_s: f64,
    /// Loop of the run.
    pub mode: LoopMode,
    /// URL without credentials.
    pub target: String,
    /// Requests a second asked for, of `--node k/N` its N-th part; the mean where it changes; `null` in a closed loop.
    pub rate_target: Option<f64>,
    /// From where to where it changes; `null` where it does not.
    #[serde(default)]
    pub rate_range: Option<[f64; 2]>,
    /// Spacing of the slots; `null` in a closed loop.
    pub arrivals: Option<SlotSpacing>,
    /// Connections of all threads.
    pub connections: u64,
    /// Worker threads.
    pub threads: u64,
    /// Engine of the run.
    pub engine: EngineName,
    /// Version of HTTP; empty in reports of versions that did not save it.
    #[serde(default)]
    pub protocol: HttpVersion,
    /// Requests at once on each connection.
    #[serde(default = "one")]
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub streams: u64,
    /// The shortest time a worker slept; 0 with `--pacer spin`, `null` in a closed loop.
    pub tick_us: Option<f64>,
    /// Sampling divisor: one message in `sample` was stamped.
    pub sample: u64,
    /// The most requests that were asked for (`--requests`), of all nodes; `null` where time alone ends it.
    #[serde(default)]
    pub requests_limit: Option<u64>,
    /// A Ctrl-C ended it early.
    pub interrupted: bool,
    /// Command that repeats the run, without secrets; empty in reports of versions that did not save it.
    #[serde(default)]
    pub command: String,
    /// Labels that the user gave (`--label`).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Settings of the services that loadgen started; `null` if it started none, and in reports of versions that did
    /// not save them.
    #[serde(default)]
    pub services: Option<ServiceSettings>,
    /// The servers behind the target.
    pub stack: Stack,
    /// The clock of the stamps.
    pub clock: Clock,
    /// The share of the load that was this process's (`--node`); `null` where all of it was.
    #[serde(default)]
    pub node: Option<Node>,
    /// Membership in a fleet; `null` without one.
    #[serde(default)]
    pub fleet: Option<Membership>,
    /// Parts that `loadgen merge` added up; `null` for the report of one process.
    #[serde(default)]
    pub parts: Option<Parts>,
    /// Merged, and a node's report was missing: the counts are not of the whole load.
    #[serde(default)]
    pub partial: bool,
}

fn one() -> u64 {
    1
}

/// One of several nodes that send a load together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Node {
    /// Index of the node, from 0.
    pub index: u64,
    /// Number of nodes.
    pub count: u64,
    /// Number of its first worker among those of all nodes; absent if all nodes have the same number of threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_worker: Option<u64>,
    /// Workers of all nodes; absent as `first_worker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
    /// The node subscribes to topics of its own (`--topic 'x/{{node}}'`); absent if it gets the messages of all nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_topics: bool,
}

/// The nodes whose reports were merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Parts {
    /// Those whose reports are in it, rising.
    pub nodes: Vec<u64>,
    /// Number of nodes in the plan.
    pub count: u64,
    /// Their runs' ids, in the same order.
    pub runs: Vec<String>,
    /// Their machines, in the same order; empty in reports of versions that did not save them.
    #[serde(default)]
    pub machines: Vec<Generator>,
    /// Time between the starts of the first and the last node, in microseconds; `null` for one node.
    #[serde(default)]
    pub start_skew_us: Option<u64>,
    /// Clock on which starts are compared; empty in reports of versions that did not save it.
    #[serde(default)]
    pub start_clock: StartClock,
}

/// Settings of the api and the push server that limit what they can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct ServiceSettings {
    /// Threads of the api.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub api_threads: u64,
    /// Threads of the push server.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub push_threads: u64,
    /// Highest rate of the push server, in messages a second; `null` without a limit.
    pub push_limit: Option<f64>,
}

/// The servers behind the target; `null` where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Stack {
    /// The queue.
    pub queue: Option<Server>,
    /// The broker.
    pub broker: Option<Server>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Server {
    /// Origin of the server.
    pub kind: ServerKind,
    /// Name and version that the server reported.
    pub version: String,
}

/// The clock that stamps are taken in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Clock {
    /// Clock of the stamps.
    pub source: ClockSource,
    /// Log server's time minus this machine's monotonic clock.
    pub offset_us: Option<i64>,
    /// The most two processes' stamps can be apart by error; no stage between them is finer.
    pub error_bound_us: Option<f64>,
    /// When measuring began in the log server's time, microseconds since 1970.
    #[serde(default)]
    pub start_us: Option<u64>,
    /// Identity of that server: the run id that Redis gives itself at each start.
    #[serde(default)]
    pub server: Option<String>,
}

/// Judgement on a run: can its numbers be trusted, and do they hold the conditions?
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "SavedVerdict", into = "SavedVerdict")]
pub struct Verdict {
    /// Judgement on the generator.
    pub generator: GeneratorState,
    /// Why it is limited.
    pub reasons: Vec<Remark>,
    /// Failures of the run as a whole, whatever the generator did: nothing succeeded, nothing
    /// arrived, or a component of its own stack ended. Each sentence says what to look at.
    pub failures: Vec<Remark>,
    /// Other facts that a reader must know.
    pub notes: Vec<Remark>,
    /// The `--fail-if` conditions.
    pub thresholds: Vec<ThresholdResult>,
    /// The generator is valid, there are no failures, and no condition held.
    pub pass: bool,
}

/// A `--fail-if` condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct ThresholdResult {
    /// Text of the condition.
    pub expr: String,
    /// The report's number; `null` where there is none, which fails.
    #[cfg_attr(test, schemars(extend("minimum" = null)))]
    pub value: Option<f64>,
    /// True if the condition did not hold.
    pub ok: bool,
}

impl Report {
    /// Derives the numbers that follow from others.
    pub(crate) fn derive_numbers(&mut self) {
        self.requests.complete();
        if let Some(messages) = &mut self.messages {
            messages.complete();
        }
    }
}

impl Verdict {
    /// Derives `pass` from the other fields.
    pub(crate) fn settle(&mut self) {
        self.pass = self.generator.is_valid()
            && self.failures.is_empty()
            && self.thresholds.iter().all(|threshold| threshold.ok);
    }
}

impl Tool {
    /// This program.
    pub(crate) fn own() -> Self {
        Self {
            name: "loadgen".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("LOADGEN_REVISION").map(ToOwned::to_owned),
        }
    }
}

impl Report {
    /// Returns true if requests are due before they are sent. In a closed loop they are due when they are sent, so
    /// response and service are one, unless each request waits for a connection of its own.
    pub(crate) fn has_lateness(&self) -> bool {
        self.run.rate_target.is_some() || self.latency.connect.is_some()
    }

    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        printable_json(text + "\n")
    }

    /// Reads a saved report and believes it; [`Saved::from_json`] checks it.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut report: Self = serde_json::from_str(text)?;
        report.complete();
        Ok(report)
    }

    /// Fills in what follows from other fields, also of a report of before they were told.
    fn complete(&mut self) {
        self.derive_numbers();
        if self.verdict.failures.is_empty() {
            self.verdict.failures = failures::failure(self).into_iter().map(Remark::from).collect();
        }
        self.verdict.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema_file;

    #[test]
    fn the_schema_of_a_report_is_that_of_its_types() {
        schema_file::check_unsigned::<Report>(
            "report",
            "loadgen report",
            "The report of one run, schema version 1. Durations are in microseconds unless a field's name says otherwise. \
             null means not measured, or of a percentile that the values are too few. Additions keep the version; it rises if a \
             field changes its meaning or is removed.",
        );
    }
}
