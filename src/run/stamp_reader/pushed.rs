//! Stamps that services push, from the counters that they keep beside the lists. The length of a list says nothing: it
//! is trimmed.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::is_refusal;
use crate::pipeline::stamps::read_counters;

/// Stamps pushed to each list since the beginning.
#[derive(Debug)]
pub(super) struct PushedStamps {
    lists: Vec<PushedToList>,
    /// Redis lets this user read the counters.
    may_read: bool,
}

/// Stamps pushed to one list.
#[derive(Debug, Clone, Copy)]
struct PushedToList {
    name: &'static str,
    /// The counter at the last reading.
    counter: u64,
    pushed: u64,
}

impl PushedStamps {
    /// Counts of no lists.
    pub(super) fn none() -> Self {
        Self { lists: Vec::new(), may_read: true }
    }

    /// Begins with the counters as they are. The places in the lists must be known before: stamps between the two
    /// are then read and not counted, and none is taken for missing.
    pub(super) async fn begin(
        redis: &mut MultiplexedConnection,
        names: impl Iterator<Item = &'static str>,
    ) -> RedisResult<Self> {
        let lists = names.map(|name| PushedToList { name, counter: 0, pushed: 0 }).collect();
        let mut pushed = Self { lists, may_read: true };
        pushed.read(redis).await?;
        pushed.lists.iter_mut().for_each(|list| list.pushed = 0);
        Ok(pushed)
    }

    /// Reads the counters. To be done before the lists are read.
    pub(super) async fn read(&mut self, redis: &mut MultiplexedConnection) -> RedisResult<()> {
        if !self.may_read {
            return Ok(());
        }
        match read_counters(redis, self.lists.iter().map(|list| list.name)).await {
            Ok(counters) => {
                let counters = counters.into_iter().map(Option::unwrap_or_default);
                self.lists.iter_mut().zip(counters).for_each(|(list, now)| list.add(now));
                Ok(())
            }
            Err(error) if is_refusal(&error) => {
                self.may_read = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Stamps pushed to the list in this place.
    pub(super) fn of(&self, n: usize) -> u64 {
        self.lists.get(n).map_or(0, |list| list.pushed)
    }
}

impl PushedToList {
    /// Takes in the counter. A lower one began again: it had expired, or Redis came back without it.
    fn add(&mut self, now: u64) {
        let more = now.checked_sub(self.counter).unwrap_or(now);
        self.pushed += more;
        self.counter = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_begins_again_is_added() {
        let mut list = PushedToList { name: "apiserver", counter: 100, pushed: 0 };
        for (now, pushed) in [(100, 0), (150, 50), (0, 50), (7, 57), (7, 57), (9, 59)] {
            list.add(now);
            assert_eq!(list.pushed, pushed, "{now}");
        }
    }
}
