//! The pipeline's services: api, push, subscriber, and the stamps they leave. Each runs until its
//! caller says stop, finishes what it holds, and counts what it could not do.

pub mod api;
mod keepalive;
mod limit;
pub mod metrics;
pub mod publisher;
pub mod push;
pub(crate) mod queue;
pub mod servers;
pub mod stamps;
pub mod subscriber;

use tokio::sync::watch;

/// Says stop by becoming `true`, or by its sender going away.
pub type Shutdown = watch::Receiver<bool>;

/// Whether it is time to stop.
pub(crate) fn is_stopped(shutdown: &Shutdown) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Waits until it is time to stop.
pub(crate) async fn stopped(shutdown: &mut Shutdown) {
    // An error means that the sender is gone, which is a stop too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
