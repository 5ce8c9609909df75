//! `loadgen embedded queue|broker`: the servers that a run brings up where Redis and Mosquitto are not
//! installed, each as a process of its own, as the real ones are.

use std::io;
use std::net::TcpListener;

use anyhow::Context as _;
use tokio::sync::watch;

use super::CommandOutcome;
use super::args::{EmbeddedArgs, EmbeddedServer};
use super::signals::Signals;
use crate::host::resources::ensure_descriptors;
use crate::pipeline::servers::embedded::{PASSWORD_VARIABLE, broker, queue};
use crate::pipeline::servers::password::Password;

/// Open-file limit that covers the largest number of connections of a server.
const OPEN_FILES: u64 = queue::MAX_CLIENTS as u64 + 64;

pub(super) async fn embedded(args: EmbeddedArgs) -> anyhow::Result<CommandOutcome> {
    // With a lower limit, further connections wait until another one closes.
    let _ = ensure_descriptors(OPEN_FILES);
    let password = Password::from_env(PASSWORD_VARIABLE);
    match args.server {
        EmbeddedServer::Queue(args) => {
            serve(args.listen, |listener, stop| queue::run(listener, password, stop)).await
        }
        EmbeddedServer::Broker(args) => {
            serve(args.listen, |listener, stop| broker::run(listener, password, stop)).await
        }
    }
}

/// Runs a server until SIGINT or SIGTERM.
async fn serve<F, R>(listen: std::net::SocketAddr, server: F) -> anyhow::Result<CommandOutcome>
where
    F: FnOnce(TcpListener, watch::Receiver<bool>) -> R,
    R: Future<Output = io::Result<()>>,
{
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("--listen {listen}: cannot listen there"))?;
    let mut signals = Signals::new()?;
    let (stop, shutdown) = watch::channel(false);
    println!("listening on {}", listener.local_addr()?);
    let stopping = async {
        signals.ask_then_insist(&stop).await;
    };
    tokio::select! {
        result = server(listener, shutdown) => result?,
        () = stopping => {}
    }
    Ok(CommandOutcome::Done)
}
