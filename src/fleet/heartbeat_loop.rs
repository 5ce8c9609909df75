//! The heartbeats of a node while it is a member of a fleet, and the work of the collector if it is the one.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::collector::Collector;
use super::heartbeat::NodeGauge;
use super::join::JoinRequest;
use super::keys::FleetKey;
use super::roster::Roster;
use super::seconds::index_after;
use super::store::{Store, StoreError};
use crate::report::Row;
use crate::run::{MeasuredSecond, Phase, Progress};

/// Interval between two heartbeats.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Heartbeats after which all keys are renewed.
const BEATS_TO_RENEW: u64 = 60;
/// Lease of the collector.
const LEASE: Duration = Duration::from_secs(5);
/// Heartbeats without a collector after which another node takes over.
const BEATS_WITHOUT_COLLECTOR: u32 = 2;

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
    /// This node is not to be the collector.
    has_resigned: AtomicBool,
    /// Asks for a heartbeat at once.
    beat_now: Notify,
    /// True when Redis has the last heartbeat of a run that is done.
    last_written: watch::Sender<bool>,
    stops_on_loss: bool,
}

/// The fleet of a node, once its roster is written.
pub(super) struct JoinedFleet {
    pub(super) roster: Arc<Roster>,
    pub(super) index: usize,
    pub(super) token: String,
}

/// The heartbeats of a node. They end when it is dropped.
pub(super) struct Heartbeats {
    state: Arc<BeatState>,
    _task: JoinSet<()>,
}

impl Heartbeats {
    /// Begins the heartbeats of a node that has a rank.
    pub(super) fn begin(store: Store, rank: u64, request: &JoinRequest) -> Self {
        let state = Arc::new(BeatState {
            rank,
            gauge: std::sync::Mutex::default(),
            joined: OnceLock::new(),
            view: std::sync::Mutex::default(),
            is_collector: AtomicBool::new(false),
            has_resigned: AtomicBool::new(false),
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
            round: None,
            has_written: false,
            without_collector: 0,
            beats: 0,
        };
        task.spawn(beater.run());
        Self { state, _task: task }
    }

    /// Tells the heartbeats the roster. Only the first call has an effect.
    pub(super) fn join(&self, fleet: JoinedFleet) {
        // A second roster cannot be: it is written once.
        let _ = self.state.joined.set(fleet);
    }

    /// Begins a round: nothing is measured yet.
    pub(super) fn begin_round(&self, round: u64) {
        *lock(&self.state.gauge) = NodeGauge::of_round(round);
        self.state.last_written.send_replace(false);
    }

    /// The number under which this node joined.
    pub(super) fn rank(&self) -> u64 {
        self.state.rank
    }

    /// Returns true if this node is the collector.
    pub(super) fn is_collector(&self) -> bool {
        self.state.is_collector.load(Relaxed)
    }

    /// A look at whether this node is the collector now.
    pub(super) fn collector_flag(&self) -> impl Fn() -> bool + Send + use<> {
        let state = Arc::clone(&self.state);
        move || state.is_collector.load(Relaxed)
    }

    /// Keeps this node from being the collector, or lets it be one again.
    pub(super) fn resign(&self, resigns: bool) {
        self.state.has_resigned.store(resigns, Relaxed);
        if resigns {
            self.state.is_collector.store(false, Relaxed);
        }
    }

    /// Callback for the progress of this node's run.
    pub(super) fn on_progress(&self) -> impl FnMut(&Progress) + Send + use<> {
        let state = Arc::clone(&self.state);
        move |progress| lock(&state.gauge).set_progress(progress)
    }

    /// Callback for the seconds of this node's run.
    pub(super) fn on_second(&self) -> impl FnMut(MeasuredSecond) + Send + use<> {
        let state = Arc::clone(&self.state);
        move |second| lock(&state.gauge).add_second(second)
    }

    /// Shows the progress of the whole fleet with `view` whenever this node is the collector.
    pub(super) fn show_fleet(&self, view: impl FnMut(&Progress) + Send + 'static) {
        *lock(&self.state.view) = Some(Box::new(view));
    }

    /// Gives the last heartbeat of a run that is done, and waits until Redis has it.
    pub(super) async fn give_last(&self) {
        lock(&self.state.gauge).is_done = true;
        self.state.beat_now.notify_one();
        let mut written = self.state.last_written.subscribe();
        // If it is late, the report matters more.
        let _ = tokio::time::timeout(BEAT * 2, written.wait_for(|written| *written)).await;
    }
}

/// The loop of the heartbeats.
struct Beater {
    store: Store,
    state: Arc<BeatState>,
    stop: watch::Sender<bool>,
    collector: Collector,
    /// The round of the last heartbeat.
    round: Option<u64>,
    /// Redis has a heartbeat with measurements of the round.
    has_written: bool,
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
        self.enter_round();
        let rank = self.state.rank;
        let mut commands = redis::pipe();
        let now_us = self.store.now_us();
        commands.cmd("HSET").arg(self.store.key(FleetKey::Beats)).arg(rank).arg(now_us).ignore();
        let (packed, is_done) = self.packed().await;
        let is_first = packed.is_some() && !std::mem::replace(&mut self.has_written, true);
        if let Some(packed) = packed {
            commands.cmd("HSET").arg(self.store.key(FleetKey::Live)).arg(rank).arg(packed).ignore();
        }
        commands.cmd("GET").arg(self.store.key(FleetKey::Stop));
        commands.cmd("LINDEX").arg(self.store.key(FleetKey::Seconds)).arg(-1);
        let (stop, last): (Option<String>, Option<String>) = self.store.ask_all(&commands).await?;
        if stop.is_some() {
            self.stop.send_if_modified(|stop| !std::mem::replace(stop, true));
        }
        let last = last.and_then(|row| serde_json::from_str::<Row>(&row).ok());
        self.note_written(last.as_ref(), is_done);
        self.beats += 1;
        // A new key has no lifetime yet.
        if self.beats.is_multiple_of(BEATS_TO_RENEW) || self.beats == 1 || is_first {
            self.store.renew().await?;
        }
        self.collect().await
    }

    /// Uses the keys of the round that has begun meanwhile.
    fn enter_round(&mut self) {
        let round = lock(&self.state.gauge).round;
        if round != self.round {
            self.round = round;
            self.has_written = false;
            self.store.set_round(round);
            self.collector = Collector::default();
        }
    }

    /// Notes that Redis has the last heartbeat, and the seconds of the fleet up to `last`. What it has of an earlier round
    /// does not matter any more.
    fn note_written(&self, last: Option<&Row>, is_done: bool) {
        let mut gauge = lock(&self.state.gauge);
        if gauge.round != self.round {
            return;
        }
        if let Some(row) = last {
            gauge.forget_before(index_after(row));
        }
        if is_done {
            self.state.last_written.send_replace(true);
        }
    }

    /// The heartbeat of now, and whether it is the last of a run; `None` before the roster is written.
    async fn packed(&self) -> (Option<Vec<u8>>, bool) {
        if self.state.joined.get().is_none() {
            return (None, false);
        }
        let (snapshot, is_done) = {
            let gauge = lock(&self.state.gauge);
            if gauge.round != self.round {
                return (None, false);
            }
            (gauge.snapshot(), gauge.is_done)
        };
        (tokio::task::spawn_blocking(move || snapshot.pack()).await.ok(), is_done)
    }

    /// Adds up all nodes if this one is the collector.
    async fn collect(&mut self) -> Result<(), StoreError> {
        let state = Arc::clone(&self.state);
        let Some(joined) = state.joined.get() else { return Ok(()) };
        let has_resigned = state.has_resigned.load(Relaxed);
        let is_collector = !has_resigned && self.take_lease(joined).await?;
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

pub(super) fn lock<T>(shared: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
