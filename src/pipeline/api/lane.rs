//! A lane of the API server: one thread's connections, on a runtime of their own.

use std::convert::Infallible;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::enqueue::Enqueuer;
use super::service::Service;
use super::settings::{ApiCounts, ApiSettings};
use crate::pipeline::servers::StackError;
use crate::pipeline::stamps::Stamper;
use crate::pipeline::{Shutdown, stopped};

/// How long a head may take. The time begins with the answer before it, so it is also how long an
/// idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long connections may take to finish what they hold once it is time to stop.
const GRACE: Duration = Duration::from_millis(700);

/// What a lane needs.
pub(super) struct Lane {
    pub(super) settings: Arc<ApiSettings>,
    pub(super) counts: Arc<ApiCounts>,
    pub(super) stamper: Stamper,
    pub(super) shutdown: Shutdown,
}

/// Where a lane says that it is up, or why not.
pub(super) type LaneUp = mpsc::Sender<Result<(), StackError>>;

/// Serves connections until no more are handed over and those that were have finished.
pub(super) fn serve(lane: Lane, connections: mpsc::UnboundedReceiver<StdStream>, up: LaneUp) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            // As a task: what wakes the main future costs a round of the event loop of its own.
            let ended = runtime.block_on(runtime.spawn(run_lane(lane, connections, up)));
            // Nobody cancels it.
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        Err(error) => {
            let _ = up.try_send(Err(super::failed(error)));
        }
    }
}

async fn run_lane(lane: Lane, mut connections: mpsc::UnboundedReceiver<StdStream>, up: LaneUp) {
    let Lane { settings, counts, stamper, shutdown } = lane;
    let enqueuer = match Enqueuer::start(&settings, Arc::clone(&counts), stamper.clone()).await {
        Ok(enqueuer) => enqueuer,
        Err(error) => {
            let _ = up.send(Err(error)).await;
            return;
        }
    };
    let _ = up.send(Ok(())).await;
    let service = Arc::new(Service { settings, counts, stamper, enqueuer });
    let mut open = JoinSet::new();
    // Ends when the listener is gone, and takes with it the connections that were handed over.
    while let Some(stream) = connections.recv().await {
        open.spawn(serve_connection(stream, Arc::clone(&service), shutdown.clone()));
        while open.try_join_next().is_some() {}
    }
    let finish = async { while open.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        log::warn!("{} connections did not finish in time", open.len());
    }
}

async fn serve_connection(stream: StdStream, service: Arc<Service>, mut shutdown: Shutdown) {
    // The peer may have gone already; then there is nothing to serve.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // An answer is small: its bytes are copied sooner than the kernel looks at a list of pieces.
        .writev(false)
        .serve_connection(TokioIo::new(stream), handler);
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
