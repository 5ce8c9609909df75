//! The API server: takes a message over HTTP and answers when the queue has it.
//!
//! A listener hands connections out to lanes in turn. A lane is a thread with its own runtime, HTTP
//! server and connection to the queue, so that lanes share nothing on the way of a message.

mod body;
mod client_limits;
mod enqueue;
mod lane;
mod limits;
mod own_user;
mod patience;
mod service;
mod settings;

use std::fmt::Display;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::access::AccessControl;
use super::queue::{Queue, queue_of};
use super::stamps;
use super::{Shutdown, stopped};
use crate::pipeline::servers::StackError;

pub use client_limits::ClientLimits;
pub(in crate::pipeline) use lane::Lane;
use lane::{NewConnection, serve};
use limits::{ConnectionSlots, MemoryBudget};
use own_user::OwnUser;
pub use settings::{ApiCounts, ApiSettings};

/// Serves on `listener` until `shutdown`. `ready` is called once requests are answered.
pub async fn run(
    listener: TcpListener,
    settings: ApiSettings,
    counts: Arc<ApiCounts>,
    ready: impl FnOnce(),
    shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) =
        stamps::start(settings.queue.log_server(), &settings.message, "api").await?;
    let access = AccessControl::open(&settings.access).map_err(failed)?;
    let reload = tokio::spawn(Arc::clone(&access).reload_on_hangup());
    let queue = queue_of(&settings.queue);
    let id_fields = settings.message.id_fields();
    let lane =
        Lane { queue, id_fields, settings: Arc::new(settings), counts, access, stamper, shutdown };
    let served = serve_lanes(listener, lane, ready).await;
    reload.abort();
    served?;
    // Ends when the last stamper is gone; it never panics.
    let _ = writer.await;
    Ok(())
}

/// Serves on `listener` with as many copies of `lane` as there are threads, until its shutdown.
pub(in crate::pipeline) async fn serve_lanes<Q: Queue>(
    listener: TcpListener,
    lane: Lane<Q>,
    ready: impl FnOnce(),
) -> Result<(), StackError> {
    let (lane_threads, mut shutdown) = (lane.settings.threads, lane.shutdown.clone());
    let limit = lane.settings.limits.max_memory.max(lane.settings.max_body as u64);
    let memory = MemoryBudget::new(limit);
    let slots = ConnectionSlots::new(lane.settings.limits.max_connections);
    let counts = Arc::clone(&lane.counts);
    let has_tls = lane.access.tls().is_some();
    let own_user = if lane.settings.own_user_only { OwnUser::new() } else { None };
    let (up, mut all_up) = mpsc::channel(lane_threads);
    let mut lanes = Vec::new();
    let mut threads = Vec::new();
    for number in 0..lane_threads {
        let (hand_over, connections) = mpsc::unbounded_channel();
        let (lane, memory, up) = (lane.clone(), Arc::clone(&memory), up.clone());
        let thread = std::thread::Builder::new().name(format!("api-{number}"));
        threads.push(thread.spawn(move || serve(lane, memory, connections, up)).map_err(failed)?);
        lanes.push(hand_over);
    }
    drop((up, lane));
    for _ in 0..lane_threads {
        if let Some(Err(error)) = all_up.recv().await {
            return Err(error);
        }
    }
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    ready();
    let acceptor = Acceptor { listener, lanes, slots, counts, has_tls, own_user };
    tokio::select! {
        () = acceptor.run() => {}
        () = stopped(&mut shutdown) => {}
    }
    drop(acceptor);
    let all = tokio::task::spawn_blocking(move || threads.into_iter().all(|t| t.join().is_ok()));
    if !all.await.unwrap_or(false) {
        return Err(failed("a lane panicked"));
    }
    Ok(())
}

fn failed(reason: impl Display) -> StackError {
    StackError::Start { program: "api".to_owned(), reason: reason.to_string() }
}

/// Answer on a connection that has no place.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 31\r\n\r\ntoo many connections are open.\n";

/// Takes connections and hands them to the lanes in turn.
struct Acceptor {
    listener: tokio::net::TcpListener,
    lanes: Vec<mpsc::UnboundedSender<NewConnection>>,
    slots: ConnectionSlots,
    counts: Arc<ApiCounts>,
    has_tls: bool,
    /// Set if the connections of other users are refused.
    own_user: Option<OwnUser>,
}

impl Acceptor {
    /// Never returns.
    async fn run(&self) {
        let mut turn = 0;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Before it gets a slot, so that others cannot take all of them.
                    if self.own_user.as_ref().is_some_and(|own_user| !own_user.opened(&stream)) {
                        self.counts.denied.add(1);
                        continue;
                    }
                    let Some(slot) = self.slots.take() else {
                        self.refuse(&stream);
                        continue;
                    };
                    if let Ok(stream) = stream.into_std() {
                        let _ = self.lanes[turn % self.lanes.len()]
                            .send(NewConnection { stream, slot });
                        turn += 1;
                    }
                }
                Err(error) => {
                    // Mostly too few file descriptors: the pause lets connections close.
                    log::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Answers a connection that has no place, without waiting for its request.
    fn refuse(&self, stream: &tokio::net::TcpStream) {
        self.counts.refused_connections.add(1);
        if self.has_tls {
            return;
        }
        // If the answer does not fit at once, the client sees a closed connection.
        let _ = stream.try_write(TOO_MANY_CONNECTIONS);
    }
}
