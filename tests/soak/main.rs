//! The pipeline under faults: servers that are killed, frozen, full or cut off, beside an observer that is independent of
//! loadgen. Each message that the api accepted and the observer never had must be told by the report or by push.

/// The faults, one after another in pipelines of their own.
mod faults;
/// Sets of MsgIDs.
mod ids;
/// TCP proxies that cut, freeze, delay, break off and rewrite.
mod link;
/// Memory of the processes over time.
mod memory;
/// The observer of the broker.
mod observer;
/// A pipeline, its generator, and the account at its end.
mod pipeline;
/// Random faults over a long time.
mod soak;
/// Helpers of all test binaries: private servers, processes, HTTP and `/proc`.
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the other binaries, which use the rest"
)]
#[path = "../support/mod.rs"]
mod support;
/// The proxy before the api, which records what was accepted.
mod tap;
