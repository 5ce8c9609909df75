//! The collector of a fleet: the node that adds up the measurements of all. It is the holder of a lease, so that another node
//! takes over where it dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::heartbeat::{Heartbeat, NodeState, unpack};
use super::join::LOST_AFTER_US;
use super::keys::FleetKey;
use super::roster::Roster;
use super::seconds::{FleetSeconds, index_after};
use super::store::{Store, StoreError};
use crate::report::{Report, Row};
use crate::run::measurements::Totals;
use crate::run::{Phase, Progress};

/// Heartbeats of all nodes.
#[derive(Debug, Default)]
pub(super) struct FleetState {
    /// The time of Redis, in microseconds since 1970.
    now_us: u64,
    /// Time of each node's last heartbeat.
    beats: BTreeMap<u64, u64>,
    /// Reasons of the nodes that cannot go on.
    failed: BTreeMap<u64, String>,
    live: BTreeMap<u64, Heartbeat>,
}

impl FleetState {
    /// Reads only when the nodes have given their last heartbeats, and which of them have failed.
    pub(super) async fn read_beats(store: &mut Store) -> Result<Self, StoreError> {
        let beats = store.fields(FleetKey::Beats).await?;
        let failed = store.fields(FleetKey::Failed).await?;
        Ok(Self { now_us: store.now_us(), beats, failed, live: BTreeMap::new() })
    }

    pub(super) async fn read(store: &mut Store) -> Result<Self, StoreError> {
        let packed = store.fields::<Vec<u8>>(FleetKey::Live).await?;
        let state = Self::read_beats(store).await?;
        let unpacked = tokio::task::spawn_blocking(move || {
            let nodes = packed.iter();
            nodes.filter_map(|(rank, bytes)| Some((*rank, unpack(bytes)?))).collect()
        });
        Ok(Self { live: unpacked.await.unwrap_or_default(), ..state })
    }

    /// The time since a node's last heartbeat, in microseconds.
    fn silence_us(&self, rank: u64) -> u64 {
        self.now_us.saturating_sub(self.beats.get(&rank).copied().unwrap_or_default())
    }

    /// The time of a node's last heartbeat, in microseconds since 1970.
    fn last_beat_us(&self, rank: u64) -> u64 {
        self.beats.get(&rank).copied().unwrap_or_default()
    }

    /// Returns true if a node has given no heartbeat for ten seconds, or has said that it cannot go on.
    fn is_lost(&self, rank: u64) -> bool {
        self.failed.contains_key(&rank) || self.silence_us(rank) >= LOST_AFTER_US
    }

    fn heartbeat(&self, rank: u64) -> Option<&Heartbeat> {
        self.live.get(&rank)
    }

    /// The nodes that are not lost.
    fn present(&self, roster: &Roster) -> BTreeMap<u64, &Heartbeat> {
        let ranks = roster.nodes.iter().map(|node| node.rank);
        ranks
            .filter(|rank| !self.is_lost(*rank))
            .filter_map(|rank| Some((rank, self.live.get(&rank)?)))
            .collect()
    }

    /// Indexes of the nodes that are lost.
    pub(super) fn lost(&self, roster: &Roster) -> Vec<usize> {
        let nodes = roster.nodes.iter().enumerate();
        nodes.filter(|(_, node)| self.is_lost(node.rank)).map(|(index, _)| index).collect()
    }

    /// The progress of all nodes together. `last_second` is a row of the whole fleet.
    pub(super) fn progress(&self, last_second: Option<Row>) -> Progress {
        let present: Vec<_> = self.live.values().collect();
        let longest = present.iter().max_by(|a, b| a.elapsed_s.total_cmp(&b.elapsed_s));
        let mut totals = Totals::default();
        for node in &present {
            // A heartbeat that cannot be read is left out until the next one.
            let _ = node.totals.add_to(&mut totals);
        }
        let sum = |of: fn(&Heartbeat) -> u64| present.iter().map(|node| of(node)).sum();
        let targets: Vec<f64> = present.iter().filter_map(|node| node.target_rate).collect();
        let arrived: Vec<u64> = present.iter().filter_map(|node| node.totals.arrived).collect();
        Progress {
            phase: longest.map_or(Phase::Waiting, |node| phase(node.state)),
            elapsed: Duration::from_secs_f64(longest.map_or(0.0, |node| node.elapsed_s.max(0.0))),
            planned: longest
                .and_then(|node| node.planned_s)
                .and_then(|planned| Duration::try_from_secs_f64(planned).ok()),
            rate: present.iter().map(|node| node.rate).sum(),
            target_rate: (!targets.is_empty()).then(|| targets.iter().sum()),
            sent: sum(|node| node.sent),
            in_flight: sum(|node| node.in_flight),
            dropped: sum(|node| node.totals.dropped),
            accepted: sum(|node| node.totals.accepted),
            arrived: (!arrived.is_empty()).then(|| arrived.iter().sum()),
            queue_depth: present.iter().filter_map(|node| node.queue_depth).max(),
            last_second,
            totals: Arc::new(totals),
        }
    }
}

fn phase(state: NodeState) -> Phase {
    match state {
        NodeState::Waiting => Phase::Waiting,
        NodeState::Warmup => Phase::Warmup,
        NodeState::Measuring => Phase::Measuring,
        NodeState::Draining | NodeState::Done => Phase::Draining,
    }
}

/// The sums of a fleet while its load lasts.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// `None` before the first look: another collector may have closed seconds.
    seconds: Option<FleetSeconds>,
    /// Rows that Redis has not taken yet.
    unsaved: Vec<Row>,
    last: Option<Row>,
}

impl Collector {
    /// Reads all heartbeats, closes the seconds that are complete, and returns the state and the progress of all nodes
    /// together.
    pub(super) async fn collect(
        &mut self,
        store: &mut Store,
        roster: &Roster,
    ) -> Result<(FleetState, Progress), StoreError> {
        let state = FleetState::read(store).await?;
        if self.seconds.is_none() {
            self.last = saved_rows(store).await?.pop();
            let next = self.last.as_ref().map_or(0, index_after);
            self.seconds = Some(FleetSeconds::beginning_at(next));
        }
        if let Some(seconds) = &mut self.seconds {
            for (rank, heartbeat) in &state.live {
                // One that cannot be read is left out until the next one.
                let _ = seconds.add(*rank, heartbeat);
            }
            self.unsaved.extend(seconds.close_complete(&state.present(roster)));
        }
        if let Some(row) = self.unsaved.last() {
            self.last = Some(row.clone());
        }
        if !self.unsaved.is_empty() {
            let rows = self.unsaved.iter().filter_map(|row| serde_json::to_string(row).ok());
            store.append(FleetKey::Seconds, &rows.collect::<Vec<_>>()).await?;
            self.unsaved.clear();
        }
        let progress = state.progress(self.last.clone());
        Ok((state, progress))
    }
}

/// Rows of the whole fleet that collectors have saved, in their order, each second once.
async fn saved_rows(store: &mut Store) -> Result<Vec<Row>, StoreError> {
    let mut rows = BTreeMap::new();
    for text in store.rows(FleetKey::Seconds).await? {
        if let Ok(row) = serde_json::from_str::<Row>(&text) {
            rows.insert(index_after(&row), row);
        }
    }
    Ok(rows.into_values().collect())
}

/// Measurements of a fleet: the nodes' reports, and the facts about nodes without one.
#[derive(Debug)]
pub(crate) struct FleetResult {
    /// Reports by index of the node.
    pub(super) reports: BTreeMap<u64, Report>,
    /// The nodes without a report, by index.
    pub(super) lost: BTreeMap<u64, LostFacts>,
    /// Rows of the whole fleet.
    pub(super) seconds: Vec<Row>,
    pub(super) roster: Arc<Roster>,
}

/// Facts about a node without a report.
#[derive(Debug)]
pub(super) struct LostFacts {
    /// Time of its last heartbeat, in the time of Redis, in microseconds since 1970.
    pub(super) last_beat_us: u64,
    pub(super) heartbeat: Option<Heartbeat>,
    /// Reason that it gave, in words.
    pub(super) because: Option<String>,
    /// Slots that it was to send; `None` in a closed loop.
    pub(super) planned: Option<u64>,
}

/// Reads the results of a fleet; `None` while a node has not written its report and is not lost. `slots` are those that
/// each node was to send.
pub(super) async fn read_results(
    store: &mut Store,
    roster: &Arc<Roster>,
    slots: &[Option<u64>],
) -> Result<Option<FleetResult>, StoreError> {
    store.compare_clocks().await?;
    let written = store.count(FleetKey::Reports).await?;
    let beats = FleetState::read_beats(store).await?;
    let lost = beats.lost(roster).len() as u64;
    if written + lost < roster.nodes.len() as u64 {
        return Ok(None);
    }
    let state = FleetState::read(store).await?;
    let packed = store.fields::<Vec<u8>>(FleetKey::Reports).await?;
    let unpacked = tokio::task::spawn_blocking(move || -> BTreeMap<u64, Report> {
        let reports = packed.iter();
        reports.filter_map(|(rank, bytes)| Some((*rank, unpack(bytes)?))).collect()
    });
    let mut by_rank = unpacked.await.unwrap_or_default();
    let (mut reports, mut lost) = (BTreeMap::new(), BTreeMap::new());
    for (index, node) in roster.nodes.iter().enumerate() {
        match by_rank.remove(&node.rank) {
            Some(report) => _ = reports.insert(index as u64, report),
            None if !state.is_lost(node.rank) => return Ok(None),
            None => {
                let last_beat_us = state.last_beat_us(node.rank);
                let heartbeat = state.heartbeat(node.rank).cloned();
                let planned = slots.get(index).copied().flatten();
                let because = state.failed.get(&node.rank).cloned();
                let facts = LostFacts { last_beat_us, because, heartbeat, planned };
                lost.insert(index as u64, facts);
            }
        }
    }
    let mut rows = saved_rows(store).await?;
    let mut rest = FleetSeconds::beginning_at(rows.last().map_or(0, index_after));
    for (rank, heartbeat) in &state.live {
        // Seconds of a heartbeat that cannot be read have no percentiles.
        let _ = rest.add(*rank, heartbeat);
    }
    rows.extend(rest.close_all());
    let roster = Arc::clone(roster);
    Ok(Some(FleetResult { reports, lost, seconds: rows, roster }))
}
