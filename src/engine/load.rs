//! Configuration of the load: open or closed loop, rate, connections and times.

use std::time::Duration;

use serde::Deserialize;

use super::shards::NodePlace;
use crate::core::clock::Nanos;
use crate::core::units::Rates;

/// Spacing of an open loop's slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ArrivalProcess {
    /// Even gaps: slot n is due at n / rate.
    #[default]
    Constant,
    /// Exponential gaps, like independent users. The total is exact; `--seed` makes it repeatable.
    Poisson,
}

impl ArrivalProcess {
    /// Name in settings and report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}

/// Open or closed loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Slot n is due at a fixed time, independent of responses.
    Open {
        /// Slots per second, in total. The warm-up uses the initial rate.
        rate: Rates,
        /// Spacing of the slots.
        arrivals: ArrivalProcess,
        /// Seed of the spacing.
        seed: u64,
    },
    /// Each connection sends its next request when the last one ended.
    Closed,
}

/// Method by which a worker of an open loop waits for its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Sleeps for at least this long; slots that become due meanwhile are sent together.
    Tick(Nanos),
    /// Polls the clock and never sleeps.
    Spin,
}

/// Loop, rate, connections and times of a run.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Open or closed loop.
    pub mode: Mode,
    /// Connections, at least `threads`.
    pub connections: usize,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Sending time of the measured part; `None` if only `requests` ends it.
    pub duration: Option<Duration>,
    /// Most requests of the measured part.
    pub requests: Option<u64>,
    /// Sending time of the warm-up, which is not measured.
    pub warmup: Duration,
    /// Longest wait for outstanding responses and messages after the last request.
    pub drain: Duration,
    /// Time allowed per request from its send.
    pub timeout: Duration,
    /// Limit of requests in flight or in the backlog, at least `threads`.
    pub max_in_flight: Option<u64>,
    /// Method by which a worker waits for slots, as the settings have it; no effect in a closed loop.
    pub pace: Pace,
    /// Most requests in flight at once: connections times streams.
    pub width: usize,
    /// Place of this process among the nodes that send the load together.
    pub(crate) node: NodePlace,
}

impl LoadConfig {
    /// Method by which the workers of this node wait for slots. Between two wakes at most `width` requests are sent, so its
    /// tick allows twice this node's part of the rate: the tick must not limit the rate.
    pub(crate) fn own_pace(&self) -> Pace {
        match (self.pace, self.mode) {
            (Pace::Tick(tick), Mode::Open { rate, .. }) => {
                let highest = self.node.part_of(rate.highest().as_f64(), self.threads);
                let most = self.width as f64 / (2.0 * highest) * 1e9;
                Pace::Tick(tick.min(Nanos(most as u64)))
            }
            (pace, _) => pace,
        }
    }

    /// End of the sending time, including the warm-up; `None` if no duration is set.
    pub(crate) fn end(&self) -> Option<Nanos> {
        self.duration.map(|duration| Nanos::from(self.warmup) + Nanos::from(duration))
    }

    /// Largest number of measured requests; `None` if the plan does not limit it.
    pub(crate) fn most_requests(&self) -> Option<u64> {
        let scheduled = match (self.mode, self.duration) {
            (Mode::Open { rate, arrivals: ArrivalProcess::Constant, .. }, Some(duration)) => {
                Some((rate.mean() * duration.as_secs_f64()).ceil() as u64)
            }
            _ => None,
        };
        scheduled.into_iter().chain(self.requests).min()
    }

    /// Longest sending time in seconds; `None` if the plan does not limit it.
    pub(crate) fn longest_s(&self) -> Option<f64> {
        let all_sent = match (self.mode, self.requests) {
            (Mode::Open { rate, .. }, Some(requests)) => Some(requests as f64 / rate.mean()),
            _ => None,
        };
        let ends = self.duration.map(|duration| duration.as_secs_f64()).into_iter().chain(all_sent);
        ends.min_by(f64::total_cmp)
    }
}
