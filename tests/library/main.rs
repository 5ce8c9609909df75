//! The public items of the crate, and the structure of its sources and documents.

/// The crate as another project uses it.
mod face;
/// Plain English in the sources and documents.
mod language;
/// Direction of the imports, links of the documents.
mod layers;
/// Helpers of all test binaries.
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the other binaries, which use the rest"
)]
#[path = "../support/mod.rs"]
mod support;
/// The places with unsafe code.
mod unsafe_code;
/// Two runs in one process.
mod two_runs;
