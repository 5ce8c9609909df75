//! The number of connections that a rate needs, measured and by Little's law: the mean number of requests in
//! flight is the rate times the mean time of a request.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;
use crate::core::units::format_time;

/// The fewest connections of a closed loop that reached a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ClosedLoopSizing {
    /// The wanted rate, requests a second.
    pub(crate) wanted_per_s: f64,
    /// The fewest connections that reached it.
    pub(crate) connections: u64,
    /// Good answers a second with that many connections.
    pub(crate) measured_per_s: f64,
    /// Mean service time with that many connections, in microseconds.
    pub(crate) mean_us: f64,
    /// Requests in flight by Little's law.
    pub(crate) in_flight: f64,
    /// The law and the number of connections agree within a tenth.
    pub(crate) agrees: bool,
}

/// The requests in flight at a rate of an open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct OpenLoopSizing {
    /// Requests sent a second.
    pub(crate) per_s: f64,
    /// Mean response time in microseconds.
    pub(crate) mean_us: f64,
    /// Requests in flight by Little's law.
    pub(crate) in_flight: f64,
    /// Median of the requests in flight at the end of each second.
    pub(crate) seen: f64,
    /// The law and the requests seen agree.
    pub(crate) agrees: bool,
}

impl fmt::Display for ClosedLoopSizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "for {} use c = {}: {} were measured with it; Little's law gives {:.1} in flight \
             ({} × {}): they {}",
            per_second(self.wanted_per_s),
            self.connections,
            per_second(self.measured_per_s),
            self.in_flight,
            per_second(self.wanted_per_s),
            format_time(self.mean_us),
            agreement(self.agrees)
        )?;
        if self.agrees {
            return Ok(());
        }
        let law = self.in_flight.ceil().max(1.0);
        write!(
            f,
            ". Plan with c = {}, which was measured; a step at c = {law:.0} shows if fewer are enough",
            self.connections
        )
    }
}

impl fmt::Display for OpenLoopSizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = per_second(self.per_s);
        let needed = self.in_flight.ceil().max(1.0);
        write!(
            f,
            "for {rate} use at least c = {needed:.0}: Little's law gives that many in flight ({rate} × {}), \
             and {:.0} were seen: they {}",
            format_time(self.mean_us),
            self.seen,
            agreement(self.agrees)
        )?;
        if self.agrees {
            return Ok(());
        }
        let most = needed.max(self.seen.ceil());
        write!(f, ". Plan with c = {most:.0}, the larger, and repeat the step for longer")
    }
}

fn agreement(agrees: bool) -> &'static str {
    if agrees { "agree" } else { "disagree" }
}
