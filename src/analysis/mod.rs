//! Conclusions from reports. Nothing in here runs a load or prints.

pub(crate) mod backlog;
pub(crate) mod bottleneck;
pub mod compare;
#[cfg(test)]
pub(crate) mod example;
pub(crate) mod findings;
pub(crate) mod overload;
pub(crate) mod queue_growth;
