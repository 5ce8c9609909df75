//! When a run starts: at once, or at a time that several nodes agreed on.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch as signal;
use tokio::time::sleep;

use super::RunError;
use super::watch::{Audience, Phase, Progress, asked_to_stop};
use crate::clock::{self, Nanos};
use crate::observations::Totals;

/// The moment between "all are ready" and the first slot where no time was agreed on.
const RUN_UP: Duration = Duration::from_millis(20);
/// Connections are made this long before the start: servers close those that idle longer.
const CONNECT_BEFORE: Duration = Duration::from_secs(3);
/// How often the wall clock is looked at: it may be set while we wait.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until it is time to connect. Says so to the audience, and ends early when asked to.
pub(super) async fn wait(
    at: SystemTime,
    stop: &mut Option<signal::Receiver<bool>>,
    audience: &mut Audience,
) -> Result<(), RunError> {
    let (begun, nothing) = (Instant::now(), Arc::default());
    loop {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        let Some(to_wait) = left.checked_sub(CONNECT_BEFORE).filter(|left| !left.is_zero()) else {
            return Ok(());
        };
        if let Some(audience) = audience {
            let elapsed = begun.elapsed();
            audience(&Progress::waiting(elapsed, elapsed + left, &nothing));
        }
        tokio::select! {
            () = sleep(to_wait.min(LOOK)) => {}
            () = asked_to_stop(stop) => return Err(RunError::Stopped),
        }
    }
}

/// The first slot's place on the clock, and the same point of the wall clock.
pub(super) fn zero(at: Option<SystemTime>) -> Result<(Nanos, SystemTime), RunError> {
    let now = SystemTime::now();
    let at = at.unwrap_or(now + RUN_UP);
    match at.duration_since(now) {
        Ok(left) => Ok((clock::now() + left.into(), at)),
        Err(late) => Err(RunError::Late(late.duration())),
    }
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
