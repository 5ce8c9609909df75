//! The account of messages: every id that was sent ends as arrived, lost, missed or unknown.
//!
//! The senders note when each message was due and which were accepted; the receiver notes which
//! arrived. They share only the due times, in blocks that are given back as soon as all of a block
//! arrived, so what stays is at most one bit an id.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::due::{DueBlock, DueTable};
use super::id::{IdSpace, MsgId};
use super::idset::IdSet;
use super::outages::{MissedSpan, Outages};
use crate::core::clock::Nanos;

/// The most ids of a kind that the report names.
const EXAMPLES: usize = 10;

/// Kind of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first copy of a measured message, which was due then.
    First {
        /// When it was due.
        due: Nanos,
    },
    /// A further copy of one that arrived before.
    Duplicate,
    /// A message of the warm-up: known, not counted.
    Warmup,
    /// A message of another node that sends the same load: its own books are about it.
    OtherNode,
    /// None of this run's: a foreign id, or one that was not sent yet.
    Unexpected,
}

/// The due times of a block on the receiver's side.
#[derive(Debug)]
enum Dues {
    /// The worker may still be writing.
    Open(DueBlock),
    /// The worker has left the block: only what is missing is kept, as (place, due).
    Closed(Vec<(usize, Nanos)>),
}

/// The receiver's books.
#[derive(Debug)]
pub(crate) struct ArrivalTracker {
    space: IdSpace,
    table: Arc<DueTable>,
    /// Messages due before this point are warm-up.
    measure_from: Nanos,
    dues: HashMap<u64, Dues>,
    arrived: IdSet,
    /// Per worker: the highest index that arrived.
    highest: HashMap<u64, u64>,
    duplicated: u64,
    reordered: u64,
    unexpected: u64,
    foreign: u64,
    duplicates: Vec<MsgId>,
    /// Outages of this process's own subscriber, then of those of other nodes that share its subscription.
    outages: Vec<Outages>,
}

/// The subscriber that received a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HeardBy {
    /// The subscriber of this process.
    #[default]
    Itself,
    /// The subscriber of another node, by its index.
    Node(u64),
}

impl HeardBy {
    /// Its place in the list of outages.
    fn place(self) -> usize {
        match self {
            Self::Itself => 0,
            Self::Node(index) => index as usize + 1,
        }
    }
}

impl ArrivalTracker {
    /// Books for a run whose measured part begins at `measure_from`.
    pub(crate) fn new(space: IdSpace, table: Arc<DueTable>, measure_from: Nanos) -> Self {
        Self {
            space,
            table,
            measure_from,
            dues: HashMap::new(),
            arrived: IdSet::default(),
            highest: HashMap::new(),
            duplicated: 0,
            reordered: 0,
            unexpected: 0,
            foreign: 0,
            duplicates: Vec::new(),
            outages: vec![Outages::default()],
        }
    }

    /// Moves the point at which measuring begins, once it is known.
    pub(crate) fn set_measure_from(&mut self, at: Nanos) {
        self.measure_from = at;
    }

    /// Notes one message of this process's own subscriber; `None` is one without a readable id.
    pub(crate) fn note(&mut self, id: Option<MsgId>) -> Arrival {
        self.note_heard_by(HeardBy::Itself, id)
    }

    /// Notes one message of any subscriber.
    pub(crate) fn note_heard_by(&mut self, by: HeardBy, id: Option<MsgId>) -> Arrival {
        if id.is_some_and(|id| self.space.is_of_another_node(id)) {
            return Arrival::OtherNode;
        }
        let Some((id, (block, place))) = id.and_then(|id| Some((id, self.space.locate(id)?)))
        else {
            self.unexpected += 1;
            self.foreign += u64::from(id.is_some());
            return Arrival::Unexpected;
        };
        if self.arrived.has(block, place) {
            self.duplicated += 1;
            if self.duplicates.len() < EXAMPLES && !self.duplicates.contains(&id) {
                self.duplicates.push(id);
            }
            return Arrival::Duplicate;
        }
        match self.due_of(block, place) {
            None => {
                self.unexpected += 1;
                Arrival::Unexpected
            }
            Some(due) => {
                self.outages_of(by).arrived(due);
                if due < self.measure_from {
                    return Arrival::Warmup;
                }
                self.arrive(block, place, by);
                Arrival::First { due }
            }
        }
    }

    /// A subscriber lost its connection.
    pub(crate) fn disconnected(&mut self, by: HeardBy) {
        self.outages_of(by).disconnected();
    }

    /// The subscription stands again, since `now`; the broker may have kept its session.
    pub(crate) fn reconnected(&mut self, by: HeardBy, now: Nanos, session_kept: bool) {
        self.outages_of(by).reconnected(now, session_kept);
    }

    fn outages_of(&mut self, by: HeardBy) -> &mut Outages {
        let place = by.place();
        if self.outages.len() <= place {
            self.outages.resize_with(place + 1, Outages::default);
        }
        &mut self.outages[place]
    }

    /// Returns true if a message that was due then may have been published while a subscriber was disconnected.
    fn is_in_outage(&self, due: Nanos) -> bool {
        self.outages.iter().any(|outages| outages.contain(due))
    }

    /// Due times, since measuring began, of which messages may have been published while the subscriber
    /// was disconnected.
    pub(crate) fn missed_spans(&self, end: Nanos) -> Vec<MissedSpan> {
        let spans = self.outages.iter().flat_map(Outages::spans);
        let measured = spans.filter(|span| span.to >= self.measure_from);
        // A subtraction stops at 0.
        let since = |at: Nanos| at.min(end) - self.measure_from;
        measured.map(|span| MissedSpan { from: since(span.from), to: since(span.to) }).collect()
    }

    /// Index of the node that sent a message.
    pub(crate) fn node_of(&self, id: MsgId) -> u64 {
        self.space.node_of(id)
    }

    /// Measured messages that arrived, each once.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.len()
    }

    fn due_of(&mut self, block: u64, place: usize) -> Option<Nanos> {
        if !self.dues.contains_key(&block) {
            let dues = self.table.get(block)?;
            self.dues.insert(block, Dues::Open(dues));
            self.close_older_than(block);
        }
        match self.dues.get(&block)? {
            Dues::Open(dues) => {
                let due = dues[place].load(Ordering::Acquire);
                (due != 0).then_some(Nanos(due))
            }
            Dues::Closed(missing) => {
                missing.iter().find(|(at, _)| *at == place).map(|(_, due)| *due)
            }
        }
    }

    fn arrive(&mut self, block: u64, place: usize, by: HeardBy) {
        let len = self.space.block_len();
        self.arrived.insert_at(block, place, len);
        // Messages that another node passes on come later than those of this process, whatever their order was.
        if by == HeardBy::Itself {
            self.note_order(block, block * len + place as u64);
        }
        let full = self.arrived.is_full(block);
        match self.dues.get_mut(&block) {
            Some(dues @ Dues::Open(_)) if full => {
                *dues = Dues::Closed(Vec::new());
                self.table.forget(block);
            }
            Some(Dues::Closed(missing)) => missing.retain(|(at, _)| *at != place),
            _ => {}
        }
    }

    /// RFC 4737: a packet is reordered when one sent after it was received before it. Order is a worker's order of
    /// sending: two workers send at once, and neither is first.
    fn note_order(&mut self, block: u64, index: u64) {
        let highest = self.highest.entry(self.space.worker_of(block)).or_insert(index);
        if index < *highest {
            self.reordered += 1;
        }
        *highest = index.max(*highest);
    }

    /// A worker that is in `block` has left those before it: two back, nothing is being written, and
    /// the due times of what arrived can go.
    fn close_older_than(&mut self, block: u64) {
        let workers = self.space.workers();
        let worker = self.space.worker_of(block);
        let stale: Vec<u64> = (self.dues.iter())
            .filter(|(b, dues)| {
                let same = self.space.worker_of(**b) == worker;
                same && matches!(dues, Dues::Open(_)) && **b + 2 * workers <= block
            })
            .map(|(b, _)| *b)
            .collect();
        for old in stale {
            let missing = self.missing_in(old);
            self.dues.insert(old, Dues::Closed(missing));
            self.table.forget(old);
        }
    }

    /// Those of a set that have not arrived: block, place and id of each.
    fn missing_of(&self, ids: &IdSet) -> Vec<(u64, usize, MsgId)> {
        let missing = ids.iter(&self.space).filter(|(b, p)| !self.arrived.has(*b, *p));
        missing.filter_map(|(b, p)| Some((b, p, self.space.at(b, p)?))).collect()
    }

    fn missing_in(&self, block: u64) -> Vec<(usize, Nanos)> {
        let Some(Dues::Open(dues)) = self.dues.get(&block) else { return Vec::new() };
        let due = |place: usize| dues[place].load(Ordering::Acquire);
        (0..dues.len())
            .filter(|place| due(*place) != 0 && !self.arrived.has(block, *place))
            .map(|place| (place, Nanos(due(place))))
            .collect()
    }
}

/// The senders' books.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentMessages<'a> {
    /// Messages whose request was answered with 2xx.
    pub accepted: &'a IdSet,
    /// Messages whose request got no answer, although it had time to.
    pub failed: &'a IdSet,
    /// All measured messages.
    pub sent: u64,
}

/// Results of all messages of a run. `sent = arrived + lost + missed + unknown`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MessageAccount {
    /// The api answered 2xx.
    pub accepted: u64,
    /// Came to the subscriber, each counted once, whatever the api answered.
    pub arrived: u64,
    /// Accepted, not missed, and not arrived when the drain ended.
    pub lost: u64,
    /// Accepted and not arrived, but possibly published while the subscriber was disconnected.
    pub missed: u64,
    /// Further copies of messages that had arrived.
    pub duplicated: u64,
    /// Arrived after a message that its worker sent later (RFC 4737).
    pub reordered: u64,
    /// On the topic, but none of this run's.
    pub unexpected: u64,
    /// Unexpected messages with an id that is not of this run.
    pub foreign: u64,
    /// Not accepted and not arrived: it cannot be known whether they were lost.
    pub unknown: u64,
    /// The first lost ids.
    pub lost_examples: Vec<MsgId>,
    /// The first duplicated ids.
    pub duplicated_examples: Vec<MsgId>,
}

impl MessageAccount {
    /// Joins the counts of the senders with those of the receiver. `age_at_end` is called with the age at `end` of each lost
    /// message, and of each failed one that has not arrived.
    pub(crate) fn join(
        messages: &SentMessages<'_>,
        arrivals: &mut ArrivalTracker,
        end: Nanos,
        mut age_at_end: impl FnMut(MsgId, Nanos),
    ) -> Self {
        let accepted = messages.accepted.len();
        let mut account = Self::default();
        for (block, place, id) in arrivals.missing_of(messages.accepted) {
            let due = arrivals.due_of(block, place);
            if due.is_some_and(|due| arrivals.is_in_outage(due)) {
                account.missed += 1;
                continue;
            }
            account.lost += 1;
            if let Some(due) = due {
                age_at_end(id, end - due);
            }
            if account.lost_examples.len() < EXAMPLES {
                account.lost_examples.push(id);
            }
        }
        for (block, place, id) in arrivals.missing_of(messages.failed) {
            if let Some(due) = arrivals.due_of(block, place)
                && !arrivals.is_in_outage(due)
            {
                age_at_end(id, end - due);
            }
        }
        let arrived = arrivals.arrived.len();
        let arrived_accepted = accepted - account.lost - account.missed;
        Self {
            accepted,
            arrived,
            duplicated: arrivals.duplicated,
            reordered: arrivals.reordered,
            unexpected: arrivals.unexpected,
            foreign: arrivals.foreign,
            unknown: messages.sent.saturating_sub(accepted + (arrived - arrived_accepted)),
            duplicated_examples: arrivals.duplicates.clone(),
            ..account
        }
    }
}

#[cfg(test)]
mod tests;
