//! Progress of a run, as it is reported to the caller ten times a second.

use std::sync::Arc;
use std::time::Duration;

use super::measurements::Totals;
use super::series::MeasuredSecond;
use crate::report::Row;

/// Phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the time at which all nodes start.
    Waiting,
    /// Sending requests that are not measured.
    Warmup,
    /// Sending requests that are measured.
    Measuring,
    /// Waiting for the last answers and arrivals.
    Draining,
}

/// Progress of a run. It is a side channel: if one is lost, no result changes.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Phase of the run.
    pub phase: Phase,
    /// Time since the start; in [`Phase::Waiting`], time since the wait began.
    pub elapsed: Duration,
    /// Time from the start to the planned end of sending, `None` if only a count ends it; in [`Phase::Waiting`], time
    /// from the beginning of the wait to the start.
    pub planned: Option<Duration>,
    /// Requests a second since the last progress.
    pub rate: f64,
    /// Requests a second that the plan asks of this process now; `None` in a closed loop.
    pub(crate) target_rate: Option<f64>,
    /// Requests sent, warm-up included.
    pub sent: u64,
    /// Requests on the wire or in the backlog.
    pub in_flight: u64,
    /// Slots dropped.
    pub dropped: u64,
    /// Measured messages accepted.
    pub accepted: u64,
    /// Measured messages that arrived; `None` if arrivals are not measured.
    pub arrived: Option<u64>,
    /// Messages in the queue; `None` if it is not known.
    pub queue_depth: Option<u64>,
    /// Last second of the measured part that all have reported.
    pub last_second: Option<Row>,
    /// Sums over the measured part so far, up to a second old.
    pub totals: Arc<Totals>,
}

impl Progress {
    /// Progress before the start. `until_start` is the time from the beginning of the wait to the start.
    pub(super) fn waiting(elapsed: Duration, until_start: Duration, totals: &Arc<Totals>) -> Self {
        Self {
            phase: Phase::Waiting,
            elapsed,
            planned: Some(until_start),
            rate: 0.0,
            target_rate: None,
            sent: 0,
            in_flight: 0,
            dropped: 0,
            accepted: 0,
            arrived: None,
            queue_depth: None,
            last_second: None,
            totals: Arc::clone(totals),
        }
    }
}

/// Callback for the progress, if it is wanted.
pub(super) type ProgressFn = Option<Box<dyn FnMut(&Progress) + Send>>;

/// Callback for each second of the measured part, if it is wanted.
pub(super) type SecondFn = Option<Box<dyn FnMut(MeasuredSecond) + Send>>;
