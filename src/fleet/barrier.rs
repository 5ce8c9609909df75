//! Start of a fleet: when all nodes are ready, one of them sets the time of the first slot, in the time of Redis.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::FleetError;
use super::join::LOST_AFTER_US;
use super::roster::Roster;
use super::store::{FleetKey, KEY_LIFETIME, Store};
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
                return Err(RunError::Fleet(
                    "the fleet started before this node knew of it: it was stopped for a second, or Redis is very slow".to_owned(),
                ));
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
    store.put_field(FleetKey::Ready, rank, b"1").await?;
    let mut looked_for_lost = Instant::now();
    loop {
        if let Some(at_us) = store.get::<u64>(FleetKey::Start).await? {
            return Ok(at_us);
        }
        if store.count(FleetKey::Ready).await? >= roster.nodes.len() as u64 {
            let at_us = (store.now_us() + LEAD_US).to_string();
            store.put_new(FleetKey::Start, at_us.as_bytes(), KEY_LIFETIME).await?;
            continue;
        }
        if let Some((rank, why)) = store.fields::<String>(FleetKey::Failed).await?.pop_first() {
            let failed = roster.nodes.iter().position(|node| node.rank == rank);
            let name = failed.map_or_else(|| format!("node {rank}"), |index| roster.name(index));
            return Err(FleetError::Failed(format!(
                "the fleet cannot start: {name}: {why}; nothing was sent"
            )));
        }
        if store.get::<String>(FleetKey::Stop).await?.is_some() {
            return Err(FleetError::Failed("the fleet was stopped: nothing was sent".to_owned()));
        }
        if looked_for_lost.elapsed() >= LOOK_FOR_LOST_EVERY {
            looked_for_lost = Instant::now();
            note_lost(store, roster).await?;
        }
        sleep(LOOK_EVERY).await;
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
