//! Settings as typed, and the plan that is built from them.

pub mod plan;
pub mod settings;
