//! The machine and its processes: CPU time, memory, limits, and what the machine took from the generator.

pub mod health;
pub mod resources;
