//! Choice of one of several weighted requests for a slot: a pure function of the slot's number and the seed.
//!
//! The slots go in cycles as long as the sum of the weights. In each cycle every request comes exactly as
//! often as its weight says, spread evenly. The seed decides where in the pattern a cycle begins:
//! otherwise a request could always fall to the same worker, connection or second.

use std::sync::Arc;

use super::id::{IdSpace, MsgId};

/// The number of message `index` of a worker among those of all `workers`: slot n is message n / W of
/// worker n mod W.
pub(crate) fn slot(worker: u64, workers: u64, index: u64) -> u64 {
    index.saturating_mul(workers).saturating_add(worker)
}

/// Request of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Index of the request, from 0.
    pub request: usize,
    /// Times that this request was sent in the slots before.
    pub nth: u64,
}

/// The order of weighted requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// The request at each place of the pattern.
    pattern: Vec<usize>,
    /// For each place of the pattern, the times that its request came before in the pattern.
    before: Vec<usize>,
    /// The places of each request, rising.
    places: Vec<Vec<usize>>,
    seed: u64,
}

impl Mix {
    /// The order of requests with these weights, each at least 1. Takes time and memory with the sum
    /// of the weights.
    pub(crate) fn new(weights: &[u64], seed: u64) -> Self {
        let common = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        let weights: Vec<_> = weights.iter().map(|weight| (weight / common) as i64).collect();
        let sum: i64 = weights.iter().sum();
        let mut credit = vec![0; weights.len()];
        let mut places = vec![Vec::new(); weights.len()];
        let (mut pattern, mut before) = (Vec::new(), Vec::new());
        for place in 0..sum {
            credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
            // The one that waits for its share longest; of equals the first.
            let Some(next) = (0..credit.len()).rev().max_by_key(|n| credit[*n]) else { break };
            credit[next] -= sum;
            pattern.push(next);
            before.push(places[next].len());
            places[next].push(place as usize);
        }
        Self { pattern, before, places, seed }
    }

    /// Returns the number of requests.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Slots in which every request comes as often as its weight says.
    pub(crate) fn cycle(&self) -> u64 {
        self.pattern.len() as u64
    }

    /// Returns the request that slot `slot` sends.
    pub(crate) fn turn(&self, slot: u64) -> Turn {
        let len = self.cycle();
        if len <= 1 {
            return Turn { request: 0, nth: slot };
        }
        let (cycle, place) = (slot / len, slot % len);
        let begin = scatter(self.seed ^ scatter(cycle)) % len;
        let at = ((begin + place) % len) as usize;
        let request = self.pattern[at];
        let own = &self.places[request];
        // Its places from where the cycle begins come first, then those before.
        let first = own.partition_point(|place| (*place as u64) < begin);
        let nth = (self.before[at] + own.len() - first) % own.len();
        Turn { request, nth: cycle * own.len() as u64 + nth as u64 }
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A number in which each bit depends on all of `n` (SplitMix64).
pub(crate) fn scatter(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// Request of each message of this process. An id gives its slot, and a slot its request, so no table of
/// messages is needed.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    mix: Arc<Mix>,
    space: IdSpace,
    /// Workers of all nodes.
    workers: u64,
    /// The number, among those, of this node's first worker.
    first: u64,
}

impl Assignment {
    /// Assignment of a node whose workers have the numbers from `first` on among all nodes' `workers`.
    pub(crate) fn new(mix: Arc<Mix>, space: IdSpace, first: u64, workers: u64) -> Self {
        Self { mix, space, workers, first }
    }

    /// Returns the number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.mix.len()
    }

    /// The request that a slot sends.
    pub(crate) fn of_slot(&self, slot: u64) -> usize {
        self.mix.turn(slot).request
    }

    /// The request that carried this id; `None` for an id of elsewhere.
    pub(crate) fn of(&self, id: MsgId) -> Option<usize> {
        let (worker, index) = self.space.origin(id)?;
        Some(self.of_slot(slot(self.first + worker, self.workers, index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requests(weights: &[u64], seed: u64, slots: u64) -> Vec<usize> {
        let mix = Mix::new(weights, seed);
        (0..slots).map(|slot| mix.turn(slot).request).collect()
    }

    #[test]
    fn the_pattern_is_spread_evenly_and_as_short_as_can_be() {
        let mix = Mix::new(&[50, 10, 10], 1);
        assert_eq!((mix.cycle(), mix.len()), (7, 3));
        assert_eq!(mix.pattern, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(Mix::new(&[8], 1).turn(77), Turn { request: 0, nth: 77 });
    }

    #[test]
    fn no_worker_has_a_request_to_itself() {
        // Without the seed's part two workers would have one of two requests each.
        let all = requests(&[1, 1], 1, 2_000);
        for worker in 0..2 {
            let own = all.iter().skip(worker).step_by(2);
            let first = own.filter(|request| **request == 0).count();
            assert!((400..600).contains(&first), "worker {worker}: {first} of 1000");
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(requests(&[3, 2], 7, 100), requests(&[3, 2], 7, 100));
        assert_ne!(requests(&[3, 2], 7, 100), requests(&[3, 2], 8, 100));
    }

    proptest! {
        /// Each cycle has each request as often as its weight says, and a request's own count has no
        /// gap and no repetition.
        #[test]
        fn weights_are_exact_over_a_cycle(
            weights in prop::collection::vec(1u64..30, 1..6), seed in any::<u64>(),
        ) {
            let mix = Mix::new(&weights, seed);
            let cycle = mix.cycle();
            let sum: u64 = weights.iter().sum();
            prop_assert!(sum.is_multiple_of(cycle));
            let mut seen = vec![0; weights.len()];
            for slot in 0..5 * cycle {
                let Turn { request, nth } = mix.turn(slot);
                prop_assert_eq!(nth, seen[request], "slot {}", slot);
                seen[request] += 1;
                if (slot + 1).is_multiple_of(cycle) {
                    let done = (slot + 1) / cycle;
                    let wanted: Vec<_> = weights.iter().map(|w| w * cycle / sum * done).collect();
                    prop_assert_eq!(&seen, &wanted);
                }
            }
        }

        /// Whoever sent a message, on whatever node: its id says which request it was.
        #[test]
        fn an_id_tells_its_request(
            node in 0u64..3, worker in 0u64..2, index in 0u64..50_000, base in 0u64..1 << 40,
        ) {
            let space = IdSpace::from_authority(base, 2, 100).on_node(node, 3);
            let mix = Arc::new(Mix::new(&[5, 3, 1], 9));
            let assignment = Assignment::new(Arc::clone(&mix), space, 2 * node, 6);
            let id = space.id(worker, index).expect("small");
            let turn = mix.turn(slot(2 * node + worker, 6, index));
            prop_assert_eq!(assignment.of(id), Some(turn.request));
        }
    }
}
