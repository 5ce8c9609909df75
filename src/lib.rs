//! loadgen
pub mod clock;
pub mod latency;
pub mod message;
pub mod plan;
pub mod profile;
pub mod units;
pub mod http;
pub mod load;
pub mod stack;
mod tls;
pub mod pipeline;
pub mod observations;
pub mod resources;
pub mod run;
pub mod report;
pub mod cli;
