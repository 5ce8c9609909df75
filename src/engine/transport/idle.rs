//! The connections that are free for a request. The last one used is on top; any of them leaves in a
//! constant time, however many there are.

/// The place of a connection that is not free.
const NOWHERE: usize = usize::MAX;

/// Free connections, by index.
#[derive(Debug)]
pub(super) struct IdleConnections {
    stack: Vec<usize>,
    /// The place of each connection in the stack.
    places: Vec<usize>,
}

impl IdleConnections {
    /// None free yet, of so many connections.
    pub(super) fn new(connections: usize) -> Self {
        Self { stack: Vec::with_capacity(connections), places: vec![NOWHERE; connections] }
    }

    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, index: usize) {
        self.places[index] = self.stack.len();
        self.stack.push(index);
    }

    /// Takes the one used last: its socket is the warmest.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let index = self.stack.pop()?;
        self.places[index] = NOWHERE;
        Some(index)
    }

    /// Takes this one out, if it is free. The one on top takes its place.
    pub(super) fn remove(&mut self, index: usize) {
        let place = std::mem::replace(&mut self.places[index], NOWHERE);
        if place == NOWHERE {
            return;
        }
        self.stack.swap_remove(place);
        if let Some(moved) = self.stack.get(place) {
            self.places[*moved] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_connection_leaves_once_and_the_others_stay() {
        let mut idle = IdleConnections::new(5);
        (0..5).for_each(|index| idle.push(index));
        for index in [1, 4, 1] {
            idle.remove(index);
        }
        assert_eq!(idle.len(), 3);
        idle.push(1);
        assert_eq!(idle.pop(), Some(1));
        let mut left: Vec<_> = std::iter::from_fn(|| idle.pop()).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2, 3]);
        idle.remove(0);
        assert_eq!(idle.len(), 0);
    }
}
