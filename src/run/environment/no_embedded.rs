//! The embedded servers in a build without the feature `embedded`: there are none to start.

use super::{RunServer, ServerRole, Services};
use crate::pipeline::servers::StackError;
use crate::run::RunError;

/// Always fails: the error names the server and the program to install.
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub(super) async fn start(server: ServerRole, _: &Services) -> Result<RunServer, RunError> {
    let flag = match server {
        ServerRole::Queue => "--redis URL",
        ServerRole::Broker => "--mqtt URL",
    };
    Err(StackError::NoEmbedded { server: server.name(), flag }.into())
}
