//! loadgen sends load at a set rate into an asynchronous pipeline and measures what its users wait
//! for: the time until each message *arrives*.
//!
//! ```text
//!  loadgen ──HTTP POST──▶ api ──LPUSH──▶ Redis list ──pop──▶ push ──PUBLISH──▶ MQTT broker ──▶ subscriber
//!     │                    │                                   │                                  │
//!     └── due, sent        └──────── sampled stamps, in Redis's time ────────┘            (in loadgen)
//! ```
//!
//! # The flow
//!
//! ```text
//! Settings ─▶ Plan ─▶ Slot{number, due} ─▶ Completion ─▶ Recorder (per worker) ─▶ Report
//! ```
//!
//! Data flows one way, and so do imports (`tests/library/layers.rs` holds it). Each room may use those above it:
//!
//! | room | contents |
//! | --- | --- |
//! | [`core`] | units, clock, distributions, backoff, masked secrets, printable text: no input or output |
//! | [`message`] | MsgIDs, templates that carry them, due times, the account of every message |
//! | [`host`] | CPU and memory of processes, limits and load of the machine |
//! | `net` | kernel timestamps, users of peers, TLS |
//! | `engine` | the load: its configuration, schedule, workers, recorder; `engine::request` chooses and renders requests, `engine::transport` carries them |
//! | [`config`] | settings, as flags or TOML, and the checked plan: nothing after it finds the input invalid |
//! | `script` | wrk's Lua scripts |
//! | [`pipeline`] | api, push, subscriber, stamps, and the servers they use; it and the engine do not know each other |
//! | [`run`] | one run: environment up, load, drain, down, and its report |
//! | [`report`] | the results, judged, merged, saved and read back |
//! | [`analysis`] | conclusions from reports: comparison with a confidence interval, findings of a ramp |
//! | [`output`] | reports, ramps and comparisons as text, HTML and other forms |
//! | `ramp` | steps and searches, one run after another |
//! | `fleet` | several nodes that send one load together, and meet in Redis |
//! | [`cli`] | arguments, progress, exit codes |
//!
//! # Promises
//!
//! 1. **Open loop means open loop.** Slot *n* is due at a pure function of the plan. A slow server
//!    never delays a slot: it is sent, dropped (and counted), or unfinished at the end (and counted).
//!    `planned = sent + dropped`, `sent = completed + failed + unfinished`.
//! 2. **Three times per request, never mixed.** *Lateness* = sent − due is ours, *service* =
//!    answered − sent is theirs, *response* = answered − due is what a user sees, and the headline.
//!    Arrival is counted from *due* too.
//! 3. **The tool doubts itself.** Each run carries a verdict on the generator: `valid`, or `limited`
//!    with reasons.
//! 4. **Overload cannot improve a tail.** Timeouts, drops, unfinished requests and lost messages show
//!    in the counts and, with the age they had reached, in the latencies. A dropped slot has the age
//!    of the oldest request in flight, behind which it would have had to wait.
//! 5. **No message is lost in silence.** Every MsgID that was sent ends as arrived, lost, missed (our
//!    subscriber may have been disconnected when it was published) or unknown (not accepted, and it did not
//!    arrive); duplicates and reordering are counted; the first of them are named.
//! 6. **Memory does not grow with the number of requests**, except for one bit per MsgID in blocks
//!    that are not complete.
//! 7. **No global state**: two runs may share a process. No printing outside [`cli`]. No allocation
//!    per request on the raw path (with TLS, those of rustls: one for each record). Errors are values;
//!    nothing a peer sends can panic us.
//!
//! What is deliberately absent: a feedback from responses to the schedule, a correction that invents
//! samples, a percentile of a sample too small for it, a default that listens beyond loopback.
//!
//! # As a library
//!
//! A smoke test in a project of your own; nothing but the crate needs to be installed:
//!
//! ```no_run
//! use loadgen::{Plan, Runner, Settings};
//!
//! # async fn smoke() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan::new(Settings {
//!     rate: Some("500".parse()?),
//!     duration: Some(std::time::Duration::from_secs(2)),
//!     fail_if: vec!["arrival.p99>50ms".to_owned()],
//!     ..Settings::default()
//! })?;
//! let report = Runner::new().run(&plan).await?;
//! report.assert_ok()?;
//! assert_eq!(report.messages.ok_or("arrivals are not measured")?.lost, 0);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(all(feature = "standard", feature = "lua")),
    allow(
        dead_code,
        unused_imports,
        reason = "a build without a feature leaves parts of rooms unused"
    )
)]

#[cfg(not(target_os = "linux"))]
compile_error!("loadgen needs Linux: epoll, /proc and the parent-death signal");

pub mod core;
pub mod message;

pub mod config;

pub mod host;
mod net;

pub(crate) mod engine;
mod script;

pub mod pipeline;

pub mod run;

pub mod report;

pub mod analysis;
pub mod output;

#[cfg(feature = "pipeline")]
mod fleet;
mod ramp;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(all(feature = "standard", any(test, feature = "internals")))]
#[doc(hidden)]
pub mod bench;
#[cfg(all(feature = "standard", any(test, feature = "internals")))]
#[doc(hidden)]
pub mod fuzz;

pub use config::plan::{Plan, PlanError};
pub use config::settings::Settings;
pub use report::Saved;
pub use report::{Report, RunFailed};
pub use run::{Phase, Progress, RunError, Runner, Services};
