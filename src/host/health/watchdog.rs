//! A thread that sleeps for short spans and notices when the whole process did not run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use super::run_queue_delay;
use crate::core::clock::{self, Nanos};

/// Length of one sleep.
const SLEEP: Nanos = Nanos::from_millis(50);
/// Shorter gaps are not counted: a timer may be late for reasons of its own.
const SHORTEST_STOP: Nanos = Nanos::from_millis(100);
/// Sleeps in which a thread that is late may run. On a busy machine one is not enough.
const MOST_WAITS: u32 = 10;

/// Time in which this process was stopped: by a signal, by a debugger, with its container.
#[derive(Debug)]
pub(super) struct Watchdog {
    counted: Arc<Counted>,
    /// The thread ends when this is dropped.
    _running: Sender<()>,
}

#[derive(Debug, Default)]
struct Counted {
    stopped: AtomicU64,
    wakes_at: AtomicU64,
}

impl Watchdog {
    /// Without a thread, where none can be had, no stop is seen.
    pub(super) fn start() -> Self {
        let counted = Arc::<Counted>::default();
        let (running, ended) = channel();
        let own = Arc::clone(&counted);
        // From here on, not from when the thread first runs: a stop may come before that.
        let first_wake = clock::now() + SLEEP;
        own.wakes_at.store(first_wake.0, Relaxed);
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        let _ = thread.spawn(move || {
            let (mut wakes_at, mut delay) = (first_wake, Nanos::ZERO);
            loop {
                let left = wakes_at - clock::now();
                if ended.recv_timeout(left.as_duration()) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let now = clock::now();
                let before = std::mem::replace(&mut delay, run_queue_delay());
                // A thread that waits for a CPU is late as well, but it was not stopped.
                own.stopped.fetch_add(stop_in(now - wakes_at, delay - before).0, Relaxed);
                wakes_at = now + SLEEP;
                own.wakes_at.store(wakes_at.0, Relaxed);
            }
        });
        Self { counted, _running: running }
    }

    /// Time stopped so far. A stop that has just ended counts although the thread has not run since.
    pub(super) fn stopped(&self) -> Nanos {
        let wakes_at = self.counted.wakes_at.load(Relaxed);
        for _ in 0..MOST_WAITS {
            let has_run = self.counted.wakes_at.load(Relaxed) != wakes_at;
            if has_run || clock::now() - Nanos(wakes_at) <= SHORTEST_STOP {
                break;
            }
            // Lets the thread run, which knows whether it waited for a CPU.
            std::thread::sleep(SLEEP.as_duration());
        }
        Nanos(self.counted.stopped.load(Relaxed))
    }
}

/// The part of a late wake-up that was a stop; the rest is a wait for a CPU.
fn stop_in(late: Nanos, delay: Nanos) -> Nanos {
    let stopped = late - delay;
    if stopped >= SHORTEST_STOP { stopped } else { Nanos::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_a_cpu_is_not_a_stop() {
        let second = Nanos::from_secs(1);
        assert_eq!(stop_in(second, Nanos::ZERO), second);
        assert_eq!(stop_in(second, second), Nanos::ZERO);
        assert_eq!(stop_in(Nanos::from_millis(20), Nanos::ZERO), Nanos::ZERO);
    }
}
