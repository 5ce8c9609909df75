//! What writes the requests that a worker's connections carry, so that a fixed request with holes, a
//! mix of several and a script stand behind the same transport.

use std::fmt;
use std::sync::Arc;

use super::captured::CapturedResponse;
use super::request::{RequestShape, Requests};
use crate::core::clock::Nanos;
use crate::message::{Mix, Rendered, Values};

/// One request, ready for the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComposedRequest<'a> {
    /// Head and body as HTTP/1.1 wants them; nothing where none could be written.
    pub bytes: &'a [u8],
    /// Whether the response comes without a body whatever its head says: a HEAD.
    pub bodyless: bool,
}

/// Writes one worker's requests. It is called on that worker's thread just before each send, and the
/// time it takes is no part of the service time.
pub trait RequestSource: fmt::Debug {
    /// The request of the message with these values; of a script, what it wrote last.
    fn compose(&mut self, values: &Values) -> ComposedRequest<'_>;

    /// The rest of what a script does; `None` where there is no script.
    fn hooks(&mut self) -> Option<&mut dyn ScriptHooks> {
        None
    }
}

/// What was composed at once, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Requests in the bytes: so many responses are expected, in their order.
    pub requests: u64,
    /// Ids that were used up, from the first message's on; at least `requests`.
    pub ids: u64,
    /// Requests that do not carry the id of their message, as far as one can tell.
    pub unnumbered: u64,
}

impl Batch {
    /// One request, and its message's id.
    pub const ONE: Self = Self { requests: 1, ids: 1, unnumbered: 0 };
}

/// What a script wants of the transport; it does not change while requests are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// To compose each request by itself: the time it takes is counted.
    pub requests: bool,
    /// To see responses with their heads and bodies.
    pub responses: bool,
    /// To hold connections back.
    pub delays: bool,
}

/// What a script does beside composing. All of it is called on the worker's thread.
pub trait ScriptHooks {
    /// What it wants.
    fn wants(&self) -> Wants;

    /// Writes what [`RequestSource::compose`] gives from now on: for the message with these values, and for
    /// the ones after it where it is several requests.
    fn write(&mut self, values: &Values) -> Batch;

    /// How long a connection that has become free is held back.
    fn delay(&mut self) -> Nanos;

    /// A response is complete.
    fn response(&mut self, status: u16, response: &CapturedResponse);

    /// Whether this worker is to send no more.
    fn stopped(&self) -> bool;
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

impl RequestSource for Fixed {
    fn compose(&mut self, values: &Values) -> ComposedRequest<'_> {
        ComposedRequest { bytes: self.request.fill(values), bodyless: self.bodyless }
    }
}

/// Several requests, each in its turn.
#[derive(Debug)]
struct Mixed {
    mix: Arc<Mix>,
    requests: Vec<Fixed>,
}

impl RequestSource for Mixed {
    fn compose(&mut self, values: &Values) -> ComposedRequest<'_> {
        let turn = self.mix.turn(values.turn);
        self.requests[turn.request].compose(&Values { turn: turn.nth, ..*values })
    }
}

/// What writes the requests of a plan.
pub fn composer(requests: &Requests) -> Box<dyn RequestSource> {
    match requests.shapes() {
        [only] => Box::new(Fixed::new(only)),
        several => Box::new(Mixed {
            mix: Arc::clone(requests.mix()),
            requests: several.iter().map(Fixed::new).collect(),
        }),
    }
}
