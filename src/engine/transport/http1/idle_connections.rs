//! Connections that are free for a request: a stack, with the one used last on top, from which any can be
//! removed in constant time.

/// Position of a connection that is not free.
const NOWHERE: usize = usize::MAX;

/// Free connections, by index.
#[derive(Debug)]
pub(super) struct IdleConnections {
    stack: Vec<usize>,
    /// Position of each connection in the stack.
    positions: Vec<usize>,
}

impl IdleConnections {
    /// Creates an empty stack for `connections` connections.
    pub(super) fn new(connections: usize) -> Self {
        Self { stack: Vec::with_capacity(connections), positions: vec![NOWHERE; connections] }
    }

    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, index: usize) {
        self.positions[index] = self.stack.len();
        self.stack.push(index);
    }

    /// Takes the connection used last: its state is most likely still in the CPU's caches.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let index = self.stack.pop()?;
        self.positions[index] = NOWHERE;
        Some(index)
    }

    /// Removes a connection if it is free. The one on top moves to its position.
    pub(super) fn remove(&mut self, index: usize) {
        let position = std::mem::replace(&mut self.positions[index], NOWHERE);
        if position == NOWHERE {
            return;
        }
        self.stack.swap_remove(position);
        if let Some(moved) = self.stack.get(position) {
            self.positions[*moved] = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_can_be_removed_once_and_the_others_stay() {
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
