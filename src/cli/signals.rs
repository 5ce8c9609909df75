//! Ctrl-C and SIGTERM: the first asks to stop, the second means now.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Both signals as one stream.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from their default action.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one of either.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Says stop at the first, returns at the second.
    pub(super) async fn ask_then_insist(&mut self, stop: &watch::Sender<bool>) {
        self.next().await;
        let _ = stop.send(true);
        log::warn!("stopping: waiting for requests in flight; press Ctrl-C again to quit now");
        self.next().await;
    }
}
