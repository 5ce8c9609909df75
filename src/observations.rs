//! What a run found out, before anybody judges or prints it.

use std::time::SystemTime;

use crate::config::plan::{Mode, Plan};
use crate::core::clock::Nanos;
use crate::core::distribution::{AgedLatencies, Latencies};
use crate::engine::transport::Traffic;
pub use crate::engine::{LoadResult, RequestResult};
pub use crate::host::health::Machine;
pub use crate::host::resources::{ResourceUse, Shares};
use crate::message::{Checkpoint, MessageAccount, MissedSpan, StagePair, Unjoined};
use crate::script::{ScriptError, ScriptErrorCounts, ScriptSession, ScriptSummary};

/// All numbers of one run.
#[derive(Debug)]
pub struct Observations {
    /// What was planned.
    pub plan: Plan,
    /// Unique over machines and time, for file names and log lines.
    pub run_id: String,
    /// When measuring began.
    pub started_at: SystemTime,
    /// Where requests went, without credentials.
    pub target: String,
    /// From the beginning of measuring to the last send or the planned end, whichever is later.
    pub sending: Nanos,
    /// From the beginning of measuring to the last answer.
    pub answering: Nanos,
    /// A stop was asked for before the end.
    pub interrupted: bool,
    /// What was behind the target, where that is known.
    pub stack: StackInfo,
    /// The way to the log server's time.
    pub clock: ClockInfo,
    /// The machine under the generator over the measured part.
    pub machine: Machine,
    /// The requests.
    pub load: LoadResult,
    /// Bytes and connections.
    pub traffic: Traffic,
    /// The script that wrote the requests, which has not said yet what it has to say at the end.
    pub script: Option<ScriptSession>,
    /// Messages that the broker says it dropped during the run, for any of its clients.
    pub broker_dropped: u64,
    /// The messages; `None` where nobody listened.
    pub arrivals: Option<ArrivalInfo>,
    /// Sampled messages' stages.
    pub stages: Vec<Stage>,
    /// The stamp lists, where there is a log server.
    pub stamps: Vec<StampCount>,
    /// Stamps that were dropped by this process.
    pub stamps_dropped: u64,
    /// CPU and memory.
    pub resources: Vec<ResourceUse>,
    /// One row a second.
    pub series: Vec<SeriesRow>,
    /// What happened that a reader must know.
    pub notes: Vec<String>,
    /// Components of the stack that ended although nobody asked them to, each as a sentence.
    pub casualties: Vec<String>,
}

impl Observations {
    /// Calls the script's `done`, where there is one; it prints what it likes. Blocks.
    pub fn finish_script(&self) -> Result<(), ScriptError> {
        let Some(script) = &self.script else { return Ok(()) };
        let LoadResult { counters, status, response, service, throughput, .. } = &self.load;
        let bad = status.iter().filter(|(status, _)| *status > 399);
        script.done(&ScriptSummary {
            duration: self.sending.max(self.answering),
            requests: counters.completed,
            bytes: self.traffic.bytes_read,
            errors: ScriptErrorCounts {
                connect: counters.errors.connect.max(self.traffic.connect_failures),
                read: counters.errors.read + counters.errors.protocol,
                write: counters.errors.write,
                status: bad.map(|(_, count)| count).sum(),
                timeout: counters.errors.timeout,
            },
            latency: if self.plan.load.mode == Mode::Closed { service } else { response },
            rates: throughput,
        })
    }
}

/// The servers of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackInfo {
    /// Kind and version of the queue.
    pub queue: Option<ServerInfo>,
    /// Kind and version of the broker.
    pub broker: Option<ServerInfo>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `external`, `spawned` or `embedded`.
    pub kind: &'static str,
    /// Name and version as it says itself, or `unknown`.
    pub version: String,
}

/// The clock of the stamps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockInfo {
    /// Log server's time minus this machine's monotonic clock.
    pub offset_us: Option<i64>,
    /// The most two processes' stamps can be apart by error: our bound and the largest of theirs.
    pub error_bound: Option<Nanos>,
    /// When measuring began in the log server's time, microseconds since 1970.
    pub start_us: Option<u64>,
    /// Identity of that server, new at each of its starts.
    pub server: Option<String>,
}

/// The messages and their arrival.
#[derive(Debug)]
pub struct ArrivalInfo {
    /// What became of each message.
    pub account: MessageAccount,
    /// Messages, copies and others' too, timed when they were read: nobody noted their receipt.
    pub timed_when_read: u64,
    /// Spans, since measuring began, in which messages were due that may have been published while the
    /// subscriber was disconnected.
    pub missed_spans: Vec<MissedSpan>,
    /// What came and was not joined to any message that was sent.
    pub unjoined: Unjoined,
    /// What came on other topics of the broker for a moment, in a run of which nothing came on its own.
    pub other_topics: Unjoined,
    /// arrived − due; and what was lost, failed or dropped at the age it had reached.
    pub latencies: AgedLatencies,
    /// The same of each request of a mix, in the plan's order; none where there is but one.
    pub by_request: Vec<AgedLatencies>,
}

/// The time between two checkpoints of sampled messages.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The checkpoints.
    pub pair: StagePair,
    /// The times between them.
    pub latencies: Latencies,
}

/// The elements of one stamp list that came during the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampCount {
    /// Checkpoint that the list belongs to.
    pub checkpoint: Checkpoint,
    /// All of them: `joined + foreign + unreadable`.
    pub read: u64,
    /// Stamps of this run.
    pub joined: u64,
    /// Stamps whose id is not of this run and node.
    pub foreign: u64,
    /// Elements that are not stamps.
    pub unreadable: u64,
}

impl StampCount {
    /// The count before anything is read.
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, read: 0, joined: 0, foreign: 0, unreadable: 0 }
    }
}

/// What the seconds so far add up to, each as soon as it is reported.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests sent.
    pub sent: u64,
    /// Slots dropped.
    pub dropped: u64,
    /// Requests answered.
    pub completed: u64,
    /// Of those answered, the ones with neither 2xx nor 3xx.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Messages that arrived.
    pub arrived: u64,
    /// answered − due
    pub response: Latencies,
    /// arrived − due
    pub arrival: Latencies,
}

/// One second of the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesRow {
    /// Its end, in seconds since measuring began.
    pub t_s: f64,
    /// Requests sent in it.
    pub sent: u64,
    /// Requests answered in it.
    pub completed: u64,
    /// Requests that failed in it.
    pub failed: u64,
    /// Messages that arrived in it.
    pub arrived: u64,
    /// On the wire or in line at its end.
    pub in_flight: u64,
    /// The most messages seen in the queue during it.
    pub queue_depth: Option<u64>,
    /// Response latency of what ended in it.
    pub response_p50: Option<Nanos>,
    /// As above.
    pub response_p99: Option<Nanos>,
    /// Arrival latency of what arrived in it.
    pub arrival_p50: Option<Nanos>,
    /// As above.
    pub arrival_p99: Option<Nanos>,
    /// Share of one core in percent, by component; empty where it was not sampled.
    pub cpu_percent: Shares,
}
