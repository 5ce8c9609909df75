//! Requests: their sources, their shapes, and their rendering for each transport.
//!
//! A [`RequestSource`] decides for each message which request is sent; a transport renders it for its
//! protocol. So a new source works with every transport, and a new transport with every source of
//! templates.

#[cfg(feature = "lua")]
pub(crate) mod framing;
#[cfg(feature = "reqwest")]
pub(crate) mod prototype;
mod shape;
mod source;
pub(crate) mod wire;

pub(crate) use shape::{RequestSet, RequestShape};
pub(crate) use source::{Batch, Prepared, PreparedContent, RequestSource, source_of};
