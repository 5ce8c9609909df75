//! Ctrl-C and SIGTERM: the first asks to stop, the second means now.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Both signals as one stream.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs handlers for both signals instead of their default action.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal of either kind.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Requests a stop at the first signal and returns at the second.
    pub(super) async fn ask_then_insist(&mut self, stop: &watch::Sender<bool>) {
        self.next().await;
        let _ = stop.send(true);
        log::warn!("stopping: waiting for requests in flight; press Ctrl-C again to quit now");
        self.next().await;
    }
}
