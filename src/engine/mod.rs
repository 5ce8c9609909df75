//! The load: when each request is due, the loop that sends it, and the numbers it leaves behind.

pub mod by_request;
pub mod control;
pub mod counters;
mod course;
pub mod ending;
mod flow;
pub mod line;
pub mod recorder;
pub mod schedule;
pub mod supply;
pub mod transport;
pub mod worker;

pub use by_request::{Mixture, RequestResult};
pub use control::{Control, Gauges};
pub use counters::{Counters, Errors, StatusCounts};
pub use recorder::{IntervalReport, LoadResult, Sampled};
pub use schedule::{Schedule, Slot};
pub use supply::{Brief, Work};
pub use worker::Worker;
