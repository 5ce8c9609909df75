//! The API server: takes a message over HTTP and answers when the queue has it.
//!
//! A listener hands connections out to lanes in turn. A lane is a thread with its own runtime, HTTP
//! server and Redis connection, so that lanes share nothing on the way of a message.

mod enqueue;
mod lane;
mod service;
mod settings;

use std::fmt::Display;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::stamps;
use super::{Shutdown, stopped};
use crate::pipeline::servers::StackError;

use lane::{Lane, serve};
pub use settings::{ApiCounts, ApiSettings, DEFAULT_MAX_BODY};

/// Serves on `listener` until `shutdown`. `ready` is called once requests are answered.
pub async fn run(
    listener: TcpListener,
    settings: ApiSettings,
    counts: Arc<ApiCounts>,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) = stamps::start(&settings.log_server, settings.sample, "api").await?;
    let settings = Arc::new(settings);
    let (up, mut all_up) = mpsc::channel(settings.threads);
    let mut lanes = Vec::new();
    let mut threads = Vec::new();
    for lane in 0..settings.threads {
        let (hand_over, connections) = mpsc::unbounded_channel();
        let post = Lane {
            settings: Arc::clone(&settings),
            counts: Arc::clone(&counts),
            stamper: stamper.clone(),
            shutdown: shutdown.clone(),
        };
        let up = up.clone();
        let start = std::thread::Builder::new().name(format!("api-{lane}"));
        threads.push(start.spawn(move || serve(post, connections, up)).map_err(failed)?);
        lanes.push(hand_over);
    }
    drop((up, stamper));
    for _ in 0..settings.threads {
        if let Some(Err(error)) = all_up.recv().await {
            return Err(error);
        }
    }
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    ready();
    tokio::select! {
        () = accept(&listener, &lanes) => {}
        () = stopped(&mut shutdown) => {}
    }
    drop((listener, lanes));
    let all = tokio::task::spawn_blocking(move || threads.into_iter().all(|t| t.join().is_ok()));
    if !all.await.unwrap_or(false) {
        return Err(failed("a lane panicked"));
    }
    let _ = writer.await;
    Ok(())
}

fn failed(reason: impl Display) -> StackError {
    StackError::Start { program: "api".to_owned(), reason: reason.to_string() }
}

/// Hands connections to the lanes in turn, for ever.
async fn accept(
    listener: &tokio::net::TcpListener,
    lanes: &[mpsc::UnboundedSender<std::net::TcpStream>],
) {
    let mut turn = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A standard stream: each lane's runtime has an event loop of its own.
                if let Ok(stream) = stream.into_std() {
                    let _ = lanes[turn % lanes.len()].send(stream);
                    turn += 1;
                }
            }
            Err(error) => {
                // Out of descriptors, mostly: some will be closed.
                log::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
