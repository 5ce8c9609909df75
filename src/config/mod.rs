//! Settings as typed, and the plan that they become.

pub mod plan;
pub mod settings;
