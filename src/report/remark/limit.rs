//! Reasons why the generator could not hold its plan.

use std::fmt;

use super::Coded;
use crate::core::clock::Nanos;
use crate::core::units::{format_some, format_time};
use crate::report::nodes::index_list;

/// Reason why the generator is limited: its numbers are not those of the target alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LimitReason {
    /// A share of the slots was late.
    Late {
        /// The share: `every second request`.
        share: &'static str,
        /// The lateness that this share reached.
        late: Nanos,
        /// The largest lateness of this share, beyond the tick.
        limit: Nanos,
        /// The cause, where the machine shows it.
        cause: Starvation,
    },
    /// Something took CPU time from the load threads of a closed loop.
    Starved(Starvation),
    /// Requests failed because this machine lacked something.
    Short {
        /// The thing that ran out.
        of: Shortage,
        /// Requests and connections that failed by it.
        failed: u64,
    },
    /// Reports of nodes are missing in a merged one.
    Partial {
        /// The missing nodes.
        missing: Vec<u64>,
        /// Nodes of the run.
        of: u64,
    },
    /// A node of a fleet fell silent before it sent its report.
    NodeLost {
        /// Its index and host, in words.
        node: String,
        /// Seconds from the start of the fleet to its last heartbeat.
        silent_since_s: f64,
        /// Slots of its part of the schedule of which nothing is known; `None` without a schedule.
        unaccounted: Option<u64>,
        /// Reason that it gave, in words; `None` if it only fell silent.
        because: Option<String>,
    },
    /// The nodes began so far apart that they did not send the planned load together.
    StartsApart {
        /// Delay of the last node behind the first, in words.
        skew: String,
    },
}

/// Cause that took CPU time from the load threads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Starvation {
    /// The process was stopped.
    Stopped { stopped_s: f64, measured_s: f64 },
    /// The hypervisor gave CPU time to others.
    Steal { percent: f64 },
    /// The cgroup's quota was used up.
    Throttled { periods: u64, of: u64 },
    /// Processes outside the experiment.
    Others { waited_percent: f64, used_percent: f64, cores: u64 },
    /// The servers under test, or loadgen.
    Experiment { waited_percent: f64 },
    /// The machine does not show it.
    Unknown,
}

/// Something of this machine that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Local ports.
    LocalPorts,
    /// File descriptors.
    OpenFiles,
    /// Memory of the kernel for sockets.
    SocketMemory,
}

impl Coded for LimitReason {
    fn code(&self) -> &'static str {
        match self {
            Self::Late { .. } => "generator_late",
            Self::Starved(_) => "generator_starved",
            Self::Short { .. } => "machine_short",
            Self::Partial { .. } => "partial",
            Self::NodeLost { .. } => "node_lost",
            Self::StartsApart { .. } => "starts_apart",
        }
    }
}

impl fmt::Display for LimitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { share, late, limit, cause } => write!(
                f,
                "{share} was due {} or more before the generator came to it (limit {} beyond the tick): \
                 {cause}",
                format_time(late.as_micros_f64()),
                format_time(limit.as_micros_f64()),
            ),
            Self::Starved(cause) => cause.fmt(f),
            Self::Short { of, failed } => {
                let failed =
                    format_some(*failed, "request or connection", "requests or connections");
                write!(f, "{failed} failed because {of}")
            }
            Self::Partial { missing, of } => {
                write!(f, "PARTIAL: the report of node {} of {of} is missing", index_list(missing))
            }
            Self::NodeLost { node, silent_since_s, unaccounted, because } => {
                let unaccounted = match unaccounted {
                    Some(slots) => format_some(*slots, "slot", "slots"),
                    None => "its later requests are".to_owned(),
                };
                let because = because.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                write!(
                    f,
                    "PARTIAL: {node} silent since {silent_since_s:.1} s{because}; {unaccounted} not accounted for"
                )
            }
            Self::StartsApart { skew } => {
                write!(f, "{skew}: together they did not send the planned load; see --start-at")
            }
        }
    }
}

impl fmt::Display for Starvation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { stopped_s, measured_s } => write!(
                f,
                "loadgen was stopped for {stopped_s:.1} s of {measured_s:.1} s (a signal, a debugger or a \
                 frozen container)"
            ),
            Self::Steal { percent } => write!(
                f,
                "the hypervisor gave {percent:.0}% of this machine's CPU time to others (steal)"
            ),
            Self::Throttled { periods, of } => write!(
                f,
                "its cgroup was throttled in {periods} of {of} periods: raise its CPU quota"
            ),
            Self::Others { waited_percent, used_percent, cores } => write!(
                f,
                "the load threads waited {waited_percent:.0}% of their time for a CPU, and other processes \
                 used {used_percent:.0}% of the {cores} CPUs: end them, or use another machine"
            ),
            Self::Experiment { waited_percent } => write!(
                f,
                "this machine is too busy for the rate: the load threads waited {waited_percent:.0}% of \
                 their time for a CPU that the servers under test or loadgen itself used"
            ),
            Self::Unknown => f.write_str("this machine is too busy for the rate"),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalPorts => {
                "this machine had no free local port: keep connections open (no --disable-keepalive), or \
                 widen net.ipv4.ip_local_port_range"
            }
            Self::OpenFiles => {
                "the limit on open files was reached: raise it with ulimit -n, or take fewer --connections"
            }
            Self::SocketMemory => {
                "the kernel had no memory for sockets: take fewer --connections"
            }
        })
    }
}
