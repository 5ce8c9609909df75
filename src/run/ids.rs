//! MsgIDs of a run: the first one, and the number that is reserved in Redis.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::config::plan::{Plan, PlanError};
use crate::config::settings::NodeShare;
use crate::engine::shards::LoadShards;
use crate::message::mix::scatter;
use crate::message::{IdSpace, MsgId};
use crate::report::remark::MessageNote;
use crate::script;

/// Lifetime of a reservation beyond the planned end of the run that made it.
const LIFETIME: Duration = Duration::from_secs(86_400);

/// The ids that a run needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NeededIds {
    workers: u64,
    per_worker: u64,
    sample: u64,
    node: NodeShare,
    /// Planned time of warm-up, sending and drain.
    planned: Duration,
}

impl NeededIds {
    pub(super) fn new(plan: &Plan, shards: &LoadShards) -> Self {
        let load = &plan.load;
        Self {
            workers: id_lanes(plan),
            per_worker: ids_each(plan, shards),
            sample: plan.pipeline.sample,
            node: plan.load.node.share,
            planned: load.warmup + load.duration.unwrap_or_default() + load.drain,
        }
    }

    /// Number of ids to reserve.
    pub(super) fn count(&self) -> u64 {
        let Self { workers, per_worker, sample, node, .. } = *self;
        IdSpace::needed_on(node.count, per_worker, workers, sample).min(MsgId::MAX)
    }

    /// Lifetime of the reservation.
    pub(super) fn lifetime(&self) -> Duration {
        LIFETIME.saturating_add(self.planned)
    }

    /// Returns a random first id.
    pub(super) fn random_base(&self) -> u64 {
        let row = IdSpace::row_for(self.sample, self.node.count);
        IdSpace::random_base(random(), self.count(), row)
    }

    /// Returns the space that begins at `first`; with several nodes, at the next first id that all of them have
    /// in common.
    pub(super) fn space(&self, first: u64) -> IdSpace {
        IdSpace::from_authority(first, self.workers, self.sample)
            .on_node(self.node.index, self.node.count)
            .with_end_after(self.per_worker)
    }

    /// Refuses a first id from which on the run could pass the largest id.
    pub(super) fn check_first(&self, first: Option<u64>) -> Result<(), PlanError> {
        match first.filter(|first| !self.space(*first).fits()) {
            Some(first) => Err(PlanError::new(format!(
                "--first-id {first}: this run could pass the largest MsgID, {}; begin lower",
                MsgId::MAX
            ))),
            None => Ok(()),
        }
    }

    /// Returns the note about a first id that was rounded up, if it was.
    pub(super) fn rounding_note(&self, asked: u64) -> Option<MessageNote> {
        let first = self.space(asked).first();
        (first != asked).then_some(MessageNote::FirstIdRounded { asked, first })
    }
}

/// Number of lanes of ids: one per worker, and more with a script.
fn id_lanes(plan: &Plan) -> u64 {
    let workers = plan.load.threads as u64;
    if plan.script.is_some() { script::id_lanes(workers) } else { workers }
}

/// Number of ids in each lane.
pub(super) fn ids_each(plan: &Plan, shards: &LoadShards) -> u64 {
    let messages = shards.most_per_worker();
    if plan.script.is_some() { script::ids_each(messages) } else { messages }
}

/// Returns a uniform random number. The system's is mixed with the time and the process id, which are enough if
/// the system has none.
fn random() -> u64 {
    let mut bytes = [0; 8];
    // A failure leaves zeros, or what was written so far.
    let _ = SystemRandom::new().fill(&mut bytes);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = since_1970.as_nanos() as u64;
    u64::from_ne_bytes(bytes) ^ scatter(time ^ u64::from(std::process::id()).rotate_left(48))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn needed(index: u64, count: u64) -> NeededIds {
        let (node, planned) = (NodeShare { index, count }, Duration::from_secs(10));
        NeededIds { workers: 2, per_worker: 25_000, sample: 100, node, planned }
    }

    #[test]
    fn runs_begin_at_different_random_places_that_suit_sampling_and_nodes() {
        let needed = needed(1, 3);
        let bases: HashSet<_> = (0..1_000).map(|_| needed.random_base()).collect();
        assert_eq!(bases.len(), 1_000);
        for base in bases {
            let space = needed.space(base);
            assert_eq!((space.first(), base % 30_000), (base, 0));
            assert!(space.fits() && base >= 1_000_000_000_000_000, "{base}");
        }
    }

    #[test]
    fn a_first_id_is_exact_but_for_the_grid_of_nodes() {
        let alone = needed(0, 1);
        assert_eq!(alone.space(7).id(0, 0).map(MsgId::get), Some(7));
        assert_eq!(alone.rounding_note(7), None);
        let second = needed(1, 2);
        assert_eq!(second.space(7).id(0, 0).map(MsgId::get), Some(30_000));
        let note = second.rounding_note(7).expect("rounded").to_string();
        assert!(note.contains("--first-id 7: the ids begin at 20000"), "{note}");
    }

    #[test]
    fn a_first_id_from_which_the_ids_do_not_suffice_is_refused() {
        let needed = needed(0, 1);
        let last = MsgId::MAX + 1 - needed.count();
        assert_eq!(needed.check_first(Some(last)), Ok(()));
        let error = needed.check_first(Some(last + 1)).expect_err("too high").to_string();
        assert!(error.contains("could pass the largest MsgID, 9007199254740991"), "{error}");
        assert_eq!(needed.check_first(None), Ok(()));
    }
}
