//! What writes the requests that a worker's connections carry, so that a fixed request with holes, a
//! mix of several and a script stand behind the same transport.

use std::fmt;
use std::sync::Arc;

use super::request::{RequestShape, Requests};
use crate::message::{Mix, Rendered, Values};

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

/// Several requests, each in its turn.
#[derive(Debug)]
struct Mixed {
    mix: Arc<Mix>,
    requests: Vec<Fixed>,
}

impl Compose for Mixed {
    fn compose(&mut self, values: &Values) -> Composed<'_> {
        let turn = self.mix.turn(values.turn);
        self.requests[turn.request].compose(&Values { turn: turn.nth, ..*values })
    }
}

/// What writes the requests of a plan.
pub fn composer(requests: &Requests) -> Box<dyn Compose> {
    match requests.shapes() {
        [only] => Box::new(Fixed::new(only)),
        several => Box::new(Mixed {
            mix: Arc::clone(requests.mix()),
            requests: several.iter().map(Fixed::new).collect(),
        }),
    }
}
