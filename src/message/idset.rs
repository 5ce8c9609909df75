//! Sets of ids: one bit an id, and none for a block of which all ids are in it.

use std::collections::HashMap;

use super::id::{IdSpace, MsgId};

/// A set of ids, one bit each, and no bit at all for a block that is full.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    blocks: HashMap<u64, Bits>,
    count: u64,
}

#[derive(Debug)]
struct Bits {
    count: u64,
    /// `None` once the block is full.
    words: Option<Box<[u64]>>,
}

impl Bits {
    fn new(len: u64) -> Self {
        Self { count: 0, words: Some(vec![0; len.div_ceil(64) as usize].into_boxed_slice()) }
    }

    fn has(&self, place: usize) -> bool {
        self.words.as_ref().is_none_or(|words| words[place / 64] >> (place % 64) & 1 == 1)
    }

    /// Adds a place; returns whether it was new.
    fn set(&mut self, place: usize, len: u64) -> bool {
        let Some(words) = &mut self.words else { return false };
        let mask = 1 << (place % 64);
        if words[place / 64] & mask != 0 {
            return false;
        }
        words[place / 64] |= mask;
        self.count += 1;
        if self.count == len {
            self.words = None;
        }
        true
    }
}

impl IdSet {
    /// Adds an id of the space; one from elsewhere is ignored. Whether it was new.
    pub(crate) fn insert(&mut self, space: &IdSpace, id: MsgId) -> bool {
        let Some((block, place)) = space.locate(id) else { return false };
        self.insert_at(block, place, space.block_len())
    }

    /// Returns whether an id of the space is in the set.
    pub(crate) fn contains(&self, space: &IdSpace, id: MsgId) -> bool {
        !self.is_empty() && space.locate(id).is_some_and(|(block, place)| self.has(block, place))
    }

    pub(super) fn insert_at(&mut self, block: u64, place: usize, len: u64) -> bool {
        let new = self.blocks.entry(block).or_insert_with(|| Bits::new(len)).set(place, len);
        self.count += u64::from(new);
        new
    }

    pub(super) fn has(&self, block: u64, place: usize) -> bool {
        self.blocks.get(&block).is_some_and(|bits| bits.has(place))
    }

    /// Returns whether all ids of a block are in the set.
    pub(super) fn is_full(&self, block: u64) -> bool {
        self.blocks.get(&block).is_some_and(|bits| bits.words.is_none())
    }

    /// Number of ids in the set.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Returns whether the set has no ids.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes in the set of another worker, whose blocks are others.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.blocks.extend(other.blocks);
    }

    /// The ids, ascending.
    pub(super) fn iter<'a>(
        &'a self,
        space: &'a IdSpace,
    ) -> impl Iterator<Item = (u64, usize)> + 'a {
        let mut blocks: Vec<_> = self.blocks.iter().collect();
        blocks.sort_unstable_by_key(|(block, _)| **block);
        let len = space.block_len() as usize;
        blocks.into_iter().flat_map(move |(block, bits)| {
            (0..len).filter(|place| bits.has(*place)).map(|place| (*block, place))
        })
    }
}
