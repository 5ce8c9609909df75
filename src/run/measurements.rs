//! Measurements of one run, from which its report is made once.

use std::time::SystemTime;

use crate::config::plan::Plan;
use crate::core::clock::Nanos;
use crate::core::distribution::{AgedLatencies, Latencies};
use crate::engine::LoadResult;
use crate::engine::transport::Traffic;
use crate::host::health::Machine;
use crate::message::{MessageAccount, MissedSpan, StagePair, Unjoined};
use crate::report::heatmap::HeatMap;
use crate::report::{Clock, Remark, Resource, Row, Stack, StampList};

/// All measurements of one run.
#[derive(Debug)]
pub(crate) struct Measurements {
    /// Plan of the run.
    pub plan: Plan,
    /// Unique over machines and time, for file names and log lines.
    pub run_id: String,
    /// Start of measuring.
    pub started_at: SystemTime,
    /// Target of the requests, without credentials.
    pub target: String,
    /// Time from the start of measuring to the last send or the planned end, whichever is later.
    pub sending: Nanos,
    /// Time from the start of measuring to the last answer.
    pub answering: Nanos,
    /// True if a stop was requested before the end.
    pub interrupted: bool,
    /// Servers behind the target, as far as they are known.
    pub stack: Stack,
    /// Clock of the stamps.
    pub clock: Clock,
    /// Machine of the generator, over the measured part.
    pub machine: Machine,
    /// The requests.
    pub load: LoadResult,
    /// Bytes and connections.
    pub traffic: Traffic,
    /// Messages that the broker dropped during the run, for any of its clients.
    pub broker_dropped: u64,
    /// Messages and their arrivals; `None` if arrivals were not measured.
    pub arrivals: Option<Arrivals>,
    /// Sampled messages' stages.
    pub stages: Vec<MeasuredStage>,
    /// Stamp lists of the log server.
    pub stamps: Vec<StampList>,
    /// Stamps that were dropped by this process.
    pub stamps_dropped: u64,
    /// CPU and memory.
    pub resources: Vec<Resource>,
    /// One row a second.
    pub series: Vec<Row>,
    /// Latencies by time; `None` without any.
    pub heatmap: Option<HeatMap>,
    /// Events that a reader of the report must know.
    pub notes: Vec<Remark>,
    /// Messages in the queue at both ends of the run.
    pub queue: QueueDepths,
    /// Components that ended during the run although they were not stopped.
    pub ended_components: Vec<EndedComponent>,
}

/// Messages in the queue at both ends of the run; `None` where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueDepths {
    /// Before the first request.
    pub before: Option<u64>,
    /// After the drain.
    pub after: Option<u64>,
}

/// Component that ended during a run although it was not stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedComponent {
    /// Name of the component.
    pub name: String,
    /// Its exit status, in the words of the system.
    pub status: String,
    /// Time since measuring began.
    pub at: Nanos,
}

/// The messages and their arrival.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// Results of all messages.
    pub account: MessageAccount,
    /// Messages, copies and foreign ones too, that were timed when they were read, because the kernel gave no time.
    pub timed_when_read: u64,
    /// Spans, since measuring began, in which messages were due that may have been published while the
    /// subscriber was disconnected.
    pub missed_spans: Vec<MissedSpan>,
    /// Messages that arrived and could not be joined to a request.
    pub unjoined: Unjoined,
    /// Messages on other topics of the broker in a short sample, if nothing arrived on the topic of the run.
    pub other_topics: Unjoined,
    /// arrived − due; and what was lost, failed or dropped at the age it had reached.
    pub latencies: AgedLatencies,
    /// `latencies` of each request of a mix, in the plan's order; empty if there is only one request.
    pub by_request: Vec<AgedLatencies>,
}

/// The time between two checkpoints of sampled messages.
#[derive(Debug, Clone)]
pub(crate) struct MeasuredStage {
    /// The checkpoints.
    pub pair: StagePair,
    /// The times between them.
    pub latencies: Latencies,
}

/// Sums over the seconds so far.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests sent.
    pub sent: u64,
    /// Slots dropped.
    pub dropped: u64,
    /// Requests answered.
    pub completed: u64,
    /// Answered requests with neither 2xx nor 3xx.
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
