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
pub(crate) mod recorder;
pub(crate) mod request;
pub(crate) mod schedule;
mod sender;
pub(crate) mod shards;
pub(crate) mod slot_source;
pub(crate) mod stop;
pub(crate) mod transport;
pub(crate) mod worker;

pub(crate) use by_request::{Mixture, RequestResult};
pub(crate) use recorder::{IntervalReport, LoadResult, Sampled};
