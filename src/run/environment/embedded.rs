//! The embedded servers of a run: children of this binary if the services are, otherwise threads.

use std::net::{Ipv4Addr, TcpListener};

use super::service::{Service, listening_port, start_thread};
use super::{READY_TIMEOUT, RunServer, ServerRole, Services};
use crate::core::Address;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::child::{Child, Launch};
use crate::pipeline::servers::embedded::{PASSWORD_VARIABLE, broker, queue};
use crate::pipeline::servers::password::Password;
use crate::run::RunError;

/// Starts a server on a free loopback port, with a password that only this run has.
pub(super) async fn start(server: ServerRole, how: &Services) -> Result<RunServer, RunError> {
    let password = Password::random().map_err(RunError::Thread)?;
    let (port, service) = start_with(server, how, &password).await?;
    let address =
        Address::loopback(server.scheme(), port).with_login(server.user(), password.secret());
    Ok(RunServer { service, address })
}

async fn start_with(
    server: ServerRole,
    how: &Services,
    password: &Password,
) -> Result<(u16, Service), RunError> {
    match how {
        Services::Children(program) => {
            let args = ["embedded", server.name(), "--listen", "127.0.0.1:0"];
            let mut child = Child::start(Launch {
                name: server.name(),
                program: &program.to_string_lossy(),
                args: args.map(str::to_owned).to_vec(),
                env: vec![(PASSWORD_VARIABLE, password.secret().to_owned())],
                stdin: None,
            })
            .await?;
            let port = child.expect_line(READY_TIMEOUT, listening_port).await?;
            Ok((port, Service::Child(child)))
        }
        Services::InProcess => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(RunError::Thread)?;
            let port = listener.local_addr().map_err(RunError::Thread)?.port();
            Ok((port, thread(server, listener, password.clone()).await?))
        }
    }
}

async fn thread(
    server: ServerRole,
    listener: TcpListener,
    password: Password,
) -> Result<Service, RunError> {
    start_thread(server.name(), move |ready, shutdown| async move {
        // The listener takes connections already.
        ready();
        let result = match server {
            ServerRole::Queue => queue::run(listener, Some(password), shutdown).await,
            ServerRole::Broker => broker::run(listener, Some(password), shutdown).await,
        };
        result.map_err(|error| StackError::Start {
            program: server.name().to_owned(),
            reason: error.to_string(),
        })
    })
    .await
}
