//! Start of a run: at once, or at a time that several nodes agreed on. The time is that of the log server, which
//! all nodes have in common; without one, each node's wall clock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch as signal;
use tokio::time::sleep;

use super::monitor::stop_requested;
use super::progress::{Progress, ProgressFn};
use super::redis_log::LogServer;
use super::{Pending, RunError};
use crate::core::clock::{self, Nanos};

/// Time from "all are ready" to the first slot if no start time was agreed on.
const RUN_UP: Duration = Duration::from_millis(20);
/// Time before the start at which connections are opened: servers may close connections that are idle longer.
const CONNECT_BEFORE: Duration = Duration::from_secs(3);
/// Interval between two readings of the clock: it may be set while the run waits.
const READ_CLOCK_EVERY: Duration = Duration::from_millis(100);
/// Number of readings after which the clock is compared with the log server's again.
const READINGS_TO_COMPARE: u64 = 10;

/// Waits until it is time to connect, and reports progress meanwhile. A requested stop is
/// [`RunError::Stopped`].
pub(super) async fn wait(
    at: SystemTime,
    log_server: &mut LogServer,
    stop: &mut Option<signal::Receiver<bool>>,
    on_progress: &mut ProgressFn,
) -> Result<(), RunError> {
    let (begun, no_totals) = (Instant::now(), Arc::default());
    let mut readings: u64 = 0;
    loop {
        readings += 1;
        if readings.is_multiple_of(READINGS_TO_COMPARE) {
            log_server.compare_clocks().await;
        }
        let left = log_server.time_until(at)?;
        let Some(to_wait) = left.checked_sub(CONNECT_BEFORE).filter(|left| !left.is_zero()) else {
            return Ok(());
        };
        if let Some(on_progress) = on_progress {
            let elapsed = begun.elapsed();
            on_progress(&Progress::waiting(elapsed, elapsed + left, &no_totals));
        }
        tokio::select! {
            () = sleep(to_wait.min(READ_CLOCK_EVERY)) => {}
            () = stop_requested(stop) => return Err(RunError::Stopped),
        }
    }
}

/// Time of the first slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstSlot {
    /// By the monotonic clock.
    pub(crate) at: Nanos,
    /// The same time by the clock that all nodes share, or else by the wall clock.
    pub(crate) wall: SystemTime,
}

/// Agreement of several nodes on the time of the first slot, once each of them has its connections and subscriptions.
pub(crate) trait StartBarrier: Send {
    /// Says that this node is ready, and waits until all are. The time it returns is ahead.
    fn wait(&mut self) -> Pending<'_, Result<FirstSlot, RunError>>;
}

/// Returns the time of the first slot. An error says that the agreed time is over.
pub(super) fn zero(at: Option<SystemTime>, log_server: &LogServer) -> Result<FirstSlot, RunError> {
    let Some(wall) = at else {
        return Ok(FirstSlot {
            at: clock::now() + RUN_UP.into(),
            wall: SystemTime::now() + RUN_UP,
        });
    };
    let left = log_server.time_until(wall)?;
    Ok(FirstSlot { at: clock::now() + left.into(), wall })
}
