//! Rendering of requests as HTTP/1.1: what does not change is rendered once, the rest patched in place.

use super::shape::{RequestSet, RequestShape};
use crate::message::{Rendered, Values};

/// A request or a batch of requests as HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireRequest<'a> {
    /// Heads and bodies; empty if the request could not be written.
    pub(crate) bytes: &'a [u8],
    /// True if the response has no body, whatever its head says: the method is HEAD.
    pub(crate) bodyless: bool,
}

/// All request shapes of a run, rendered.
#[derive(Debug)]
pub(crate) struct WireRequests(Vec<WireShape>);

#[derive(Debug)]
struct WireShape {
    rendered: Rendered,
    bodyless: bool,
}

impl WireShape {
    fn new(shape: &RequestShape) -> Self {
        Self { rendered: shape.rendered(), bodyless: shape.is_head() }
    }
}

impl WireRequests {
    /// Renders the shapes of `requests`.
    pub(crate) fn new(requests: &RequestSet) -> Self {
        Self(requests.shapes().iter().map(WireShape::new).collect())
    }

    /// Returns shape `index` with `values` in its placeholders.
    pub(crate) fn fill(&mut self, index: usize, values: &Values) -> WireRequest<'_> {
        let shape = &mut self.0[index];
        WireRequest { bytes: shape.rendered.fill(values), bodyless: shape.bodyless }
    }
}
