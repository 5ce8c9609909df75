//! The data: lists and counters by their keys, in memory.

use std::collections::{HashMap, VecDeque};

use super::refusal::Refusal;

/// An element: its own allocation, so that one that stays keeps nothing else of what was read alive.
pub(super) type Element = Box<[u8]>;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its head.
    Left,
    /// Its tail.
    Right,
}

#[derive(Debug)]
enum Value {
    /// Never empty: an empty list has no key.
    List(VecDeque<Element>),
    Counter(i64),
}

/// All keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    values: HashMap<Box<[u8]>, Value>,
}

impl Keys {
    /// Puts elements at an end, one after the other, and gives the list's length.
    pub(super) fn push<'a>(
        &mut self,
        key: &[u8],
        end: End,
        elements: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<usize, Refusal> {
        if !self.values.contains_key(key) {
            let list = VecDeque::with_capacity(elements.len());
            self.values.insert(key.into(), Value::List(list));
        }
        let Some(Value::List(list)) = self.values.get_mut(key) else {
            return Err(Refusal::WrongType);
        };
        for element in elements {
            match end {
                End::Left => list.push_front(element.into()),
                End::Right => list.push_back(element.into()),
            }
        }
        Ok(list.len())
    }

    /// The list of a key, if there is one.
    pub(super) fn list(&self, key: &[u8]) -> Result<Option<&VecDeque<Element>>, Refusal> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Counter(_)) => Err(Refusal::WrongType),
        }
    }

    /// Takes up to `count` elements off an end, in that order.
    pub(super) fn pop(&mut self, key: &[u8], end: End, count: usize, into: &mut Vec<Element>) {
        let Some(Value::List(list)) = self.values.get_mut(key) else { return };
        let count = count.min(list.len());
        match end {
            End::Left => into.extend(list.drain(..count)),
            End::Right => into.extend(list.drain(list.len() - count..).rev()),
        }
        if list.is_empty() {
            self.values.remove(key);
        }
    }

    /// Puts elements that were popped back to where they were.
    pub(super) fn put_back(&mut self, key: &[u8], end: End, elements: &mut Vec<Element>) {
        let Value::List(list) =
            self.values.entry(key.into()).or_insert_with(|| Value::List(VecDeque::new()))
        else {
            return;
        };
        for element in elements.drain(..).rev() {
            match end {
                End::Left => list.push_front(element),
                End::Right => list.push_back(element),
            }
        }
    }

    /// Adds to a counter, which begins at 0.
    pub(super) fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, Refusal> {
        match self.values.get_mut(key) {
            None => {
                self.values.insert(key.into(), Value::Counter(by));
                Ok(by)
            }
            Some(Value::Counter(value)) => {
                *value = value.checked_add(by).ok_or(Refusal::Overflow)?;
                Ok(*value)
            }
            Some(Value::List(_)) => Err(Refusal::WrongType),
        }
    }

    /// A counter.
    pub(super) fn counter(&self, key: &[u8]) -> Result<Option<i64>, Refusal> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Counter(value)) => Ok(Some(*value)),
            Some(Value::List(_)) => Err(Refusal::WrongType),
        }
    }

    /// Returns true if the key exists.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.values.contains_key(key)
    }

    /// Forgets a key, and says whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.values.remove(key).is_some()
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.values = HashMap::new();
    }
}
