//! The machine and its processes: CPU time, memory, limits, and what the machine took from the generator.

#[cfg(feature = "pipeline")]
pub(crate) mod descriptors;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod named_processes;
pub mod resources;
