//! Stages of sampled messages: the generator's own times are joined with the services' stamps during the run, so that
//! only messages on their way are held in memory.

use std::collections::HashMap;

use super::measurements::MeasuredStage;
use crate::core::clock::{self, Jump, Nanos};
use crate::core::distribution::Latencies;
use crate::engine::Sampled;
use crate::message::{Checkpoint, IdSpace, MsgId, StagePair};

/// Time for which a message with all other times waits for the stamp of an MQTT client, which most
/// pipelines do not have.
const CLIENT_PATIENCE: Nanos = Nanos::from_secs(3);
/// Time after a jump of the log server's clock in which services may still stamp with the old offset.
const JUMP_SETTLES: Nanos = Nanos::from_secs(2);
/// A stamp that is so much earlier than the message was sent is of another clock.
const TOO_EARLY: Nanos = Nanos::from_secs(1);

/// The times of one message.
#[derive(Debug, Clone, Copy)]
struct MessageTrace {
    /// Time at which this process learned of the message.
    since: Nanos,
    times: [Option<Nanos>; Checkpoint::ALL.len()],
    /// True if a stamp of it has no time on this machine's clock.
    doubtful: bool,
}

impl MessageTrace {
    fn at(&self, checkpoint: Checkpoint) -> Option<Nanos> {
        self.times[checkpoint as usize]
    }

    /// A message may pass a checkpoint twice: the first time counts.
    fn set(&mut self, checkpoint: Checkpoint, at: Nanos) {
        let time = &mut self.times[checkpoint as usize];
        *time = Some(time.map_or(at, |known| known.min(at)));
    }

    /// Returns true if it has every time, or all but the MQTT client's.
    fn is_complete(&self, with_client: bool) -> bool {
        let mut needed = Checkpoint::ALL.into_iter();
        needed.all(|point| {
            self.at(point).is_some() || point == Checkpoint::MqttClient && !with_client
        })
    }

    /// Returns true if a stamp is of a time before the message was sent.
    fn is_impossible(&self) -> bool {
        let Some(sent) = self.at(Checkpoint::Sent) else { return false };
        Checkpoint::stamped().filter_map(|point| self.at(point)).any(|at| at + TOO_EARLY < sent)
    }

    /// Returns true if it was on its way during some part of the window.
    fn overlaps(&self, window: &Window) -> bool {
        let first = self.times.iter().flatten().min();
        let last = self.times.iter().flatten().max();
        first.is_some_and(|first| *first <= window.to)
            && last.is_some_and(|last| *last >= window.from)
    }
}

/// A time in which stamps cannot be trusted.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Nanos,
    to: Nanos,
}

impl From<&Jump> for Window {
    fn from(jump: &Jump) -> Self {
        Self { from: jump.after, to: jump.noticed + JUMP_SETTLES }
    }
}

/// The stages of all messages.
#[derive(Debug)]
pub(super) struct JoinedStages {
    pub(super) stages: Vec<MeasuredStage>,
    /// Messages left out, since their stamps cannot be right: the log server's clock was set meanwhile.
    pub(super) left_out: u64,
}

/// Joins times into stages.
#[derive(Debug)]
pub(super) struct StageJoin {
    space: IdSpace,
    under_way: HashMap<MsgId, MessageTrace>,
    stages: Vec<(StagePair, Latencies)>,
    untrusted: Vec<Window>,
    left_out: u64,
    /// True if a message of the run was sampled.
    has_samples: bool,
    /// Time for which stamps are waited for.
    patience: Nanos,
}

impl StageJoin {
    /// Joins the stages of `rows`. A message without a new time for `patience` counts as far as it got.
    pub(super) fn new(space: IdSpace, rows: &[StagePair], patience: Nanos) -> Self {
        Self {
            space,
            under_way: HashMap::new(),
            stages: rows.iter().map(|pair| (*pair, Latencies::default())).collect(),
            untrusted: Vec::new(),
            left_out: 0,
            has_samples: false,
            patience,
        }
    }

    /// Records and removes messages that have waited for long enough: refused and lost ones, those of the warm-up,
    /// and all messages of a pipeline without stamps.
    pub(super) fn retire(&mut self, now: Nanos) {
        let patience = self.patience;
        let late: Vec<_> = self
            .under_way
            .extract_if(|_, trace| {
                let age = now - trace.since;
                age > patience || age > CLIENT_PATIENCE && trace.is_complete(false)
            })
            .collect();
        for (_, trace) in &late {
            self.record(trace);
        }
    }

    /// Takes in the jumps of the log server's clock.
    pub(super) fn distrust(&mut self, jumps: &[Jump]) {
        self.untrusted = jumps.iter().map(Window::from).collect();
    }

    /// Returns true if a message of the run was sampled, so that stamps of it can be expected.
    pub(super) fn has_samples(&self) -> bool {
        self.has_samples
    }

    /// Adds the generator's own times of a message.
    pub(super) fn add_own(&mut self, own: Sampled) {
        self.has_samples = true;
        self.change(own.id, |trace| {
            trace.set(Checkpoint::Due, own.due);
            trace.set(Checkpoint::Sent, own.sent);
            trace.set(Checkpoint::Answered, own.answered);
        });
    }

    /// Adds a stamp, with its time on this machine's clock. Returns true if its message is of this run.
    pub(super) fn add_stamp(&mut self, checkpoint: Checkpoint, id: MsgId, at: Nanos) -> bool {
        let is_ours = self.is_ours(id);
        if is_ours {
            self.change(id, |trace| trace.set(checkpoint, at));
        }
        is_ours
    }

    /// Returns true if a message is of this run and node.
    pub(super) fn is_ours(&self, id: MsgId) -> bool {
        self.space.locate(id).is_some()
    }

    /// Takes in that a stamp of this message has no time on this machine's clock.
    pub(super) fn doubt(&mut self, id: MsgId) {
        self.change(id, |trace| trace.doubtful = true);
    }

    fn change(&mut self, id: MsgId, change: impl FnOnce(&mut MessageTrace)) {
        let fresh =
            || MessageTrace { since: clock::now(), times: Default::default(), doubtful: false };
        let trace = self.under_way.entry(id).or_insert_with(fresh);
        change(trace);
        if trace.is_complete(true) {
            let trace = *trace;
            self.under_way.remove(&id);
            self.record(&trace);
        }
    }

    fn record(&mut self, trace: &MessageTrace) {
        // Without the generator's times the message is not measured, or was refused.
        if trace.at(Checkpoint::Sent).is_none() {
            return;
        }
        let mut stamped = Checkpoint::stamped();
        let has_stamp = stamped.any(|checkpoint| trace.at(checkpoint).is_some());
        let set_meanwhile = self.untrusted.iter().any(|window| trace.overlaps(window));
        let untrusted = trace.doubtful || has_stamp && (set_meanwhile || trace.is_impossible());
        self.left_out += u64::from(untrusted);
        for (pair, latencies) in &mut self.stages {
            if untrusted && pair.crosses_processes() {
                continue;
            }
            if let (Some(from), Some(to)) = (trace.at(pair.from), trace.at(pair.to)) {
                // Within the error bound of the clocks `to` can be before `from`: the difference is then 0.
                latencies.record(to - from);
            }
        }
    }

    /// Returns the stages. Messages that did not get to the end count as far as they got.
    pub(super) fn finish(mut self) -> JoinedStages {
        let rest: Vec<_> = self.under_way.values().copied().collect();
        rest.iter().for_each(|trace| self.record(trace));
        let stages =
            self.stages.into_iter().map(|(pair, latencies)| MeasuredStage { pair, latencies });
        JoinedStages { stages: stages.collect(), left_out: self.left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::ServerClock;

    fn millis(n: u64) -> Nanos {
        Nanos::from_millis(n)
    }

    fn id(n: u64) -> MsgId {
        MsgId::new(n).expect("small")
    }

    fn join() -> StageJoin {
        let space = IdSpace::from_authority(100, 1, 100);
        StageJoin::new(space, &StagePair::DEFAULT, Nanos::from_secs(5))
    }

    /// The count, and the maximum in milliseconds.
    fn row(joined: &JoinedStages, name: &str) -> (u64, Option<u64>) {
        let named = |stage: &&MeasuredStage| stage.pair.to_string() == name;
        let stage = joined.stages.iter().find(named).expect("a stage of the report");
        let max = stage.latencies.max().map(|max| (max.0 + 500_000) / 1_000_000);
        (stage.latencies.count(), max)
    }

    #[test]
    fn times_of_a_message_are_joined_in_any_order() {
        let mut join = join();
        let (whole, lost) = (id(100), id(200));
        for (n, checkpoint) in Checkpoint::stamped().enumerate() {
            assert!(join.add_stamp(checkpoint, whole, millis(20 + 10 * n as u64)));
        }
        join.add_stamp(Checkpoint::Arrived, whole, millis(65));
        let own = Sampled { id: whole, due: millis(5), sent: millis(10), answered: millis(45) };
        join.add_own(own);
        assert!(join.under_way.is_empty(), "a complete message is removed");
        join.add_own(Sampled { id: lost, ..own });
        join.retire(clock::now());
        assert_eq!(join.under_way.len(), 1, "not late yet");
        join.add_stamp(Checkpoint::Api, lost, millis(11));
        join.add_stamp(Checkpoint::Api, id(300), millis(11));
        join.retire(clock::now() + Nanos::from_secs(6));
        assert!(join.under_way.is_empty(), "late messages are removed");
        let joined = join.finish();
        for (name, count, max) in [
            ("due-sent", 2, 5),
            ("sent-api", 2, 10),
            ("api-queued", 1, 10),
            ("published-arrived", 1, 15),
            ("sent-arrived", 1, 55),
            ("api-arrived", 1, 45),
            ("api-mqttclient", 1, 40),
            ("sent-answered", 2, 35),
        ] {
            assert_eq!(row(&joined, name), (count, Some(max)), "{name}");
        }
        assert_eq!(joined.left_out, 0);
    }

    #[test]
    fn a_message_does_not_wait_long_for_a_client_that_is_not_there() {
        let mut join = join();
        join.add_own(Sampled {
            id: id(100),
            due: millis(5),
            sent: millis(10),
            answered: millis(45),
        });
        for checkpoint in Checkpoint::ALL.into_iter().filter(|c| *c != Checkpoint::MqttClient) {
            join.add_stamp(checkpoint, id(100), millis(20));
        }
        assert_eq!(join.under_way.len(), 1, "a client's stamp may come");
        join.retire(clock::now() + Nanos::from_secs(4));
        assert!(join.under_way.is_empty());
    }

    #[test]
    fn stamps_of_other_messages_are_not_joined() {
        let mut join = join();
        assert!(!join.add_stamp(Checkpoint::Api, id(0), millis(11)));
        assert!(join.under_way.is_empty());
    }

    #[test]
    fn of_two_stamps_of_a_checkpoint_the_earlier_one_counts() {
        let mut join = join();
        join.add_own(Sampled {
            id: id(100),
            due: millis(5),
            sent: millis(10),
            answered: millis(45),
        });
        for at in [40, 30, 50] {
            join.add_stamp(Checkpoint::Api, id(100), millis(at));
        }
        assert_eq!(row(&join.finish(), "sent-api"), (1, Some(20)));
    }

    #[test]
    fn messages_around_a_jump_are_left_out_where_two_clocks_meet() {
        let mut clock = ServerClock::new(true);
        for (second, ahead_us) in [(10, 0), (11, 0), (12, 100_000_000)] {
            let at = Nanos::from_secs(second);
            clock.observe(at, at, second * 1_000_000 + ahead_us);
        }
        let mut join = join();
        join.distrust(clock.jumps());
        for (n, sent_ms) in [(100, 9_000), (200, 11_500), (300, 13_900), (400, 15_000)] {
            let sent = millis(sent_ms);
            join.add_own(Sampled { id: id(n), due: sent, sent, answered: sent + millis(5) });
            join.add_stamp(Checkpoint::Api, id(n), sent + millis(1));
        }
        // From before it was sent.
        join.add_own(Sampled {
            id: id(500),
            due: millis(90_000),
            sent: millis(90_000),
            answered: millis(90_005),
        });
        join.add_stamp(Checkpoint::Api, id(500), millis(20_000));
        // With a time that is not on this clock.
        let sent = millis(95_000);
        join.add_own(Sampled { id: id(600), due: sent, sent, answered: sent + millis(5) });
        join.add_stamp(Checkpoint::Api, id(600), sent + millis(1));
        join.doubt(id(600));
        join.doubt(id(600));
        let joined = join.finish();
        assert_eq!(row(&joined, "sent-api"), (2, Some(1)));
        assert_eq!(row(&joined, "sent-answered"), (6, Some(5)), "one process's times are right");
        assert_eq!(joined.left_out, 4);
    }
}
