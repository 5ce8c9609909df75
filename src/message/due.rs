//! When each message under way was due: written by the workers that send, read by the receiver.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::id::{IdSpace, MsgId};
use crate::clock::Nanos;

/// When each message of one block was due, nanoseconds on the monotonic clock; 0: not sent.
pub(super) type DueBlock = Arc<[AtomicU64]>;

/// The due times of messages under way, written by the workers and read by the receiver.
#[derive(Debug, Default)]
pub struct DueTable {
    /// Locked once per block and side, not per message.
    blocks: Mutex<HashMap<u64, DueBlock>>,
}

impl DueTable {
    /// The block, made if it is not there yet: for the worker that is about to write it.
    fn open(&self, block: u64, len: u64) -> DueBlock {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (0..len).map(|_| AtomicU64::new(0)).collect();
        Arc::clone(blocks.entry(block).or_insert_with(fresh))
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
pub struct IdWriter {
    space: IdSpace,
    worker: u64,
    table: Option<Arc<DueTable>>,
    current: Option<(u64, DueBlock)>,
}

impl IdWriter {
    /// `table` is `None` where nobody listens for arrivals.
    pub fn new(space: IdSpace, worker: u64, table: Option<Arc<DueTable>>) -> Self {
        Self { space, worker, table, current: None }
    }

    /// The id of message `index` of this worker, due at `due`. `None` when the ids are used up.
    pub fn assign(&mut self, index: u64, due: Nanos) -> Option<MsgId> {
        let id = self.space.id(self.worker, index)?;
        let Some(table) = &self.table else { return Some(id) };
        let block = self.space.block_of(self.worker, index);
        if self.current.as_ref().is_none_or(|(open, _)| *open != block) {
            self.current = Some((block, table.open(block, self.space.block_len())));
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
    /// Blocks that are held.
    pub(super) fn len(&self) -> usize {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
