//! Quantities, time and distributions. No input or output.

pub mod backoff;
pub mod clock;
pub mod distribution;
mod percent;
pub mod printable;
#[cfg(test)]
pub(crate) mod schema_file;
pub mod secrets;
pub mod units;

pub use backoff::Backoff;
pub(crate) use percent::percent_decode;
