//! Conformance: the embedded servers do what the real ones do. Each test of the lists runs on both,
//! and what both answer must be the same; faults that only concern our own server run on that alone.

mod conformance {
    mod queue;
}
#[allow(dead_code, unused_imports, reason = "shared with the other tests, which use the rest")]
mod support;
