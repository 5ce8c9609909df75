//! wrk's Lua scripts (`--script`): one Lua state for `setup` and `done`, and one for each worker, which
//! writes that worker's requests and sees its responses.
//!
//! A worker's state is made, set up and tried before the load begins. While it lasts, the worker's
//! thread alone uses it; afterwards `done` may read its globals. A script that fails ends the run.

#[cfg(not(feature = "lua"))]
mod disabled;
#[cfg(feature = "lua")]
mod address;
#[cfg(feature = "lua")]
mod transfer;
#[cfg(feature = "lua")]
mod error;
#[cfg(feature = "lua")]
mod exit;
#[cfg(feature = "lua")]
mod ids;
#[cfg(feature = "lua")]
mod session;
#[cfg(feature = "lua")]
mod state;
#[cfg(feature = "lua")]
mod stats;
#[cfg(feature = "lua")]
mod worker_handle;
#[cfg(feature = "lua")]
mod raw_url;
#[cfg(feature = "lua")]
mod worker;

use url::Url;

use crate::config::plan::ScriptPlan;
use crate::core::clock::Nanos;
use crate::core::latency::Latencies;
use crate::engine::transport::link::TargetEndpoint;
use crate::message::{IdSpace, Template};

#[cfg(not(feature = "lua"))]
pub use disabled::{Session, Writer};
#[cfg(feature = "lua")]
pub use session::Session;
#[cfg(feature = "lua")]
pub use worker::Writer;

/// A script failed: its file and line, what happened, and where it was called from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({place})")]
pub struct ScriptError {
    /// File, line and cause, as Lua says it.
    pub text: String,
    /// What was called, and in which worker.
    pub place: String,
}

/// What a script is told before the load begins.
#[derive(Debug)]
pub struct Setting<'a> {
    /// The script itself.
    pub script: &'a ScriptPlan,
    /// The URL that is driven.
    pub target: &'a Url,
    /// Headers of the command line.
    pub headers: &'a [(String, Template)],
    /// Where workers connect unless `setup` says otherwise.
    pub endpoint: &'a TargetEndpoint,
    /// How long `wrk.connect` waits.
    pub timeout: Nanos,
    /// Workers, at least 1.
    pub workers: usize,
    /// The run's ids, laid out for [`id_lanes`] workers.
    pub space: IdSpace,
    /// How many ids each of them has.
    pub ids_each: u64,
}

/// How many lanes of ids a run with a script takes: one for each worker's messages, one for each
/// worker's ids that belong to no message, and one for `setup` and `done`.
pub fn id_lanes(workers: u64) -> u64 {
    2 * workers + 1
}

/// How many ids a lane has, where a worker sends `messages`: a script may take a thousand for one, and in
/// the longest runs still four. A thousand of each would use up a server's 2^53 ids in some hundred runs.
pub fn ids_each(messages: u64) -> u64 {
    let many = messages.saturating_mul(1_000).clamp(1_000_000, 1_000_000_000);
    messages.saturating_mul(4).saturating_add(many)
}

/// What `done` is told.
#[derive(Debug)]
pub struct Summary<'a> {
    /// How long it was sent and answered.
    pub duration: Nanos,
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of responses.
    pub bytes: u64,
    /// Failures.
    pub errors: Errors,
    /// How long responses took.
    pub latency: &'a Latencies,
    /// Each thread's requests a second, in thousandths.
    pub rates: &'a Latencies,
}

/// Failures as wrk counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors {
    /// No connection.
    pub connect: u64,
    /// Broken off, or not HTTP.
    pub read: u64,
    /// Not written whole.
    pub write: u64,
    /// Answered with a status above 399.
    pub status: u64,
    /// Not answered in time.
    pub timeout: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MsgId;

    #[test]
    fn there_are_ids_for_bodies_of_hundreds_and_for_many_runs() {
        // A hundred ids a message at 1,000 a second for ten minutes, and ten times that.
        assert!(ids_each(600_000) >= 600_000 * 1_000);
        assert!(ids_each(1) >= 1_000_000);
        // An hour as fast as it goes on 32 threads, five thousand times.
        let messages = 3_600_000_000;
        let run = IdSpace::needed(ids_each(messages), id_lanes(32), 100);
        assert!(MsgId::MAX / run >= 5_000, "{run}");
        assert_eq!(ids_each(u64::MAX), u64::MAX);
    }
}
