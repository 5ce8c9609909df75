//! The program as a user runs it: the built binary against real servers and scripted targets.

/// Failures of the target, the network and the machine, and their place in the report.
mod faults;
/// `--fleet`: several nodes that send one load together and meet in Redis.
mod fleet;
/// The HTML page in headless Chromium.
mod html;
/// Start and end of a run: signals, bad usage, files that cannot be written, missing programs, exit codes.
mod lifecycle;
/// `loadgen manifest`: what it prints, started as its launcher would start it.
#[cfg(feature = "pipeline")]
mod manifest;
/// Whole runs through api, Redis, push, broker and subscriber, and their reports.
mod pipeline;
/// `loadgen ramp`: steps one after another, and the results that are kept after a failure.
mod ramp;
/// `--script`: scripts of wrk on the wire and in the report.
#[cfg(feature = "lua")]
mod script;
/// `api`, `push` and `subscribe` alone: bad input, servers that go and come back, stopping.
mod services;
/// Helpers of all test binaries: private servers, processes, HTTP and `/proc`.
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the other binaries, which use the rest"
)]
#[path = "../support/mod.rs"]
mod support;
/// Ways to the target: TLS, HTTP/2, Unix sockets, other addresses, proxies, connections that are not kept.
mod transports;
