//! One run: servers up, ready, load, drain, down → its report.

#[cfg(feature = "pipeline")]
mod backlog;
#[cfg(feature = "pipeline")]
mod clear;
mod participants;
mod progress;
mod ids;
#[cfg(feature = "pipeline")]
mod list_ends;
mod arrivals;
#[cfg(feature = "pipeline")]
mod redis_log;
#[cfg(feature = "pipeline")]
mod other_topics;
#[cfg(feature = "pipeline")]
mod environment;
mod exchange;
mod series;
mod services;
mod stack;
mod stages;
#[cfg(feature = "pipeline")]
mod stamp_reader;
mod start;
mod wait_for;
mod finished;
mod heatmap;
mod judge;
pub(crate) mod measurements;
mod monitor;
mod report;

#[cfg(not(feature = "pipeline"))]
mod without_pipeline;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch as signal;

use crate::config::plan::{Plan, PlanError, Target};
use crate::config::settings::NodeShare;
use crate::core::clock::Nanos;
use crate::engine::LoadResult;
use crate::engine::pool::PoolError;
use crate::engine::request::RequestShape;
use crate::engine::shards::LoadShards;
use crate::engine::stop::GONE_AFTER;
use crate::engine::transport::ConnectError;
use crate::host::health::MachineWatch;
use crate::host::named_processes::find_processes;
use crate::host::resources::{Sampler, TooFewDescriptors, ensure_descriptors};
use crate::message::IdSpace;
use crate::pipeline::servers::StackError;
#[cfg(feature = "pipeline")]
use crate::pipeline::servers::broker_status::{BrokerFacts, BrokerStatus};
#[cfg(feature = "pipeline")]
use crate::pipeline::servers::redis::describe;
use crate::report::Remark;
use crate::report::Report;
use crate::report::remark::{RequestNote, ServerNote};
use crate::script::{ScriptError, ScriptSession};
pub(crate) use exchange::{ArrivalExchange, Heard};
pub(crate) use finished::FinishedRun;
use measurements::Measurements;

#[cfg(feature = "pipeline")]
use backlog::queued_messages;
#[cfg(feature = "pipeline")]
pub(crate) use backlog::wait_for_empty_queue;
#[cfg(feature = "pipeline")]
pub(crate) use clear::clear;
use environment::Environment;
use ids::NeededIds;
use monitor::{Monitor, MonitorInputs};
use participants::Participants;
pub use progress::{Phase, Progress};
use progress::{ProgressFn, SecondFn};
use redis_log::LogServer;
pub(crate) use series::MeasuredSecond;
pub use services::Services;
use stack::{components, describe_stack, servers_of};
pub(crate) use start::{FirstSlot, StartBarrier};
#[cfg(not(feature = "pipeline"))]
use without_pipeline::{
    BrokerFacts, BrokerStatus, environment, other_topics, queued_messages, redis_log,
};
#[cfg(not(feature = "pipeline"))]
pub(crate) use without_pipeline::{clear, wait_for_empty_queue};

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Redis, the broker or a service.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The target.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Too few open files are allowed.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// The script failed.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A setting that the run cannot have.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A process that the user names was not found.
    #[error("{0}")]
    NoProcess(String),
    /// The target or a server was not up within the time of `--wait-for`.
    #[error("{error} (waited {}s for it: --wait-for)", .waited.as_secs_f64())]
    NotUp {
        /// Time waited for target and servers.
        waited: Duration,
        /// The last error.
        error: Box<RunError>,
    },
    /// Redis refused a command.
    #[error("Redis refused a command: {0}")]
    Redis(String),
    /// No thread could be started, or no port be had.
    #[error("the system gives no thread or socket: {0}")]
    Thread(std::io::Error),
    /// The agreed time came before everything was ready.
    #[error("--start-at was {0:.1?} ago when everything was ready; agree on a later time")]
    Late(Duration),
    /// The nodes of a fleet could not start together.
    #[error("{0}")]
    Fleet(String),
    /// A stop was asked for while the run waited for its start.
    #[error("stopped before the start: nothing was sent")]
    Stopped,
    /// A part of the run ended without a result: a defect of ours.
    #[error("{0} ended without a result; this is a defect of loadgen")]
    Lost(&'static str),
}

impl From<PoolError> for RunError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Connect(error) => Self::Connect(error),
            PoolError::Thread(error) => Self::Thread(error),
            PoolError::Lost => Self::Lost("a worker"),
        }
    }
}

#[cfg(feature = "pipeline")]
impl From<redis::RedisError> for RunError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(describe(&error))
    }
}

/// A future that a trait object returns.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a plan. It knows where the services run, who may stop the run, and who gets its progress.
#[derive(Default)]
pub struct Runner {
    services: Services,
    start_at: Option<SystemTime>,
    barrier: Option<Box<dyn StartBarrier>>,
    exchange: Option<Arc<dyn ArrivalExchange>>,
    stop: Option<signal::Receiver<bool>>,
    progress: ProgressFn,
    second: SecondFn,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("services", &self.services).finish_non_exhaustive()
    }
}

/// Open files beside those of the connections.
const OWN_FILES: u64 = 256;

impl Runner {
    /// Runner with the services in this process and without progress.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where api and push run.
    #[must_use]
    pub fn services(mut self, services: Services) -> Self {
        self.services = services;
        self
    }

    /// Starts the schedule at this time, for several nodes to start together: in the time of the log
    /// server where there is one, else by the wall clock. The services come up at once, the connections shortly before it.
    #[must_use]
    pub fn start_at(mut self, at: SystemTime) -> Self {
        self.start_at = Some(at);
        self
    }

    /// Stops sending when `stop` becomes true; what was sent is still waited for and reported.
    #[must_use]
    pub fn stop_on(mut self, stop: signal::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Calls `progress` about ten times a second.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Starts the schedule when all nodes behind the barrier are ready.
    #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
    #[must_use]
    pub(crate) fn start_behind(mut self, barrier: impl StartBarrier + 'static) -> Self {
        self.barrier = Some(Box::new(barrier));
        self
    }

    /// Shares one subscription with other nodes.
    #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
    #[must_use]
    pub(crate) fn share_arrivals(mut self, exchange: Arc<dyn ArrivalExchange>) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Calls `second` with each second of the measured part that all workers and the listener have reported.
    #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
    #[must_use]
    pub(crate) fn on_second(mut self, second: impl FnMut(MeasuredSecond) + Send + 'static) -> Self {
        self.second = Some(Box::new(second));
        self
    }

    /// Runs the plan and returns its report. A script's `done` is called at the end; it may block.
    pub async fn run(self, plan: &Plan) -> Result<Report, RunError> {
        let finished = self.run_until_done(plan).await?;
        let report = finished.report.clone();
        let done = tokio::task::spawn_blocking(move || finished.call_done()).await;
        done.map_err(|_| RunError::Lost("done of the script"))??;
        Ok(report)
    }

    /// Runs the plan up to its report. The caller calls the script's `done` when it has shown the report.
    pub(crate) async fn run_until_done(self, plan: &Plan) -> Result<FinishedRun, RunError> {
        let finished = self.measure(plan).await?;
        Ok(FinishedRun::new(finished.measured, finished.script))
    }

    async fn measure(mut self, plan: &Plan) -> Result<Finished, RunError> {
        // Where each request has its connection, those that are closing are open still.
        let each = if plan.transport.keep_alive { 1 } else { 2 };
        ensure_descriptors(plan.load.connections as u64 * each + OWN_FILES)?;
        let shards = LoadShards::new(&plan.load);
        let needed = NeededIds::new(plan, &shards);
        needed.check_first(plan.request.first_id)?;
        wait_for::until_up(plan, &mut self.stop).await?;
        let processes = find_processes(&plan.processes);
        let processes = processes.map_err(|error| RunError::NoProcess(error.to_string()))?;
        let own_services = plan.target == Target::Pipeline;
        let queued_before = if own_services { queued_messages(plan).await } else { None };
        let mut environment = Environment::up(plan, &self.services).await?;
        environment.processes = processes;
        environment.queued_before = queued_before;
        let result = self.run_on(plan, &mut environment, &shards, &needed).await;
        environment.down().await;
        result
    }

    async fn run_on(
        self,
        plan: &Plan,
        environment: &mut Environment,
        shards: &LoadShards,
        needed: &NeededIds,
    ) -> Result<Finished, RunError> {
        let mut log_server = LogServer::open(plan, environment).await?;
        let space = log_server.lease(needed, plan.request.first_id).await;
        let result = self.run_with_ids(plan, environment, shards, space, &mut log_server).await;
        log_server.release_ids().await;
        let rounded = plan.request.first_id.and_then(|first| needed.rounding_note(first));
        result.map(|mut finished| {
            finished.measured.notes.extend(rounded.map(Remark::from));
            finished
        })
    }

    async fn run_with_ids(
        mut self,
        plan: &Plan,
        environment: &mut Environment,
        shards: &LoadShards,
        space: IdSpace,
        log_server: &mut LogServer,
    ) -> Result<Finished, RunError> {
        let broker =
            environment.mqtt.as_ref().map(|(_, address)| BrokerStatus::watch(address.clone()));
        if let Some(at) = self.start_at {
            self.wait_for_start(plan, environment, log_server, at).await?;
        }
        let mut participants = tokio::select! {
            participants = Participants::connect(plan, shards, environment, space, self.exchange.clone()) => {
                participants?
            }
            () = monitor::stop_requested(&mut self.stop) => return Err(RunError::Stopped),
        };
        let queued_before = environment.queued_before.or(log_server.queue_depth().await);
        let FirstSlot { at: start, wall } = self.first_slot(log_server).await?;
        let machine = MachineWatch::new();
        let measure_from = start + shards.measure_from();
        let started_at = wall + shards.measure_from().as_duration();
        participants.start(start, measure_from);
        let sampler = Sampler::new(components(environment, participants.listener.is_some()));
        let (stop, on_progress, on_second) = (self.stop, self.progress, self.second);
        let inputs =
            MonitorInputs { machine, sampler, stop, on_progress, on_second, queued_before };
        let mut watch = Monitor::new(plan, shards, start, space, inputs);
        watch.until_sent(&mut participants, log_server, environment).await;
        if let Some(error) = participants.script_failure() {
            return Err(error.into());
        }
        let drained_at =
            watch.until_arrived(&mut participants, log_server, self.exchange.as_deref()).await;

        watch.collect_last(&mut participants, environment);
        let machine = watch.machine.finish(&servers_of(plan, environment, &participants).await);
        let results = participants.finish(drained_at).await?;
        watch.add_last(&results);
        let load = results.load;
        let broker = match broker {
            Some(status) => status.finish().await,
            None => BrokerFacts::default(),
        };
        let stack = describe_stack(environment, log_server, &broker).await;
        let target = RequestShape::display(&environment.target);
        log_server.read_bounds().await;
        environment.stop_services().await;
        let last = log_server.close(&mut watch.join, measure_from).await;
        let seen = watch.finish();
        let since = |at: Option<Nanos>| at.map_or(Nanos::ZERO, |at| at - measure_from);
        // While it is silent it sends, too, until its time is up or it has nothing more to send.
        let cut = Some(load.over_at).filter(|at| *at < Nanos::MAX).map(|at| at - measure_from);
        let over = shards.measured_span().into_iter().chain(cut).min();
        let mut notes = [seen.notes, last.notes].concat();
        notes.extend(left_out(seen.joined.left_out).map(Remark::from));
        notes.extend(gave_up(&load).map(Remark::from));
        Ok(Finished {
            script: results.script,
            measured: Measurements {
                machine,
                plan: plan.clone(),
                run_id: run_id(started_at, plan.load.node.share),
                started_at,
                target,
                sending: since(load.last_sent).max(over.unwrap_or_default()),
                answering: since(load.last_answered),
                interrupted: seen.interrupted,
                stack,
                clock: last.clock,
                load,
                traffic: results.traffic,
                broker_dropped: broker.dropped(),
                arrivals: results.arrivals,
                stages: seen.joined.stages,
                stamps: last.stamps,
                stamps_dropped: results.sampled_dropped,
                resources: seen.resources,
                series: seen.series.rows,
                heatmap: seen.series.heatmap,
                notes,
                ended_components: seen.ended_components,
                queue: seen.queue,
            },
        })
    }

    /// Waits until it is time to connect.
    async fn wait_for_start(
        &mut self,
        plan: &Plan,
        environment: &Environment,
        log_server: &mut LogServer,
        at: SystemTime,
    ) -> Result<(), RunError> {
        log_server.time_until(at)?;
        participants::probe_target(plan, &environment.target).await?;
        start::wait(at, log_server, &mut self.stop, &mut self.progress).await?;
        log_server.resume().await;
        Ok(())
    }

    /// The time of the first slot, once all nodes are ready.
    async fn first_slot(&mut self, log_server: &mut LogServer) -> Result<FirstSlot, RunError> {
        let Some(barrier) = &mut self.barrier else {
            return start::zero(self.start_at, log_server);
        };
        let first_slot = tokio::select! {
            first_slot = barrier.wait() => first_slot?,
            () = monitor::stop_requested(&mut self.stop) => return Err(RunError::Stopped),
        };
        log_server.resume().await;
        Ok(first_slot)
    }
}

/// Measurements, and the script that is still open.
struct Finished {
    measured: Measurements,
    script: Option<ScriptSession>,
}

/// The sampled messages that are not in the stages.
fn left_out(messages: u64) -> Option<ServerNote> {
    (messages > 0).then_some(ServerNote::LeftOutOfStages { messages })
}

/// Note for a target that went away and did not come back.
fn gave_up(load: &LoadResult) -> Option<RequestNote> {
    load.target_gone.then(|| RequestNote::GaveUp {
        after_s: GONE_AFTER.as_secs_f64(),
        requests: load.counters.planned,
    })
}

/// Time, process and node: unique enough to tell runs and their files apart.
fn run_id(started_at: SystemTime, node: NodeShare) -> String {
    let micros = started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let process = std::process::id();
    match node.count {
        1 => format!("{micros:x}-{process:x}"),
        // Nodes start together, and processes in containers have the same few numbers.
        _ => format!("{micros:x}-{process:x}-{}", node.index),
    }
}

/// Reports from hand-made measurements: text, JSON, forms, merge and compare.
#[cfg(all(test, feature = "standard"))]
mod tests;
