//! The load: when each request is due, the loop that sends it, and the numbers it leaves behind.

pub mod by_request;
pub mod counters;
mod course;
pub mod line;
pub mod recorder;
pub mod schedule;
pub mod worker;

pub use by_request::{Mixture, RequestResult};
pub use counters::{Counters, Errors, StatusCounts};
pub use recorder::{IntervalReport, LoadResult, Sampled};
pub use schedule::{Schedule, Slot};
pub use worker::{Control, Gauges, Worker};
