//! The pipeline's services: api, push, subscribe, and the stamps that they write. Each runs until its shutdown,
//! then finishes what it holds, and counts what it could not do.

#[cfg(any(feature = "cli", feature = "pipeline"))]
pub mod access;
#[cfg(feature = "pipeline")]
pub mod api;
pub mod arrivals;
pub(crate) mod metrics;
#[cfg(feature = "pipeline")]
pub mod push;
#[cfg(feature = "pipeline")]
pub(crate) mod queue;
pub mod servers;
#[cfg(feature = "pipeline")]
pub mod settings;
pub(crate) mod stamps;
pub(crate) mod start_wait;
#[cfg(feature = "pipeline")]
pub mod subscribe;

use tokio::sync::watch;

/// Stops a service by becoming `true`, or when its sender is dropped.
pub(crate) type Shutdown = watch::Receiver<bool>;

/// Returns true after the shutdown.
pub(crate) fn is_stopped(shutdown: &Shutdown) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Waits for the shutdown.
pub(crate) async fn stopped(shutdown: &mut Shutdown) {
    // An error means that the sender was dropped, which is a shutdown too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
