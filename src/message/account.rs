//! The account of messages: every id that was sent ends as arrived, lost or unknown.
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
use crate::clock::Nanos;

/// How many ids of a kind the report names.
const EXAMPLES: usize = 10;

/// What one received message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
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
pub struct Arrivals {
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
    duplicates: Vec<MsgId>,
}

impl Arrivals {
    /// Books for a run whose measured part begins at `measure_from`.
    pub fn new(space: IdSpace, table: Arc<DueTable>, measure_from: Nanos) -> Self {
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
            duplicates: Vec::new(),
        }
    }

    /// Moves the point at which measuring begins, once it is known.
    pub fn set_measure_from(&mut self, at: Nanos) {
        self.measure_from = at;
    }

    /// Notes one message; `None` is one without a readable id.
    pub fn note(&mut self, id: Option<MsgId>) -> Arrival {
        if id.is_some_and(|id| self.space.is_of_another_node(id)) {
            return Arrival::OtherNode;
        }
        let Some((id, (block, place))) = id.and_then(|id| Some((id, self.space.locate(id)?)))
        else {
            self.unexpected += 1;
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
            Some(due) if due < self.measure_from => Arrival::Warmup,
            Some(due) => {
                self.arrive(block, place);
                Arrival::First { due }
            }
        }
    }

    /// Measured messages that arrived, each once.
    pub fn arrived(&self) -> u64 {
        self.arrived.len()
    }

    /// Further copies of messages that had arrived.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
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

    fn arrive(&mut self, block: u64, place: usize) {
        let len = self.space.block_len();
        self.arrived.insert_at(block, place, len);
        let index = block * len + place as u64;
        // RFC 4737: a packet is reordered when one sent after it was received before it. Order is
        // a worker's order of sending: two workers send at once, and neither is first.
        let highest = self.highest.entry(self.space.worker_of(block)).or_insert(index);
        if index < *highest {
            self.reordered += 1;
        }
        *highest = index.max(*highest);
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

    fn missing_in(&self, block: u64) -> Vec<(usize, Nanos)> {
        let Some(Dues::Open(dues)) = self.dues.get(&block) else { return Vec::new() };
        let due = |place: usize| dues[place].load(Ordering::Acquire);
        (0..dues.len())
            .filter(|place| due(*place) != 0 && !self.arrived.has(block, *place))
            .map(|place| (place, Nanos(due(place))))
            .collect()
    }
}

/// What became of a run's messages. `sent = arrived + lost + unknown`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MessageAccount {
    /// The api answered 2xx.
    pub accepted: u64,
    /// Came to the subscriber, each counted once, whatever the api answered.
    pub arrived: u64,
    /// Accepted and not arrived when the drain ended.
    pub lost: u64,
    /// Further copies of messages that had arrived.
    pub duplicated: u64,
    /// Arrived after a message that its worker sent later (RFC 4737).
    pub reordered: u64,
    /// On the topic, but none of this run's.
    pub unexpected: u64,
    /// Not accepted and not arrived: nobody knows.
    pub unknown: u64,
    /// The first lost ids.
    pub lost_examples: Vec<MsgId>,
    /// The first duplicated ids.
    pub duplicated_examples: Vec<MsgId>,
}

impl MessageAccount {
    /// Joins the senders' books with the receiver's. `sent` counts the measured messages; of each lost
    /// one `lost_at` is told the age it had reached at `end`.
    pub fn join(
        accepted: &IdSet,
        arrivals: &mut Arrivals,
        sent: u64,
        end: Nanos,
        mut lost_at: impl FnMut(MsgId, Nanos),
    ) -> Self {
        let space = arrivals.space;
        let mut lost = 0;
        let mut lost_examples = Vec::new();
        let missing: Vec<_> =
            accepted.iter(&space).filter(|(b, p)| !arrivals.arrived.has(*b, *p)).collect();
        for (block, place) in missing {
            lost += 1;
            let Some(id) = space.at(block, place) else { continue };
            if let Some(due) = arrivals.due_of(block, place) {
                lost_at(id, end - due);
            }
            if lost_examples.len() < EXAMPLES {
                lost_examples.push(id);
            }
        }
        let arrived = arrivals.arrived.len();
        let arrived_accepted = accepted.len() - lost;
        Self {
            accepted: accepted.len(),
            arrived,
            lost,
            duplicated: arrivals.duplicated,
            reordered: arrivals.reordered,
            unexpected: arrivals.unexpected,
            unknown: sent.saturating_sub(accepted.len() + (arrived - arrived_accepted)),
            lost_examples,
            duplicated_examples: arrivals.duplicates.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::IdWriter;
    use proptest::prelude::*;

    struct World {
        space: IdSpace,
        table: Arc<DueTable>,
        arrivals: Arrivals,
    }

    fn world(workers: u64) -> World {
        let space = IdSpace::from_authority(1_000, workers, 100);
        let table = Arc::new(DueTable::default());
        let arrivals = Arrivals::new(space, Arc::clone(&table), Nanos(10));
        World { space, table, arrivals }
    }

    fn join(w: &mut World, accepted: &IdSet, sent: u64) -> MessageAccount {
        MessageAccount::join(accepted, &mut w.arrivals, sent, Nanos(1_000), |_, _| ())
    }

    #[test]
    fn another_nodes_messages_are_left_to_it() {
        let space = IdSpace::from_authority(0, 1, 100);
        let table = Arc::new(DueTable::default());
        let mut arrivals = Arrivals::new(space.on_node((0, 2)), table, Nanos(10));
        assert_eq!(arrivals.note(space.on_node((1, 2)).id(0, 5)), Arrival::OtherNode);
        assert_eq!(arrivals.note(space.on_node((0, 2)).id(0, 5)), Arrival::Unexpected);
        assert_eq!((arrivals.arrived(), arrivals.unexpected), (0, 1));
    }

    #[test]
    fn each_message_ends_as_arrived_lost_or_unknown() {
        let mut w = world(1);
        let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
        let ids: Vec<_> = (0..6).filter_map(|i| writer.assign(i, Nanos(10 + i))).collect();
        let mut accepted = IdSet::default();
        for i in [0, 1, 2] {
            accepted.insert(&w.space, ids[i]);
        }
        assert_eq!(w.arrivals.note(Some(ids[0])), Arrival::First { due: Nanos(10) });
        assert_eq!(w.arrivals.note(Some(ids[2])), Arrival::First { due: Nanos(12) });
        assert_eq!(w.arrivals.note(Some(ids[0])), Arrival::Duplicate);
        assert_eq!(w.arrivals.note(Some(ids[3])), Arrival::First { due: Nanos(13) });
        assert_eq!(w.arrivals.note(None), Arrival::Unexpected);
        assert_eq!(w.arrivals.note(MsgId::new(1)), Arrival::Unexpected);
        assert_eq!(w.arrivals.note(w.space.id(0, 77)), Arrival::Unexpected, "not sent yet");
        let account = join(&mut w, &accepted, 6);
        let expected = MessageAccount {
            accepted: 3,
            arrived: 3,
            lost: 1,
            duplicated: 1,
            reordered: 0,
            unexpected: 3,
            unknown: 2,
            lost_examples: vec![ids[1]],
            duplicated_examples: vec![ids[0]],
        };
        assert_eq!(account, expected);
    }

    #[test]
    fn warm_up_messages_are_known_and_not_counted() {
        let mut w = world(1);
        let mut writer = IdWriter::new(w.space, 0, Some(Arc::clone(&w.table)));
        let id = writer.assign(0, Nanos(9));
        assert_eq!(w.arrivals.note(id), Arrival::Warmup);
        assert_eq!(join(&mut w, &IdSet::default(), 0), MessageAccount::default());
    }

    #[test]
    fn due_times_are_given_back_even_where_messages_are_missing() {
        let mut w = world(2);
        let mut writer = IdWriter::new(w.space, 1, Some(Arc::clone(&w.table)));
        let len = w.space.block_len();
        let mut late = None;
        for index in 0..len * 5 {
            let id = writer.assign(index, Nanos(100 + index));
            if index == 3 {
                late = id;
            } else {
                assert!(matches!(w.arrivals.note(id), Arrival::First { .. }));
            }
        }
        assert!(w.table.len() <= 2, "due blocks pile up");
        assert_eq!(
            w.arrivals.note(late),
            Arrival::First { due: Nanos(103) },
            "a straggler is still known"
        );
        assert_eq!(w.arrivals.note(late), Arrival::Duplicate);
        assert_eq!(join(&mut w, &IdSet::default(), len * 5).reordered, 1);
    }

    proptest! {
        /// Whatever is accepted and arrives, in whatever order: the account adds up, and says what a
        /// naive set difference says.
        #[test]
        fn the_account_adds_up(
            fate in prop::collection::vec((any::<bool>(), 0usize..3), 1..400), workers in 1u64..4, turn in 0usize..400,
        ) {
            let mut w = world(workers);
            let mut accepted = IdSet::default();
            let mut copies = Vec::new();
            let (mut lost, mut unknown) = (Vec::new(), 0);
            for worker in 0..workers {
                let mut writer = IdWriter::new(w.space, worker, Some(Arc::clone(&w.table)));
                for (index, (ok, arrivals)) in fate.iter().enumerate() {
                    let id = writer.assign(index as u64, Nanos(10)).expect("ids are at hand");
                    if *ok { accepted.insert(&w.space, id); }
                    copies.extend(std::iter::repeat_n(id, *arrivals));
                    if *arrivals == 0 { if *ok { lost.push(id) } else { unknown += 1 } }
                }
            }
            if !copies.is_empty() { let at = turn % copies.len(); copies.rotate_left(at); }
            for id in &copies { w.arrivals.note(Some(*id)); }
            let sent = fate.len() as u64 * workers;
            let account = join(&mut w, &accepted, sent);
            prop_assert_eq!(account.arrived + account.lost + account.unknown, sent);
            prop_assert_eq!((account.lost, account.unknown), (lost.len() as u64, unknown));
            prop_assert_eq!(account.duplicated, copies.len() as u64 - account.arrived);
            lost.truncate(EXAMPLES);
            prop_assert_eq!(account.lost_examples, lost);
        }
    }
}
