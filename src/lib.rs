//! loadgen
pub mod cli;
pub mod clock;
pub mod http;
pub mod latency;
pub mod load;
pub mod message;
pub mod observations;
pub mod pipeline;
pub mod plan;
pub mod profile;
pub mod report;
pub mod resources;
pub mod run;
pub mod stack;
mod tls;
pub mod units;
