//! Participants of a run: the workers that send, and the listener if arrivals are measured.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use url::Url;

use super::RunError;
use super::arrivals::{ArrivalInterval, Listener, ListenerConfig};
use super::environment::Environment;
use super::exchange::ArrivalExchange;
use super::ids::ids_each;
use super::measurements::Arrivals;
use super::other_topics::OtherTopics;
use crate::config::plan::{Pace, Plan, Request, Target};
use crate::core::Address;
use crate::core::clock::Nanos;
use crate::engine::pool::{OwnSource, PoolConfig, WorkerPool};
use crate::engine::request::{RequestSet, RequestShape};
use crate::engine::shards::LoadShards;
use crate::engine::transport::Traffic;
use crate::engine::transport::link::{TargetEndpoint, TargetLink};
use crate::engine::transport::probe;
use crate::engine::{LoadResult, Mixture};
use crate::message::{
    Assignment, DueTable, IdPlaces, IdSpace, MessageAccount, SentMessages, Template, Unjoined,
};
#[cfg(feature = "pipeline")]
use crate::pipeline::arrivals::MqttSource;
#[cfg(feature = "pipeline")]
use crate::pipeline::settings::BrokerSettings;
use crate::pipeline::stamps::Passage;
use crate::report::Remark;
use crate::report::remark::MessageNote;
use crate::script::{ScriptError, ScriptSession, ScriptSetup};

/// Silence after the last message until a complete run is over: a duplicate would follow soon.
const QUIET: Nanos = Nanos::from_millis(100);
/// Silence after the last message if it is not certain that no more will come.
const LONG_QUIET: Nanos = Nanos::from_secs(1);

/// Results of the workers and the listener.
pub(super) struct RunResults {
    pub(super) load: LoadResult,
    pub(super) traffic: Traffic,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) last_intervals: Vec<ArrivalInterval>,
    pub(super) last_sampled: Vec<Passage>,
    pub(super) sampled_dropped: u64,
    pub(super) notes: Vec<Remark>,
    pub(super) script: Option<ScriptSession>,
}

/// Workers and listener of a run that is under way.
pub(super) struct Participants {
    pub(super) workers: WorkerPool,
    pub(super) listener: Option<Listener>,
    /// Address that requests go to; `None` if a proxy or the HTTP client looks it up.
    pub(super) endpoint: Option<TargetEndpoint>,
    script: Option<ScriptSession>,
    qos: u8,
    /// Broker of a pipeline that loadgen did not start, to look for messages on other topics once.
    foreign_broker: Option<(Address, IdPlaces)>,
    other_topics: Option<OtherTopics>,
}

impl Participants {
    /// Subscribes, then connects the workers. When it returns, all are ready.
    pub(super) async fn connect(
        plan: &Plan,
        shards: &LoadShards,
        environment: &Environment,
        space: IdSpace,
        exchange: Option<Arc<dyn ArrivalExchange>>,
    ) -> Result<Self, RunError> {
        let table = plan.listens().then(Arc::<DueTable>::default);
        let listener = match (&environment.mqtt, &table) {
            (Some((_, mqtt)), Some(table)) => {
                let config = ListenerConfig {
                    space,
                    assignment: assignment(plan, shards, space),
                    table: Arc::clone(table),
                    id_places: plan.request.id_places.clone(),
                    sample: plan.pipeline.sample,
                    rest: match plan.load.own_pace() {
                        Pace::Tick(tick) => tick,
                        Pace::Spin => Nanos::ZERO,
                    },
                    exchange,
                };
                Some(start_listener(plan, mqtt, config).await?)
            }
            _ => None,
        };
        let (requests, link) = probe_target(plan, &environment.target).await?;
        let (script, own_sources) = match (&plan.script, &link) {
            (Some(_), Some(link)) => {
                let (session, own_sources) =
                    open_script(plan, shards, link, &environment.target, space).await?;
                (Some(session), own_sources)
            }
            _ => (None, Vec::new()),
        };
        let endpoint = link.as_ref().map(|link| link.endpoint.clone());
        let config = PoolConfig {
            shards: shards.clone(),
            transport: plan.transport.clone(),
            requests,
            link,
            space,
            due_times: table,
            sample: plan.pipeline.sample,
            mixture: mixture(plan, shards, space),
            carries_id: carries_id(plan),
        };
        let workers = WorkerPool::connect(config, own_sources).await?;
        let foreign_broker = match (&plan.target, &environment.mqtt) {
            (Target::Url(_), Some((_, mqtt))) => {
                Some((mqtt.clone(), plan.request.id_places.clone()))
            }
            _ => None,
        };
        let qos = plan.pipeline.qos;
        Ok(Self { workers, listener, endpoint, script, qos, foreign_broker, other_topics: None })
    }

    /// The script's error, if one has ended the load.
    pub(super) fn script_failure(&self) -> Option<ScriptError> {
        self.script.as_ref().and_then(ScriptSession::failure)
    }

    /// Starts the schedule: the first slot is due at `start`, and measuring begins at `measure_from`.
    pub(super) fn start(&self, start: Nanos, measure_from: Nanos) {
        if let Some(listener) = &self.listener {
            listener.measure_from(measure_from);
        }
        self.workers.start(start);
    }

    /// Looks at the other topics of the broker, once, if messages were accepted and no message of any kind has
    /// arrived.
    pub(super) fn look_at_other_topics(&mut self) {
        if self.last_arrival() > Nanos::ZERO || self.accepted() == 0 {
            return;
        }
        if let Some((address, id_places)) = self.foreign_broker.take() {
            self.other_topics = Some(OtherTopics::look(address, id_places));
        }
    }

    /// Measured messages accepted so far.
    pub(super) fn accepted(&self) -> u64 {
        self.workers.gauges.iter().map(|gauges| gauges.accepted.load(Relaxed)).sum()
    }

    /// Measured requests that ended in another way than accepted.
    fn refused(&self) -> u64 {
        self.workers.gauges.iter().map(|gauges| gauges.refused.load(Relaxed)).sum()
    }

    /// Returns true if no more messages are expected. Sending ended at `sent_at`; `queued` is the queue depth.
    ///
    /// Messages of refused requests may arrive as well, and hide that an accepted one is missing. If there are
    /// any, only an empty queue and a longer silence show that nothing more will come.
    pub(super) fn has_all_arrived(&self, now: Nanos, sent_at: Nanos, queued: Option<u64>) -> bool {
        let Some(arrived) = self.arrived() else { return true };
        let silence = now - self.last_arrival();
        if self.accepted() + self.refused() == 0 {
            // No request carried an id: how many messages are still to come is not known.
            let silence = silence.min(now - sent_at);
            return queued.unwrap_or(0) == 0 && silence >= LONG_QUIET;
        }
        match self.refused() {
            0 => arrived >= self.accepted() && silence >= QUIET,
            refused if arrived >= self.accepted() + refused => silence >= QUIET,
            _ => arrived >= self.accepted() && queued.unwrap_or(0) == 0 && silence >= LONG_QUIET,
        }
    }

    /// Measured messages that have arrived so far; `None` if arrivals are not measured.
    pub(super) fn arrived(&self) -> Option<u64> {
        self.listener.as_ref().map(|listener| listener.gauges.arrived.load(Relaxed))
    }

    /// Time of receipt of the last message, also of those of other runs; zero without one.
    fn last_arrival(&self) -> Nanos {
        let at = self.listener.as_ref().map(|listener| listener.gauges.last_at.load(Relaxed));
        Nanos(at.unwrap_or_default())
    }

    /// Joins the results of all. Accepted messages that have not arrived at `end` are lost or missed.
    pub(super) async fn finish(self, end: Nanos) -> Result<RunResults, RunError> {
        let (load, traffic) = self.workers.finish()?;
        let mut results = RunResults {
            load,
            traffic,
            arrivals: None,
            last_intervals: Vec::new(),
            last_sampled: Vec::new(),
            sampled_dropped: 0,
            notes: Vec::new(),
            script: self.script,
        };
        let Some(listener) = self.listener else { return Ok(results) };
        let mut listened = listener.finish().await?;
        let other_topics = match self.other_topics {
            Some(look) => look.finish().await,
            None => Unjoined::default(),
        };
        let (arrivals, times) = (&mut listened.arrivals, &mut listened.times);
        let messages = SentMessages {
            accepted: &results.load.accepted,
            failed: &results.load.failed,
            sent: results.load.messages_sent,
        };
        let account =
            MessageAccount::join(&messages, arrivals, end, |id, age| times.record_age(id, age));
        times.add_dropped(&results.load);
        let missed = arrivals.missed_spans(end);
        if listened.reconnects > 0 {
            let note = MessageNote::SubscriberReconnected {
                times: listened.reconnects,
                missed: account.missed,
                spans: missed.clone(),
                qos: self.qos,
            };
            results.notes.push(note.into());
        }
        results.arrivals = Some(Arrivals {
            account,
            timed_when_read: listened.timed_when_read,
            missed_spans: missed,
            unjoined: listened.unjoined,
            other_topics,
            latencies: listened.times.all,
            by_request: listened.times.by_request,
        });
        results.last_intervals = listened.last_intervals;
        results.last_sampled = listened.last_sampled;
        results.sampled_dropped = listened.sampled_dropped;
        Ok(results)
    }
}

/// Subscribes to the topics of the plan.
#[cfg(feature = "pipeline")]
async fn start_listener(
    plan: &Plan,
    mqtt: &Address,
    config: ListenerConfig,
) -> Result<Listener, RunError> {
    let source = MqttSource::new(BrokerSettings {
        mqtt: mqtt.clone(),
        topics: topics(plan, config.exchange.as_deref()),
        qos: plan.pipeline.qos,
    });
    Listener::start(source, config).await
}

/// Topics to subscribe to. Of a group each message goes to one member (MQTT 5, 4.8.2).
#[cfg(feature = "pipeline")]
fn topics(plan: &Plan, exchange: Option<&dyn ArrivalExchange>) -> Vec<String> {
    let topics = plan.pipeline.topics_of_node(plan.load.node.share.index);
    match exchange.map(ArrivalExchange::group) {
        Some(group) => topics.iter().map(|topic| format!("$share/{group}/{topic}")).collect(),
        None => topics,
    }
}

/// Never called: the plan refuses a broker in a build without the feature.
#[cfg(not(feature = "pipeline"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
async fn start_listener(_: &Plan, _: &Address, _: ListenerConfig) -> Result<Listener, RunError> {
    Err(RunError::Lost("the subscriber of a build without pipeline"))
}

/// Requests of a mix by slot and id; `None` if the plan has only one request.
fn assignment(plan: &Plan, shards: &LoadShards, space: IdSpace) -> Option<Assignment> {
    plan.request.is_mix().then(|| shards.assignment(&plan.request.mix, space))
}

/// Requests of a mix, and which of them carry their id.
fn mixture(plan: &Plan, shards: &LoadShards, space: IdSpace) -> Option<Mixture> {
    let assignment = assignment(plan, shards, space)?;
    let carries_id = plan.request.requests.iter().map(Request::carries_id).collect();
    Some(Mixture { assignment, carries_id })
}

/// Returns true if the first request carries its id. For a script it is assumed, and checked for each request.
fn carries_id(plan: &Plan) -> bool {
    plan.script.is_some() || plan.request.requests.first().is_none_or(Request::carries_id)
}

/// Opens the script's states. They may print, look up addresses and connect, so this runs on a thread that may
/// block.
async fn open_script(
    plan: &Plan,
    shards: &LoadShards,
    link: &TargetLink,
    target: &Url,
    space: IdSpace,
) -> Result<(ScriptSession, Vec<OwnSource>), RunError> {
    let (plan, link, target) = (plan.clone(), link.clone(), target.clone());
    let ids_each = ids_each(&plan, shards);
    let opened = tokio::task::spawn_blocking(move || {
        let script = plan.script.as_ref()?;
        Some(ScriptSession::open(&ScriptSetup {
            script,
            target: &target,
            headers: headers_of(&plan),
            endpoint: &link.endpoint,
            timeout: plan.load.timeout.into(),
            workers: plan.load.threads,
            space,
            ids_each,
        }))
    })
    .await
    .ok()
    .flatten();
    Ok(opened.ok_or(RunError::Lost("the script"))??)
}

/// Headers of the command line; a script makes its own requests.
fn headers_of(plan: &Plan) -> &[(String, Template)] {
    plan.request.requests.first().map_or(&[], |request| &request.headers)
}

/// Looks up the target's address and checks that it accepts connections; with a proxy, the proxy's. Returns the
/// requests of the plan, and the link to the target unless a proxy makes it.
pub(super) async fn probe_target(
    plan: &Plan,
    target: &Url,
) -> Result<(RequestSet, Option<TargetLink>), RunError> {
    let shapes = plan
        .request
        .requests
        .iter()
        .map(|request: &Request| {
            let Request { method, headers, body, path, .. } = request.clone();
            RequestShape::new(target.clone(), method, headers, body).with_path(path)
        })
        .collect();
    let requests = RequestSet::new(target.clone(), shapes, Arc::clone(&plan.request.mix));
    let (target, transport) = (target.clone(), plan.transport.clone());
    let timeout = plan.load.timeout.max(Duration::from_secs(1));
    let probed = tokio::task::spawn_blocking(move || match &transport.proxy {
        Some(proxy) => probe::probe_proxy(proxy, timeout).map(|()| None),
        None => probe::probe_target(&target, &transport, timeout).map(Some),
    });
    Ok((requests, probed.await.map_err(|_| RunError::Lost("the resolver"))??))
}
