//! The engine: sends the load and measures it. It knows neither settings nor plan.
//!
//! A [`Schedule`] gives each slot its due time. A [`Worker`] takes its share of the slots, gets each request from
//! a [`request::RequestSource`], sends it over a [`transport::Transport`], and records the completion in a
//! [`recorder::Recorder`].

pub(crate) mod backlog;
mod by_request;
pub(crate) mod control;
pub(crate) mod counters;
pub(crate) mod load;
pub(crate) mod pool;
mod rate_profile;
pub mod recorder;
pub mod request;
mod schedule;
mod sender;
pub(crate) mod shards;
pub(crate) mod slot_source;
pub(crate) mod stop;
pub mod transport;
pub(crate) mod worker;

pub use by_request::{Mixture, RequestResult};
pub use control::{Control, Gauges};
pub use counters::{Counters, FailureCounts, StatusCounts};
pub(crate) use recorder::LoadResult;
pub use recorder::{IntervalReport, Sampled};
pub use schedule::{Schedule, ScheduleConfig, Slot};
pub use slot_source::{WorkerConfig, WorkerIndex, WorkerLoad};
pub use worker::Worker;
