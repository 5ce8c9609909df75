//! Quantities, time and distributions. No input or output.

mod address;
pub(crate) mod backoff;
pub(crate) mod clock;
pub mod distribution;
pub(crate) mod json;
pub(crate) mod nearest;
mod percent;
pub(crate) mod printable;
#[cfg(test)]
pub(crate) mod schema_file;
pub(crate) mod secrets;
pub mod units;

pub(crate) use address::Scheme;
#[cfg(feature = "pipeline")]
pub(crate) use address::SentinelAddress;
pub use address::{Address, AddressError};
pub(crate) use address::{ServerType, TlsFiles, TlsFlags};
pub(crate) use backoff::{Backoff, ReconnectPolicy};
pub(crate) use percent::percent_decode;
