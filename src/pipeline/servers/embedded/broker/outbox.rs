//! Outbox of a connection: bytes that are to be written to it, and the packet ids in use at QoS 1.
//!
//! Bytes are copied in rather than shared: a message of 70 bytes that shares its buffer keeps all of
//! that buffer, so a bound on the outbox would bound nothing. It also makes each batch one write.

use std::time::Instant;

use bytes::{Buf as _, BytesMut};

use super::frame::{Message, put_message};

/// Messages at QoS 1 that a subscriber may leave unacknowledged before its publishers wait: a little
/// less than there are packet ids.
const WINDOW: usize = 60_000;
/// Room that an empty outbox keeps.
const KEEP: usize = 128 * 1024;

/// One connection's outgoing side.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes: BytesMut,
    /// Above it nothing more is put in for now.
    bound: usize,
    in_flight: InFlight,
    /// Publishers that wait until there is room, by their keys.
    waiting: Vec<usize>,
    /// Since when they wait without the client having taken or acknowledged anything.
    stalled_since: Instant,
}

impl Outbox {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            bound,
            in_flight: InFlight::default(),
            waiting: Vec::new(),
            stalled_since: Instant::now(),
        }
    }

    /// Returns true if publishers to this client must wait.
    pub(super) fn is_full(&self) -> bool {
        self.is_unread() || self.in_flight.count >= WINDOW
    }

    /// Returns true if the client must read before it gets further answers.
    pub(super) fn is_unread(&self) -> bool {
        self.bytes.len() >= self.bound
    }

    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts in bytes that are frames already.
    pub(super) fn put(&mut self, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
    }

    /// Puts in a message, at QoS 1 under a packet id of this connection's own.
    pub(super) fn put_message(&mut self, message: Message<'_>, qos: u8, retained: bool) {
        let packet_id = (qos > 0).then(|| self.in_flight.take());
        put_message(&mut self.bytes, &Message { packet_id, ..message }, retained);
    }

    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The socket took so much.
    pub(super) fn written(&mut self, count: usize) {
        self.bytes.advance(count);
        if self.bytes.is_empty() && self.bytes.capacity() > KEEP {
            self.bytes = BytesMut::new();
        }
        self.stalled_since = Instant::now();
    }

    /// The client has this message. An id that is not in flight changes nothing.
    pub(super) fn acknowledged(&mut self, packet_id: u16) {
        if self.in_flight.release(packet_id) {
            self.stalled_since = Instant::now();
        }
    }

    /// Notes a publisher that waits; whether it is the first.
    pub(super) fn wait(&mut self, key: usize) -> bool {
        let first = self.waiting.is_empty();
        if first {
            self.stalled_since = Instant::now();
        }
        if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
        first
    }

    /// Those that wait, once a good part of the room is free again.
    pub(super) fn released(&mut self) -> Vec<usize> {
        let roomy = self.bytes.len() <= self.bound / 2 && self.in_flight.count <= WINDOW / 2;
        if roomy { self.take_waiting() } else { Vec::new() }
    }

    /// Those that wait, because there is nothing to wait for any more.
    pub(super) fn take_waiting(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.waiting)
    }

    /// Time since which others wait for this client without success.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.stalled_since)
    }
}

/// The packet ids in use, one bit each.
#[derive(Debug, Default)]
struct InFlight {
    /// None until the first message at QoS 1.
    used: Vec<u64>,
    count: usize,
    last: u16,
}

impl InFlight {
    fn take(&mut self) -> u16 {
        if self.used.is_empty() {
            self.used = vec![0; 1024];
        }
        // The window is far below the number of ids, so one is free.
        for _ in 0..=u16::MAX {
            self.last = self.last.checked_add(1).unwrap_or(1);
            let (word, bit) = place(self.last);
            if self.used[word] & bit == 0 {
                self.used[word] |= bit;
                self.count += 1;
                break;
            }
        }
        self.last
    }

    fn release(&mut self, id: u16) -> bool {
        let (word, bit) = place(id);
        let known = self.used.get(word).is_some_and(|bits| bits & bit != 0);
        if known {
            self.used[word] &= !bit;
            self.count -= 1;
        }
        known
    }
}

fn place(id: u16) -> (usize, u64) {
    (usize::from(id / 64), 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_not_given_twice_before_it_is_back() {
        let mut ids = InFlight::default();
        assert_eq!((ids.take(), ids.take()), (1, 2));
        assert!(ids.release(1));
        assert!(!ids.release(1), "it is back already");
        assert!(!InFlight::default().release(7));
        let rest: Vec<u16> = (3..=u16::MAX).map(|_| ids.take()).collect();
        assert_eq!(rest.first().zip(rest.last()), Some((&3, &u16::MAX)));
        assert_eq!(ids.take(), 1, "0 is no id, and 2 is in use");
    }

    #[test]
    fn those_that_wait_are_released_when_half_is_free() {
        let mut outbox = Outbox::new(100);
        outbox.put(&[0; 100]);
        assert!(outbox.is_full() && outbox.stalled_since().is_none());
        assert!(outbox.wait(7) && !outbox.wait(7) && !outbox.wait(8));
        outbox.written(40);
        assert!(!outbox.is_full() && outbox.released().is_empty());
        outbox.written(10);
        assert_eq!(outbox.released(), [7, 8]);
        assert!(outbox.stalled_since().is_none());
    }
}
