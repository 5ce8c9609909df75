//! The way of a request: its id, onto the wire, and into the books when it has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::control::Gauges;
use super::recorder::{LoadResult, Recorder};
use crate::core::clock::{self, Nanos};
use crate::engine::transport::request_source::Batch;
use crate::engine::transport::{Completion, Ticket, Transport};
use crate::message::mix::slot;
use crate::message::{IdWriter, Values};

/// The way of a slot: onto the wire, and back.
pub(super) struct Sender<T> {
    pub(super) ids: IdWriter,
    pub(super) transport: T,
    pub(super) recorder: Recorder,
    pub(super) on_wire: u64,
    /// The index of the next message, at least. In an open loop a slot's place gives it; a script may
    /// have used up more ids than slots.
    pub(super) next_index: u64,
    /// The first index of those taken last whose request a script wrote without its id.
    pub(super) numbered_until: u64,
    pub(super) gauges: Arc<Gauges>,
}

/// Which worker of how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkerIndex {
    pub(super) worker: usize,
    pub(super) workers: usize,
}

impl WorkerIndex {
    fn slot(self, index: u64) -> u64 {
        slot(self.worker as u64, self.workers as u64, index)
    }
}

/// Times of a slot before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotTimes {
    pub(super) due: Nanos,
    /// When the worker came to it.
    pub(super) ready: Nanos,
}

/// A message that is about to be sent.
pub(super) struct PreparedRequest {
    ticket: Ticket,
    values: Values,
}

impl<T: Transport> Sender<T> {
    /// Takes the message `index` of this worker, or the next whose id is free, and has its request
    /// written where a script does that. `None` when the ids are used up.
    pub(super) fn take(
        &mut self,
        who: WorkerIndex,
        index: u64,
        times: SlotTimes,
    ) -> Option<(PreparedRequest, Batch)> {
        let SlotTimes { due, ready } = times;
        let index = index.max(self.next_index);
        let slot = who.slot(index);
        let taken = self.ids.assign(index, due).map(|id| {
            let turn = slot;
            let values = Values { msg_id: id.get(), worker: who.worker as u64, seq: index, turn };
            let batch = self.transport.prepare(&values);
            self.next_index = index + batch.ids;
            // A script that takes fewer ids than it writes requests: the first ones have them.
            self.numbered_until = index + batch.requests - batch.unnumbered;
            (PreparedRequest { ticket: Ticket { due, ready, id }, values }, batch)
        });
        let taken = taken.filter(|(_, batch)| self.ids.reach(index + batch.requests - 1));
        if taken.is_none() {
            self.recorder.dropped(slot, due, clock::now() - due, true);
        }
        taken
    }

    /// The message `index` goes out with the one that was taken. Before any of them does: it may arrive
    /// before this thread runs again.
    pub(super) fn claim_batched_slot(&mut self, who: WorkerIndex, index: u64, times: SlotTimes) {
        let SlotTimes { due, ready } = times;
        if let Some(id) = self.ids.assign(index, due) {
            let ticket = Ticket { due, ready, id };
            self.transport.along(ticket);
            self.count_sent(who.slot(index), index, ticket);
        }
    }

    /// Sends what was taken.
    pub(super) fn send(&mut self, taken: &PreparedRequest) {
        self.transport.send(taken.ticket, &taken.values);
        self.count_sent(taken.values.turn, taken.values.seq, taken.ticket);
    }

    fn count_sent(&mut self, slot: u64, index: u64, ticket: Ticket) {
        self.recorder.sent(slot, ticket.due);
        if index >= self.numbered_until {
            self.recorder.unnumbered(ticket.id, ticket.due);
        }
        self.on_wire += 1;
        self.gauges.sent.fetch_add(1, Relaxed);
    }

    pub(super) fn settle(&mut self, ended: &[Completion]) {
        for end in ended {
            self.recorder.ended(end);
        }
        self.on_wire -= ended.len() as u64;
        self.gauges.ended.fetch_add(ended.len() as u64, Relaxed);
        let LoadResult { messages_ended, accepted, .. } = &self.recorder.result;
        self.gauges.accepted.store(accepted.len(), Relaxed);
        self.gauges.refused.store(messages_ended - accepted.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::transport::{Traffic, Transport};
    use crate::message::{DueTable, IdSpace};

    /// Writes three requests at once, and looks at what is known of them when they go out.
    struct Three {
        space: IdSpace,
        table: Arc<DueTable>,
        along: Vec<Ticket>,
        sent: Vec<u64>,
    }

    impl Transport for Three {
        fn idle(&self) -> usize {
            1
        }

        fn prepare(&mut self, _: &Values) -> Batch {
            Batch { requests: 3, ids: 5, unnumbered: 1 }
        }

        fn along(&mut self, ticket: Ticket) {
            self.along.push(ticket);
        }

        fn send(&mut self, ticket: Ticket, _: &Values) {
            for ticket in std::iter::once(ticket).chain(self.along.drain(..)) {
                assert_eq!(
                    self.table.due(&self.space, ticket.id),
                    Some(ticket.due),
                    "{:?}",
                    ticket.id
                );
                self.sent.push(ticket.id.get());
            }
        }

        fn wait(&mut self, _: Nanos, _: &mut Vec<Completion>) {}

        fn abandon(&mut self, _: &mut Vec<Completion>) {}

        fn oldest_due(&self) -> Option<Nanos> {
            None
        }

        fn traffic(&self) -> Traffic {
            Traffic::default()
        }
    }

    #[test]
    fn all_that_goes_out_at_once_is_known_before_it_does() {
        let table = Arc::new(DueTable::default());
        let space = IdSpace::from_authority(0, 1, 8);
        let mut flow = Sender {
            ids: IdWriter::new(space, 0, Some(Arc::clone(&table))),
            transport: Three { space, table, along: Vec::new(), sent: Vec::new() },
            recorder: Recorder::new(space, 100, Nanos::ZERO),
            on_wire: 0,
            next_index: 0,
            numbered_until: 0,
            gauges: Arc::default(),
        };
        let who = WorkerIndex { worker: 0, workers: 1 };
        let times = |due| SlotTimes { due: Nanos(due), ready: Nanos(due) };
        let (taken, batch) = flow.take(who, 0, times(10)).expect("there are ids");
        (1..batch.requests)
            .for_each(|index| flow.claim_batched_slot(who, index, times(10 + index)));
        flow.send(&taken);
        assert_eq!((flow.transport.sent.len(), flow.on_wire, flow.next_index), (3, 3, 5));
        let LoadResult { counters, messages_sent, .. } = flow.recorder.result;
        assert_eq!((counters.sent, messages_sent), (3, 2), "the last has no id");
    }
}
