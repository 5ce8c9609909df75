//! One node of a fleet while its run lasts: its heartbeats, its barrier, and the end.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::FleetError;
use super::barrier::{AgreedStart, FleetBarrier};
use super::collector::{Collector, FleetResult, read_results};
use super::heartbeat::{NodeGauge, pack};
use super::join::JoinRequest;
use super::roster::Roster;
use super::seconds::index_after;
use super::store::{FleetKey, KEY_LIFETIME, Store, StoreError, VERDICT_LIFETIME};
use crate::core::Address;
use crate::core::clock::Nanos;
use crate::core::units::round;
use crate::engine::load::LoadConfig;
use crate::engine::shards::LoadShards;
use crate::report::{Membership, Node, Report, Row};
use crate::run::{MeasuredSecond, Phase, Progress, StartBarrier};

/// Interval between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);
/// Heartbeats after which all keys are renewed.
const BEATS_TO_RENEW: u64 = 60;
/// Lease of the collector.
const LEASE: Duration = Duration::from_secs(5);
/// Heartbeats without a collector after which another node takes over.
const BEATS_WITHOUT_COLLECTOR: u32 = 2;
/// Longest time in which a node tries to hand in its report while Redis is away.
const HAND_IN: Duration = Duration::from_secs(30);
/// Interval between two looks for the result of the fleet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Callback for the progress of the whole fleet.
type FleetView = Box<dyn FnMut(&Progress) + Send>;

/// State that the heartbeats share with the run.
struct BeatState {
    rank: u64,
    gauge: std::sync::Mutex<NodeGauge>,
    /// Set when the roster is written.
    joined: OnceLock<JoinedFleet>,
    view: std::sync::Mutex<Option<FleetView>>,
    is_collector: AtomicBool,
    /// Asks for a heartbeat at once.
    beat_now: Notify,
    /// True when Redis has the last heartbeat of a run that is done.
    last_written: watch::Sender<bool>,
    stops_on_loss: bool,
}

/// The fleet of a node, once its roster is written.
struct JoinedFleet {
    roster: Arc<Roster>,
    index: usize,
    token: String,
}

/// The heartbeats of a node. They end when it is dropped.
pub(super) struct Heartbeats {
    state: Arc<BeatState>,
    _task: JoinSet<()>,
}

/// Begins the heartbeats of a node that has a rank.
pub(super) fn begin_heartbeats(store: Store, rank: u64, request: &JoinRequest) -> Heartbeats {
    let state = Arc::new(BeatState {
        rank,
        gauge: std::sync::Mutex::default(),
        joined: OnceLock::new(),
        view: std::sync::Mutex::default(),
        is_collector: AtomicBool::new(false),
        beat_now: Notify::new(),
        last_written: watch::Sender::new(false),
        stops_on_loss: request.stops_on_loss,
    });
    let mut task = JoinSet::new();
    let beater = Beater {
        store,
        state: Arc::clone(&state),
        stop: request.stop.clone(),
        collector: Collector::default(),
        without_collector: 0,
        beats: 0,
    };
    task.spawn(beater.run());
    Heartbeats { state, _task: task }
}

/// The loop of the heartbeats.
struct Beater {
    store: Store,
    state: Arc<BeatState>,
    stop: watch::Sender<bool>,
    collector: Collector,
    /// Heartbeats in a row without a holder of the lease.
    without_collector: u32,
    beats: u64,
}

impl Beater {
    async fn run(mut self) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.state.beat_now.notified() => {}
            }
            // While Redis is away, the load goes on: the next heartbeat has the seconds that this one lacks.
            if let Err(error) = self.beat().await {
                self.state.is_collector.store(false, Relaxed);
                log::debug!("heartbeat: {error}");
            }
        }
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        self.store.compare_clocks().await?;
        let rank = self.state.rank;
        let mut commands = redis::pipe();
        let now_us = self.store.now_us();
        commands.cmd("HSET").arg(self.store.key(FleetKey::Beats)).arg(rank).arg(now_us).ignore();
        let (packed, is_done) = self.packed().await;
        if let Some(packed) = packed {
            commands.cmd("HSET").arg(self.store.key(FleetKey::Live)).arg(rank).arg(packed).ignore();
        }
        commands.cmd("GET").arg(self.store.key(FleetKey::Stop));
        commands.cmd("LINDEX").arg(self.store.key(FleetKey::Seconds)).arg(-1);
        let (stop, last): (Option<String>, Option<String>) = self.store.ask_all(&commands).await?;
        if stop.is_some() {
            self.stop.send_if_modified(|stop| !std::mem::replace(stop, true));
        }
        if let Some(row) = last.and_then(|row| serde_json::from_str::<Row>(&row).ok()) {
            lock(&self.state.gauge).forget_before(index_after(&row));
        }
        if is_done {
            self.state.last_written.send_replace(true);
        }
        self.beats += 1;
        if self.beats.is_multiple_of(BEATS_TO_RENEW) || self.beats == 1 {
            self.store.renew().await?;
        }
        self.collect().await
    }

    /// The heartbeat of now, and whether it is the last of a run; `None` before the roster is written.
    async fn packed(&self) -> (Option<Vec<u8>>, bool) {
        if self.state.joined.get().is_none() {
            return (None, false);
        }
        let (snapshot, is_done) = {
            let gauge = lock(&self.state.gauge);
            (gauge.snapshot(), gauge.is_done)
        };
        (tokio::task::spawn_blocking(move || snapshot.pack()).await.ok(), is_done)
    }

    /// Adds up all nodes if this one is the collector.
    async fn collect(&mut self) -> Result<(), StoreError> {
        let state = Arc::clone(&self.state);
        let Some(joined) = state.joined.get() else { return Ok(()) };
        let is_collector = self.take_lease(joined).await?;
        state.is_collector.store(is_collector, Relaxed);
        if !is_collector {
            return Ok(());
        }
        let (fleet, progress) = self.collector.collect(&mut self.store, &joined.roster).await?;
        let has_begun = progress.phase != Phase::Waiting;
        if let Some(show) = lock(&state.view).as_mut().filter(|_| has_begun) {
            show(&progress);
        }
        if let Some(lost) = fleet.lost(&joined.roster).first().filter(|_| state.stops_on_loss) {
            let why = format!("{} is lost", joined.roster.name(*lost));
            self.store.stop_all(&why).await?;
        }
        Ok(())
    }

    /// Takes or renews the lease. The first node takes it at once; another one if it has no holder.
    async fn take_lease(&mut self, joined: &JoinedFleet) -> Result<bool, StoreError> {
        let held = self.state.is_collector.load(Relaxed);
        if !held && joined.index > 0 {
            if self.store.get::<String>(FleetKey::Collector).await?.is_some() {
                self.without_collector = 0;
                return Ok(false);
            }
            self.without_collector += 1;
            if self.without_collector < BEATS_WITHOUT_COLLECTOR {
                return Ok(false);
            }
        }
        self.store.hold_lease(&joined.token, LEASE).await
    }
}

fn lock<T>(shared: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parts of a node that has joined.
pub(super) struct MemberParts {
    pub(super) store: Store,
    pub(super) beats: Heartbeats,
    pub(super) roster: Roster,
    pub(super) index: usize,
    pub(super) server: Option<String>,
    pub(super) redis: Address,
    pub(super) name: String,
    pub(super) token: String,
}

/// A node of a fleet whose roster is written.
pub(crate) struct Member {
    store: Arc<Mutex<Store>>,
    beats: Heartbeats,
    roster: Arc<Roster>,
    index: usize,
    server: Option<String>,
    /// Redis in which the nodes meet.
    redis: Address,
    name: String,
    agreed: Arc<std::sync::Mutex<Option<AgreedStart>>>,
    /// Slots that each node is to send in the measured part; `None` in a closed loop.
    slots: Vec<Option<u64>>,
}

/// The end of a fleet, as one node sees it.
#[derive(Debug)]
pub(crate) enum FleetEnd {
    /// This node is the collector: it makes the report of all, and announces the result.
    Collect(Box<FleetResult>),
    /// Another node has announced the result.
    Announced(Announcement),
    /// Redis is away: the report of this node is not handed in.
    Away(String),
}

/// Result of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    /// Exit code of all nodes.
    pub(crate) exit_code: u8,
    /// The result in one line.
    pub(crate) result: String,
    /// Node that has the report: `node 0 (web-1)`.
    pub(crate) reported_by: String,
}

impl Member {
    pub(super) fn new(parts: MemberParts) -> Self {
        let MemberParts { store, beats, roster, index, server, redis, name, token } = parts;
        let roster = Arc::new(roster);
        let joined = JoinedFleet { roster: Arc::clone(&roster), index, token };
        // The heartbeats were told nothing before.
        let _ = beats.state.joined.set(joined);
        let store = Arc::new(Mutex::new(store));
        Self {
            store,
            beats,
            roster,
            index,
            server,
            redis,
            name,
            agreed: Arc::default(),
            slots: Vec::new(),
        }
    }

    /// Puts this node into its place in the plan of the load.
    pub(crate) fn take_place(&mut self, load: &mut LoadConfig) {
        load.node = self.roster.place(self.index);
        self.slots = (0..self.roster.nodes.len())
            .map(|index| {
                let threads = self.roster.nodes[index].facts.threads as usize;
                let own = LoadConfig { node: self.roster.place(index), threads, ..load.clone() };
                LoadShards::new(&own).measured_slots()
            })
            .collect();
    }

    /// Index of this node.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Name of this node in messages: `node 3 (web-7)`.
    pub(crate) fn own_name(&self) -> String {
        self.roster.name(self.index)
    }

    /// Name of the node that shows the progress and makes the report, as long as it lives; `None` if it is this one.
    pub(crate) fn reporter(&self) -> Option<String> {
        (self.index > 0).then(|| self.roster.name(0))
    }

    /// Number of nodes.
    pub(crate) fn nodes(&self) -> u64 {
        self.roster.nodes.len() as u64
    }

    /// Name of the fleet.
    pub(crate) fn fleet(&self) -> &str {
        &self.name
    }

    /// The barrier before the first slot.
    pub(crate) fn barrier(&self) -> impl StartBarrier + use<> {
        FleetBarrier {
            store: Arc::clone(&self.store),
            roster: Arc::clone(&self.roster),
            index: self.index,
            agreed: Arc::clone(&self.agreed),
        }
    }

    /// Callback for the progress of this node's run.
    pub(crate) fn on_progress(&self) -> impl FnMut(&Progress) + Send + use<> {
        let state = Arc::clone(&self.beats.state);
        move |progress| lock(&state.gauge).set_progress(progress)
    }

    /// Callback for the seconds of this node's run.
    pub(crate) fn on_second(&self) -> impl FnMut(MeasuredSecond) + Send + use<> {
        let state = Arc::clone(&self.beats.state);
        move |second| lock(&state.gauge).add_second(second)
    }

    /// Shows the progress of the whole fleet with `view` whenever this node is the collector.
    pub(crate) fn show_fleet(&self, view: impl FnMut(&Progress) + Send + 'static) {
        *lock(&self.beats.state.view) = Some(Box::new(view));
    }

    /// The report of this node with its place in the fleet. Its measured part began `measure_from` after the first slot.
    pub(crate) fn signed(&self, mut report: Report, measure_from: Nanos) -> Report {
        let place = self.roster.place(self.index);
        report.run.node = Some(Node {
            index: place.share.index,
            count: place.share.count,
            first_worker: Some(place.first_worker),
            workers: Some(place.workers),
            own_topics: report.run.node.is_some_and(|node| node.own_topics),
        });
        let (nodes, redis) = (self.nodes(), &self.redis);
        report.run.command +=
            &format!(" --fleet={} --nodes {nodes} --fleet-redis {redis}", self.name);
        report.run.fleet = lock(&self.agreed).map(|AgreedStart { at_us, bound_us }| Membership {
            name: self.name.clone(),
            server: self.server.clone(),
            start_us: at_us + measure_from.0 / 1_000,
            clock_bound_us: round(bound_us, 1e3),
        });
        report
    }

    /// Tells the others that this node cannot take part, and why.
    pub(crate) async fn fail(&self, why: &str) {
        let mut store = self.store.lock().await;
        // Where Redis is away, the others find this node lost.
        let _ = store.put_field(FleetKey::Failed, self.beats.state.rank, why.as_bytes()).await;
    }

    /// Hands in the report of this node and waits for the result of the fleet.
    pub(crate) async fn end(&self, report: &Report) -> FleetEnd {
        let packed = {
            let report = report.clone();
            tokio::task::spawn_blocking(move || pack(&report)).await.unwrap_or_default()
        };
        let begun = Instant::now();
        while let Err(error) = self.hand_in(&packed).await {
            if begun.elapsed() >= HAND_IN {
                return FleetEnd::Away(error.to_string());
            }
            sleep(LOOK_EVERY).await;
        }
        loop {
            match self.look_for_end().await {
                Ok(Some(end)) => return end,
                Ok(None) => {}
                Err(error) if begun.elapsed() >= KEY_LIFETIME => {
                    return FleetEnd::Away(error.to_string());
                }
                Err(_) => {}
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Writes the last heartbeat, then the report.
    async fn hand_in(&self, packed: &[u8]) -> Result<(), StoreError> {
        lock(&self.beats.state.gauge).is_done = true;
        self.beats.state.beat_now.notify_one();
        let mut written = self.beats.state.last_written.subscribe();
        // If it is late, the report matters more.
        let _ = tokio::time::timeout(BEAT * 2, written.wait_for(|written| *written)).await;
        let mut store = self.store.lock().await;
        store.put_field(FleetKey::Reports, self.beats.state.rank, packed).await
    }

    async fn look_for_end(&self) -> Result<Option<FleetEnd>, StoreError> {
        let mut store = self.store.lock().await;
        if let Some(text) = store.get::<String>(FleetKey::Verdict).await? {
            let read = serde_json::from_str(&text).ok();
            return Ok(read.map(FleetEnd::Announced));
        }
        if !self.beats.state.is_collector.load(Relaxed) {
            return Ok(None);
        }
        let results = read_results(&mut store, &self.roster, &self.slots).await?;
        Ok(results.map(|results| FleetEnd::Collect(Box::new(results))))
    }

    /// The result that another node has announced; `None` without one.
    pub(crate) async fn announced(&self) -> Option<Announcement> {
        let text: Option<String> = self.store.lock().await.get(FleetKey::Verdict).await.ok()?;
        serde_json::from_str(&text?).ok()
    }

    /// Announces the result of the fleet, unless another node has done so.
    pub(crate) async fn announce(&self, result: &Announcement) -> Result<(), FleetError> {
        let text = serde_json::to_string(result).unwrap_or_default();
        let mut store = self.store.lock().await;
        store.put_new(FleetKey::Verdict, text.as_bytes(), VERDICT_LIFETIME).await?;
        Ok(())
    }
}
