//! The data: lists and counters by their keys, in memory.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::refusal::CommandError;

/// An element: its own allocation, so that one that stays keeps nothing else of what was read alive.
pub(super) type Element = Box<[u8]>;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListEnd {
    /// Its head.
    Left,
    /// Its tail.
    Right,
}

#[derive(Debug)]
enum StoredValue {
    /// Never empty: an empty list has no key.
    List(VecDeque<Element>),
    Counter(i64),
}

/// All keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    values: HashMap<Box<[u8]>, StoredValue>,
    /// Times at which keys end, of those keys that have one.
    ends: HashMap<Box<[u8]>, Instant>,
}

impl Keys {
    /// Puts elements at an end, one after the other, and gives the list's length.
    pub(super) fn push<'a>(
        &mut self,
        key: &[u8],
        end: ListEnd,
        elements: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<usize, CommandError> {
        if !self.values.contains_key(key) {
            let list = VecDeque::with_capacity(elements.len());
            self.values.insert(key.into(), StoredValue::List(list));
        }
        let Some(StoredValue::List(list)) = self.values.get_mut(key) else {
            return Err(CommandError::WrongType);
        };
        for element in elements {
            match end {
                ListEnd::Left => list.push_front(element.into()),
                ListEnd::Right => list.push_back(element.into()),
            }
        }
        Ok(list.len())
    }

    /// The list of a key, if there is one.
    pub(super) fn list(&self, key: &[u8]) -> Result<Option<&VecDeque<Element>>, CommandError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(StoredValue::List(list)) => Ok(Some(list)),
            Some(StoredValue::Counter(_)) => Err(CommandError::WrongType),
        }
    }

    /// Takes up to `count` elements off an end, in that order.
    pub(super) fn pop(&mut self, key: &[u8], end: ListEnd, count: usize, into: &mut Vec<Element>) {
        let Some(StoredValue::List(list)) = self.values.get_mut(key) else { return };
        let count = count.min(list.len());
        match end {
            ListEnd::Left => into.extend(list.drain(..count)),
            ListEnd::Right => into.extend(list.drain(list.len() - count..).rev()),
        }
        if list.is_empty() {
            self.remove(key);
        }
    }

    /// Keeps the elements in these places, which are within the list, and removes the others.
    pub(super) fn trim(&mut self, key: &[u8], kept: Range<usize>) {
        let Some(StoredValue::List(list)) = self.values.get_mut(key) else { return };
        list.truncate(kept.end);
        list.drain(..kept.start.min(list.len()));
        if list.is_empty() {
            self.remove(key);
        } else if list.capacity() > 4 * list.len() {
            list.shrink_to(2 * list.len());
        }
    }

    /// Lets a key end after this time. Returns false if it does not exist.
    pub(super) fn expire(&mut self, key: &[u8], after: Duration) -> bool {
        if !self.contains(key) {
            return false;
        }
        // A time beyond the range of the clock is without end.
        match Instant::now().checked_add(after) {
            Some(end) => _ = self.ends.insert(key.into(), end),
            None => _ = self.ends.remove(key),
        }
        true
    }

    /// Removes the keys whose time is over.
    pub(super) fn remove_expired(&mut self) {
        let now = Instant::now();
        let Self { values, ends } = self;
        ends.retain(|key, end| {
            let stays = *end > now;
            if !stays {
                values.remove(key);
            }
            stays
        });
    }

    /// Puts elements that were popped back to where they were.
    pub(super) fn put_back(&mut self, key: &[u8], end: ListEnd, elements: &mut Vec<Element>) {
        let StoredValue::List(list) =
            self.values.entry(key.into()).or_insert_with(|| StoredValue::List(VecDeque::new()))
        else {
            return;
        };
        for element in elements.drain(..).rev() {
            match end {
                ListEnd::Left => list.push_front(element),
                ListEnd::Right => list.push_back(element),
            }
        }
    }

    /// Adds to a counter, which begins at 0.
    pub(super) fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, CommandError> {
        match self.values.get_mut(key) {
            None => {
                self.values.insert(key.into(), StoredValue::Counter(by));
                Ok(by)
            }
            Some(StoredValue::Counter(value)) => {
                *value = value.checked_add(by).ok_or(CommandError::Overflow)?;
                Ok(*value)
            }
            Some(StoredValue::List(_)) => Err(CommandError::WrongType),
        }
    }

    /// A counter.
    pub(super) fn counter(&self, key: &[u8]) -> Result<Option<i64>, CommandError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(StoredValue::Counter(value)) => Ok(Some(*value)),
            Some(StoredValue::List(_)) => Err(CommandError::WrongType),
        }
    }

    /// Returns true if the key exists.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.values.contains_key(key)
    }

    /// Forgets a key, and says whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        if !self.ends.is_empty() {
            self.ends.remove(key);
        }
        self.values.remove(key).is_some()
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
