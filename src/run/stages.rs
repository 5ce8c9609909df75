//! The stages of sampled messages: the generator's own moments joined with the services' stamps,
//! while the run goes on, so that only messages under way are held in memory.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;

use crate::clock::{self, Nanos, ServerClock};
use crate::latency::Latencies;
use crate::load::Sampled;
use crate::message::{IdSpace, MsgId};
use crate::observations::Stage;
use crate::pipeline::stamps::{Place, Stamp};

/// A moment of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Due,
    Sent,
    Answered,
    At(Place),
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::At(place) => place.name(),
        }
    }

    /// Which process's clock it was read on.
    fn process(self) -> &'static str {
        match self {
            Self::Due | Self::Sent | Self::Answered => "generator",
            // The subscriber stamps in this process, but in the server's time like the others.
            Self::At(Place::Arrived) => "subscriber",
            Self::At(Place::Api | Place::Queued) => "api",
            Self::At(Place::Popped | Place::Published) => "push",
        }
    }
}

/// The stages of the report, in its order.
const STAGES: [(Moment, Moment); 7] = [
    (Moment::Due, Moment::Sent),
    (Moment::Sent, Moment::At(Place::Api)),
    (Moment::At(Place::Api), Moment::At(Place::Queued)),
    (Moment::At(Place::Queued), Moment::At(Place::Popped)),
    (Moment::At(Place::Popped), Moment::At(Place::Published)),
    (Moment::At(Place::Published), Moment::At(Place::Arrived)),
    (Moment::Sent, Moment::Answered),
];

/// What is known of one message.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// When it was heard of first.
    since: Nanos,
    own: Option<Sampled>,
    stamps: [Option<Nanos>; Place::ALL.len()],
}

impl Way {
    fn moment(&self, moment: Moment) -> Option<Nanos> {
        match moment {
            Moment::Due => self.own.map(|own| own.due),
            Moment::Sent => self.own.map(|own| own.sent),
            Moment::Answered => self.own.map(|own| own.answered),
            Moment::At(place) => self.stamps[place as usize],
        }
    }

    fn is_complete(&self) -> bool {
        self.own.is_some() && self.stamps.iter().all(Option::is_some)
    }
}

/// Joins moments into stages.
#[derive(Debug)]
pub(super) struct StageJoin {
    space: IdSpace,
    under_way: HashMap<MsgId, Way>,
    stages: [Latencies; STAGES.len()],
    /// How long stamps are waited for.
    patience: Nanos,
}

impl StageJoin {
    /// A message of which nothing new came for `patience` counts as far as it got.
    pub(super) fn new(space: IdSpace, patience: Nanos) -> Self {
        Self { space, under_way: HashMap::new(), stages: Default::default(), patience }
    }

    /// Lets go of messages that have been waited for long enough: refused and lost ones, those of the
    /// warm-up, and all of a pipeline that leaves no stamps.
    pub(super) fn retire(&mut self, now: Nanos) {
        let is_late = |way: &Way| now - way.since > self.patience;
        let late: Vec<_> = self.under_way.extract_if(|_, way| is_late(way)).collect();
        late.iter().for_each(|(_, way)| self.record(way));
    }

    /// The generator's own moments.
    pub(super) fn add_own(&mut self, own: Sampled) {
        self.change(own.id, |way| way.own = Some(own));
    }

    /// A service's stamp, already on this machine's clock. The first one of a place counts.
    pub(super) fn add_stamp(&mut self, place: Place, id: MsgId, at: Nanos) {
        if self.space.locate(id).is_some() {
            self.change(id, |way| {
                way.stamps[place as usize].get_or_insert(at);
            });
        }
    }

    fn change(&mut self, id: MsgId, change: impl FnOnce(&mut Way)) {
        let fresh = || Way { since: clock::now(), own: None, stamps: Default::default() };
        let way = self.under_way.entry(id).or_insert_with(fresh);
        change(way);
        if way.is_complete() {
            let way = *way;
            self.under_way.remove(&id);
            self.record(&way);
        }
    }

    fn record(&mut self, way: &Way) {
        // Stamps of a message that is not measured, or was refused.
        if way.own.is_none() {
            return;
        }
        for (stage, (from, to)) in self.stages.iter_mut().zip(STAGES) {
            if let (Some(from), Some(to)) = (way.moment(from), way.moment(to)) {
                // Clocks that differ by their bound can put an effect before its cause: that is 0.
                stage.record(to - from);
            }
        }
    }

    /// The stages; messages that did not go all the way count as far as they went.
    pub(super) fn finish(mut self) -> Vec<Stage> {
        let rest: Vec<_> = self.under_way.values().copied().collect();
        rest.iter().for_each(|way| self.record(way));
        let named = |((from, to), latencies): ((Moment, Moment), Latencies)| Stage {
            from: from.name(),
            to: to.name(),
            crosses_processes: from.process() != to.process(),
            latencies,
        };
        STAGES.into_iter().zip(self.stages).map(named).collect()
    }
}

/// Reads the stamp lists as they grow.
#[derive(Debug)]
pub(super) struct StampReader {
    next: [i64; Place::ALL.len()],
}

impl StampReader {
    /// Begins behind what is in the lists already.
    pub(super) async fn new(redis: &mut MultiplexedConnection) -> redis::RedisResult<Self> {
        let mut next = [0; Place::ALL.len()];
        for place in Place::ALL {
            next[place as usize] = redis::cmd("LLEN").arg(place.list()).query_async(redis).await?;
        }
        Ok(Self { next })
    }

    /// Redis was away: a list that came back shorter has begun anew. What is read twice counts once.
    pub(super) async fn rewind(
        &mut self,
        redis: &mut MultiplexedConnection,
    ) -> redis::RedisResult<()> {
        for place in Place::ALL {
            let length: i64 = redis::cmd("LLEN").arg(place.list()).query_async(redis).await?;
            let next = &mut self.next[place as usize];
            *next = if length < *next { 0 } else { *next };
        }
        Ok(())
    }

    /// Takes in what has come since.
    pub(super) async fn read(
        &mut self,
        redis: &mut MultiplexedConnection,
        clock: &ServerClock,
        join: &mut StageJoin,
    ) -> redis::RedisResult<()> {
        for place in Place::ALL {
            let next = &mut self.next[place as usize];
            let new: Vec<Vec<u8>> = redis::cmd("LRANGE")
                .arg(place.list())
                .arg(*next)
                .arg(-1)
                .query_async(redis)
                .await?;
            *next += new.len() as i64;
            for text in new {
                // A list may hold what others put there.
                let Ok(stamp) = serde_json::from_slice::<Stamp>(&text) else { continue };
                let at = stamp.server_us().and_then(|us| clock.monotonic(us));
                if let (Some(id), Some(at)) = (MsgId::new(stamp.id), at) {
                    join.add_stamp(place, id, at);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Nanos {
        Nanos::from_millis(n)
    }

    fn p_ms(stages: &[Stage], from: &str, to: &str) -> Vec<u64> {
        let stage =
            stages.iter().find(|s| s.from == from && s.to == to).expect("a stage of the report");
        let max = stage.latencies.max().map(|n| (n.0 + 500_000) / 1_000_000);
        [stage.latencies.count()].into_iter().chain(max).collect()
    }

    #[test]
    fn a_message_is_joined_whatever_comes_first() {
        let mut join = StageJoin::new(IdSpace::from_authority(0, 1, 100), Nanos::from_secs(5));
        let id = MsgId::new(100).expect("small");
        let lost = MsgId::new(200).expect("small");
        for (n, place) in Place::ALL.into_iter().enumerate() {
            join.add_stamp(place, id, millis(20 + 10 * n as u64));
        }
        let own = Sampled { id, due: millis(5), sent: millis(10), answered: millis(45) };
        join.add_own(own);
        assert!(join.under_way.is_empty(), "a complete message is let go");
        join.add_own(Sampled { id: lost, ..own });
        join.retire(clock::now());
        assert_eq!(join.under_way.len(), 1, "not late yet");
        join.add_stamp(Place::Api, lost, millis(11));
        join.add_stamp(Place::Api, MsgId::new(300).expect("small"), millis(11));
        join.retire(clock::now() + Nanos::from_secs(6));
        assert!(join.under_way.is_empty(), "what never comes is let go");
        let stages = join.finish();
        assert_eq!(p_ms(&stages, "due", "sent"), [2, 5]);
        assert_eq!(p_ms(&stages, "sent", "api"), [2, 10]);
        assert_eq!(p_ms(&stages, "api", "queued"), [1, 10]);
        assert_eq!(p_ms(&stages, "published", "arrived"), [1, 10]);
        assert_eq!(p_ms(&stages, "sent", "answered"), [2, 35]);
        let crossing: Vec<_> = stages.iter().map(|s| s.crosses_processes).collect();
        assert_eq!(crossing, [false, true, false, true, false, true, false]);
    }
}
