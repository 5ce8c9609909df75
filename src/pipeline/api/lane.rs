//! A lane of the API server: one thread's connections, on a runtime of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::body::BodyLimits;
use super::enqueue::Enqueuer;
use super::limits::MemoryBudget;
use super::patience::{ConnectionState, PatientSocket};
use super::service::LaneService;
use super::settings::{ApiCounts, ApiSettings};
use crate::message::IdFields;
use crate::pipeline::access::AccessControl;
use crate::pipeline::queue::{Queue, QueueWriter};
use crate::pipeline::servers::StackError;
use crate::pipeline::stamps::Stamper;
use crate::pipeline::{Shutdown, stopped};

/// Time for which an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Largest head, and most bytes of a body that are read at once.
const READ_BUFFER: usize = 64 * 1024;
/// Time allowed for open requests once the service stops.
const GRACE: Duration = Duration::from_millis(700);

/// Configuration of a lane.
#[derive(Clone)]
pub(in crate::pipeline) struct Lane<Q> {
    pub(in crate::pipeline) queue: Q,
    pub(in crate::pipeline) id_fields: IdFields,
    pub(in crate::pipeline) settings: Arc<ApiSettings>,
    pub(in crate::pipeline) counts: Arc<ApiCounts>,
    pub(in crate::pipeline) access: Arc<AccessControl>,
    pub(in crate::pipeline) stamper: Stamper,
    pub(in crate::pipeline) shutdown: Shutdown,
}

/// A connection that was accepted, and its place among those that may be open.
#[derive(Debug)]
pub(super) struct NewConnection {
    /// A standard stream: each lane's runtime has an event loop of its own.
    pub(super) stream: std::net::TcpStream,
    pub(super) slot: OwnedSemaphorePermit,
}

/// Channel through which a lane reports that it is up, or its error.
pub(super) type LaneUp = mpsc::Sender<Result<(), StackError>>;

/// Serves connections until no more are handed over and those that were have finished.
pub(super) fn serve<Q: Queue>(
    lane: Lane<Q>,
    memory: Arc<MemoryBudget>,
    connections: mpsc::UnboundedReceiver<NewConnection>,
    up: LaneUp,
) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            // A task, as each wake of the main future costs another round of the event loop.
            let ended = runtime.block_on(runtime.spawn(run_lane(lane, memory, connections, up)));
            // The task is never cancelled, so an error is its panic.
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        Err(error) => {
            let _ = up.try_send(Err(super::failed(error)));
        }
    }
}

async fn run_lane<Q: Queue>(
    lane: Lane<Q>,
    memory: Arc<MemoryBudget>,
    mut connections: mpsc::UnboundedReceiver<NewConnection>,
    up: LaneUp,
) {
    let Lane { queue, id_fields, settings, counts, access, stamper, shutdown } = lane;
    let started =
        Enqueuer::start(&queue, settings.max_queue, Arc::clone(&counts), stamper.clone()).await;
    let enqueuer = match started {
        Ok(enqueuer) => enqueuer,
        Err(error) => {
            let _ = up.send(Err(error)).await;
            return;
        }
    };
    let _ = up.send(Ok(())).await;
    let bodies =
        BodyLimits { max_body: settings.max_body, time: settings.limits.client_timeout, memory };
    let service = Arc::new(LaneService {
        access,
        bodies,
        id_fields,
        counts,
        stamper,
        shutdown: shutdown.clone(),
        enqueuer,
    });
    let mut open = JoinSet::new();
    // Ends when the listener is gone. Connections that were handed over before are still served.
    while let Some(connection) = connections.recv().await {
        let max_requests = settings.limits.max_requests.unwrap_or(u64::MAX);
        let state = ConnectionState::new(max_requests);
        open.spawn(serve_connection(connection, state, Arc::clone(&service), shutdown.clone()));
        while open.try_join_next().is_some() {}
    }
    let finish = async { while open.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        log::warn!("{} connections did not finish in time", open.len());
    }
}

/// Serves a connection, over TLS if the clients use it.
async fn serve_connection<W: QueueWriter>(
    NewConnection { stream, slot: _slot }: NewConnection,
    state: ConnectionState,
    service: Arc<LaneService<W>>,
    shutdown: Shutdown,
) {
    // Fails if the client has gone already. Then the first read fails too.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let limit = service.bodies.time;
    let socket = PatientSocket::new(stream, state.clone(), limit);
    let Some(tls) = service.access.tls() else {
        return serve_http(socket, state, service, shutdown).await;
    };
    // Errors are the peer's: no TLS, no certificate, or too slow.
    if let Ok(Ok(socket)) = timeout(limit, tls.accept(socket)).await {
        state.handshake_ended();
        serve_http(socket, state, service, shutdown).await;
    }
}

async fn serve_http<W, S>(
    socket: S,
    state: ConnectionState,
    service: Arc<LaneService<W>>,
    mut shutdown: Shutdown,
) where
    W: QueueWriter,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(move |request| {
        let (service, state) = (Arc::clone(&service), state.clone());
        state.request_began();
        async move {
            let mut answer = service.answer(request).await;
            if state.request_ended() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // It begins with the answer before; the socket limits the time of a head that has begun.
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(READ_BUFFER)
        // Answers are small: copying one is cheaper than a vectored write.
        .writev(false)
        .serve_connection(TokioIo::new(socket), handler);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            // Errors are the peer's: a reset, half a request, garbage.
            let _ = connection.await;
        }
    }
}
