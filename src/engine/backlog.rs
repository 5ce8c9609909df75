//! The line: slots that are due and wait for a connection.
//!
//! It holds ranges of slot numbers, not slots: a second walk over the schedule gives their due times
//! again. So a server that stalls for minutes costs no memory, and in one with a limit on what is in
//! flight each drop splits a range at most.

use std::collections::VecDeque;

use super::schedule::{Slot, Slots};
use crate::core::clock::Nanos;

/// A first-in-first-out line of one worker's slots.
#[derive(Debug, Clone)]
pub struct Backlog<'a> {
    /// Inclusive, ascending.
    ranges: VecDeque<(u64, u64)>,
    step: u64,
    walk: Slots<'a>,
    /// The slot at the front, once somebody has asked. The walk is behind it then.
    front: Option<Slot>,
    len: u64,
    /// When the worker came to the slots, ascending: of all up to a number.
    seen: VecDeque<ReadySlots>,
}

/// The slots up to a number came into the line at once.
#[derive(Debug, Clone, Copy)]
struct ReadySlots {
    up_to: u64,
    at: Nanos,
}

/// With more entries neighbours are joined. A wait that spans so many ticks is told too short by a tick.
const MOST_SEEN: usize = 1 << 16;

impl<'a> Backlog<'a> {
    /// An empty line; `walk` stands at the worker's first slot and `step` is the number of workers.
    pub fn new(walk: Slots<'a>, step: u64) -> Self {
        Self { ranges: VecDeque::new(), step, walk, front: None, len: 0, seen: VecDeque::new() }
    }

    /// Slots in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a slot at the end, at a time. Its number is above all that came before.
    pub fn push(&mut self, number: u64, at: Nanos) {
        self.len += 1;
        match self.seen.back_mut() {
            Some(last) if last.at == at => last.up_to = number,
            _ => self.note_seen(ReadySlots { up_to: number, at }),
        }
        match self.ranges.back_mut() {
            Some((_, last)) if *last + self.step == number => *last = number,
            _ => self.ranges.push_back((number, number)),
        }
    }

    fn note_seen(&mut self, seen: ReadySlots) {
        if self.seen.len() >= MOST_SEEN {
            let mut is_second = false;
            self.seen.retain(|_| {
                is_second = !is_second;
                !is_second
            });
        }
        self.seen.push_back(seen);
    }

    /// Takes the one that has waited longest, with the time at which it was put in.
    pub fn pop(&mut self) -> Option<(Slot, Nanos)> {
        let slot = self.peek()?;
        while self.seen.front().is_some_and(|seen| seen.up_to < slot.number) {
            self.seen.pop_front();
        }
        let at = self.seen.front().map_or(Nanos::ZERO, |seen| seen.at);
        self.front = None;
        let (first, last) = self.ranges.front_mut()?;
        if first == last {
            self.ranges.pop_front();
        } else {
            *first += self.step;
        }
        self.len -= 1;
        Some((slot, at))
    }

    /// The one that has waited longest, left in its place. The way to it is walked once: with random
    /// spacing it is as long as the slots between.
    pub fn peek(&mut self) -> Option<Slot> {
        let (number, _) = self.ranges.front()?;
        if self.front.is_none() {
            self.walk.skip_to(*number);
            self.front = self.walk.next();
        }
        self.front
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::Rate;
    use crate::engine::Schedule;
    use crate::engine::load::ArrivalProcess;
    use proptest::prelude::*;

    proptest! {
        /// As a queue of slots would, with whatever is left out, pushed and popped.
        #[test]
        fn it_is_a_queue(
            steps in prop::collection::vec((any::<bool>(), any::<bool>()), 1..300), workers in 1u64..4, poisson in any::<bool>(),
        ) {
            let arrivals = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
            let rate = Rate::per_second(1_000).expect("a rate");
            let schedule = Schedule::new(rate, (arrivals, 3), Nanos::ZERO, (None, Some(2_000)));
            let mut due = schedule.slots(workers - 1, workers);
            let mut line = Backlog::new(due.clone(), workers);
            let mut queue = VecDeque::new();
            for (turn, (admit, take)) in steps.into_iter().enumerate() {
                // Two slots come at once.
                let at = Nanos(turn as u64 / 2);
                let Some(slot) = due.next() else { break };
                if admit { line.push(slot.number, at); queue.push_back((slot, at)); }
                prop_assert_eq!(line.peek(), queue.front().map(|(slot, _)| *slot));
                if take { prop_assert_eq!(line.pop(), queue.pop_front()); }
                prop_assert_eq!(line.len(), queue.len() as u64);
            }
        }
    }

    #[test]
    fn a_long_wait_costs_one_range_and_a_bounded_number_of_times() {
        let rate = Rate::per_second(1_000_000).expect("a rate");
        let schedule =
            Schedule::new(rate, (ArrivalProcess::Constant, 1), Nanos::ZERO, (None, Some(100_000)));
        let mut line = Backlog::new(schedule.slots(1, 2), 2);
        let last = schedule.slots(1, 2).map(|slot| slot.number).max().unwrap_or_default();
        for turn in 0..100_000 {
            line.push(last + 2 * turn, Nanos(turn));
        }
        assert!(line.seen.len() <= MOST_SEEN && line.len() == 100_000);
        assert!(line.seen.iter().all(|seen| seen.at.0 * 2 + last == seen.up_to));
        let mut line = Backlog::new(schedule.slots(1, 2), 2);
        schedule.slots(1, 2).for_each(|slot| line.push(slot.number, Nanos::ZERO));
        assert_eq!((line.len(), line.ranges.len(), line.seen.len()), (50_000, 1, 1));
    }
}
