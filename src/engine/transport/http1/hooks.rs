//! Hooks of a user's script: they see responses, hold connections back, and take time.

use std::fmt;

use super::Http1Transport;
use super::captured::CapturedResponse;
use crate::core::clock::Nanos;

/// Bytes of a refused answer's body that are kept.
const MOST_OF_REFUSAL: usize = 400;
/// Sent requests over which the time in the script is averaged.
const TRIAL_REQUESTS: u64 = 1_000;
/// Time per request up to which a script is negligible: sending a request takes about 5 µs.
const NEGLIGIBLE: Nanos = Nanos(2_000);

/// Code of the user that runs with the connections of one worker, on that worker's thread.
pub(crate) trait ConnectionHooks: fmt::Debug + Send {
    /// Returns true if [`Self::response`] is to be called. Asked once, before the load.
    fn sees_responses(&self) -> bool;

    /// Returns true if [`Self::delay`] is to be called. Asked once, before the load.
    fn delays(&self) -> bool;

    /// Called for each complete response.
    fn response(&mut self, status: u16, response: &CapturedResponse);

    /// Returns the time for which a connection that has become free is held back.
    fn delay(&mut self) -> Nanos;

    /// Time that this thread has spent in the user's code so far, including the preparation of requests.
    fn time_spent(&self) -> Nanos;
}

/// The first answer that was neither 2xx nor 3xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FirstRefusal {
    /// It is not asked for.
    NotKept,
    /// There was none yet.
    Awaited,
    /// The beginning of its body.
    Kept(String),
}

/// Hooks of a transport, if there are any, with the answers that are asked once and the current trial.
#[derive(Debug)]
pub(super) struct Hooks {
    hooks: Option<Box<dyn ConnectionHooks>>,
    sees_responses: bool,
    delays: bool,
    /// True once requests may be sent: before, no connection is held back.
    begun: bool,
    /// Requests sent in the current trial.
    trial_requests: u64,
    /// Time in the script at the start of the current trial.
    trial_start: Nanos,
}

impl Hooks {
    pub(super) fn new(hooks: Option<Box<dyn ConnectionHooks>>) -> Self {
        Self {
            sees_responses: hooks.as_ref().is_some_and(|hooks| hooks.sees_responses()),
            delays: hooks.as_ref().is_some_and(|hooks| hooks.delays()),
            hooks,
            begun: false,
            trial_requests: 0,
            trial_start: Nanos::ZERO,
        }
    }

    /// Returns true if there are hooks, which take time while responses arrive.
    pub(super) fn exist(&self) -> bool {
        self.hooks.is_some()
    }

    pub(super) fn sees_responses(&self) -> bool {
        self.sees_responses
    }

    /// Time in the script so far.
    pub(super) fn time_spent(&self) -> Nanos {
        self.hooks.as_ref().map_or(Nanos::ZERO, |hooks| hooks.time_spent())
    }

    /// Returns the time for which a free connection is held back; `None` if it is not.
    fn delay(&mut self) -> Option<Nanos> {
        if !self.delays || !self.begun {
            return None;
        }
        let delay = self.hooks.as_mut()?.delay();
        (delay > Nanos::ZERO).then_some(delay)
    }

    /// Counts a sent request. At the end of a trial, returns true if the script's time is noticeable and false
    /// if it is negligible; otherwise returns `None`.
    fn count_request(&mut self) -> Option<bool> {
        self.trial_requests += 1;
        if self.trial_requests < TRIAL_REQUESTS {
            return None;
        }
        let time_spent = self.time_spent();
        let took = time_spent - self.trial_start;
        self.trial_requests = 0;
        self.trial_start = time_spent;
        Some(took.0 > NEGLIGIBLE.0 * TRIAL_REQUESTS)
    }
}

impl Http1Transport {
    /// Allows the hooks to hold connections back from `at` on, the time from which requests may be sent.
    pub(crate) fn begin(&mut self, at: Nanos) {
        self.hooks.begun = true;
        // Keeps the order of the idle connections: the one used last stays on top.
        let mut idle: Vec<_> = std::iter::from_fn(|| self.idle.pop()).collect();
        while let Some(index) = idle.pop() {
            self.release(index, at);
        }
    }

    /// Makes a connection available for the next request, unless a hook holds it back.
    pub(super) fn release(&mut self, index: usize, now: Nanos) {
        match self.hooks.delay() {
            Some(delay) => self.hold_until(index, now + delay),
            None => self.idle.push(index),
        }
    }

    /// Passes a complete response to the hook that sees responses, and keeps the first refused one if it is asked for.
    pub(super) fn show_response(&mut self, index: usize, status: u16) {
        let Some(captured) = self.connections[index].reader.captured() else { return };
        if let Some(hooks) = self.hooks.hooks.as_mut().filter(|_| self.hooks.sees_responses) {
            hooks.response(status, captured);
        }
        if self.refusal == FirstRefusal::Awaited && !(200..400).contains(&status) {
            let beginning = &captured.body()[..captured.body().len().min(MOST_OF_REFUSAL)];
            self.refusal = FirstRefusal::Kept(String::from_utf8_lossy(beginning).into_owned());
        }
    }

    /// Switches kernel timestamps on while the script takes noticeable time, and off again: responses that
    /// arrive while it runs are read later. In an open loop they are always on.
    pub(super) fn adapt_timestamps(&mut self) {
        let Some(wanted) = self.hooks.count_request() else { return };
        if self.rests || wanted == self.timestamps {
            return;
        }
        let done = self.connections.iter().all(|connection| connection.request_timestamps(wanted));
        self.timestamps = wanted && done;
    }
}
