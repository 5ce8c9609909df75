//! Observations → Report: the numbers as people and machines read them. A report can be saved as
//! JSON and read back; every other form is made from the report alone, so all say the same.

mod build;
pub mod compare;
pub mod forms;
pub mod html;
mod judge;
mod lookup;
mod merge;
pub mod ramp;
mod ramp_text;
mod requests;
mod saved;
mod table;
mod text;
mod wrk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use lookup::{check_name, check_names, number, numbers_ending_in};
pub use merge::{MergeError, Named, merge};
pub use ramp_text::ramp_text;
pub use saved::{Saved, SavedError};
pub use text::{TextOptions, text};

/// The version of this file format; it changes when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// One run's report. Durations are microseconds unless the name says otherwise; `null` is "not
/// measured", or for a percentile "too few values".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// What wrote it.
    pub tool: Tool,
    /// What was run.
    pub run: Run,
    /// What became of the requests.
    pub requests: Requests,
    /// What the script took; `null` where there was none.
    #[serde(default)]
    pub script: Option<Script>,
    /// How long the requests took.
    pub latency: Latency,
    /// What became of the messages; `null` where nobody listened.
    pub messages: Option<Messages>,
    /// due → arrived; `null` where nobody listened.
    pub arrival: Option<Quantiles>,
    /// The same of each request of a profile that has several; else none.
    #[serde(default)]
    pub by_request: Vec<ByRequest>,
    /// Sampled messages, from moment to moment.
    pub stages: Vec<Stage>,
    /// CPU and memory per component.
    pub resources: Vec<Resource>,
    /// One row a second.
    pub series: Vec<Row>,
    /// Whether to believe it.
    pub verdict: Verdict,
}

/// What wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `loadgen`
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Tells runs apart.
    pub id: String,
    /// When measuring began, RFC 3339 in UTC.
    pub started_at: String,
    /// Measured sending time in seconds.
    pub duration_s: f64,
    /// `open` or `closed`
    pub mode: String,
    /// URL without credentials.
    pub target: String,
    /// Requests a second asked for, of `--node k/N` its N-th part; the mean where it changes; `null` in a closed loop.
    pub rate_target: Option<f64>,
    /// From where to where it changes; `null` where it does not.
    #[serde(default)]
    pub rate_range: Option<[f64; 2]>,
    /// `constant` or `poisson`; `null` in a closed loop.
    pub arrivals: Option<String>,
    /// Connections of all threads.
    pub connections: u64,
    /// Worker threads.
    pub threads: u64,
    /// `raw` or `reqwest`
    pub engine: String,
    /// `HTTP/1.1` or `HTTP/2`; empty in reports of before it was told.
    #[serde(default)]
    pub protocol: String,
    /// Requests at once on each connection.
    #[serde(default = "one")]
    pub streams: u64,
    /// The shortest time a worker slept; 0 with `--pacer spin`, `null` in a closed loop.
    pub tick_us: Option<f64>,
    /// One message in so many was stamped.
    pub sample: u64,
    /// A Ctrl-C ended it early.
    pub interrupted: bool,
    /// What repeats it, without secrets; empty in reports of before it was told.
    #[serde(default)]
    pub command: String,
    /// The servers behind the target.
    pub stack: Stack,
    /// The clock of the stamps.
    pub clock: Clock,
    /// The share of the load that was this process's (`--node`); `null` where all of it was.
    #[serde(default)]
    pub node: Option<Node>,
    /// What `loadgen merge` put it together from; `null` for what one process has seen.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Which, from 0.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

/// The nodes whose reports were merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Those whose reports are in it, rising.
    pub nodes: Vec<u64>,
    /// How many there should be.
    pub count: u64,
    /// Their runs' ids, in the same order.
    pub runs: Vec<String>,
}

/// The servers behind the target; `null` where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// The queue.
    pub queue: Option<Server>,
    /// The broker.
    pub broker: Option<Server>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `external` or `spawned`
    pub kind: String,
    /// As it says itself.
    pub version: String,
}

/// The clock that stamps are taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// `redis` (its `TIME`), or `monotonic` where there are no stamps.
    pub source: String,
    /// Log server's time minus this machine's monotonic clock.
    pub offset_us: Option<i64>,
    /// The most two processes' stamps can be apart by error; no stage between them is finer.
    pub error_bound_us: Option<f64>,
}

/// What became of the requests. `planned = sent + dropped`, `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Slots whose time came.
    pub planned: u64,
    /// Handed to a connection.
    pub sent: u64,
    /// Not sent.
    pub dropped: u64,
    /// Answered, with any status.
    pub completed: u64,
    /// Ended without an answer.
    pub failed: u64,
    /// On the wire when the drain ended.
    pub unfinished: u64,
    /// Open loop: sent per second of `duration_s`. Closed loop: `completed_per_s`.
    pub rate_achieved: f64,
    /// Completed per second, until sending ended and the last answer came: wrk's Requests/sec.
    pub completed_per_s: f64,
    /// From the beginning of measuring to the last answer, in seconds.
    pub answered_after_s: f64,
    /// Bytes of responses.
    pub bytes_read: u64,
    /// Bytes of requests.
    pub bytes_written: u64,
    /// Connections made again.
    pub reconnects: u64,
    /// Answers timed when they were read, because the kernel noted no time of their receipt: in a
    /// closed loop, with reqwest, and where the platform cannot.
    #[serde(default)]
    pub timed_when_read: u64,
    /// The failed ones, and failed attempts to connect again.
    pub errors: Errors,
    /// Answers by status.
    pub status: BTreeMap<String, u64>,
    /// Requests a second per thread, over tenths of a second: wrk's Req/Sec.
    pub per_thread: PerThread,
}

/// What a script took. Its time is in no service time: requests are written before they are sent, and
/// responses timed by the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Its file.
    pub file: String,
    /// Seconds all threads spent in it.
    pub time_s: f64,
    /// The share of the threads' time that is.
    pub time_percent: f64,
    /// Microseconds a request; `null` where none was sent.
    pub per_request_us: Option<f64>,
    /// Requests without an id of `loadgen.msg_id()`: no arrival can be joined to them.
    pub unnumbered: u64,
}

/// Failures by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// No connection.
    pub connect: u64,
    /// Broken off.
    pub read: u64,
    /// Not written whole.
    pub write: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Not answered in HTTP.
    pub protocol: u64,
}

/// Requests a second of a thread; `null` below a tenth of a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PerThread {
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub stdev: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Share of the values within one standard deviation of the mean, in percent.
    pub within_stdev_percent: Option<f64>,
}

/// How long requests took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// due → answered: what a user sees. Timeouts, drops and unfinished ones count with their age.
    pub response: Quantiles,
    /// sent → answered: the target's part.
    pub service: Quantiles,
    /// due → sent: the generator's part, and the wait for a free connection.
    pub lateness: Quantiles,
    /// due → seen by the generator: the part of lateness that is nobody else's.
    pub pacing: Quantiles,
    /// Making a connection, with TLS, for one request: part of its lateness. `null` where connections are kept.
    #[serde(default)]
    pub connect: Option<Quantiles>,
}

/// A distribution in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Values.
    pub count: u64,
    /// Smallest.
    pub min: Option<f64>,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub stdev: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Median. Like all percentiles `null` with fewer than ten values beyond it.
    pub p50: Option<f64>,
    /// 75th percentile.
    pub p75: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// 99.9th percentile.
    pub p99_9: Option<f64>,
    /// 99.99th percentile.
    pub p99_99: Option<f64>,
    /// All values: HDR V2, deflated, base64, in nanoseconds.
    pub hdr: String,
}

/// One of several requests. `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByRequest {
    /// As the profile calls it.
    pub name: String,
    /// Its share beside the others' weights.
    pub weight: u64,
    /// Handed to a connection.
    pub sent: u64,
    /// Due, and not sent.
    pub dropped: u64,
    /// Answered, with any status.
    pub completed: u64,
    /// Ended without an answer.
    pub failed: u64,
    /// On the wire when the drain ended.
    pub unfinished: u64,
    /// Answers by status.
    pub status: BTreeMap<String, u64>,
    /// due → answered.
    pub response: Quantiles,
    /// sent → answered.
    pub service: Quantiles,
    /// due → arrived; `null` where nobody listened, or where it carries no MsgID.
    pub arrival: Option<Quantiles>,
}

/// What became of the messages. `sent = arrived + lost + unknown`; of several requests only those that
/// carry a MsgID send messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Answered with 2xx.
    pub accepted: u64,
    /// Came to the subscriber, each counted once.
    pub arrived: u64,
    /// Accepted, not arrived.
    pub lost: u64,
    /// Further copies.
    pub duplicated: u64,
    /// Arrived after one that its worker sent later (RFC 4737).
    pub reordered: u64,
    /// On the topic, not of this run.
    pub unexpected: u64,
    /// Not accepted, not arrived.
    pub unknown: u64,
    /// The first ids of a kind.
    pub examples: Examples,
}

/// The first ids of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examples {
    /// Lost messages.
    pub lost: Vec<u64>,
    /// Duplicated messages.
    pub duplicated: Vec<u64>,
}

/// The time between two moments of sampled messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The earlier moment.
    pub from: String,
    /// The later moment.
    pub to: String,
    /// The times.
    #[serde(flatten)]
    pub quantiles: Quantiles,
}

/// What a component used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Which.
    pub component: String,
    /// Its process.
    pub pid: u32,
    /// User and system seconds.
    pub cpu_s: f64,
    /// Share of one core.
    pub cpu_percent_mean: f64,
    /// Largest share of one core in a second.
    pub cpu_percent_max: f64,
    /// Largest resident memory of the process.
    pub rss_max_bytes: u64,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its end.
    pub t_s: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered.
    pub completed: u64,
    /// Requests failed.
    pub failed: u64,
    /// Messages arrived.
    pub arrived: u64,
    /// On the wire or in line at its end.
    pub in_flight: u64,
    /// The most messages seen in the queue.
    pub queue_depth: Option<u64>,
    /// Of what ended in it.
    pub response_p50: Option<f64>,
    /// Of what ended in it.
    pub response_p99: Option<f64>,
    /// Of what arrived in it.
    pub arrival_p50: Option<f64>,
    /// Of what arrived in it.
    pub arrival_p99: Option<f64>,
    /// Share of one core in percent, by component; none once sending is over.
    #[serde(default)]
    pub cpu_percent: BTreeMap<String, f64>,
}

/// Whether to believe the numbers, and whether they are good enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `valid`, or `limited`: the generator could not hold the plan.
    pub generator: String,
    /// Why it is limited.
    pub reasons: Vec<String>,
    /// What else a reader must know.
    pub notes: Vec<String>,
    /// The `--fail-if` conditions.
    pub thresholds: Vec<ThresholdResult>,
    /// The generator is valid and no condition held.
    pub pass: bool,
}

/// A `--fail-if` condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// As written.
    pub expr: String,
    /// The report's number; `null` where there is none, which fails.
    pub value: Option<f64>,
    /// Whether the condition did not hold.
    pub ok: bool,
}

impl Tool {
    /// This program.
    fn own() -> Self {
        Self { name: "loadgen".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

impl Stage {
    /// Whether its moments were taken by different processes. The generator sends and is answered.
    fn crosses_processes(&self) -> bool {
        let own = |moment: &str| ["due", "sent", "answered"].contains(&moment);
        !(own(&self.from) && own(&self.to))
    }
}

impl Report {
    /// Whether requests are due before they are sent. In a closed loop they are due when they are sent, and
    /// response and service are one; unless each waits for a connection of its own.
    fn has_lateness(&self) -> bool {
        self.run.rate_target.is_some() || self.latency.connect.is_some()
    }

    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        text + "\n"
    }

    /// Reads a saved report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
