//! The load: when each request is due, the loop that sends it, and the numbers it leaves behind.

pub mod by_request;
pub mod control;
pub mod counters;
pub mod load;
pub(crate) mod pool;
pub mod shards;
mod rate_profile;
pub mod stop;
mod sender;
pub mod backlog;
pub mod recorder;
pub mod schedule;
pub mod slot_source;
pub mod transport;
pub mod worker;

pub use by_request::{Mixture, RequestResult};
pub use control::{Control, Gauges};
pub use counters::{Counters, FailureCounts, StatusCounts};
pub use recorder::{IntervalReport, LoadResult, Sampled};
pub use schedule::{Schedule, Slot};
pub use slot_source::{WorkerConfig, WorkerLoad};
pub use worker::Worker;
