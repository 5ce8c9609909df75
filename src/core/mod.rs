//! Quantities, time and distributions. No input or output.

mod address;
pub mod backoff;
pub mod clock;
pub mod distribution;
mod percent;
pub mod printable;
#[cfg(test)]
pub(crate) mod schema_file;
pub mod secrets;
pub mod units;

pub use address::{Address, AddressError, Scheme, ServerType};
pub use backoff::Backoff;
pub(crate) use percent::percent_decode;
