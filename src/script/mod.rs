//! wrk's Lua scripts (`--script`): one Lua state for `setup` and `done`, and one for each worker, which
//! writes that worker's requests and sees its responses.
//!
//! A worker's state is created, set up and tried before the load. During the load only the worker's thread
//! uses it; afterwards `done` may read its globals. A script that fails ends the run.

#[cfg(feature = "lua")]
mod address;
#[cfg(not(feature = "lua"))]
mod disabled;
#[cfg(feature = "lua")]
mod error;
#[cfg(feature = "lua")]
mod exit;
#[cfg(feature = "lua")]
mod hooks;
#[cfg(feature = "lua")]
mod ids;
#[cfg(feature = "lua")]
mod raw_url;
#[cfg(feature = "lua")]
mod session;
#[cfg(feature = "lua")]
mod source;
#[cfg(feature = "lua")]
mod state;
#[cfg(feature = "lua")]
mod stats;
#[cfg(feature = "lua")]
mod transfer;
#[cfg(feature = "lua")]
mod worker_handle;

use url::Url;

use crate::config::plan::ScriptPlan;
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::engine::transport::link::TargetEndpoint;
use crate::message::{IdSpace, Template};

#[cfg(not(feature = "lua"))]
pub(crate) use disabled::ScriptSession;
#[cfg(feature = "lua")]
pub(crate) use session::ScriptSession;

/// Failure of a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({place})")]
pub struct ScriptError {
    /// File, line and cause, as Lua reports them.
    pub text: String,
    /// Function that was called, and the worker.
    pub place: String,
}

/// Input of a script before the load.
#[derive(Debug)]
#[cfg_attr(not(feature = "lua"), expect(dead_code, reason = "only scripts read it"))]
pub(crate) struct ScriptSetup<'a> {
    /// Script and its arguments.
    pub(crate) script: &'a ScriptPlan,
    /// URL of the target.
    pub(crate) target: &'a Url,
    /// Headers of the command line.
    pub(crate) headers: &'a [(String, Template)],
    /// Endpoint to which workers connect, unless `setup` sets another.
    pub(crate) endpoint: &'a TargetEndpoint,
    /// Timeout of `wrk.connect`.
    pub(crate) timeout: Nanos,
    /// Number of workers, at least 1.
    pub(crate) workers: usize,
    /// Ids of the run, divided into [`id_lanes`].
    pub(crate) space: IdSpace,
    /// Number of ids in each lane.
    pub(crate) ids_each: u64,
}

/// Returns the number of id lanes in a run with a script: one for each worker's messages, one for each
/// worker's ids that do not belong to a message, and one for `setup` and `done`.
pub(crate) fn id_lanes(workers: u64) -> u64 {
    2 * workers + 1
}

/// Returns the number of ids in a lane if a worker sends `messages` messages: a thousand for each, and at least
/// four in the longest runs. A thousand in every run would use up a server's 2^53 ids in about a hundred runs.
pub(crate) fn ids_each(messages: u64) -> u64 {
    let many = messages.saturating_mul(1_000).clamp(1_000_000, 1_000_000_000);
    messages.saturating_mul(4).saturating_add(many)
}

/// Results that are passed to `done`.
#[derive(Debug)]
#[cfg_attr(not(feature = "lua"), expect(dead_code, reason = "only scripts read it"))]
pub(crate) struct ScriptSummary<'a> {
    /// Time of sending and answering.
    pub(crate) duration: Nanos,
    /// Number of responses.
    pub(crate) requests: u64,
    /// Bytes of responses.
    pub(crate) bytes: u64,
    /// Failures.
    pub(crate) errors: ScriptErrorCounts,
    /// Response times.
    pub(crate) latency: &'a Latencies,
    /// Requests per second of each thread, in thousandths.
    pub(crate) rates: &'a Latencies,
}

/// Failures as wrk counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ScriptErrorCounts {
    /// Connections that could not be opened.
    pub(crate) connect: u64,
    /// Connections that broke, and responses that were not HTTP.
    pub(crate) read: u64,
    /// Requests that could not be written completely.
    pub(crate) write: u64,
    /// Responses with a status above 399.
    pub(crate) status: u64,
    /// Timeouts.
    pub(crate) timeout: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MsgId;

    #[test]
    fn a_lane_has_ids_for_bodies_with_hundreds_and_for_many_runs() {
        // A hundred ids a message at 1,000 a second for ten minutes, and ten times that.
        assert!(ids_each(600_000) >= 600_000 * 1_000);
        assert!(ids_each(1) >= 1_000_000);
        // An hour at the highest rate on 32 threads, five thousand times.
        let messages = 3_600_000_000;
        let run = IdSpace::needed(ids_each(messages), id_lanes(32), 100);
        assert!(MsgId::MAX / run >= 5_000, "{run}");
        assert_eq!(ids_each(u64::MAX), u64::MAX);
    }
}
