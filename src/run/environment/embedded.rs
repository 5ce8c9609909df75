//! The embedded servers of a run: children of this binary if the services are, otherwise threads.

use std::net::{Ipv4Addr, TcpListener};

use super::service::{Service, listening_port, start_thread};
use super::{READY_TIMEOUT, ServerRole, Services};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::child::{Child, Launch};
use crate::pipeline::servers::embedded::{broker, queue};
use crate::run::RunError;

/// Starts a server on a free loopback port, and returns the port.
pub(super) async fn start(server: ServerRole, how: &Services) -> Result<(u16, Service), RunError> {
    match how {
        Services::Children(program) => {
            let args = ["embedded", server.name(), "--listen", "127.0.0.1:0"];
            let mut child = Child::start(Launch {
                name: server.name(),
                program: &program.to_string_lossy(),
                args: args.map(str::to_owned).to_vec(),
                env: Vec::new(),
                stdin: None,
            })
            .await?;
            let port = child.expect_line(READY_TIMEOUT, listening_port).await?;
            Ok((port, Service::Child(child)))
        }
        Services::InProcess => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(RunError::Thread)?;
            let port = listener.local_addr().map_err(RunError::Thread)?.port();
            Ok((port, thread(server, listener).await?))
        }
    }
}

async fn thread(server: ServerRole, listener: TcpListener) -> Result<Service, RunError> {
    start_thread(server.name(), move |ready, shutdown| async move {
        // The listener takes connections already.
        ready();
        let result = match server {
            ServerRole::Queue => queue::run(listener, shutdown).await,
            ServerRole::Broker => broker::run(listener, shutdown).await,
        };
        result.map_err(|error| StackError::Start {
            program: server.name().to_owned(),
            reason: error.to_string(),
        })
    })
    .await
}
