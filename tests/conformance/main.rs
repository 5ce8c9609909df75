//! Conformance: the embedded servers do what the real ones do. Each test of the lists runs on both and expects
//! the same answers; faults that concern the embedded server alone run on it alone.

/// The embedded broker and Mosquitto.
mod broker;
/// The embedded queue and `redis-server`.
mod queue;
/// Helpers of all test binaries.
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the other binaries, which use the rest"
)]
#[path = "../support/mod.rs"]
mod support;
