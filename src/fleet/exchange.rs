//! Exchange of arrivals in a fleet whose nodes share one subscription (`--arrivals-at shared`). Each node writes what its
//! subscriber has seen to a list of the node that sent the message, in the time of Redis, and reads its own list.
//!
//! An entry of a list is a batch: index of the writer (4 bytes), number of the batch (8), error bound of the writer's clock in
//! nanoseconds (8), then for each event its kind (1 byte), the id (8) and the time in microseconds since 1970 (8), all
//! little-endian. A batch that is written twice, as its first answer was lost, is known by its number.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::collector::FleetState;
use super::heartbeat_loop::lock;
use super::keys::FleetKey;
use super::roster::Roster;
use super::store::{Store, StoreError};
use crate::core::clock::{self, Nanos};
use crate::message::MsgId;
use crate::run::{ArrivalExchange, Heard, Pending};

/// Interval between two exchanges in a small fleet, and the part of it that each node adds: each node writes to all others.
const EVERY: Duration = Duration::from_millis(50);
const EVERY_PER_NODE: Duration = Duration::from_millis(2);
/// Exchanges after which the clocks are compared, and lost nodes looked for.
const EXCHANGES_TO_COMPARE: u64 = 20;
/// Most events that wait while Redis is away: what comes then is left out, and may count as missed.
const MOST_WAITING: usize = 2_000_000;
/// Most events in one batch, and most batches that are read at once.
const MOST_EVENTS: usize = 50_000;
const MOST_BATCHES: usize = 100;
/// Longest time in which Redis may be away while this node waits for the others at the end.
const LONGEST_AWAY: Duration = Duration::from_secs(60);
/// Bytes of a batch before its events, and of an event.
const HEAD: usize = 20;
const EVENT: usize = 17;

/// Exchange of one node.
pub(crate) struct FleetExchange {
    shared: Arc<SharedEvents>,
    group: String,
    is_drained: watch::Sender<bool>,
    is_over: watch::Receiver<bool>,
    _task: JoinSet<()>,
}

/// Events between the subscriber and the task that exchanges them.
#[derive(Default)]
struct SharedEvents {
    outgoing: Mutex<EventsToPass>,
    incoming: Mutex<Vec<(u64, Heard)>>,
    counted: AtomicU64,
    /// Largest error of a time that was passed on, in nanoseconds.
    bound_ns: AtomicU64,
}

/// Events on their way to other nodes, by index.
#[derive(Default)]
struct EventsToPass {
    to: BTreeMap<u64, Vec<Heard>>,
    /// Events for all other nodes go to each of them.
    others: Vec<u64>,
    waiting: usize,
    /// Events for which there was no room.
    left_out: u64,
}

impl EventsToPass {
    /// Takes the events for a node, at most as many as a batch may have.
    fn take(&mut self, to: u64) -> Vec<Heard> {
        let Some(events) = self.to.get_mut(&to) else { return Vec::new() };
        let rest = events.split_off(events.len().min(MOST_EVENTS));
        let taken = std::mem::replace(events, rest);
        self.waiting = self.waiting.saturating_sub(taken.len());
        taken
    }

    fn add(&mut self, to: u64, heard: Heard) {
        if self.waiting < MOST_WAITING {
            self.to.entry(to).or_default().push(heard);
            self.waiting += 1;
        } else {
            self.left_out += 1;
        }
    }
}

/// Counts of an exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExchangeCounts {
    /// Messages that the subscriber of another node received.
    pub(super) timed_by_others: u64,
    /// The most that their time of receipt can be wrong, in microseconds.
    pub(super) bound_us: f64,
}

impl FleetExchange {
    /// Begins the exchange of the node `index`. `group` is the name of the subscription.
    pub(super) fn begin(store: Store, roster: Arc<Roster>, index: usize, group: String) -> Self {
        let others = (0..roster.nodes.len() as u64).filter(|other| *other != index as u64);
        let outgoing = EventsToPass { others: others.collect(), ..EventsToPass::default() };
        let shared =
            Arc::new(SharedEvents { outgoing: Mutex::new(outgoing), ..SharedEvents::default() });
        let (is_drained, drained) = watch::channel(false);
        let (over, is_over) = watch::channel(false);
        let exchange = ExchangeTask {
            store,
            roster,
            index,
            shared: Arc::clone(&shared),
            unsent: BTreeMap::new(),
            packed: 0,
            last_of: BTreeMap::new(),
            drained,
            is_drained_written: false,
            over,
        };
        let mut task = JoinSet::new();
        task.spawn(exchange.run());
        Self { shared, group, is_drained, is_over, _task: task }
    }

    pub(super) fn counts(&self) -> ExchangeCounts {
        ExchangeCounts {
            timed_by_others: self.shared.counted.load(Relaxed),
            bound_us: Nanos(self.shared.bound_ns.load(Relaxed)).as_micros_f64(),
        }
    }
}

impl ArrivalExchange for FleetExchange {
    fn group(&self) -> &str {
        &self.group
    }

    fn pass_on(&self, to: Option<u64>, heard: Heard) {
        let mut outgoing = lock(&self.shared.outgoing);
        match to {
            Some(node) => outgoing.add(node, heard),
            None => {
                let others = outgoing.others.clone();
                others.into_iter().for_each(|node| outgoing.add(node, heard));
            }
        }
    }

    fn take(&self) -> Vec<(u64, Heard)> {
        std::mem::take(&mut *lock(&self.shared.incoming))
    }

    fn count(&self) {
        self.shared.counted.fetch_add(1, Relaxed);
    }

    fn until_all_drained(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.is_drained.send_replace(true);
            // An error means that the task has ended: there is nothing to wait for.
            let _ = self.is_over.clone().wait_for(|is_over| *is_over).await;
        })
    }
}

/// The task that writes and reads the lists.
struct ExchangeTask {
    store: Store,
    roster: Arc<Roster>,
    index: usize,
    shared: Arc<SharedEvents>,
    /// Batches that Redis has not taken yet, by the rank of the receiver.
    unsent: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Batches that were packed.
    packed: u64,
    /// Number of the last batch of each other node.
    last_of: BTreeMap<u32, u64>,
    drained: watch::Receiver<bool>,
    is_drained_written: bool,
    /// Gets true when no node expects messages any more, or Redis was away for too long.
    over: watch::Sender<bool>,
}

impl ExchangeTask {
    async fn run(mut self) {
        let mut ticks = interval(EVERY + EVERY_PER_NODE * self.roster.nodes.len() as u32);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answered = Instant::now();
        for count in 0u64.. {
            ticks.tick().await;
            let is_to_compare = count.is_multiple_of(EXCHANGES_TO_COMPARE);
            // While Redis is away, the events wait.
            match self.exchange(is_to_compare).await {
                Ok(false) => answered = Instant::now(),
                Ok(true) => break,
                Err(error) => {
                    log::debug!("exchange of arrivals: {error}");
                    if *self.drained.borrow() && answered.elapsed() >= LONGEST_AWAY {
                        let others = lock(&self.shared.outgoing).others.clone();
                        self.miss_from(&others);
                        break;
                    }
                }
            }
        }
        self.over.send_replace(true);
    }

    /// Writes and reads once. Returns true if no node expects messages any more.
    async fn exchange(&mut self, is_to_compare: bool) -> Result<bool, StoreError> {
        if is_to_compare {
            self.store.compare_clocks().await?;
        }
        let was_drained = *self.drained.borrow();
        let all_drained = was_drained && self.are_all_drained(is_to_compare).await?;
        self.pack_outgoing();
        self.store.append_batches(FleetKey::Arrivals, &self.unsent).await?;
        self.unsent.clear();
        self.read_own_list().await?;
        if was_drained && !self.is_drained_written {
            let rank = self.roster.nodes[self.index].rank;
            self.store.put_field(FleetKey::Drained, rank, b"1").await?;
            self.is_drained_written = true;
        }
        Ok(all_drained)
    }

    /// Reads what other nodes have written for this one. Each has written it before it says that it is drained. A batch
    /// that is read again, as the command that drops it had no answer, is known by its number.
    async fn read_own_list(&mut self) -> Result<(), StoreError> {
        let rank = self.roster.nodes[self.index].rank;
        loop {
            let batches = self.store.batches(FleetKey::Arrivals, rank, MOST_BATCHES).await?;
            if batches.is_empty() {
                return Ok(());
            }
            batches.iter().for_each(|batch| self.unpack(batch));
            self.store.drop_batches(FleetKey::Arrivals, rank, batches.len()).await?;
        }
    }

    /// Returns true if all nodes are drained or lost. Lost ones are looked for only now and then.
    async fn are_all_drained(&mut self, is_to_look: bool) -> Result<bool, StoreError> {
        let drained = self.store.count(FleetKey::Drained).await?;
        let nodes = self.roster.nodes.len() as u64;
        if drained >= nodes || !is_to_look {
            return Ok(drained >= nodes);
        }
        let drained = self.store.fields::<u64>(FleetKey::Drained).await?;
        let state = FleetState::read_beats(&mut self.store).await?;
        let lost = state.lost(&self.roster);
        let mut ranks = self.roster.nodes.iter().enumerate();
        let are_all =
            ranks.all(|(index, node)| drained.contains_key(&node.rank) || lost.contains(&index));
        if are_all {
            let lost: Vec<_> = lost.iter().map(|index| *index as u64).collect();
            self.miss_from(&lost);
        }
        Ok(are_all)
    }

    /// Notes that these nodes may have received messages and passed nothing on: such messages are missed, not lost.
    fn miss_from(&self, nodes: &[u64]) {
        let events = nodes.iter().map(|node| (*node, Heard::Disconnected));
        lock(&self.shared.incoming).extend(events);
    }

    /// Packs the events that wait, each batch for one node.
    fn pack_outgoing(&mut self) {
        if !self.unsent.is_empty() {
            return;
        }
        let bound_ns = (self.store.clock_bound_us() * 1e3) as u64;
        let mut outgoing = lock(&self.shared.outgoing);
        let left_out = std::mem::take(&mut outgoing.left_out);
        if left_out > 0 {
            log::warn!(
                "Redis was away for so long that {left_out} arrivals could not be passed on: other nodes count them as \
                 missed"
            );
        }
        for node in outgoing.others.clone() {
            let mut events = outgoing.take(node);
            if left_out > 0 {
                events.push(Heard::Disconnected);
                events.push(Heard::Reconnected { at: clock::now(), kept: false });
            }
            let Some(receiver) =
                self.roster.nodes.get(node as usize).filter(|_| !events.is_empty())
            else {
                continue;
            };
            let server_us = |at| self.store.server_us(at);
            self.packed += 1;
            let head = BatchHead { from: self.index as u32, number: self.packed, bound_ns };
            let batch = pack(head, &events, server_us);
            self.unsent.entry(receiver.rank).or_default().push(batch);
        }
    }

    fn unpack(&mut self, batch: &[u8]) {
        let Some((BatchHead { from, number, bound_ns }, events)) = unpack(batch) else { return };
        let last = self.last_of.entry(from).or_default();
        if number <= *last {
            return;
        }
        *last = number;
        let own_ns = (self.store.clock_bound_us() * 1e3) as u64;
        self.shared.bound_ns.fetch_max(bound_ns.saturating_add(own_ns), Relaxed);
        let monotonic = |us| self.store.monotonic_of(us);
        let events = events.iter().filter_map(|event| event.heard(monotonic));
        let from = u64::from(from);
        lock(&self.shared.incoming).extend(events.map(|heard| (from, heard)));
    }
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message = 0,
    MessageTimedWhenRead = 1,
    Disconnected = 2,
    Reconnected = 3,
    ReconnectedKept = 4,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Message,
        Self::MessageTimedWhenRead,
        Self::Disconnected,
        Self::Reconnected,
        Self::ReconnectedKept,
    ];
}

/// An event as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WrittenEvent {
    kind: Kind,
    id: u64,
    /// In the time of Redis, in microseconds since 1970.
    at_us: u64,
}

impl WrittenEvent {
    fn of(heard: Heard, server_us: impl Fn(Nanos) -> u64) -> Self {
        match heard {
            Heard::Message { id, at, when_read } => {
                let kind = if when_read { Kind::MessageTimedWhenRead } else { Kind::Message };
                Self { kind, id: id.get(), at_us: server_us(at) }
            }
            Heard::Disconnected => Self { kind: Kind::Disconnected, id: 0, at_us: 0 },
            Heard::Reconnected { at, kept } => {
                let kind = if kept { Kind::ReconnectedKept } else { Kind::Reconnected };
                Self { kind, id: 0, at_us: server_us(at) }
            }
        }
    }

    /// The event with its time on the clock of this machine; `None` if it cannot be.
    fn heard(self, monotonic: impl Fn(u64) -> Option<Nanos>) -> Option<Heard> {
        let Self { kind, id, at_us } = self;
        Some(match kind {
            Kind::Disconnected => Heard::Disconnected,
            Kind::Message | Kind::MessageTimedWhenRead => Heard::Message {
                id: MsgId::new(id)?,
                at: monotonic(at_us)?,
                when_read: kind == Kind::MessageTimedWhenRead,
            },
            Kind::Reconnected | Kind::ReconnectedKept => {
                Heard::Reconnected { at: monotonic(at_us)?, kept: kind == Kind::ReconnectedKept }
            }
        })
    }
}

/// Head of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BatchHead {
    /// Index of the node that wrote it.
    from: u32,
    /// Its number among the batches of that node, from 1, rising.
    number: u64,
    /// The most that the clock of Redis may be misread by there, in nanoseconds.
    bound_ns: u64,
}

fn pack(head: BatchHead, events: &[Heard], server_us: impl Fn(Nanos) -> u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + EVENT * events.len());
    bytes.extend(head.from.to_le_bytes());
    bytes.extend(head.number.to_le_bytes());
    bytes.extend(head.bound_ns.to_le_bytes());
    for heard in events {
        let event = WrittenEvent::of(*heard, &server_us);
        bytes.push(event.kind as u8);
        bytes.extend(event.id.to_le_bytes());
        bytes.extend(event.at_us.to_le_bytes());
    }
    bytes
}

/// Reads a batch; `None` if it is of another shape. Events of a kind that is not known are left out.
fn unpack(bytes: &[u8]) -> Option<(BatchHead, Vec<WrittenEvent>)> {
    let (from, rest) = bytes.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (bound_ns, rest) = rest.split_first_chunk::<8>()?;
    let event = |bytes: &[u8]| {
        let (kind, rest) = bytes.split_first()?;
        let (id, at_us) = rest.split_first_chunk::<8>()?;
        Some(WrittenEvent {
            kind: *Kind::ALL.get(usize::from(*kind))?,
            id: u64::from_le_bytes(*id),
            at_us: u64::from_le_bytes(at_us.try_into().ok()?),
        })
    };
    let head = BatchHead {
        from: u32::from_le_bytes(*from),
        number: u64::from_le_bytes(*number),
        bound_ns: u64::from_le_bytes(*bound_ns),
    };
    Some((head, rest.chunks_exact(EVENT).filter_map(event).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let id = MsgId::new(MsgId::MAX).expect("an id");
        let at = Nanos(7_000);
        let all = [
            Heard::Message { id, at, when_read: false },
            Heard::Message { id, at, when_read: true },
            Heard::Disconnected,
            Heard::Reconnected { at, kept: true },
            Heard::Reconnected { at, kept: false },
        ];
        let written = BatchHead { from: 3, number: 8, bound_ns: 90 };
        let bytes = pack(written, &all, |at| at.0 / 1_000 + 5);
        let (head, events) = unpack(&bytes).expect("a batch");
        assert_eq!((head, events.len()), (written, 5));
        let monotonic = |us: u64| us.checked_sub(5).map(|us| Nanos(us * 1_000));
        let read: Vec<_> = events.iter().filter_map(|event| event.heard(monotonic)).collect();
        assert_eq!(read, all);
        assert_eq!(unpack(&bytes[..19]), None);
        let mut unknown = bytes;
        unknown[HEAD] = 200;
        assert_eq!(unpack(&unknown).map(|(_, events)| events.len()), Some(4));
    }

    #[test]
    fn events_for_all_go_to_each_other_node_and_do_not_pile_up() {
        let mut outgoing = EventsToPass { others: vec![0, 2], ..EventsToPass::default() };
        for node in outgoing.others.clone() {
            outgoing.add(node, Heard::Disconnected);
        }
        assert_eq!(outgoing.to.keys().collect::<Vec<_>>(), [&0, &2]);
        outgoing.to.insert(0, vec![Heard::Disconnected; MOST_EVENTS + 2]);
        outgoing.waiting = MOST_EVENTS + 3;
        assert_eq!(
            (outgoing.take(0).len(), outgoing.take(0).len(), outgoing.take(1).len()),
            (MOST_EVENTS, 2, 0)
        );
        assert_eq!(outgoing.waiting, 1);
        outgoing.waiting = MOST_WAITING;
        outgoing.add(2, Heard::Disconnected);
        assert_eq!((outgoing.to[&2].len(), outgoing.left_out), (1, 1));
    }
}
