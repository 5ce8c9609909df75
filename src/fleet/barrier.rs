//! Start of a fleet: when all nodes are ready, one of them sets the time of the first slot, in the time of Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::FleetError;
use super::join::LOST_AFTER_US;
use super::keys::FleetKey;
use super::member::HAND_IN;
use super::roster::Roster;
use super::store::{KEY_LIFETIME, Store};
use crate::core::clock;
use crate::run::{FirstSlot, Pending, RunError, StartBarrier};

/// Time from "all are ready" to the first slot: all nodes learn of it meanwhile.
const LEAD_US: u64 = 1_000_000;
/// Interval between two looks at the others.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Interval between two looks for nodes that are lost.
const LOOK_FOR_LOST_EVERY: Duration = Duration::from_secs(2);
/// Round trips that compare the clocks once more before the start.
const TRIPS: usize = 16;

/// Reason of a node that missed the start.
const LATE: &str = "the fleet started before this node knew of it: it was stopped for a second, or Redis is very slow";

/// The barrier of one node.
pub(super) struct FleetBarrier {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) roster: Arc<Roster>,
    pub(super) index: usize,
    /// Gets the time of the first slot.
    pub(super) agreed: Arc<std::sync::Mutex<Option<AgreedStart>>>,
}

/// The start that all nodes agreed on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AgreedStart {
    /// In the time of Redis, in microseconds since 1970.
    pub(super) at_us: u64,
    /// The most by which this node may have misread the clock of Redis, in microseconds.
    pub(super) bound_us: f64,
}

impl StartBarrier for FleetBarrier {
    fn wait(&mut self) -> Pending<'_, Result<FirstSlot, RunError>> {
        Box::pin(async {
            let mut store = self.store.lock().await;
            let at_us = wait_for_all(&mut store, &self.roster, self.index).await;
            let at_us = at_us.map_err(|error| RunError::Fleet(error.to_string()))?;
            let at = store.monotonic(at_us);
            if at <= clock::now() {
                // Where Redis is away, the others find this node lost.
                let rank = self.roster.nodes[self.index].rank;
                let _ = store.put_field(FleetKey::Failed, rank, LATE.as_bytes()).await;
                return Err(RunError::Fleet(LATE.to_owned()));
            }
            let bound_us = store.clock_bound_us();
            log::debug!(
                "fleet: the first slot is at {at:?} of the monotonic clock, ± {bound_us:.0} us"
            );
            let mut agreed = self.agreed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *agreed = Some(AgreedStart { at_us, bound_us });
            Ok(FirstSlot { at, wall: UNIX_EPOCH + Duration::from_micros(at_us) })
        })
    }
}

/// Says that this node is ready, and waits for the time of the first slot.
async fn wait_for_all(store: &mut Store, roster: &Roster, index: usize) -> Result<u64, FleetError> {
    let rank = roster.nodes[index].rank;
    for _ in 0..TRIPS {
        store.compare_clocks().await?;
    }
    let mut others = OtherNodes::new(roster);
    let mut patience = Patience::new();
    loop {
        match look_for_start(store, &mut others, rank).await {
            Ok(Some(at_us)) => return Ok(at_us),
            looked => patience.take(looked)?,
        }
        sleep(LOOK_EVERY).await;
    }
}

/// One look at the barrier: the time of the first slot, once it is set. Says again that this node is ready, as an earlier
/// command may not have reached Redis.
async fn look_for_start(
    store: &mut Store,
    others: &mut OtherNodes<'_>,
    rank: u64,
) -> Result<Option<u64>, FleetError> {
    if let Some(at_us) = store.get::<u64>(FleetKey::Start).await? {
        return Ok(Some(at_us));
    }
    if !others.know_this {
        store.put_field(FleetKey::Ready, rank, b"1").await?;
        others.know_this = true;
    }
    if store.count(FleetKey::Ready).await? >= others.roster.nodes.len() as u64 {
        let at_us = (store.now_us() + LEAD_US).to_string();
        store.put_new(FleetKey::Start, at_us.as_bytes(), KEY_LIFETIME).await?;
        return Ok(store.get::<u64>(FleetKey::Start).await?);
    }
    others.check(store).await?;
    Ok(None)
}

/// Says how many workers this node has in the round, and waits for those of all nodes.
pub(super) async fn agree_on_parts(
    store: &mut Store,
    roster: &Roster,
    index: usize,
    threads: u64,
) -> Result<Roster, FleetError> {
    let rank = roster.nodes[index].rank;
    let mut others = OtherNodes::new(roster);
    let mut patience = Patience::new();
    let parts = loop {
        match look_for_parts(store, &mut others, rank, threads).await {
            Ok(Some(parts)) => break parts,
            looked => patience.take(looked)?,
        }
        sleep(LOOK_EVERY).await;
    };
    let mut roster = roster.clone();
    for node in &mut roster.nodes {
        node.facts.threads = parts.get(&node.rank).copied().unwrap_or(node.facts.threads);
    }
    Ok(roster)
}

/// One look at the parts of all nodes, by rank, once they are complete.
async fn look_for_parts(
    store: &mut Store,
    others: &mut OtherNodes<'_>,
    rank: u64,
    threads: u64,
) -> Result<Option<BTreeMap<u64, u64>>, FleetError> {
    if !others.know_this {
        store.put_field(FleetKey::Parts, rank, threads.to_string().as_bytes()).await?;
        others.know_this = true;
    }
    if store.count(FleetKey::Parts).await? >= others.roster.nodes.len() as u64 {
        return Ok(Some(store.fields(FleetKey::Parts).await?));
    }
    others.check(store).await?;
    Ok(None)
}

/// Time for which Redis may be away while a node waits for the others.
struct Patience {
    answered: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { answered: Instant::now() }
    }

    /// Takes in a look that was not the last one. Returns the error if Redis was away for too long, or for any other reason.
    fn take<T>(&mut self, looked: Result<Option<T>, FleetError>) -> Result<(), FleetError> {
        match looked {
            Ok(_) => self.answered = Instant::now(),
            Err(FleetError::Away(_)) if self.answered.elapsed() < HAND_IN => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The other nodes while this one waits for them.
struct OtherNodes<'a> {
    roster: &'a Roster,
    /// True once Redis has what this node says of itself.
    know_this: bool,
    looked_for_lost: Instant,
}

impl<'a> OtherNodes<'a> {
    fn new(roster: &'a Roster) -> Self {
        Self { roster, know_this: false, looked_for_lost: Instant::now() }
    }

    /// Returns an error if one of them cannot take part any more.
    async fn check(&mut self, store: &mut Store) -> Result<(), FleetError> {
        let nothing_sent = if store.is_first_round() { "; nothing was sent" } else { "" };
        if let Some((rank, why)) = store.fields::<String>(FleetKey::Failed).await?.pop_first() {
            let failed = self.roster.nodes.iter().position(|node| node.rank == rank);
            let name =
                failed.map_or_else(|| format!("node {rank}"), |index| self.roster.name(index));
            return Err(FleetError::Failed(format!(
                "the fleet cannot start: {name}: {why}{nothing_sent}"
            )));
        }
        if store.get::<String>(FleetKey::Stop).await?.is_some() {
            return Err(FleetError::Failed(format!("the fleet was stopped{nothing_sent}")));
        }
        if self.looked_for_lost.elapsed() >= LOOK_FOR_LOST_EVERY {
            self.looked_for_lost = Instant::now();
            note_lost(store, self.roster).await?;
        }
        Ok(())
    }
}

/// Writes down nodes that have given no heartbeat for ten seconds.
async fn note_lost(store: &mut Store, roster: &Roster) -> Result<(), FleetError> {
    store.compare_clocks().await?;
    let (beats, now_us) = (store.fields::<u64>(FleetKey::Beats).await?, store.now_us());
    for node in &roster.nodes {
        let last = beats.get(&node.rank).copied().unwrap_or_default().max(node.facts.joined_us);
        if now_us.saturating_sub(last) >= LOST_AFTER_US {
            let why = "lost before the start: no heartbeat for 10 s";
            store.put_field(FleetKey::Failed, node.rank, why.as_bytes()).await?;
        }
    }
    Ok(())
}
