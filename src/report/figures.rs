//! The figures of a report: counts, times, stages, resources and the series, as they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::distribution::Distribution;
use crate::message::Checkpoint;

/// Counts and rates of the requests. `planned = sent + dropped`, `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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
    /// closed loop (but with a script that takes time), with reqwest, over a unix socket, and where the
    /// platform cannot.
    #[serde(default)]
    pub timed_when_read: u64,
    /// Answers that no request was waiting for: the target answered more than it was asked. Their connection
    /// is closed.
    #[serde(default)]
    pub unrequested_answers: u64,
    /// The failed ones, and failed attempts to connect again.
    pub errors: Errors,
    /// Answers by status.
    pub status: BTreeMap<String, u64>,
    /// Answers that are neither 2xx nor 3xx.
    #[serde(default)]
    pub refused: u64,
    /// Beginning of the first refused answer's body, with `--show-payload`; else `null`.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Refused, failed and unfinished requests, in percent of those sent; `null` where none was sent.
    #[serde(default)]
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub error_percent: Option<f64>,
    /// Requests a second per thread, over tenths of a second: wrk's Req/Sec.
    pub per_thread: PerThread,
}

impl Requests {
    /// Adds the counts of another part of the load. Rates, shares and the numbers per thread are not sums.
    pub(crate) fn add_counts(&mut self, part: &Self) {
        // All fields are named, so that a new one cannot be forgotten.
        let Self {
            planned,
            sent,
            dropped,
            completed,
            failed,
            unfinished,
            rate_achieved: _,
            completed_per_s: _,
            answered_after_s: _,
            bytes_read,
            bytes_written,
            reconnects,
            timed_when_read,
            unrequested_answers,
            errors,
            status,
            refused: _,
            refusal: _,
            error_percent: _,
            per_thread: _,
        } = part;
        add(&mut self.planned, *planned);
        add(&mut self.sent, *sent);
        add(&mut self.dropped, *dropped);
        add(&mut self.completed, *completed);
        add(&mut self.failed, *failed);
        add(&mut self.unfinished, *unfinished);
        add(&mut self.bytes_read, *bytes_read);
        add(&mut self.bytes_written, *bytes_written);
        add(&mut self.reconnects, *reconnects);
        add(&mut self.timed_when_read, *timed_when_read);
        add(&mut self.unrequested_answers, *unrequested_answers);
        self.errors.add(errors);
        add_by_name(&mut self.status, status);
    }
}

/// Adds a count that may come from a file: without wrapping. The check of the sum refuses what is too large.
pub(super) fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

/// Adds counts by name.
pub(super) fn add_by_name(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (name, count) in counts {
        add(sums.entry(name.clone()).or_default(), *count);
    }
}

/// Time of a script. It is in no service time: requests are written before they are sent, and the kernel takes the
/// times of the responses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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
    /// The failures above by their cause in the operating system or the protocol: `refused`, `reset`,
    /// `no_local_port`. With reqwest without attempts to connect again.
    #[serde(default)]
    pub by_cause: BTreeMap<String, u64>,
}

impl Errors {
    fn add(&mut self, part: &Self) {
        let Self { connect, read, write, timeout, protocol, by_cause } = part;
        add(&mut self.connect, *connect);
        add(&mut self.read, *read);
        add(&mut self.write, *write);
        add(&mut self.timeout, *timeout);
        add(&mut self.protocol, *protocol);
        add_by_name(&mut self.by_cause, by_cause);
    }
}

/// Requests a second of a thread; `null` below a tenth of a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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

/// Latencies of the requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Latency {
    /// due → answered: what a user sees. Timeouts, drops and unfinished ones count with their age.
    pub response: Distribution,
    /// sent → answered: the target's part.
    pub service: Distribution,
    /// due → sent: pacing and waiting.
    pub lateness: Distribution,
    /// due → seen by the generator: the generator's own part of the lateness.
    pub pacing: Distribution,
    /// seen by the generator → sent: the part of lateness that was a wait for a free connection; with a
    /// connection for each request, its making as well. `null` in a closed loop.
    #[serde(default)]
    pub waiting: Option<Distribution>,
    /// Making a connection, with TLS, for one request: part of its lateness. `null` where connections are kept.
    #[serde(default)]
    pub connect: Option<Distribution>,
}

/// One of several requests. `sent = completed + failed + unfinished`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct ByRequest {
    /// Name in the profile.
    pub name: String,
    /// Its share beside the others' weights.
    #[cfg_attr(test, schemars(range(min = 1)))]
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
    pub response: Distribution,
    /// sent → answered.
    pub service: Distribution,
    /// due → arrived; `null` if arrivals were not measured, or if the request has no MsgID.
    pub arrival: Option<Distribution>,
}

/// Results of the messages. `sent = arrived + lost + missed + unknown`. If there are several requests, only those with a
/// MsgID send messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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
    /// Unexpected messages with an id of another run or publisher.
    #[serde(default)]
    pub foreign: u64,
    /// Not accepted, not arrived.
    pub unknown: u64,
    /// Accepted and not arrived, and possibly published while our subscriber was disconnected, or dropped
    /// then by the broker: it cannot be known whether they are lost.
    #[serde(default)]
    pub missed: u64,
    /// When the missed ones were due.
    #[serde(default)]
    pub missed_windows: Vec<MissedWindow>,
    /// Messages timed when they were read, because the kernel noted no time of their receipt.
    pub timed_when_read: u64,
    /// Lost messages in percent of those accepted; `null` where none was accepted.
    #[serde(default)]
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub lost_percent: Option<f64>,
    /// Messages in the queue when the run began; `null` if that is not known.
    #[serde(default)]
    pub queued_before: Option<u64>,
    /// Messages in the queue after the drain; `null` if that is not known.
    #[serde(default)]
    pub queued_after: Option<u64>,
    /// The first ids of a kind.
    pub examples: Examples,
}

impl Messages {
    /// Adds the counts of another part of the load. Shares, examples and windows are not sums.
    pub(crate) fn add_counts(&mut self, part: &Self) {
        let Self {
            accepted,
            arrived,
            lost,
            duplicated,
            reordered,
            unexpected,
            foreign,
            unknown,
            missed,
            missed_windows: _,
            timed_when_read,
            lost_percent: _,
            queued_before: _,
            queued_after: _,
            examples: _,
        } = part;
        add(&mut self.accepted, *accepted);
        add(&mut self.arrived, *arrived);
        add(&mut self.lost, *lost);
        add(&mut self.duplicated, *duplicated);
        add(&mut self.reordered, *reordered);
        add(&mut self.unexpected, *unexpected);
        add(&mut self.foreign, *foreign);
        add(&mut self.unknown, *unknown);
        add(&mut self.missed, *missed);
        add(&mut self.timed_when_read, *timed_when_read);
    }
}

/// A span of due times in seconds since measuring began. Messages that were due in it may have been
/// published while our subscriber was disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct MissedWindow {
    /// Its beginning.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
}

/// The first ids of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Examples {
    /// Lost messages.
    pub lost: Vec<u64>,
    /// Duplicated messages.
    pub duplicated: Vec<u64>,
}

/// The elements of a stamp list that came during the run. `read = joined + foreign + unreadable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct StampList {
    /// The checkpoint.
    pub name: Checkpoint,
    /// The Redis list.
    pub list: String,
    /// All of them.
    pub read: u64,
    /// Stamps of this run.
    pub joined: u64,
    /// Stamps with an id that is not of this run and node.
    pub foreign: u64,
    /// Elements that are not stamps.
    pub unreadable: u64,
    /// Stamps that services pushed and that were gone before they were read: the list was trimmed or deleted.
    #[serde(default)]
    pub unread: u64,
}

impl StampList {
    /// Returns the counts before anything is read.
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        let list = checkpoint.list().unwrap_or_default().to_owned();
        Self { name: checkpoint, list, read: 0, joined: 0, foreign: 0, unreadable: 0, unread: 0 }
    }
}

/// The time between two checkpoints of sampled messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Stage {
    /// The earlier checkpoint.
    pub from: Checkpoint,
    /// The later checkpoint.
    pub to: Checkpoint,
    /// The times.
    #[serde(flatten)]
    pub distribution: Distribution,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
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
    /// Median response time in the second, in microseconds.
    pub response_p50: Option<f64>,
    /// 99th percentile of the response time in the second, in microseconds.
    pub response_p99: Option<f64>,
    /// Median arrival latency in the second, in microseconds.
    pub arrival_p50: Option<f64>,
    /// 99th percentile of the arrival latency in the second, in microseconds.
    pub arrival_p99: Option<f64>,
    /// Share of one core in percent, by component; none once sending is over.
    #[serde(default)]
    pub cpu_percent: BTreeMap<Arc<str>, f64>,
}

impl Stage {
    /// Returns true if different processes took its times. The generator sends, is answered, and
    /// subscribes.
    pub(super) fn crosses_processes(&self) -> bool {
        self.from.process() != self.to.process()
    }
}
