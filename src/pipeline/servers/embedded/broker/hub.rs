//! State that all connections share: the clients, their subscriptions and their outboxes.
//!
//! One thread, no await: a connection's task borrows it for a batch of packets and gives it back.

use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::BrokerLimits;
use super::frame::{FrameError, Message};
use super::outbox::Outbox;
use super::topic::{is_topic, matches};
use crate::pipeline::servers::password::Password;

/// Topics whose subscribers are remembered, and how long each may be.
const REMEMBERED: usize = 1_024;
const REMEMBERED_BYTES: usize = 256;
/// Characters of a client id that the log shows.
const SHOWN: usize = 64;
/// Filters one client may have, and the bytes they may have together.
const MAX_FILTERS: usize = 1_000;
const MAX_FILTER_BYTES: usize = 256 * 1024;

/// Bytes that each filter counts beside its own.
const AROUND_FILTER: usize = 64;
/// Cost of the comparisons of one turn. Beyond it others get theirs.
const TURN_COST: usize = 256 * 1024;

/// Cost of comparing a topic with a filter.
fn cost_of(filter: &str) -> usize {
    filter.len() + AROUND_FILTER
}

/// Why a connection ends without its own doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// Another one came under its client id.
    TakenOver,
    /// The broker stops.
    Stopping,
    /// It had not introduced itself when its place was needed.
    Crowded,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) outbox: Outbox,
    pub(super) end: Option<EndReason>,
    /// Wakes its task.
    pub(super) waker: Option<Waker>,
    name: Option<Rc<str>>,
    filters: Vec<(String, u8)>,
}

/// Receiver of a message, and the highest QoS that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) key: usize,
    pub(super) qos: u8,
}

/// The shared state.
#[derive(Debug)]
pub(super) struct BrokerHub {
    pub(super) settings: BrokerLimits,
    /// Clients have to give it in CONNECT.
    pub(super) password: Option<Password>,
    peers: Vec<Option<Peer>>,
    vacant: Vec<usize>,
    names: HashMap<Rc<str>, usize>,
    routes: HashMap<Box<[u8]>, Rc<[Recipient]>>,
    /// Cost of all filters, as [`cost_of`] counts it: a topic that is not remembered is compared with each.
    filter_cost: usize,
    /// Cost of comparisons that the connection whose turn it is may still cause.
    turn_cost: usize,
    /// Bytes of unfinished packets, beyond what each connection may have.
    pub(super) part_bytes: usize,
    /// Clients that came without a name.
    unnamed: u64,
    stopping: bool,
}

impl BrokerHub {
    pub(super) fn new(settings: BrokerLimits, password: Option<Password>) -> Self {
        Self {
            settings,
            password,
            peers: Vec::new(),
            vacant: Vec::new(),
            names: HashMap::new(),
            routes: HashMap::new(),
            filter_cost: 0,
            turn_cost: TURN_COST,
            part_bytes: 0,
            unnamed: 0,
            stopping: false,
        }
    }

    /// Returns the number of connections.
    pub(super) fn len(&self) -> usize {
        self.peers.len() - self.vacant.len()
    }

    /// A new connection's key.
    pub(super) fn enter(&mut self) -> usize {
        let peer = Peer {
            outbox: Outbox::new(self.settings.outbox_bytes),
            end: self.stopping.then_some(EndReason::Stopping),
            waker: None,
            name: None,
            filters: Vec::new(),
        };
        if let Some(key) = self.vacant.pop() {
            self.peers[key] = Some(peer);
            return key;
        }
        self.peers.push(Some(peer));
        self.peers.len() - 1
    }

    /// Forgets a connection, and lets those go on that waited for it.
    pub(super) fn leave(&mut self, key: usize) {
        self.forget_filters(key);
        let Some(mut peer) = self.peers.get_mut(key).and_then(Option::take) else { return };
        self.vacant.push(key);
        if let Some(name) = &peer.name
            && self.names.get(name) == Some(&key)
        {
            self.names.remove(name);
        }
        self.wake(&peer.outbox.take_waiting());
    }

    pub(super) fn peer(&mut self, key: usize) -> Option<&mut Peer> {
        self.peers.get_mut(key)?.as_mut()
    }

    /// Name of a client in the log: its own id, made printable.
    pub(super) fn name(&self, key: usize) -> String {
        let peer = self.peers.get(key).and_then(Option::as_ref);
        match peer.and_then(|peer| peer.name.as_ref()) {
            Some(name) => format!("{:?}", name.chars().take(SHOWN).collect::<String>()),
            None => "(not introduced)".to_owned(),
        }
    }

    /// Gives a connection its client id, and ends the one that had it.
    pub(super) fn introduce(&mut self, key: usize, name: &str) {
        let name: Rc<str> = if name.is_empty() {
            self.unnamed += 1;
            format!("unnamed-{}-{key}", self.unnamed).into()
        } else {
            name.into()
        };
        if let Some(older) = self.names.insert(Rc::clone(&name), key) {
            self.end(older, EndReason::TakenOver);
        }
        if let Some(peer) = self.peer(key) {
            peer.name = Some(name);
        }
    }

    /// Removes the filters of a connection. One without leaves the others' routes alone.
    fn forget_filters(&mut self, key: usize) {
        let Some(peer) = self.peer(key) else { return };
        let filters = std::mem::take(&mut peer.filters);
        if !filters.is_empty() {
            self.filter_cost -= filters.iter().map(|(path, _)| cost_of(path)).sum::<usize>();
            self.routes.clear();
        }
    }

    /// Ends a connection that has not introduced itself. Returns false if all have.
    pub(super) fn end_stranger(&mut self) -> bool {
        let is_stranger = |peer: &Peer| peer.name.is_none() && peer.end.is_none();
        let stranger = self.peers.iter().position(|peer| peer.as_ref().is_some_and(is_stranger));
        if let Some(key) = stranger {
            self.end(key, EndReason::Crowded);
        }
        stranger.is_some()
    }

    /// Begins the turn of a connection.
    pub(super) fn begin_turn(&mut self) {
        self.turn_cost = TURN_COST;
    }

    /// Ends a connection: nothing more is routed to it, and its task gets the reason.
    fn end(&mut self, key: usize, end: EndReason) {
        self.forget_filters(key);
        if let Some(peer) = self.peer(key) {
            peer.end = Some(end);
            let waiting = peer.outbox.take_waiting();
            self.wake(&waiting);
            self.wake(&[key]);
        }
    }

    /// Ends all connections, those to come too.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        for key in 0..self.peers.len() {
            self.end(key, EndReason::Stopping);
        }
    }

    /// Subscribes; `false` where a client wants more than it may have.
    pub(super) fn subscribe(&mut self, key: usize, filter: &str, qos: u8) -> bool {
        self.routes.clear();
        let is_room = self.filter_cost + cost_of(filter) <= self.settings.filter_bytes;
        let Some(peer) = self.peer(key) else { return false };
        if let Some(same) = peer.filters.iter_mut().find(|(path, _)| path == filter) {
            same.1 = qos;
            return true;
        }
        let bytes: usize = peer.filters.iter().map(|(path, _)| path.len()).sum();
        let allowed =
            is_room && peer.filters.len() < MAX_FILTERS && bytes + filter.len() <= MAX_FILTER_BYTES;
        if allowed {
            peer.filters.push((filter.to_owned(), qos));
            self.filter_cost += cost_of(filter);
        }
        allowed
    }

    pub(super) fn unsubscribe(&mut self, key: usize, filter: &str) {
        self.routes.clear();
        if let Some(peer) = self.peer(key) {
            let before = peer.filters.len();
            peer.filters.retain(|(path, _)| path != filter);
            let removed = before - peer.filters.len();
            self.filter_cost -= removed * cost_of(filter);
        }
    }

    /// Returns the receivers of the messages of a topic. `None` if the turn of connection `key` is over, which is then
    /// woken for its next one.
    pub(super) fn targets(
        &mut self,
        key: usize,
        topic: &[u8],
    ) -> Result<Option<Rc<[Recipient]>>, FrameError> {
        if let Some(targets) = self.routes.get(topic) {
            return Ok(Some(Rc::clone(targets)));
        }
        if self.turn_cost == 0 {
            self.wake(&[key]);
            return Ok(None);
        }
        self.turn_cost = self.turn_cost.saturating_sub(self.filter_cost);
        let name = str::from_utf8(topic).ok().filter(|name| is_topic(name));
        let name = name.ok_or(FrameError("a topic that is none"))?;
        if name.starts_with("$SYS/") {
            return Err(FrameError("a message to the broker's own topics"));
        }
        let targets: Rc<[Recipient]> = self.subscribers(name).collect();
        if self.routes.len() >= REMEMBERED {
            self.routes.clear();
        }
        if topic.len() <= REMEMBERED_BYTES {
            self.routes.insert(topic.into(), Rc::clone(&targets));
        }
        Ok(Some(targets))
    }

    /// Each client once, however many of its filters match, at the best QoS among them.
    fn subscribers(&self, topic: &str) -> impl Iterator<Item = Recipient> {
        let peers = self.peers.iter().enumerate();
        peers.filter_map(move |(key, peer)| {
            let filters = peer.as_ref()?.filters.iter();
            let granted = filters.filter(|(filter, _)| matches(topic, filter)).map(|(_, qos)| *qos);
            granted.max().map(|qos| Recipient { key, qos })
        })
    }

    /// The first of them that has no room.
    pub(super) fn full(&self, targets: &[Recipient]) -> Option<usize> {
        let is_full = |key: usize| {
            let peer = self.peers.get(key).and_then(Option::as_ref);
            peer.is_some_and(|peer| peer.outbox.is_full())
        };
        targets.iter().map(|target| target.key).find(|key| is_full(*key))
    }

    /// Gives a run of frames to all of them as it is.
    pub(super) fn forward(&mut self, targets: &[Recipient], frames: &[u8]) {
        for target in targets {
            if let Some(peer) = self.peer(target.key) {
                peer.outbox.put(frames);
                peer.wake();
            }
        }
    }

    /// Gives one message to all of them, each at its own QoS.
    pub(super) fn deliver(&mut self, targets: &[Recipient], message: Message<'_>) {
        let qos = u8::from(message.packet_id.is_some());
        for target in targets {
            if let Some(peer) = self.peer(target.key) {
                peer.outbox.put_message(message, target.qos.min(qos), false);
                peer.wake();
            }
        }
    }

    /// Notes that `waiting` cannot go on before `full` has room. The first to wait starts the time
    /// that a client has to take something.
    pub(super) fn wait(&mut self, waiting: usize, full: usize) {
        if let Some(peer) = self.peer(full)
            && peer.outbox.wait(waiting)
        {
            peer.wake();
        }
    }

    /// Lets those go on that waited for a client which has room again.
    pub(super) fn release(&mut self, key: usize) {
        let waiting = self.peer(key).map(|peer| peer.outbox.released()).unwrap_or_default();
        self.wake(&waiting);
    }

    /// Time since which others wait for a client whose outbox is full. If it has room, they go on.
    pub(super) fn stalled_since(&mut self, key: usize) -> Option<Instant> {
        let outbox = &mut self.peer(key)?.outbox;
        let since = outbox.stalled_since()?;
        if outbox.is_full() {
            return Some(since);
        }
        let waiting = outbox.take_waiting();
        self.wake(&waiting);
        None
    }

    fn wake(&self, keys: &[usize]) {
        for key in keys {
            if let Some(Some(peer)) = self.peers.get(*key) {
                peer.wake();
            }
        }
    }
}

impl Peer {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
