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
    /// The law and the number of connections agree, within one connection or a tenth.
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
    /// The law and the requests seen agree, within one request or a factor of 1.5.
    pub(crate) agrees: bool,
}

/// The number of requests in flight by Little's law beside another number for the same.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LawBeside {
    law: f64,
    other: f64,
    /// Ratio up to which the two agree.
    ratio: f64,
}

/// Agreement of two numbers of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// They differ by one at most.
    WithinOne,
    /// Their ratio is small enough.
    WithinRatio,
    No,
}

impl ClosedLoopSizing {
    /// Returns true if the law and a number of connections agree.
    pub(crate) fn agrees(in_flight: f64, connections: u64) -> bool {
        Self::compared(in_flight, connections).agreement() != Agreement::No
    }

    /// The connections are exact, and the law's times are those of a full closed loop: a tenth is much.
    fn compared(in_flight: f64, connections: u64) -> LawBeside {
        LawBeside { law: in_flight, other: connections as f64, ratio: 1.1 }
    }
}

impl OpenLoopSizing {
    /// Returns true if the law and the requests seen agree.
    pub(crate) fn agrees(in_flight: f64, seen: f64) -> bool {
        Self::compared(in_flight, seen).agreement() != Agreement::No
    }

    /// Each second has one sample: a handful of samples of a number that jumps.
    fn compared(in_flight: f64, seen: f64) -> LawBeside {
        LawBeside { law: in_flight, other: seen, ratio: 1.5 }
    }
}

impl LawBeside {
    fn agreement(self) -> Agreement {
        let (least, most) = (self.law.min(self.other), self.law.max(self.other));
        if most - least <= 1.0 {
            Agreement::WithinOne
        } else if most <= least * self.ratio {
            Agreement::WithinRatio
        } else {
            Agreement::No
        }
    }
}

/// Displays whether they agree, and how closely.
impl fmt::Display for LawBeside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.agreement() {
            Agreement::WithinOne => f.write_str("they agree within one connection"),
            Agreement::WithinRatio => write!(f, "they agree within a factor of {}", self.ratio),
            Agreement::No => f.write_str("they disagree"),
        }
    }
}

impl fmt::Display for ClosedLoopSizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "for {} use c = {}: {} were measured with it; Little's law gives {} in flight ({} × {}): {}",
            per_second(self.wanted_per_s),
            self.connections,
            per_second(self.measured_per_s),
            in_flight_text(self.in_flight),
            per_second(self.wanted_per_s),
            format_time(self.mean_us),
            Self::compared(self.in_flight, self.connections)
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
        let law = in_flight_text(self.in_flight);
        let mean = format_time(self.mean_us);
        let seen = match self.seen {
            1.0 => "1 was seen".to_owned(),
            seen => format!("{} were seen", in_flight_text(seen)),
        };
        let compared = Self::compared(self.in_flight, self.seen);
        if self.agrees {
            return write!(
                f,
                "for {rate} use at least c = {needed:.0}: Little's law gives {law} in flight ({rate} × {mean}), \
                 and {seen}: {compared}"
            );
        }
        let most = needed.max(self.seen.ceil());
        write!(
            f,
            "for {rate} plan with c = {most:.0}: Little's law gives {law} in flight ({rate} × {mean}), but {seen} \
             at the end of the seconds: {compared}. The larger is the safe one; a longer step shows if fewer are enough"
        )
    }
}

/// A number of requests in flight: whole if it is, and else with two digits or more.
fn in_flight_text(in_flight: f64) -> String {
    if in_flight.fract() == 0.0 || in_flight >= 100.0 {
        format!("{in_flight:.0}")
    } else if in_flight >= 1.0 {
        format!("{in_flight:.1}")
    } else {
        format!("{in_flight:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_and_the_requests_seen_agree_if_a_reader_would_say_so() {
        let text = |per_s: f64, mean_us: f64, seen: f64| {
            let in_flight = per_s * mean_us / 1e6;
            let agrees = OpenLoopSizing::agrees(in_flight, seen);
            OpenLoopSizing { per_s, mean_us, in_flight, seen, agrees }.to_string()
        };
        for (per_s, mean_us, seen, expected) in [
            (
                400.0,
                1_140.0,
                1.0,
                "use at least c = 1: Little's law gives 0.46 in flight (400/s × 1.14ms), and 1 was seen: they \
                 agree within one connection",
            ),
            (
                400.0,
                1_140.0,
                2.0,
                "plan with c = 2: Little's law gives 0.46 in flight (400/s × 1.14ms), but 2 were seen at the end \
                 of the seconds: they disagree. The larger is the safe one; a longer step shows if fewer are enough",
            ),
            (
                10_000.0,
                1_250.0,
                17.0,
                "use at least c = 13: Little's law gives 12.5 in flight (10,000/s × 1.25ms), and 17 were seen: \
                 they agree within a factor of 1.5",
            ),
            (
                10_000.0,
                1_250.0,
                0.5,
                "plan with c = 13: Little's law gives 12.5 in flight (10,000/s × 1.25ms), but 0.50 were seen at \
                 the end of the seconds: they disagree. The larger is the safe one; a longer step shows if fewer \
                 are enough",
            ),
        ] {
            assert_eq!(text(per_s, mean_us, seen), format!("for {} {expected}", per_second(per_s)));
        }
    }

    #[test]
    fn the_law_and_the_connections_agree_within_one_or_a_tenth() {
        for (in_flight, connections, expected) in
            [(0.4, 1, true), (2.6, 3, true), (5.2, 7, false), (95.0, 100, true), (50.0, 60, false)]
        {
            let agrees = ClosedLoopSizing::agrees(in_flight, connections);
            assert_eq!(agrees, expected, "{in_flight} and {connections}");
        }
    }
}
