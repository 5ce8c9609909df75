//! Stand-in for the reqwest transport in a build without it. No value of its type can exist: the plan refuses
//! the engine.

use std::time::Duration;

use super::config::TransportConfig;
use super::link::TargetLink;
use super::{Completion, ConnectError, OutgoingRequest, Traffic, Transport};
use crate::core::clock::Nanos;
use crate::engine::request::RequestSet;

/// The reqwest transport of one worker.
#[derive(Debug)]
pub(crate) enum ReqwestTransport {}

impl ReqwestTransport {
    /// Refuses the engine.
    pub(crate) fn new(
        _: &RequestSet,
        _: &TransportConfig,
        _: Option<&TargetLink>,
        _: usize,
        _: Duration,
    ) -> Result<Self, ConnectError> {
        Err(ConnectError::Setup(
            "this build does not have the engine reqwest (feature `reqwest`)".to_owned(),
        ))
    }
}

impl Transport for ReqwestTransport {
    fn idle(&self) -> usize {
        match *self {}
    }

    fn send(&mut self, _: OutgoingRequest<'_>) {
        match *self {}
    }

    fn wait(&mut self, _: Nanos, _: &mut Vec<Completion>) {
        match *self {}
    }

    fn abandon(&mut self, _: &mut Vec<Completion>) {
        match *self {}
    }

    fn oldest_due(&self) -> Option<Nanos> {
        match *self {}
    }

    fn traffic(&self) -> Traffic {
        match *self {}
    }
}
