//! MsgIDs: unique over workers, processes, machines and runs, and each one tells its slot.
//!
//! A run takes one contiguous range from the authority before it starts, and every id in it is a
//! pure function of (worker, index). Nothing is leased while load is on, so an authority that goes
//! away cannot stop a schedule; and the way back, id → (worker, index), needs no table.

use serde::{Deserialize, Serialize};

/// A message id: 0 to 2^53 − 1, so that every JSON reader keeps it exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct MsgId(u64);

impl MsgId {
    /// The largest id, 2^53 − 1: the largest integer a JSON reader with doubles keeps exact.
    pub(crate) const MAX: u64 = (1 << 53) - 1;

    /// `None` above `MAX`.
    pub(crate) fn new(value: u64) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// Returns whether components stamp this message when they stamp one in `divisor` (at least 1).
    pub(crate) fn is_sampled(self, divisor: u64) -> bool {
        self.0.is_multiple_of(divisor)
    }
}

/// A run's ids, laid out in blocks of `block` contiguous ids. Worker *w* of *W* on node *k* of *N*
/// has the blocks (j·W + w)·N + k for j = 0, 1, …
///
/// A block is a multiple of the sampling divisor long, so every worker's messages are sampled alike;
/// interleaving single ids by worker would sample one worker only.
///
/// The first id of a run is drawn at random (`random_base`) from the P = 2^53 − 10^15 ≈ 8·10^15
/// places from 10^15 on, so that runs that know nothing of each other do not share ids. Two runs that
/// reserve n1 and n2 ids overlap with the chance (n1 + n2) / P: 6·10^-11 for two runs of 240,000. Among
/// k runs of n ids each, some two overlap with a chance of about k·(k − 1)·n / P.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdSpace {
    base: u64,
    block: u64,
    workers: u64,
    node: u64,
    nodes: u64,
    /// Blocks of this node that belong to the run.
    blocks: u64,
}

/// Ids in a block where the sampling divisor is small.
const BLOCK: u64 = 10_000;
/// The lowest random id, 10^15: all random ids have 16 digits, so a message keeps its length, and
/// counters of others that begin at 1 do not come near them.
const LOWEST: u64 = 1_000_000_000_000_000;

impl IdSpace {
    /// The length of a block when one message in `sample` is stamped: the next multiple of it.
    pub(crate) fn block_for(sample: u64) -> u64 {
        BLOCK.div_ceil(sample.max(1)).saturating_mul(sample.max(1))
    }

    /// Ids in a row of blocks, one of each node.
    pub(crate) fn row_for(sample: u64, nodes: u64) -> u64 {
        Self::block_for(sample).saturating_mul(nodes.max(1))
    }

    /// Number of ids that `workers` need so that each can send `per_worker` messages.
    pub(crate) fn needed(per_worker: u64, workers: u64, sample: u64) -> u64 {
        let block = Self::block_for(sample);
        per_worker.div_ceil(block).max(1).saturating_mul(block).saturating_mul(workers)
    }

    /// The first of `needed` ids at the place that `random` chooses, where `random` is uniform over all
    /// `u64`. It is a multiple of `step`, the length of a block or of a row of blocks.
    pub(crate) fn random_base(random: u64, needed: u64, step: u64) -> u64 {
        let first = LOWEST.div_ceil(step) * step;
        let places = (MsgId::MAX + 1).saturating_sub(first).saturating_sub(needed) / step + 1;
        // The upper half of the product: uniform, without a remainder that favours low places.
        let place = (u128::from(random) * u128::from(places)) >> 64;
        first + place as u64 * step
    }

    /// The space from `base` on, up to the largest id.
    pub(crate) fn from_authority(base: u64, workers: u64, sample: u64) -> Self {
        Self {
            base,
            block: Self::block_for(sample),
            workers: workers.max(1),
            node: 0,
            nodes: 1,
            blocks: u64::MAX,
        }
    }

    /// Restricts the space to node `k` of `N`: of a grid of blocks that is the same for all nodes it takes
    /// every N-th. It begins up to N blocks later and is N times as long ([`Self::needed_on`]).
    #[must_use]
    pub(crate) fn on_node(self, node: u64, nodes: u64) -> Self {
        let nodes = nodes.max(1);
        if nodes == 1 {
            return self;
        }
        let row = self.block.saturating_mul(nodes);
        let base = self.base.div_ceil(row).saturating_mul(row);
        Self { base, node, nodes, ..self }
    }

    /// Gives the space an end: each worker has ids for `per_worker` messages, and what lies behind them
    /// belongs to others.
    #[must_use]
    pub(crate) fn with_end_after(self, per_worker: u64) -> Self {
        let each = per_worker.div_ceil(self.block).max(1);
        Self { blocks: each.saturating_mul(self.workers), ..self }
    }

    /// Number of ids that hold the space of one of `nodes` nodes, of which each worker can send `per_worker`
    /// messages.
    pub(crate) fn needed_on(nodes: u64, per_worker: u64, workers: u64, sample: u64) -> u64 {
        let needed = Self::needed(per_worker, workers, sample).saturating_mul(nodes);
        if nodes > 1 {
            needed.saturating_add(Self::block_for(sample).saturating_mul(nodes))
        } else {
            needed
        }
    }

    /// The first id of the whole space.
    pub(crate) fn first(&self) -> u64 {
        self.base
    }

    /// Returns whether all ids of the space are at most [`MsgId::MAX`].
    pub(crate) fn fits(&self) -> bool {
        let last = self.blocks.checked_sub(1);
        let last = last.and_then(|block| self.start_of(block)?.checked_add(self.block - 1));
        last.is_some_and(|id| id <= MsgId::MAX)
    }

    /// The first id of a block of this node.
    fn start_of(&self, block: u64) -> Option<u64> {
        let block = block.checked_mul(self.nodes)?.checked_add(self.node)?;
        block.checked_mul(self.block)?.checked_add(self.base)
    }

    /// Workers that share the space.
    pub(crate) fn workers(&self) -> u64 {
        self.workers
    }

    /// Ids in one block.
    pub(crate) fn block_len(&self) -> u64 {
        self.block
    }

    /// The id of message `index` of `worker`; `None` beyond the end of the space.
    pub(crate) fn id(&self, worker: u64, index: u64) -> Option<MsgId> {
        let block = self.block_of(worker, index);
        if block >= self.blocks {
            return None;
        }
        self.start_of(block)?.checked_add(index % self.block).and_then(MsgId::new)
    }

    /// The number, within this node, of the block that holds message `index` of `worker`.
    pub(crate) fn block_of(&self, worker: u64, index: u64) -> u64 {
        (index / self.block).saturating_mul(self.workers).saturating_add(worker)
    }

    /// The place of an id of this space: block within this node, and place in the block. `None` for
    /// an id of another node or of another run.
    pub(crate) fn locate(&self, id: MsgId) -> Option<(u64, usize)> {
        let offset = id.get().checked_sub(self.base)?;
        let (block, place) = (offset / self.block, (offset % self.block) as usize);
        let (block, node) = (block / self.nodes, block % self.nodes);
        (node == self.node && block < self.blocks).then_some((block, place))
    }

    /// Returns the message of an id: the worker, within this node, and its index. `None` as for
    /// [`Self::locate`].
    pub(crate) fn origin(&self, id: MsgId) -> Option<(u64, u64)> {
        let (block, place) = self.locate(id)?;
        Some((block % self.workers, block / self.workers * self.block + place as u64))
    }

    /// Returns whether an id is of another node's blocks, whichever run it belongs to: each foreign id is in the
    /// blocks of one node, so the nodes together count it once.
    pub(crate) fn is_of_another_node(&self, id: MsgId) -> bool {
        self.node_of(id) != self.node
    }

    /// Index of the node whose blocks an id is in.
    pub(crate) fn node_of(&self, id: MsgId) -> u64 {
        id.get() / self.block % self.nodes
    }

    /// The id at a place that [`Self::locate`] gave.
    pub(crate) fn at(&self, block: u64, place: usize) -> Option<MsgId> {
        let worker = block % self.workers;
        self.id(worker, block / self.workers * self.block + place as u64)
    }

    /// The worker of a block.
    pub(crate) fn worker_of(&self, block: u64) -> u64 {
        block % self.workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn ids_stop_at_what_json_keeps_exact() {
        assert!(MsgId::new(MsgId::MAX).is_some());
        assert_eq!(MsgId::new(MsgId::MAX + 1), None);
        assert_eq!(IdSpace::from_authority(MsgId::MAX, 1, 100).id(0, 1), None);
    }

    #[test]
    fn every_worker_is_sampled_alike() {
        let space = IdSpace::from_authority(7, 3, 100);
        for worker in 0..3 {
            let sampled = (0..20_000)
                .filter_map(|i| space.id(worker, i))
                .filter(|id| id.is_sampled(100))
                .count();
            assert_eq!(sampled, 200, "worker {worker}");
        }
    }

    #[test]
    fn random_ids_have_16_digits_and_end_below_the_largest() {
        let needed = 480_000;
        for step in [1, 10_000, 70_000] {
            let base = |random| IdSpace::random_base(random, needed, step);
            let [first, middle, last] = [0, 1 << 63, u64::MAX].map(base);
            assert!([first, middle, last].iter().all(|base| base.is_multiple_of(step)));
            assert!((LOWEST..LOWEST + step).contains(&first), "{first}");
            assert!((0..=step).contains(&(MsgId::MAX + 1 - needed - last)), "{last}");
            assert!(middle.abs_diff((first + last) / 2) <= step, "{middle}");
        }
        assert_eq!(IdSpace::random_base(u64::MAX, u64::MAX, 100), LOWEST, "more than there are");
    }

    #[test]
    fn what_lies_behind_the_end_is_of_others() {
        let space = IdSpace::from_authority(500, 2, 100).with_end_after(10_001);
        let last = space.id(1, 19_999).expect("in the last block");
        assert_eq!(last.get(), 500 + 40_000 - 1);
        assert_eq!((space.id(0, 20_000), space.id(1, 20_000)), (None, None));
        for outside in [499, last.get() + 1, MsgId::MAX] {
            assert_eq!(MsgId::new(outside).and_then(|id| space.locate(id)), None, "{outside}");
        }
        let none = IdSpace::from_authority(MsgId::MAX - 9_998, 1, 100).with_end_after(1);
        let whole = IdSpace::from_authority(MsgId::MAX - 9_999, 1, 100).with_end_after(1);
        assert_eq!((none.fits(), whole.fits()), (false, true));
    }

    proptest! {
        #[test]
        fn ids_are_unique_over_workers_blocks_and_restarts(
            base in 0u64..1 << 40, workers in 1u64..9, sample in 1u64..30_000, count in 1u64..25_000,
        ) {
            let first = IdSpace::from_authority(base, workers, sample);
            let again = IdSpace::from_authority(base + IdSpace::needed(count, workers, sample), workers, sample);
            let mut seen = HashSet::new();
            for space in [first, again] {
                for worker in 0..workers {
                    for index in (0..count).step_by(97).chain([count - 1]).collect::<HashSet<_>>() {
                        let id = space.id(worker, index);
                        prop_assert!(id.is_some_and(|id| seen.insert(id)), "{:?}", id);
                    }
                }
            }
        }

        #[test]
        fn nodes_never_share_an_id(
            bases in prop::collection::vec(0u64..1 << 52, 4), workers in 1u64..5,
            sample in 1u64..200, index in 0u64..1 << 33,
        ) {
            let nodes = bases.len() as u64;
            for (k, base) in bases.iter().enumerate() {
                let space = IdSpace::from_authority(*base, workers, sample);
                let space = space.on_node(k as u64, nodes);
                for worker in 0..workers {
                    let id = space.id(worker, index);
                    let row = id.map(|id| id.get() / space.block_len() % nodes);
                    prop_assert_eq!(row, Some(k as u64));
                    prop_assert!(id.is_some_and(|id| !space.is_of_another_node(id)));
                    let other = space.on_node((k as u64 + 1) % nodes, nodes);
                    prop_assert!(id.is_some_and(|id| other.is_of_another_node(id)));
                }
            }
        }

        #[test]
        fn a_nodes_ids_stay_within_what_it_was_given(
            base in 0u64..1 << 40, nodes in 2u64..9, node in 0u64..9, workers in 1u64..5, count in 1u64..25_000,
        ) {
            let end = base + IdSpace::needed_on(nodes, count, workers, 100);
            let space = IdSpace::from_authority(base, workers, 100).on_node(node % nodes, nodes);
            for worker in 0..workers {
                for index in [0, count / 2, count - 1] {
                    let id = space.id(worker, index).map(MsgId::get);
                    prop_assert!(id.is_some_and(|id| (base..end).contains(&id)), "{:?}", id);
                }
            }
        }

        #[test]
        fn an_id_tells_its_place(
            base in 0u64..1 << 50, workers in 1u64..9, worker in 0u64..9, index in 0u64..1 << 32, nodes in 1u64..5,
        ) {
            let worker = worker % workers;
            for space in [
                IdSpace::from_authority(base, workers, 100),
                IdSpace::from_authority(base, workers, 100).on_node(nodes - 1, nodes),
            ] {
                let Some(id) = space.id(worker, index) else { continue };
                let place = (space.block_of(worker, index), (index % space.block_len()) as usize);
                prop_assert_eq!(space.locate(id), Some(place));
                prop_assert_eq!(space.at(place.0, place.1), Some(id));
                prop_assert_eq!(space.worker_of(place.0), worker);
            }
        }
    }
}
