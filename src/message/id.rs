//! MsgIDs: unique over workers, processes, machines and runs, and each one tells its slot.
//!
//! A run takes one contiguous range from the authority before it starts, and every id in it is a
//! pure function of (worker, index). Nothing is leased while load is on, so an authority that goes
//! away cannot stop a schedule; and the way back, id → (worker, index), needs no table.

use serde::{Deserialize, Serialize};

/// A message id: 0 to 2^53 − 1, so that every JSON reader keeps it exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MsgId(u64);

impl MsgId {
    /// The largest id, 2^53 − 1: the largest integer a JSON reader with doubles keeps exact.
    pub const MAX: u64 = (1 << 53) - 1;

    /// `None` above [`Self::MAX`].
    pub fn new(value: u64) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Whether components stamp this message when they stamp one in `divisor` (at least 1).
    pub fn is_sampled(self, divisor: u64) -> bool {
        self.0.is_multiple_of(divisor)
    }
}

/// A run's ids, laid out in blocks of `block` contiguous ids. Worker *w* of *W* on node *k* of *N*
/// has the blocks (j·W + w)·N + k for j = 0, 1, …
///
/// A block is a multiple of the sampling divisor long, so every worker's messages are sampled alike;
/// interleaving single ids by worker would sample one worker only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdSpace {
    base: u64,
    block: u64,
    workers: u64,
    node: u64,
    nodes: u64,
}

/// Ids in a block where the sampling divisor is small.
const BLOCK: u64 = 10_000;
/// 2026-01-01T00:00:00Z in microseconds since 1970, where time-based ids begin.
const EPOCH_US: u64 = 1_767_225_600_000_000;

impl IdSpace {
    /// The length of a block when one message in `sample` is stamped: the next multiple of it.
    pub fn block_for(sample: u64) -> u64 {
        BLOCK.div_ceil(sample.max(1)).saturating_mul(sample.max(1))
    }

    /// How many ids a run of `workers` needs so that each can send `per_worker` messages.
    pub fn needed(per_worker: u64, workers: u64, sample: u64) -> u64 {
        let block = Self::block_for(sample);
        per_worker.div_ceil(block).max(1).saturating_mul(block).saturating_mul(workers)
    }

    /// The space from `base` on, taken from an authority that gives no id twice (`INCRBY`).
    pub fn from_authority(base: u64, workers: u64, sample: u64) -> Self {
        Self { base, block: Self::block_for(sample), workers: workers.max(1), node: 0, nodes: 1 }
    }

    /// The same on node `k` of `N`: of a grid of blocks that is the same for all nodes it takes every
    /// N-th. It begins up to N blocks later and is N times as long ([`Self::needed_on`]).
    #[must_use]
    pub fn on_node(self, (node, nodes): (u64, u64)) -> Self {
        let nodes = nodes.max(1);
        let row = self.block.saturating_mul(nodes);
        let base = self.base.div_ceil(row).saturating_mul(row);
        Self { base, node, nodes, ..self }
    }

    /// How many ids of an authority hold the space of one of `nodes` nodes, of which each worker can
    /// send `per_worker` messages.
    pub fn needed_on(nodes: u64, per_worker: u64, workers: u64, sample: u64) -> u64 {
        let row = Self::block_for(sample).saturating_mul(nodes);
        Self::needed(per_worker, workers, sample).saturating_mul(nodes).saturating_add(row)
    }

    /// The space of node `k` of `N` that starts at `unix_us`, where no authority is at hand.
    ///
    /// The start in microseconds is the first id, so a later run begins above an earlier one as long
    /// as that sent fewer than a million messages a second; nodes take alternate blocks of a grid.
    pub fn from_time(unix_us: u64, workers: u64, sample: u64, node: (u64, u64)) -> Self {
        Self::from_authority(unix_us.saturating_sub(EPOCH_US), workers, sample).on_node(node)
    }

    /// Workers that share the space.
    pub fn workers(&self) -> u64 {
        self.workers
    }

    /// Ids in one block.
    pub fn block_len(&self) -> u64 {
        self.block
    }

    /// The id of message `index` of `worker`; `None` beyond [`MsgId::MAX`].
    pub fn id(&self, worker: u64, index: u64) -> Option<MsgId> {
        let block = self.block_of(worker, index).checked_mul(self.nodes)?.checked_add(self.node)?;
        let start = block.checked_mul(self.block)?.checked_add(self.base)?;
        start.checked_add(index % self.block).and_then(MsgId::new)
    }

    /// The number, within this node, of the block that holds message `index` of `worker`.
    pub fn block_of(&self, worker: u64, index: u64) -> u64 {
        (index / self.block).saturating_mul(self.workers).saturating_add(worker)
    }

    /// Where an id of this space stands: block within this node, and place in the block. `None` for
    /// an id of another node or from before the run.
    pub fn locate(&self, id: MsgId) -> Option<(u64, usize)> {
        let offset = id.get().checked_sub(self.base)?;
        let block = offset / self.block;
        (block % self.nodes == self.node)
            .then_some((block / self.nodes, (offset % self.block) as usize))
    }

    /// Which message an id was: the worker, within this node, and its index. `None` as for
    /// [`Self::locate`].
    pub fn origin(&self, id: MsgId) -> Option<(u64, u64)> {
        let (block, place) = self.locate(id)?;
        Some((block % self.workers, block / self.workers * self.block + place as u64))
    }

    /// Whether an id is of another node's blocks, whichever run it belongs to.
    pub fn is_of_another_node(&self, id: MsgId) -> bool {
        id.get() / self.block % self.nodes != self.node
    }

    /// The id at a place that [`Self::locate`] gave.
    pub fn at(&self, block: u64, place: usize) -> Option<MsgId> {
        let worker = block % self.workers;
        self.id(worker, block / self.workers * self.block + place as u64)
    }

    /// Which worker a block belongs to.
    pub fn worker_of(&self, block: u64) -> u64 {
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
            starts in prop::collection::vec(EPOCH_US..EPOCH_US + (1 << 45), 4), workers in 1u64..5,
            sample in 1u64..200, index in 0u64..1 << 33,
        ) {
            let nodes = starts.len() as u64;
            for (k, start) in starts.iter().enumerate() {
                let space = IdSpace::from_time(*start, workers, sample, (k as u64, nodes));
                for worker in 0..workers {
                    let id = space.id(worker, index);
                    let row = id.map(|id| id.get() / space.block_len() % nodes);
                    prop_assert_eq!(row, Some(k as u64));
                    prop_assert!(id.is_some_and(|id| !space.is_of_another_node(id)));
                    let other = space.on_node(((k as u64 + 1) % nodes, nodes));
                    prop_assert!(id.is_some_and(|id| other.is_of_another_node(id)));
                }
            }
        }

        #[test]
        fn a_nodes_ids_stay_within_what_it_was_given(
            base in 0u64..1 << 40, nodes in 2u64..9, node in 0u64..9, workers in 1u64..5, count in 1u64..25_000,
        ) {
            let end = base + IdSpace::needed_on(nodes, count, workers, 100);
            let space = IdSpace::from_authority(base, workers, 100).on_node((node % nodes, nodes));
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
                IdSpace::from_time(EPOCH_US + base, workers, 100, (nodes - 1, nodes)),
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
