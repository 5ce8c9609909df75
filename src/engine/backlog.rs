//! Backlog: slots that are due and wait for a connection.
//!
//! It holds ranges of slot numbers, not slots: a second walk over the schedule computes their due times
//! again. So a server that stalls for minutes costs no memory. With a limit on requests in flight, each drop
//! adds at most one range.

use std::collections::VecDeque;

use super::schedule::{Slot, Slots};
use crate::core::clock::Nanos;

/// First-in-first-out queue of one worker's slots.
#[derive(Debug, Clone)]
pub(super) struct Backlog<'a> {
    /// Waiting slots, ascending.
    ranges: VecDeque<SlotRange>,
    /// Number of workers: the distance of one worker's slots.
    step: u64,
    /// Walk that computes due times again.
    walk: Slots<'a>,
    /// First slot, once it was computed. The walk has passed it then.
    front: Option<Slot>,
    len: u64,
    /// Times at which the worker was ready to send the slots, ascending.
    ready: VecDeque<ReadySlots>,
}

/// Slot numbers `first` to `last`, both included, in steps of the number of workers.
#[derive(Debug, Clone, Copy)]
struct SlotRange {
    first: u64,
    last: u64,
}

/// Time at which the slots up to a number entered the backlog.
#[derive(Debug, Clone, Copy)]
struct ReadySlots {
    up_to: u64,
    at: Nanos,
}

/// Largest number of ready times. Beyond it, neighbours are merged, so that the waiting time of a slot can be
/// too short by one tick.
const MOST_READY_TIMES: usize = 1 << 16;

impl<'a> Backlog<'a> {
    /// Creates an empty backlog. `walk` is at the worker's first slot, and `step` is the number of workers.
    pub(super) fn new(walk: Slots<'a>, step: u64) -> Self {
        Self { ranges: VecDeque::new(), step, walk, front: None, len: 0, ready: VecDeque::new() }
    }

    /// Number of slots.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends a slot for which the worker is ready at `at`. Its number is larger than those before.
    pub(super) fn push(&mut self, number: u64, at: Nanos) {
        self.len += 1;
        match self.ready.back_mut() {
            Some(last) if last.at == at => last.up_to = number,
            _ => self.push_ready(ReadySlots { up_to: number, at }),
        }
        match self.ranges.back_mut() {
            Some(range) if range.last + self.step == number => range.last = number,
            _ => self.ranges.push_back(SlotRange { first: number, last: number }),
        }
    }

    fn push_ready(&mut self, ready: ReadySlots) {
        if self.ready.len() >= MOST_READY_TIMES {
            let mut is_second = false;
            self.ready.retain(|_| {
                is_second = !is_second;
                !is_second
            });
        }
        self.ready.push_back(ready);
    }

    /// Removes the first slot. Returns it with the time at which it entered the backlog.
    pub(super) fn pop(&mut self) -> Option<(Slot, Nanos)> {
        let slot = self.peek()?;
        while self.ready.front().is_some_and(|ready| ready.up_to < slot.number) {
            self.ready.pop_front();
        }
        let at = self.ready.front().map_or(Nanos::ZERO, |ready| ready.at);
        self.front = None;
        let range = self.ranges.front_mut()?;
        if range.first == range.last {
            self.ranges.pop_front();
        } else {
            range.first += self.step;
        }
        self.len -= 1;
        Some((slot, at))
    }

    /// Returns the first slot without removing it. Its due time is computed once: with random spacing the walk
    /// passes all slots before it.
    pub(super) fn peek(&mut self) -> Option<Slot> {
        let number = self.ranges.front()?.first;
        if self.front.is_none() {
            self.walk.skip_to(number);
            self.front = self.walk.next();
        }
        self.front
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::Rate;
    use crate::engine::load::ArrivalProcess;
    use crate::engine::schedule::{Schedule, ScheduleConfig};
    use proptest::prelude::*;

    proptest! {
        /// Compares it with a queue of slots, for any slots left out, pushed and popped.
        #[test]
        fn it_behaves_as_a_queue_of_slots(
            steps in prop::collection::vec((any::<bool>(), any::<bool>()), 1..300), workers in 1u64..4, poisson in any::<bool>(),
        ) {
            let arrivals = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
            let rate = Rate::per_second(1_000).expect("a rate");
            let schedule = Schedule::new(ScheduleConfig { arrivals, seed: 3, requests: Some(2_000), ..ScheduleConfig::constant(rate) });
            let mut due = schedule.slots(workers - 1, workers);
            let mut backlog = Backlog::new(due.clone(), workers);
            let mut queue = VecDeque::new();
            for (turn, (admit, take)) in steps.into_iter().enumerate() {
                // Two slots enter at the same time.
                let at = Nanos(turn as u64 / 2);
                let Some(slot) = due.next() else { break };
                if admit { backlog.push(slot.number, at); queue.push_back((slot, at)); }
                prop_assert_eq!(backlog.peek(), queue.front().map(|(slot, _)| *slot));
                if take { prop_assert_eq!(backlog.pop(), queue.pop_front()); }
                prop_assert_eq!(backlog.len(), queue.len() as u64);
            }
        }
    }

    #[test]
    fn a_long_wait_takes_one_range_and_a_limited_number_of_times() {
        let rate = Rate::per_second(1_000_000).expect("a rate");
        let schedule = Schedule::new(ScheduleConfig {
            requests: Some(100_000),
            ..ScheduleConfig::constant(rate)
        });
        let mut backlog = Backlog::new(schedule.slots(1, 2), 2);
        let last = schedule.slots(1, 2).map(|slot| slot.number).max().unwrap_or_default();
        for turn in 0..100_000 {
            backlog.push(last + 2 * turn, Nanos(turn));
        }
        assert!(backlog.ready.len() <= MOST_READY_TIMES && backlog.len() == 100_000);
        assert!(backlog.ready.iter().all(|ready| ready.at.0 * 2 + last == ready.up_to));
        let mut backlog = Backlog::new(schedule.slots(1, 2), 2);
        schedule.slots(1, 2).for_each(|slot| backlog.push(slot.number, Nanos::ZERO));
        assert_eq!((backlog.len(), backlog.ranges.len(), backlog.ready.len()), (50_000, 1, 1));
    }
}
