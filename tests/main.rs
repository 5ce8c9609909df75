//! Integration tests: the built binary against real servers. One binary, so that it links once.

/// The HTML page, in headless Chromium.
mod html;
/// What a run does at its edges: signals, bad usage, unwritable files, missing programs, exit codes.
mod lifecycle;
/// Whole runs through api, Redis, push, broker and subscriber, and what their reports say.
mod pipeline;
/// `loadgen ramp`: steps one after another, and what is kept when something goes wrong.
mod ramp;
/// `--script`: what wrk's scripts do, on the wire and in the report.
#[cfg(feature = "lua")]
mod script;
/// `api`, `push` and `subscribe` on their own: bad input, servers that go and come back, stopping.
mod services;
/// Private servers, processes, HTTP and `/proc` for the tests. No test lives here.
mod support;
/// Ways to the target: TLS, HTTP/2, unix sockets, other addresses, proxies, connections that are not kept.
mod transports;
/// The order of a worker's turns, and what a rest leaves behind.
mod worker;
