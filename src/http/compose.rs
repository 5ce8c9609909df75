//! What writes the requests that a worker's connections carry, so that a fixed request with holes, a
//! mix of several and a script stand behind the same transport.

use std::fmt;

use super::request::RequestShape;
use crate::message::Values;
use crate::message::template::Rendered;

/// One request, ready for the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composed<'a> {
    /// Head and body as HTTP/1.1 wants them.
    pub bytes: &'a [u8],
    /// Whether the response comes without a body whatever its head says: a HEAD.
    pub bodyless: bool,
}

/// Writes one worker's requests. It is called on that worker's thread just before each send, and the
/// time it takes is no part of the service time.
pub trait Compose: fmt::Debug {
    /// The request of the message with these values.
    fn compose(&mut self, values: &Values) -> Composed<'_>;
}

/// One request whose holes are filled for each message.
#[derive(Debug)]
pub struct Fixed {
    request: Rendered,
    bodyless: bool,
}

impl Fixed {
    /// Renders what stays the same once.
    #[must_use]
    pub fn new(shape: &RequestShape) -> Self {
        Self { request: shape.rendered(), bodyless: shape.expects_no_body() }
    }
}

impl Compose for Fixed {
    fn compose(&mut self, values: &Values) -> Composed<'_> {
        Composed { bytes: self.request.fill(values), bodyless: self.bodyless }
    }
}
