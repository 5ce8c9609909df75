//! What a script does to the raw transport beside writing requests: it sees responses, holds
//! connections back, writes several requests at once, and takes time.

use std::collections::VecDeque;

use super::Http1Transport;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::Ticket;
use crate::engine::transport::request_source::{Batch, RequestSource, Wants};
use crate::message::Values;

/// Requests over which a script's time is averaged.
const TRIAL: u64 = 1_000;
/// A script that takes no longer for a request is a trifle beside sending it, which takes some 5 µs.
const TRIFLE: Nanos = Nanos(2_000);

/// What is known of the script; nothing of it is used where there is none.
#[derive(Debug)]
pub(super) struct Scripted {
    wants: Option<Wants>,
    /// The requests since its time was looked at, and what it had taken then.
    trial: (u64, Nanos),
    /// Whether requests may be sent, or soon: before it nothing is held back.
    begun: bool,
    /// The further requests of what is to be sent next.
    pub(super) along: VecDeque<Ticket>,
}

impl Scripted {
    pub(super) fn new(composer: &mut dyn RequestSource) -> Self {
        Self {
            wants: composer.hooks().map(|hooks| hooks.wants()),
            trial: (0, Nanos::ZERO),
            begun: false,
            along: VecDeque::new(),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.wants.is_some()
    }

    /// Whether it runs while responses come.
    pub(super) fn takes_time(&self) -> bool {
        self.wants.is_some_and(|wants| wants.requests || wants.responses || wants.delays)
    }

    pub(super) fn sees_responses(&self) -> bool {
        self.wants.is_some_and(|wants| wants.responses)
    }
}

impl Http1Transport {
    /// Has the script write what is sent next.
    pub(super) fn write_batch(&mut self, values: &Values) -> Batch {
        let Some(hooks) = self.composer.hooks() else { return Batch::ONE };
        let before = self.scripted.wants.filter(|wants| wants.requests).map(|_| clock::now());
        let batch = hooks.write(values);
        self.traffic.scripted += before.map_or(Nanos::ZERO, |before| clock::now() - before);
        self.mind_script();
        self.traffic.unnumbered += batch.unnumbered;
        batch
    }

    /// Requests may be sent from `at` on: what is free may be held back.
    pub(super) fn begin_holding_back(&mut self, at: Nanos) {
        self.scripted.begun = true;
        // The one used last stays on top.
        let mut free: Vec<_> = std::iter::from_fn(|| self.idle.pop()).collect();
        while let Some(index) = free.pop() {
            self.free(index, at);
        }
    }

    /// A connection can carry the next request, once a script lets it.
    pub(super) fn free(&mut self, index: usize, now: Nanos) {
        match self.delay() {
            Some(delay) => self.hold_until(index, now + delay),
            None => self.idle.push(index),
        }
    }

    /// How long a script holds a connection back; `None` where it does not.
    fn delay(&mut self) -> Option<Nanos> {
        self.scripted.wants.filter(|wants| wants.delays && self.scripted.begun)?;
        let hooks = self.composer.hooks()?;
        let before = clock::now();
        let delay = hooks.delay();
        self.traffic.scripted += clock::now() - before;
        (delay > Nanos::ZERO).then_some(delay)
    }

    /// Shows a complete response to a script that wants to see it.
    pub(super) fn show(&mut self, index: usize, status: u16) {
        let Some(kept) = self.connections[index].reader.kept() else { return };
        let Some(hooks) = self.composer.hooks() else { return };
        let before = clock::now();
        hooks.response(status, kept);
        self.traffic.scripted += clock::now() - before;
    }

    /// Responses that come while a script runs are read later by its time. So the kernel notes when they
    /// come, as in an open loop, until the script has proved a trifle, and again when it no longer is.
    fn mind_script(&mut self) {
        let Scripted { trial, .. } = &mut self.scripted;
        trial.0 += 1;
        if self.rests || trial.0 < TRIAL {
            return;
        }
        let took = self.traffic.scripted - trial.1;
        *trial = (0, self.traffic.scripted);
        let to_note = took.0 > TRIFLE.0 * TRIAL;
        if to_note != self.noted {
            let done = self.connections.iter().all(|connection| connection.note_times(to_note));
            self.noted = to_note && done;
        }
    }
}
