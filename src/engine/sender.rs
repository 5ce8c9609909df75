//! The sender: takes a slot's request from its id to the transport, and its completion to the recorder.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::control::Gauges;
use super::recorder::{LoadResult, Recorder};
use super::request::{Batch, Prepared, PreparedContent, RequestSource};
use super::slot_source::WorkerIndex;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::{
    Completion, OutgoingRequest, RequestContent, Ticket, Traffic, Transport,
};
use crate::message::{IdWriter, Values};

/// Sender of one worker.
pub(super) struct Sender<T> {
    worker: WorkerIndex,
    source: Box<dyn RequestSource>,
    /// True if the source may stop the worker.
    may_stop: bool,
    pub(super) transport: T,
    ids: IdWriter,
    pub(super) recorder: Recorder,
    pub(super) gauges: Arc<Gauges>,
    /// Number of requests that the transport has and that are not complete.
    pub(super) on_wire: u64,
    /// Smallest index of the next message. In an open loop the slot determines the index, but a script may
    /// have used more ids than slots.
    pub(super) next_index: u64,
    /// First index of the last batch whose request does not carry its id.
    numbered_until: u64,
    /// Number of requests so far that do not carry the id of their message.
    unnumbered: u64,
    /// Tickets of the further requests in the next batch.
    following: Vec<Ticket>,
}

/// Times of a slot before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotTimes {
    pub(super) due: Nanos,
    /// Time at which the worker was ready to send it.
    pub(super) ready: Nanos,
}

/// Request that has its id and is prepared.
pub(super) struct ClaimedRequest {
    ticket: Ticket,
    slot: u64,
    index: u64,
    prepared: Prepared,
}

impl ClaimedRequest {
    /// Number of requests and ids that were prepared together.
    pub(super) fn batch(&self) -> Batch {
        self.prepared.batch
    }
}

impl<T: Transport> Sender<T> {
    pub(super) fn new(
        worker: WorkerIndex,
        source: Box<dyn RequestSource>,
        transport: T,
        ids: IdWriter,
        recorder: Recorder,
        gauges: Arc<Gauges>,
    ) -> Self {
        Self {
            worker,
            may_stop: source.may_stop(),
            source,
            transport,
            ids,
            recorder,
            gauges,
            on_wire: 0,
            next_index: 0,
            numbered_until: 0,
            unnumbered: 0,
            following: Vec::new(),
        }
    }

    /// Returns true if the source has stopped this worker.
    pub(super) fn is_stopped(&self) -> bool {
        self.may_stop && self.source.is_stopped()
    }

    /// Claims an id for message `index` of this worker, or for the next message with a free id, and prepares
    /// its request. Returns `None` if all ids are used; the slot is dropped then.
    pub(super) fn claim(&mut self, index: u64, times: SlotTimes) -> Option<ClaimedRequest> {
        let SlotTimes { due, ready } = times;
        let index = index.max(self.next_index);
        let slot = self.worker.slot(index);
        let claimed = self.ids.assign(index, due).map(|id| {
            let (worker, node) = (self.worker.worker as u64, self.worker.node);
            let values = Values { msg_id: id.get(), worker, seq: index, node, turn: slot };
            let prepared = self.source.prepare(&values);
            let batch = prepared.batch;
            self.next_index = index + batch.ids;
            // If a script uses fewer ids than it writes requests, the first requests have them.
            self.numbered_until = index + batch.requests - batch.unnumbered;
            self.unnumbered += batch.unnumbered;
            ClaimedRequest { ticket: Ticket { due, ready, id }, slot, index, prepared }
        });
        let claimed =
            claimed.filter(|claimed| self.ids.reach(index + claimed.batch().requests - 1));
        if claimed.is_none() {
            self.recorder.dropped(slot, due, clock::now() - due, true);
        }
        claimed
    }

    /// Claims an id for message `index`, whose request is sent together with the claimed one. Must be called
    /// before [`Self::send`]: the message may arrive before this thread runs again.
    pub(super) fn claim_following(&mut self, index: u64, times: SlotTimes) {
        let SlotTimes { due, ready } = times;
        if let Some(id) = self.ids.assign(index, due) {
            let ticket = Ticket { due, ready, id };
            self.following.push(ticket);
            self.count_sent(self.worker.slot(index), index, ticket);
        }
    }

    /// Sends a claimed request, and those that were claimed to follow it.
    pub(super) fn send(&mut self, claimed: &ClaimedRequest) {
        let ClaimedRequest { ticket, slot, index, prepared } = *claimed;
        let content = match prepared.content {
            PreparedContent::Shape { index, values } => RequestContent::Shape { index, values },
            PreparedContent::Text { bodyless } => {
                RequestContent::Text { bytes: self.source.text(), bodyless }
            }
        };
        let following = &mut self.following;
        self.transport.send(OutgoingRequest { ticket, following, content });
        self.count_sent(slot, index, ticket);
    }

    fn count_sent(&mut self, slot: u64, index: u64, ticket: Ticket) {
        self.recorder.sent(slot, ticket.due);
        if index >= self.numbered_until {
            self.recorder.unnumbered(ticket.id, ticket.due);
        }
        self.on_wire += 1;
        self.gauges.sent.fetch_add(1, Relaxed);
    }

    pub(super) fn record_completions(&mut self, completed: &[Completion]) {
        for completion in completed {
            self.recorder.completed(completion);
        }
        self.on_wire -= completed.len() as u64;
        self.gauges.ended.fetch_add(completed.len() as u64, Relaxed);
        let LoadResult { messages_ended, accepted, .. } = &self.recorder.result;
        self.gauges.accepted.store(accepted.len(), Relaxed);
        self.gauges.refused.store(messages_ended - accepted.len(), Relaxed);
    }

    /// Traffic of the transport so far, with the requests that do not carry their id.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { unnumbered: self.unnumbered, ..self.transport.traffic() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{DueTable, IdSpace};

    /// Source that prepares three requests at once, of which two carry their id.
    #[derive(Debug)]
    struct ThreeAtOnce;

    impl RequestSource for ThreeAtOnce {
        fn prepare(&mut self, _: &Values) -> Prepared {
            let batch = Batch { requests: 3, ids: 5, unnumbered: 1 };
            Prepared { batch, content: PreparedContent::Text { bodyless: false } }
        }

        fn text(&self) -> &[u8] {
            b"three requests"
        }
    }

    /// Transport that checks what is known of the requests when they are sent.
    struct DueTimesChecker {
        space: IdSpace,
        table: Arc<DueTable>,
        sent: Vec<u64>,
    }

    impl Transport for DueTimesChecker {
        fn idle(&self) -> usize {
            1
        }

        fn send(&mut self, outgoing: OutgoingRequest<'_>) {
            let text = RequestContent::Text { bytes: b"three requests", bodyless: false };
            assert_eq!(outgoing.content, text);
            let following = outgoing.following.drain(..);
            for ticket in std::iter::once(outgoing.ticket).chain(following) {
                let due = self.table.due(&self.space, ticket.id);
                assert_eq!(due, Some(ticket.due), "{:?}", ticket.id);
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
    fn due_times_of_a_batch_are_known_before_it_is_sent() {
        let table = Arc::new(DueTable::default());
        let space = IdSpace::from_authority(0, 1, 8);
        let mut sender = Sender::new(
            WorkerIndex { worker: 0, workers: 1, node: 0 },
            Box::new(ThreeAtOnce),
            DueTimesChecker { space, table: Arc::clone(&table), sent: Vec::new() },
            IdWriter::new(space, 0, Some(table)),
            Recorder::new(space, 100, Nanos::ZERO),
            Arc::default(),
        );
        let times = |due| SlotTimes { due: Nanos(due), ready: Nanos(due) };
        let claimed = sender.claim(0, times(10)).expect("there are ids");
        for index in 1..claimed.batch().requests {
            sender.claim_following(index, times(10 + index));
        }
        sender.send(&claimed);
        assert_eq!((sender.transport.sent.len(), sender.on_wire, sender.next_index), (3, 3, 5));
        let LoadResult { counters, messages_sent, .. } = sender.recorder.result;
        assert_eq!((counters.sent, messages_sent), (3, 2), "the last has no id");
    }
}
