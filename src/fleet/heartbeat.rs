//! A heartbeat: what a node has measured so far. Each node writes one a second; a later one replaces it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::core::distribution::{HdrError, Latencies};
use crate::report::{Requests, Row};
use crate::run::measurements::Totals;
use crate::run::{MeasuredSecond, Phase, Progress};

/// Most seconds that a node keeps for the collector while Redis is away.
const MOST_SECONDS: usize = 600;
/// The largest text that a packed value unpacks to: a report of a run of days.
const MOST_BYTES: u64 = 256 << 20;

/// State of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NodeState {
    /// It waits for the others.
    #[default]
    Waiting,
    /// It sends requests that are not measured.
    Warmup,
    /// It sends requests that are measured.
    Measuring,
    /// It waits for the last answers and arrivals.
    Draining,
    /// Its report is written.
    Done,
}

impl From<Phase> for NodeState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Waiting => Self::Waiting,
            Phase::Warmup => Self::Warmup,
            Phase::Measuring => Self::Measuring,
            Phase::Draining => Self::Draining,
        }
    }
}

/// Counts of a node since measuring began, and its distributions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct NodeTotals {
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) completed: u64,
    /// Completed requests with neither 2xx nor 3xx.
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) accepted: u64,
    /// `None` if arrivals are not measured.
    pub(super) arrived: Option<u64>,
    /// answered − due, as HDR text.
    pub(super) response: String,
    /// arrived − due, as HDR text.
    pub(super) arrival: String,
}

/// A second of the measured part of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NodeSecond {
    /// Its place in the series, from 0.
    pub(super) index: u64,
    pub(super) row: Row,
    /// answered − due, as HDR text.
    pub(super) response: String,
    /// arrived − due, as HDR text.
    pub(super) arrival: String,
}

impl From<&MeasuredSecond> for NodeSecond {
    fn from(second: &MeasuredSecond) -> Self {
        let MeasuredSecond { index, row, response, arrival } = second;
        // CPU shares come later, and are in the report.
        let row = Row { cpu_percent: BTreeMap::default(), ..row.clone() };
        Self { index: *index, row, response: response.to_hdr(), arrival: arrival.to_hdr() }
    }
}

/// Measurements of a node so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) state: NodeState,
    /// Time since the first slot, in seconds.
    pub(super) elapsed_s: f64,
    /// Time from the first slot to the planned end of sending, in seconds; `None` if only a count ends it.
    pub(super) planned_s: Option<f64>,
    /// Requests a second now.
    pub(super) rate: f64,
    /// Requests a second that the plan asks of this node now; `None` in a closed loop.
    pub(super) target_rate: Option<f64>,
    /// Requests sent, warm-up included.
    pub(super) sent: u64,
    pub(super) in_flight: u64,
    pub(super) queue_depth: Option<u64>,
    pub(super) totals: NodeTotals,
    /// Seconds that the collector has not taken yet.
    pub(super) seconds: Vec<NodeSecond>,
}

/// Measurements of a node on their way into a heartbeat.
#[derive(Debug, Default)]
pub(super) struct NodeGauge {
    /// The round that is measured; `None` in a fleet that runs once.
    pub(super) round: Option<u64>,
    progress: Option<Progress>,
    seconds: VecDeque<MeasuredSecond>,
    pub(super) is_done: bool,
}

impl NodeGauge {
    /// The gauge of a round in which nothing is measured yet.
    pub(super) fn of_round(round: u64) -> Self {
        Self { round: Some(round), ..Self::default() }
    }

    pub(super) fn set_progress(&mut self, progress: &Progress) {
        self.progress = Some(progress.clone());
    }

    pub(super) fn add_second(&mut self, second: MeasuredSecond) {
        self.seconds.push_back(second);
        if self.seconds.len() > MOST_SECONDS {
            self.seconds.pop_front();
        }
    }

    /// Forgets the seconds before `index`, which the collector has taken.
    pub(super) fn forget_before(&mut self, index: u64) {
        self.seconds.retain(|second| second.index >= index);
    }

    /// The heartbeat of now. It is to be packed elsewhere: the histograms take a millisecond.
    pub(super) fn snapshot(&self) -> NodeSnapshot {
        NodeSnapshot {
            progress: self.progress.clone(),
            seconds: self.seconds.iter().cloned().collect(),
            is_done: self.is_done,
        }
    }
}

/// Measurements of one moment.
#[derive(Debug)]
pub(super) struct NodeSnapshot {
    progress: Option<Progress>,
    seconds: Vec<MeasuredSecond>,
    is_done: bool,
}

impl NodeSnapshot {
    /// The heartbeat, packed.
    pub(super) fn pack(&self) -> Vec<u8> {
        pack(&self.heartbeat())
    }

    fn heartbeat(&self) -> Heartbeat {
        let done = self.is_done.then_some(NodeState::Done);
        let seconds = self.seconds.iter().map(NodeSecond::from).collect();
        let Some(progress) = &self.progress else {
            return Heartbeat { state: done.unwrap_or_default(), seconds, ..Heartbeat::default() };
        };
        let totals = &progress.totals;
        Heartbeat {
            state: done.unwrap_or(progress.phase.into()),
            elapsed_s: progress.elapsed.as_secs_f64(),
            planned_s: progress.planned.map(|planned| planned.as_secs_f64()),
            rate: progress.rate,
            target_rate: progress.target_rate,
            sent: progress.sent,
            in_flight: progress.in_flight,
            queue_depth: progress.queue_depth,
            totals: NodeTotals {
                sent: totals.sent,
                dropped: totals.dropped,
                completed: totals.completed,
                refused: totals.refused,
                failed: totals.failed,
                accepted: progress.accepted,
                arrived: progress.arrived.map(|_| totals.arrived),
                response: totals.response.to_hdr(),
                arrival: totals.arrival.to_hdr(),
            },
            seconds,
        }
    }
}

impl NodeTotals {
    /// The requests as a report has them. Of the statuses only their first digit is known.
    pub(super) fn requests(&self) -> Requests {
        let ended = self.completed + self.failed;
        let mut requests = Requests {
            planned: self.sent + self.dropped,
            sent: self.sent,
            dropped: self.dropped,
            completed: self.completed,
            failed: self.failed,
            unfinished: self.sent.saturating_sub(ended),
            ..Requests::default()
        };
        let accepted = self.completed.saturating_sub(self.refused);
        let statuses = [("2xx", accepted), ("refused", self.refused)];
        let statuses = statuses.into_iter().filter(|(_, count)| *count > 0);
        requests.status = statuses.map(|(name, count)| (name.to_owned(), count)).collect();
        requests
    }

    /// Adds these counts and distributions to the sums of a fleet.
    pub(super) fn add_to(&self, totals: &mut Totals) -> Result<(), HdrError> {
        totals.sent += self.sent;
        totals.dropped += self.dropped;
        totals.completed += self.completed;
        totals.refused += self.refused;
        totals.failed += self.failed;
        totals.arrived += self.arrived.unwrap_or_default();
        totals.response.merge(&Latencies::from_hdr(&self.response)?);
        totals.arrival.merge(&Latencies::from_hdr(&self.arrival)?);
        Ok(())
    }
}

/// Data as JSON, deflated.
pub(super) fn pack(data: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string_pretty(data).unwrap_or_default();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(text.as_bytes());
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Data that [`pack`] has packed; `None` if it is of another shape, or too large.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut text = String::new();
    ZlibDecoder::new(bytes).take(MOST_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
