//! The embedded servers in a build without the feature `embedded`: there are none to start.

use super::Services;
use super::service::Service;
use crate::pipeline::servers::StackError;
use crate::run::RunError;

/// The server that cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmbeddedServer {
    Queue,
    Broker,
}

/// Always fails: the error names the server and the program to install.
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub(super) async fn start(
    server: EmbeddedServer,
    _: &Services,
) -> Result<(u16, Service), RunError> {
    let (server, flag) = match server {
        EmbeddedServer::Queue => ("queue", "--redis URL"),
        EmbeddedServer::Broker => ("broker", "--mqtt URL"),
    };
    Err(StackError::NoEmbedded { server, flag }.into())
}
