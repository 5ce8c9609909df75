//! Starts of the nodes on one clock: whether they ran together, and how far apart they began.

use std::time::{Duration, SystemTime};

use super::{MergeError, Named};
use crate::core::units::format_time;
use crate::report::{Report, Run, StartClock};

/// A larger skew is worth a note: 10 ms.
const NOTABLE_US: u64 = 10_000;
/// A larger skew makes the sum another load than was planned: 100 ms, or one percent of the duration.
const LARGEST_US: u64 = 100_000;
const LARGEST_SHARE: u64 = 100;
/// The last second that a date of four digits has, in microseconds since 1970.
const LAST_US: u64 = 253_402_300_799_000_000;

/// Clock on which the starts of all nodes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeline {
    /// Time of the Redis in which the fleet met.
    Fleet,
    /// Time of the Redis that all nodes have as their log server.
    LogServer,
    /// The wall clock of each node, which may be wrong.
    Own,
}

impl Timeline {
    /// The best clock that all parts have.
    pub(super) fn of(parts: &[Named]) -> Self {
        let fleets = || parts.iter().map(|(_, report)| report.run.fleet.as_ref());
        if is_common(fleets().map(|fleet| fleet?.server.as_deref())) {
            Self::Fleet
        } else if has_common_log_server(parts.iter().map(|(_, report)| report)) {
            Self::LogServer
        } else {
            Self::Own
        }
    }

    /// The clock as the report has it.
    pub(super) fn clock(self) -> StartClock {
        match self {
            Self::Fleet | Self::LogServer => StartClock::Redis,
            Self::Own => StartClock::Own,
        }
    }

    /// The start of a node on this clock, in microseconds since 1970; `None` if it is not known.
    pub(super) fn begin_us(self, run: &Run) -> Option<u64> {
        let begin_us = match self {
            Self::Fleet => run.fleet.as_ref().map(|fleet| fleet.start_us),
            Self::LogServer => run.clock.start_us,
            Self::Own => {
                let begin = humantime::parse_rfc3339(&run.started_at).ok();
                let since_1970 =
                    begin.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
                since_1970.and_then(|span| u64::try_from(span.as_micros()).ok())
            }
        };
        begin_us.filter(|us| *us > 0).map(|us| us.min(LAST_US))
    }

    /// The time in which a node sent on this clock.
    pub(super) fn span(self, run: &Run) -> SendingTime {
        let length = Duration::try_from_secs_f64(run.duration_s).unwrap_or_default();
        SendingTime {
            begin_us: self.begin_us(run).unwrap_or(0),
            length_us: u64::try_from(length.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Returns true if all reports have their start in the time of one log server.
pub(super) fn has_common_log_server<'a>(reports: impl Iterator<Item = &'a Report>) -> bool {
    is_common(reports.map(|report| {
        let clock = &report.run.clock;
        clock.server.as_deref().filter(|_| clock.start_us.is_some())
    }))
}

/// Returns true if all servers are known and the same one.
fn is_common<'a>(servers: impl Iterator<Item = Option<&'a str>>) -> bool {
    let servers: Option<Vec<_>> = servers.collect();
    servers.is_some_and(|all| {
        all.first().is_some_and(|first| all.iter().all(|server| server == first))
    })
}

/// The time in which a node sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct SendingTime {
    pub(super) begin_us: u64,
    pub(super) length_us: u64,
}

impl SendingTime {
    fn end_us(self) -> u64 {
        self.begin_us.saturating_add(self.length_us)
    }
}

/// Refuses parts of which one had ended before another began.
pub(super) fn check_overlap(parts: &[Named], timeline: Timeline) -> Result<(), MergeError> {
    let span = |part: &&Named| timeline.span(&part.1.run);
    let first_to_end = parts.iter().min_by_key(|part| span(part).end_us());
    let last_to_begin = parts.iter().max_by_key(|part| span(part).begin_us);
    let (Some(ended), Some(began)) = (first_to_end, last_to_begin) else { return Ok(()) };
    let (before, after) = (span(&ended), span(&began));
    if ended.0 == began.0 || after.begin_us < before.end_us() {
        return Ok(());
    }
    let why = format!(
        "they did not run at the same time: by {}, {} began {} after {}, which sent for {}; see --start-at",
        timeline.clock().described(),
        node(&began.1),
        seconds(after.begin_us.saturating_sub(before.begin_us)),
        node(&ended.1),
        seconds(before.length_us)
    );
    Err(MergeError::Different(ended.0.clone(), began.0.clone(), why))
}

fn node(report: &Report) -> String {
    format!("node {}", report.run.node.map_or(0, |node| node.index))
}

fn seconds(us: u64) -> String {
    format!("{:.1} s", us as f64 / 1e6)
}

/// Delay of the last node's start behind that of the first node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skew {
    pub(super) us: u64,
    first: u64,
    last: u64,
    longest_us: u64,
}

/// A part's number and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSpan {
    pub(super) node: u64,
    pub(super) span: SendingTime,
}

impl Skew {
    /// `None` of fewer than two nodes.
    pub(super) fn of(nodes: &[NodeSpan]) -> Option<Self> {
        let first = nodes.iter().min_by_key(|node| node.span.begin_us)?;
        let last = nodes.iter().max_by_key(|node| node.span.begin_us)?;
        let longest_us = nodes.iter().map(|node| node.span.length_us).max()?;
        (nodes.len() > 1).then_some(Self {
            us: last.span.begin_us - first.span.begin_us,
            first: first.node,
            last: last.node,
            longest_us,
        })
    }

    /// Returns true if the nodes did not send the load that was planned.
    pub(super) fn is_too_large(self) -> bool {
        self.us > LARGEST_US.max(self.longest_us / LARGEST_SHARE)
    }

    /// Delay of the last node behind the first in words, if a reader must know of it. `bound_us` is what it can be
    /// wrong by, if that is known.
    pub(super) fn described(self, clock: StartClock, bound_us: Option<f64>) -> Option<String> {
        if self.us <= NOTABLE_US {
            return None;
        }
        let by = if self.us < 1_000_000 { format_time(self.us as f64) } else { seconds(self.us) };
        let bound = bound_us.map(|us| format!(" ± {}", format_time(us))).unwrap_or_default();
        let (first, last) = (self.first, self.last);
        Some(format!("node {last} started {by}{bound} after node {first} by {}", clock.described()))
    }
}
