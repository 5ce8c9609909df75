//! When a run starts: at once, or at a time that several nodes agreed on. The time is that of the log
//! server, which all nodes have in common; without one, each node's wall clock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch as signal;
use tokio::time::sleep;

use super::RunError;
use super::measurements::Totals;
use super::monitor::{Phase, Progress, ProgressFn, stop_requested};
use super::redis_log::LogServer;
use crate::core::clock::{self, Nanos};

/// The moment between "all are ready" and the first slot where no time was agreed on.
const RUN_UP: Duration = Duration::from_millis(20);
/// Connections are made this long before the start: servers close those that idle longer.
const CONNECT_BEFORE: Duration = Duration::from_secs(3);
/// Interval between two looks at the clock: it may be set while the run waits.
const LOOK: Duration = Duration::from_millis(100);
/// Looks after which the clock is compared with the log server's again.
const LOOKS_TO_COMPARE: u64 = 10;

/// Waits until it is time to connect. Says so to the audience, and ends early when asked to.
pub(super) async fn wait(
    at: SystemTime,
    log_server: &mut LogServer,
    stop: &mut Option<signal::Receiver<bool>>,
    on_progress: &mut ProgressFn,
) -> Result<(), RunError> {
    let (begun, nothing) = (Instant::now(), Arc::default());
    let mut looks: u64 = 0;
    loop {
        looks += 1;
        if looks.is_multiple_of(LOOKS_TO_COMPARE) {
            log_server.compare_clocks().await;
        }
        let left = log_server.time_until(at)?;
        let Some(to_wait) = left.checked_sub(CONNECT_BEFORE).filter(|left| !left.is_zero()) else {
            return Ok(());
        };
        if let Some(on_progress) = on_progress {
            let elapsed = begun.elapsed();
            on_progress(&Progress::waiting(elapsed, elapsed + left, &nothing));
        }
        tokio::select! {
            () = sleep(to_wait.min(LOOK)) => {}
            () = stop_requested(stop) => return Err(RunError::Stopped),
        }
    }
}

/// The first slot's place on the clock, and the same point in the time that was agreed on.
pub(super) fn zero(
    at: Option<SystemTime>,
    log_server: &LogServer,
) -> Result<(Nanos, SystemTime), RunError> {
    let Some(at) = at else {
        return Ok((clock::now() + RUN_UP.into(), SystemTime::now() + RUN_UP));
    };
    let left = log_server.time_until(at)?;
    Ok((clock::now() + left.into(), at))
}

impl Progress {
    /// Nothing has begun yet.
    fn waiting(elapsed: Duration, until_start: Duration, totals: &Arc<Totals>) -> Self {
        Self {
            phase: Phase::Waiting,
            elapsed,
            planned: Some(until_start),
            rate: 0.0,
            sent: 0,
            in_flight: 0,
            dropped: 0,
            accepted: 0,
            arrived: None,
            queue_depth: None,
            last_second: None,
            totals: Arc::clone(totals),
        }
    }
}
