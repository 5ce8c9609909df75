//! When each message under way was due: written by the workers that send, read by the receiver.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::id::{IdSpace, MsgId};
use crate::core::clock::Nanos;

/// When each message of one block was due, nanoseconds on the monotonic clock; 0: not sent.
pub(super) type DueBlock = Arc<[AtomicU64]>;

/// Messages that a worker sends after a block without any arrival until the due times of the block are dropped: 20 MB
/// of due times. A message that arrives later is unexpected, and counts as lost.
const KEPT: u64 = 2_500_000;

/// Number of blocks of `len` messages that are kept for one worker.
fn kept_blocks(len: u64) -> u64 {
    KEPT.div_ceil(len.max(1)).max(2)
}

/// The due times of messages under way, written by the workers and read by the receiver.
#[derive(Debug, Default)]
pub(crate) struct DueTable {
    /// Locked once per block and side, not per message.
    blocks: Mutex<HashMap<u64, DueBlock>>,
}

impl DueTable {
    /// The block, made if it is not there yet, for the worker that is about to write it. Blocks from
    /// which nothing arrived until [`KEPT`] further messages were sent are dropped.
    fn open(&self, block: u64, len: u64, workers: u64) -> DueBlock {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stale) = block.checked_sub(kept_blocks(len) * workers) {
            blocks.remove(&stale);
        }
        Arc::clone(
            blocks.entry(block).or_insert_with(|| (0..len).map(|_| AtomicU64::new(0)).collect()),
        )
    }

    pub(super) fn get(&self, block: u64) -> Option<DueBlock> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).get(&block).cloned()
    }

    pub(super) fn forget(&self, block: u64) {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).remove(&block);
    }
}

/// One worker's way of giving out ids: the id of its n-th message, its due time noted for the receiver.
#[derive(Debug)]
pub(crate) struct IdWriter {
    space: IdSpace,
    worker: u64,
    table: Option<Arc<DueTable>>,
    current: Option<(u64, DueBlock)>,
}

impl IdWriter {
    /// `table` is `None` if arrivals are not measured.
    pub(crate) fn new(space: IdSpace, worker: u64, table: Option<Arc<DueTable>>) -> Self {
        Self { space, worker, table, current: None }
    }

    /// Returns whether message `index` of this worker has an id.
    pub(crate) fn reach(&self, index: u64) -> bool {
        self.space.id(self.worker, index).is_some()
    }

    /// The id of message `index` of this worker, due at `due`. `None` when the ids are used up.
    pub(crate) fn assign(&mut self, index: u64, due: Nanos) -> Option<MsgId> {
        let id = self.space.id(self.worker, index)?;
        let Some(table) = &self.table else { return Some(id) };
        let block = self.space.block_of(self.worker, index);
        if self.current.as_ref().is_none_or(|(open, _)| *open != block) {
            self.current =
                Some((block, table.open(block, self.space.block_len(), self.space.workers())));
        }
        if let Some((_, dues)) = &self.current {
            // Release pairs with the receiver's Acquire; the message itself travels over sockets,
            // which the memory model knows nothing of.
            dues[(index % self.space.block_len()) as usize].store(due.0.max(1), Ordering::Release);
        }
        Some(id)
    }
}

#[cfg(test)]
impl DueTable {
    /// When a message is due, if that is known.
    pub(crate) fn due(&self, space: &IdSpace, id: MsgId) -> Option<Nanos> {
        let (block, place) = space.locate(id)?;
        let due = self.get(block)?[place].load(Ordering::Acquire);
        (due != 0).then_some(Nanos(due))
    }

    /// Blocks that are held.
    pub(super) fn len(&self) -> usize {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_do_not_pile_up_where_nothing_arrives() {
        let table = Arc::new(DueTable::default());
        let space = IdSpace::from_authority(0, 2, 1);
        for worker in 0..2 {
            let mut writer = IdWriter::new(space, worker, Some(Arc::clone(&table)));
            for block in 0..kept_blocks(space.block_len()) + 10 {
                assert!(writer.assign(block * space.block_len(), Nanos(1)).is_some());
            }
        }
        assert_eq!(table.len() as u64, 2 * kept_blocks(space.block_len()));
    }
}
