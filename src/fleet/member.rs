//! One node of a fleet while its run lasts: its place, its barrier, and the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::FleetError;
use super::barrier::{AgreedStart, FleetBarrier, agree_on_parts};
use super::collector::{FleetResult, FleetState, read_results};
use super::exchange::{ExchangeCounts, FleetExchange};
use super::heartbeat::{pack, unpack};
use super::heartbeat_loop::{Heartbeats, JoinedFleet, lock};
use super::join::ArrivalsAt;
use super::keys::FleetKey;
use super::roster::Roster;
use super::store::{KEY_LIFETIME, Store, StoreError, VERDICT_LIFETIME};
use crate::core::Address;
use crate::core::clock::Nanos;
use crate::core::units::round;
use crate::engine::load::LoadConfig;
use crate::engine::shards::LoadShards;
use crate::report::{Membership, Node, Report, SharedArrivals};
use crate::run::{MeasuredSecond, Progress, StartBarrier};

/// Longest time in which a node tries to hand in its report while Redis is away.
pub(super) const HAND_IN: Duration = Duration::from_secs(30);
/// Longest time in which Redis may be away while a node that has handed in its report waits for the result.
const LONGEST_AWAY: Duration = Duration::from_secs(120);
/// Interval between two looks whether Redis still has the report: it may have lost it in a restart.
const LOOK_FOR_OWN_EVERY: Duration = Duration::from_secs(5);
/// Interval between two looks for the result of the fleet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Parts of a node that has joined.
pub(super) struct MemberParts {
    pub(super) store: Store,
    pub(super) beats: Heartbeats,
    pub(super) roster: Roster,
    pub(super) index: usize,
    pub(super) server: Option<String>,
    pub(super) arrivals_at: ArrivalsAt,
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
    arrivals_at: ArrivalsAt,
    /// Exchange of the run if the nodes share one subscription.
    exchange: Option<Arc<FleetExchange>>,
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

/// The end of a ramp that a fleet runs, as one node sees it. All nodes have its report.
#[derive(Debug)]
pub(crate) enum RampEnd {
    /// This node is the collector: it delivers the report, and announces the result.
    Deliver,
    /// Another node has announced the result.
    Announced(Announcement),
    /// Redis is away: no node can be told to deliver the report.
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
        let MemberParts { store, beats, roster, index, server, arrivals_at, redis, name, token } =
            parts;
        let roster = Arc::new(roster);
        let joined = JoinedFleet { roster: Arc::clone(&roster), index, token };
        beats.join(joined);
        let store = Arc::new(Mutex::new(store));
        Self {
            store,
            beats,
            roster,
            index,
            server,
            arrivals_at,
            exchange: None,
            redis,
            name,
            agreed: Arc::default(),
            slots: Vec::new(),
        }
    }

    /// Begins a round of a ramp, which runs `load`: all nodes say how many workers they have in it, and this one takes its
    /// place. Rounds are counted from 1.
    pub(crate) async fn begin_round(
        &mut self,
        round: u64,
        load: &mut LoadConfig,
    ) -> Result<(), FleetError> {
        self.beats.begin_round(round);
        *lock(&self.agreed) = None;
        let mut store = self.store.lock().await;
        store.set_round(Some(round));
        store.put(FleetKey::Round, round).await?;
        let threads = load.threads as u64;
        let roster = agree_on_parts(&mut store, &self.roster, self.index, threads).await?;
        drop(store);
        self.roster = Arc::new(roster);
        self.take_place(load);
        Ok(())
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
    pub(crate) fn index(&self) -> usize {
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

    /// The exchange of arrivals for the next run; `None` if the nodes share no subscription.
    pub(crate) async fn exchange(&mut self) -> Result<Option<Arc<FleetExchange>>, FleetError> {
        if self.arrivals_at != ArrivalsAt::Shared {
            return Ok(None);
        }
        let mut store = Store::open(&self.redis, &self.name).await?;
        let round = self.store.lock().await.round();
        store.set_round(round);
        let group = match round {
            Some(round) => format!("loadgen-{}-{round}", self.name),
            None => format!("loadgen-{}", self.name),
        };
        let exchange = FleetExchange::begin(store, Arc::clone(&self.roster), self.index, group);
        self.exchange = Some(Arc::new(exchange));
        Ok(self.exchange.clone())
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
        self.beats.on_progress()
    }

    /// Callback for the seconds of this node's run.
    pub(crate) fn on_second(&self) -> impl FnMut(MeasuredSecond) + Send + use<> {
        self.beats.on_second()
    }

    /// Shows the progress of the whole fleet with `view` whenever this node is the collector.
    pub(crate) fn show_fleet(&self, view: impl FnMut(&Progress) + Send + 'static) {
        self.beats.show_fleet(view);
    }

    /// The flags of the fleet, to be added to a command line.
    pub(crate) fn flags(&self) -> String {
        let (nodes, redis) = (self.nodes(), &self.redis);
        let arrivals_at = match self.arrivals_at {
            ArrivalsAt::All => String::new(),
            other => format!(" --arrivals-at {other}"),
        };
        format!(" --fleet={} --nodes {nodes} --fleet-redis {redis}{arrivals_at}", self.name)
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
        report.run.command += &self.flags();
        report.run.fleet = lock(&self.agreed).map(|AgreedStart { at_us, bound_us }| Membership {
            name: self.name.clone(),
            server: self.server.clone(),
            start_us: at_us + measure_from.0 / 1_000,
            clock_bound_us: round(bound_us, 1e3),
            shared_arrivals: self.exchange.as_ref().map(|exchange| {
                let ExchangeCounts { timed_by_others, bound_us } = exchange.counts();
                SharedArrivals { timed_by_others, bound_us: round(bound_us, 1e3) }
            }),
        });
        report
    }

    /// Tells the others that this node cannot take part, and why. If nothing was sent yet, the name of the fleet is free again
    /// after some seconds.
    pub(crate) async fn fail(&self, why: &str) {
        let mut store = self.store.lock().await;
        // Where Redis is away, the others find this node lost.
        let _ = store.put_new_field(FleetKey::Failed, self.beats.rank(), why).await;
        let _ = store.forget_unless_begun().await;
    }

    /// Lets the others go on without this node, which ends because another one failed.
    pub(crate) async fn leave(&self) {
        // Where Redis is away, the name stays in use for longer.
        let _ = self.store.lock().await.forget_unless_begun().await;
    }

    /// Hands in the report of this node and waits for the result of the fleet.
    pub(crate) async fn end(&self, report: &Report) -> FleetEnd {
        match self.hand_in_and_wait(report, || self.look_for_end()).await {
            Ok(end) => end,
            Err(error) => FleetEnd::Away(error.to_string()),
        }
    }

    /// Hands in the report of this node in a round, and waits for the report of all nodes. Every node gets the same one.
    pub(crate) async fn end_round(&self, report: &Report) -> Result<Report, FleetError> {
        let merged = self.hand_in_and_wait(report, || self.look_for_merged()).await?;
        merged.map_err(FleetError::Failed)
    }

    /// Waits until this node is to deliver the report of a ramp, or another one has done so. If `lacks_step`, the report of
    /// this node lacks what the others measured last: it delivers only if no other node can.
    pub(crate) async fn end_ramp(&self, lacks_step: bool) -> RampEnd {
        if lacks_step {
            self.beats.resign(true);
        }
        let mut answered = Instant::now();
        loop {
            match self.look_for_turn(lacks_step).await {
                Ok(Some(end)) => return end,
                Ok(None) => answered = Instant::now(),
                Err(error) if answered.elapsed() >= HAND_IN => {
                    return RampEnd::Away(error.to_string());
                }
                Err(_) => {}
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look_for_turn(&self, lacks_step: bool) -> Result<Option<RampEnd>, StoreError> {
        if let Some(announced) = self.read_announcement().await? {
            return Ok(Some(RampEnd::Announced(announced)));
        }
        if lacks_step {
            let mut store = self.store.lock().await;
            store.compare_clocks().await?;
            let state = FleetState::read_beats(&mut store).await?;
            let can_any = state.lost(&self.roster).len() < self.roster.nodes.len();
            self.beats.resign(can_any);
        }
        Ok(self.is_collector().then_some(RampEnd::Deliver))
    }

    /// Hands in the report, and looks for a result until there is one.
    async fn hand_in_and_wait<T, F: Future<Output = Result<Option<T>, StoreError>>>(
        &self,
        report: &Report,
        look: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let packed = packed(report.clone()).await;
        self.hand_in(&packed).await?;
        let (mut answered, mut looked_for_own) = (Instant::now(), Instant::now());
        loop {
            match look().await {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => answered = Instant::now(),
                Err(error) if answered.elapsed() >= LONGEST_AWAY => return Err(error),
                Err(_) => {}
            }
            if looked_for_own.elapsed() >= LOOK_FOR_OWN_EVERY {
                looked_for_own = Instant::now();
                // If it fails, the next look shows whether Redis is away.
                let _ = self.hand_in_again(&packed).await;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Writes the report once more if Redis has lost it.
    async fn hand_in_again(&self, packed: &[u8]) -> Result<(), StoreError> {
        let mut store = self.store.lock().await;
        let rank = self.beats.rank();
        if store.has_field(FleetKey::Reports, rank).await? {
            return Ok(());
        }
        store.put_field(FleetKey::Reports, rank, packed).await
    }

    /// A look at whether this node is the collector now, for callbacks.
    pub(crate) fn collector_flag(&self) -> impl Fn() -> bool + Send + use<> {
        self.beats.collector_flag()
    }

    /// Returns true if this node shows the progress and makes the report.
    fn is_collector(&self) -> bool {
        self.beats.is_collector()
    }

    /// Writes the last heartbeat, then the report. Tries for some time if Redis is away.
    async fn hand_in(&self, packed: &[u8]) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            self.beats.give_last().await;
            let mut store = self.store.lock().await;
            let rank = self.beats.rank();
            match store.put_field(FleetKey::Reports, rank, packed).await {
                Err(_) if begun.elapsed() < HAND_IN => {}
                result => return result,
            }
            drop(store);
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look_for_end(&self) -> Result<Option<FleetEnd>, StoreError> {
        if let Some(announced) = self.read_announcement().await? {
            return Ok(Some(FleetEnd::Announced(announced)));
        }
        let results = self.collect().await?;
        Ok(results.map(|results| FleetEnd::Collect(Box::new(results))))
    }

    /// The result of the round. The collector makes it.
    async fn look_for_merged(&self) -> Result<Option<MergedRound>, StoreError> {
        let written: Option<Vec<u8>> = self.store.lock().await.get(FleetKey::Merged).await?;
        if let Some(written) = written {
            let read = tokio::task::spawn_blocking(move || unpack(&written)).await;
            let unreadable = || Err("the result of all nodes in Redis cannot be read".to_owned());
            return Ok(Some(read.ok().flatten().unwrap_or_else(unreadable)));
        }
        let Some(results) = self.collect().await? else { return Ok(None) };
        let merged =
            tokio::task::spawn_blocking(move || results.merge().map_err(|error| error.to_string()));
        let merged: MergedRound =
            merged.await.unwrap_or_else(|_| Err("the merge ended".to_owned()));
        let packed = packed(merged).await;
        let mut store = self.store.lock().await;
        store.put_new(FleetKey::Merged, &packed, KEY_LIFETIME).await?;
        Ok(None)
    }

    /// The results of all nodes, if this node is the collector and they are complete.
    async fn collect(&self) -> Result<Option<FleetResult>, StoreError> {
        if !self.is_collector() {
            return Ok(None);
        }
        let mut store = self.store.lock().await;
        read_results(&mut store, &self.roster, &self.slots).await
    }

    async fn read_announcement(&self) -> Result<Option<Announcement>, StoreError> {
        let text: Option<String> = self.store.lock().await.get(FleetKey::Verdict).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The result that another node has announced; `None` without one.
    pub(crate) async fn announced(&self) -> Option<Announcement> {
        self.read_announcement().await.ok().flatten()
    }

    /// Announces the result of the fleet, unless another node has done so.
    pub(crate) async fn announce(&self, result: &Announcement) -> Result<(), FleetError> {
        let text = serde_json::to_string(result).unwrap_or_default();
        let mut store = self.store.lock().await;
        store.put_new(FleetKey::Verdict, text.as_bytes(), VERDICT_LIFETIME).await?;
        Ok(())
    }
}

/// The report of a round, or the reason why there is none.
type MergedRound = Result<Report, String>;

/// Data as JSON, deflated on a thread of its own.
async fn packed(data: impl Serialize + Send + 'static) -> Vec<u8> {
    tokio::task::spawn_blocking(move || pack(&data)).await.unwrap_or_default()
}
