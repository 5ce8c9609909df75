//! CPU times of the threads of a process.

use std::collections::HashMap;

/// CPU time of a thread at the first and the last sample, in seconds.
#[derive(Debug, Clone, Copy)]
struct ThreadTime {
    first: f64,
    last: f64,
}

/// CPU times of the threads of a process over the measured time.
#[derive(Debug, Default)]
pub(super) struct ThreadTimes {
    running: HashMap<i32, ThreadTime>,
    /// Largest time of a thread that has ended.
    ended_most: f64,
}

impl ThreadTimes {
    /// Times with one more sample: CPU seconds by the thread's number. A thread that was not in `before` began after it,
    /// unless there is none before.
    pub(super) fn after(before: Option<Self>, sample: HashMap<i32, f64>) -> Self {
        let is_first = before.is_none();
        let Self { running: mut before, mut ended_most } = before.unwrap_or_default();
        let mut running = HashMap::with_capacity(sample.len());
        for (thread, last) in sample {
            let first = match before.get(&thread) {
                // Less time than before: another thread has its number now.
                Some(known) if known.last > last => 0.0,
                Some(known) => {
                    let first = known.first;
                    before.remove(&thread);
                    first
                }
                None if is_first => last,
                None => 0.0,
            };
            running.insert(thread, ThreadTime { first, last });
        }
        for ended in before.into_values() {
            ended_most = ended_most.max(ended.last - ended.first);
        }
        Self { running, ended_most }
    }

    /// CPU seconds of the thread that used the most; `None` without a thread.
    pub(super) fn busiest(&self) -> Option<f64> {
        let running = self.running.values().map(|time| time.last - time.first);
        let most = running.max_by(f64::total_cmp)?;
        Some(most.max(self.ended_most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(before: Option<ThreadTimes>, times: &[(i32, f64)]) -> ThreadTimes {
        ThreadTimes::after(before, times.iter().copied().collect())
    }

    #[test]
    fn the_busiest_thread_is_that_with_the_largest_difference() {
        assert_eq!(ThreadTimes::default().busiest(), None);
        let times = sample(None, &[(1, 100.0), (2, 5.0)]);
        assert_eq!(times.busiest(), Some(0.0));
        let times = sample(Some(times), &[(1, 101.0), (2, 8.0), (3, 2.0)]);
        assert_eq!(times.busiest(), Some(3.0));
        // It has ended, and its number is that of a new thread.
        let times = sample(Some(times), &[(1, 101.0), (2, 1.0), (3, 2.5)]);
        assert_eq!(times.busiest(), Some(3.0));
        let times = sample(Some(times), &[(1, 105.0)]);
        assert_eq!(times.busiest(), Some(5.0));
    }
}
