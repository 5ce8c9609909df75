//! State that all connections share: the keys, and the clients that wait for something to pop.
//!
//! The command that brings the data also serves the waiting clients, in the order of their
//! waiting: a reply is written to its socket before anything else happens. So an element is never
//! on its way to a client that has left: a client that has closed is passed over, and if the write
//! fails, the elements are back in their place before the next command runs.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::keys::{Element, Keys, ListEnd};
use super::parser::MAX_FRAME;
use super::refusal::CommandError;
use super::reply;
use crate::pipeline::servers::password::Password;

/// Bytes of an unfinished command that do not count.
const FREE_PART: usize = 64 << 10;
/// Bytes of the unfinished commands of all connections at most.
const MAX_PARTS: usize = 8 * MAX_FRAME;

/// Elements that the list of those just popped keeps room for.
const KEPT_ELEMENTS: usize = 4_096;

/// Number of elements that a pop takes, and the form of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// One: key and element, as `BLPOP` has it.
    One,
    /// Up to that number: key and elements, as `LMPOP` replies.
    UpTo(usize),
}

/// A pop that may wait.
#[derive(Debug)]
pub(super) struct PopRequest {
    /// The first of these that has a list.
    pub(super) keys: Vec<Box<[u8]>>,
    /// From which end.
    pub(super) end: ListEnd,
    /// Number of elements.
    pub(super) take: Take,
    /// Longest wait; `None` is without limit.
    pub(super) timeout: Option<Duration>,
}

/// The part of a reply that the socket did not take at once.
pub(super) type Rest = Vec<u8>;

#[derive(Debug)]
struct Waiter {
    request: PopRequest,
    stream: Rc<TcpStream>,
    served: oneshot::Sender<Rest>,
}

/// A connection that has not given the password.
#[derive(Debug)]
struct Stranger {
    id: u64,
    task: AbortHandle,
}

/// Keys and waiters.
#[derive(Debug, Default)]
pub(super) struct QueueHub {
    /// The keys.
    pub(super) keys: Keys,
    /// Bytes of unfinished commands, beyond what each connection may have.
    pub(super) part_bytes: usize,
    /// Clients have to give it first.
    pub(super) password: Option<Password>,
    waiters: HashMap<u64, Waiter>,
    /// Connections that have not given the password, the oldest first; some may have ended.
    strangers: VecDeque<Stranger>,
    /// Clients that wait for a key, the longest wait first.
    lines: HashMap<Box<[u8]>, VecDeque<u64>>,
    last_id: u64,
    popped: Vec<Element>,
    reply: Vec<u8>,
}

impl QueueHub {
    /// A server without keys.
    pub(super) fn new(password: Option<Password>) -> Self {
        Self { password, ..Self::default() }
    }

    /// Returns a new number for a waiting client.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Notes the task of a connection that has not given the password.
    pub(super) fn add_stranger(&mut self, id: u64, task: AbortHandle) {
        while self.strangers.front().is_some_and(|stranger| stranger.task.is_finished()) {
            self.strangers.pop_front();
        }
        self.strangers.push_back(Stranger { id, task });
    }

    /// Takes in that a connection has given the password.
    pub(super) fn remove_stranger(&mut self, id: u64) {
        self.strangers.retain(|stranger| stranger.id != id && !stranger.task.is_finished());
    }

    /// Ends the oldest connection that has not given the password. Returns false if there is none.
    pub(super) fn end_stranger(&mut self) -> bool {
        while let Some(Stranger { task, .. }) = self.strangers.pop_front() {
            if !task.is_finished() {
                task.abort();
                return true;
            }
        }
        false
    }

    /// Counts the bytes of an unfinished command in place of the `counted` ones before. Returns false if all
    /// connections together have too many.
    pub(super) fn count_part(&mut self, counted: &mut usize, bytes: usize) -> bool {
        let part = bytes.saturating_sub(FREE_PART);
        self.part_bytes = self.part_bytes + part - std::mem::replace(counted, part);
        part == 0 || self.part_bytes <= MAX_PARTS
    }

    /// Pops from the first of the keys that has a list and writes the reply; `false` when none has.
    pub(super) fn pop_first<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        end: ListEnd,
        take: Take,
        out: &mut Vec<u8>,
    ) -> Result<bool, CommandError> {
        for key in keys {
            if self.keys.list(key)?.is_some() {
                self.pop(key, end, take.most());
                take.write(out, key, &self.popped);
                self.forget_popped();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pops elements and hands them over by reference.
    pub(super) fn pop_each(&mut self, key: &[u8], end: ListEnd, count: usize, out: &mut Vec<u8>) {
        self.pop(key, end, count);
        self.popped.iter().for_each(|element| reply::bulk(out, element));
        self.forget_popped();
    }

    fn pop(&mut self, key: &[u8], end: ListEnd, count: usize) {
        self.keys.pop(key, end, count, &mut self.popped);
    }

    fn forget_popped(&mut self) {
        self.popped.clear();
        self.popped.shrink_to(KEPT_ELEMENTS);
    }

    /// Lets a connection wait. It gets the rest of its reply once it has been served.
    pub(super) fn wait(
        &mut self,
        request: PopRequest,
        stream: Rc<TcpStream>,
    ) -> (u64, oneshot::Receiver<Rest>) {
        let id = self.next_id();
        for key in &request.keys {
            let line = self.lines.entry(key.clone()).or_default();
            // A key may be named twice.
            if line.back() != Some(&id) {
                line.push_back(id);
            }
        }
        let (served, rest) = oneshot::channel();
        self.waiters.insert(id, Waiter { request, stream, served });
        (id, rest)
    }

    /// Ends a wait, if it has not ended.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(waiter) = self.waiters.remove(&id) {
            self.leave_lines(id, &waiter.request.keys);
        }
    }

    fn leave_lines(&mut self, id: u64, keys: &[Box<[u8]>]) {
        for key in keys {
            let Some(line) = self.lines.get_mut(key) else { continue };
            // The client that leaves is the first one most of the time.
            if let Some(place) = line.iter().position(|&other| other == id) {
                line.remove(place);
            }
            if line.is_empty() {
                self.lines.remove(key);
            }
        }
    }

    /// Serves those who wait for a key that has got elements.
    pub(super) fn serve(&mut self, key: &[u8]) {
        if self.waiters.is_empty() {
            return;
        }
        while let Some(&id) = self.lines.get(key).and_then(VecDeque::front) {
            if !matches!(self.keys.list(key), Ok(Some(_))) {
                return;
            }
            let Some(waiter) = self.waiters.remove(&id) else { return };
            self.leave_lines(id, &waiter.request.keys);
            self.hand_over(key, waiter);
        }
    }

    /// Gives a waiter its elements, or leaves them where they are if it has gone.
    fn hand_over(&mut self, key: &[u8], waiter: Waiter) {
        if has_hung_up(&waiter.stream) {
            return;
        }
        let PopRequest { end, take, .. } = waiter.request;
        self.pop(key, end, take.most());
        let mut reply = std::mem::take(&mut self.reply);
        take.write(&mut reply, key, &self.popped);
        match write_now(&waiter.stream, &reply) {
            Ok(written) => {
                // Its connection waits for this word for as long as it lives.
                let _ = waiter.served.send(reply[written..].to_vec());
            }
            Err(_) => self.keys.put_back(key, end, &mut self.popped),
        }
        self.forget_popped();
        reply.clear();
        reply.shrink_to(super::KEPT_BUFFER);
        self.reply = reply;
    }
}

impl Take {
    fn most(self) -> usize {
        match self {
            Self::One => 1,
            Self::UpTo(count) => count,
        }
    }

    fn write(self, out: &mut Vec<u8>, key: &[u8], popped: &[Element]) {
        reply::array(out, 2);
        reply::bulk(out, key);
        if self != Self::One {
            reply::array(out, popped.len());
        }
        popped.iter().for_each(|element| reply::bulk(out, element));
    }
}

/// Returns true if the peer has closed, even if bytes that it sent before are still unread.
pub(super) fn has_hung_up(stream: &TcpStream) -> bool {
    let mut sockets = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // What is looked at beyond the asked: errors and hang-ups are always told.
    matches!(poll(&mut sockets, Some(&at_once)), Ok(1..))
}

/// Writes what the socket takes right now.
fn write_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_commands_are_counted_over_all_connections() {
        let mut hub = QueueHub::default();
        let mut parts = [0; 9];
        for part in &mut parts[..8] {
            assert!(hub.count_part(part, MAX_FRAME));
        }
        assert!(hub.count_part(&mut parts[8], FREE_PART), "a small one always has room");
        assert!(!hub.count_part(&mut parts[8], MAX_FRAME));
        assert!(hub.count_part(&mut parts[0], 0) && hub.count_part(&mut parts[8], MAX_FRAME));
        for part in &mut parts {
            hub.count_part(part, 0);
        }
        assert_eq!(hub.part_bytes, 0);
    }
}
