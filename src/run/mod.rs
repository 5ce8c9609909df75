//! One run: stack up, ready, load, drain, down → Observations.

mod fleet;
mod listen;
mod rig;
mod series;
mod stages;
mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use tokio::sync::watch as signal;

use crate::clock::{self, Nanos, ServerClock};
use crate::http::ConnectError;
use crate::http::request::RequestShape;
use crate::message::{DueTable, IdSpace, MessageAccount};
use crate::observations::{ArrivalInfo, ClockInfo, Observations, ServerInfo, StackInfo};
use crate::pipeline::stamps::{self, StampWriter, Stamper};
use crate::pipeline::subscriber::SubscribeSettings;
use crate::plan::Plan;
use crate::profile::Engine;
use crate::resources::{Component, Sampler, TooFewDescriptors, ensure_descriptors};
use crate::stack::redis::{Use, connect, info, lease_space, server_time};
use crate::stack::{Kind, StackError, mqtt};

use fleet::{Fleet, Split, Supplies};
use listen::{ListenSettings, Listener};
use rig::Rig;
pub use rig::Services;
use watch::{Audience, Watch};
pub use watch::{Phase, Progress};

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
    /// Redis refused a command.
    #[error("Redis refused a command: {0}")]
    Redis(#[from] redis::RedisError),
    /// No thread could be started, or no port be had.
    #[error("the system gives no thread or socket: {0}")]
    Thread(std::io::Error),
    /// A part of the run ended without a result: a defect of ours.
    #[error("{0} ended without a result; this is a defect of loadgen")]
    Lost(&'static str),
}

/// How a plan is run: where the services live, who may stop it, who watches.
#[derive(Default)]
pub struct Runner {
    services: Services,
    stop: Option<signal::Receiver<bool>>,
    progress: Audience,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("services", &self.services).finish_non_exhaustive()
    }
}

/// The moment between "all are ready" and the first slot.
const RUN_UP: Nanos = Nanos::from_millis(20);
/// Open files beside those of the connections.
const OWN_FILES: u64 = 256;

impl Runner {
    /// Services in this process, nobody watching.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where api and push run.
    #[must_use]
    pub fn services(mut self, services: Services) -> Self {
        self.services = services;
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

    /// Runs the plan.
    pub async fn run(self, plan: &Plan) -> Result<Observations, RunError> {
        ensure_descriptors(plan.load.connections as u64 + OWN_FILES)?;
        let mut rig = Rig::up(plan, &self.services).await?;
        let result = self.run_on(plan, &mut rig).await;
        rig.down().await;
        result
    }

    async fn run_on(mut self, plan: &Plan, rig: &mut Rig) -> Result<Observations, RunError> {
        let split = Split::new(&plan.load);
        let mut log_server = LogServer::open(plan, rig).await?;
        let space = log_server.lease(plan, &split).await?;
        let table = plan.listens().then(Arc::<DueTable>::default);
        let mut listener = match (&rig.mqtt, &table) {
            (Some((_, mqtt)), Some(table)) => {
                let settings = ListenSettings {
                    subscribe: SubscribeSettings {
                        mqtt: mqtt.clone(),
                        topic: plan.pipeline.topic.clone(),
                        qos: plan.pipeline.qos,
                    },
                    space,
                    table: Arc::clone(table),
                    id_fields: plan.request.id_fields.clone(),
                    stamper: log_server.stamper.clone(),
                };
                Some(Listener::start(settings).await?)
            }
            _ => None,
        };
        let shape = shape(plan, rig);
        let address = reach(plan, &shape).await?;
        let target = RequestShape::display(&shape.url);
        let mut fleet =
            Fleet::muster(plan, &split, Supplies { shape, address, space, table }).await?;

        let start = clock::now() + RUN_UP;
        let measure_from = start + split.measure_from();
        let started_at = SystemTime::now() + (measure_from - clock::now()).as_duration();
        if let Some(listener) = &listener {
            listener.measure_from(measure_from);
        }
        fleet.start(start);
        let mut watch = Watch::new(plan, &split, start, space, listener.is_some());
        let mut sampler = Sampler::new(components(rig, listener.is_some()));
        let stop = self.stop.take();
        watch
            .until_sent(
                &mut fleet,
                listener.as_mut(),
                &mut log_server,
                (&mut sampler, rig, stop, &mut self.progress),
            )
            .await;
        watch
            .until_arrived(
                &fleet,
                listener.as_mut(),
                &mut log_server,
                (&mut sampler, &mut self.progress),
            )
            .await;

        let drained_at = clock::now();
        let resources = sampler.finish();
        watch.notes.extend(rig.casualties());
        watch.collect(&mut fleet, listener.as_mut());
        let (load, traffic) = fleet.finish()?;
        let arrivals = match listener {
            None => None,
            Some(listener) => {
                let mut books = listener.finish().await?;
                books.last_intervals.iter().for_each(|interval| watch.add_arrivals(interval));
                if books.reconnects > 0 {
                    watch.notes.push(format!(
                        "the subscriber lost the broker {} times; what it sent meanwhile is lost at QoS 0",
                        books.reconnects
                    ));
                }
                let sent = load.counters.sent;
                let account = MessageAccount::join(
                    &load.accepted,
                    &mut books.arrivals,
                    sent,
                    drained_at,
                    &mut books.latencies,
                );
                Some(ArrivalInfo { account, latencies: books.latencies })
            }
        };
        let stack = describe_stack(rig, &mut log_server).await;
        rig.stop_services().await;
        let (clock, stamps_dropped) = log_server.close(&mut watch).await;
        let planned_end = split.measured_span().filter(|_| !watch.interrupted).unwrap_or_default();
        let since = |at: Option<Nanos>| at.map_or(Nanos::ZERO, |at| at - measure_from);
        let interrupted = watch.interrupted;
        let (series, stages, notes) = watch.finish();
        Ok(Observations {
            plan: plan.clone(),
            run_id: run_id(started_at),
            started_at,
            target,
            sending: since(load.last_sent).max(planned_end),
            answering: since(load.last_ended),
            interrupted,
            stack,
            clock,
            load,
            traffic,
            arrivals,
            stages,
            stamps_dropped,
            resources,
            series,
            notes,
        })
    }
}

/// Time and process: unique enough to tell runs and their files apart.
fn run_id(started_at: SystemTime) -> String {
    let micros = started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{micros:x}-{:x}", std::process::id())
}

fn shape(plan: &Plan, rig: &Rig) -> RequestShape {
    let request = plan.request.clone();
    RequestShape::new(rig.target.clone(), request.method, request.headers, request.body)
}

/// Finds the target's address, and that it takes connections at all.
async fn reach(
    plan: &Plan,
    shape: &RequestShape,
) -> Result<Option<std::net::SocketAddr>, RunError> {
    const PROXIES: [&str; 6] =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let proxied = PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if plan.load.engine == Engine::Reqwest && proxied {
        return Ok(None);
    }
    let (shape, timeout) = (shape.clone(), plan.load.timeout.max(Duration::from_secs(1)));
    let reached = tokio::task::spawn_blocking(move || shape.reach(timeout)).await;
    Ok(Some(reached.map_err(|_| RunError::Lost("the resolver"))??))
}

fn components(rig: &Rig, listens: bool) -> Vec<Component> {
    let pid = std::process::id();
    let own = |name: &str, threads| Component { name: name.to_owned(), pid, threads };
    let mut all = vec![own("generator", None)];
    if listens {
        all.push(own("subscriber", Some("subscriber")));
    }
    all.extend(rig.components());
    all
}

async fn describe_stack(rig: &Rig, log_server: &mut LogServer) -> StackInfo {
    let server = |kind: Kind, name: &str, version: Option<String>| ServerInfo {
        kind: kind.name(),
        version: version.map_or_else(|| "unknown".to_owned(), |v| format!("{name}{v}")),
    };
    let queue = match (&rig.redis, &mut log_server.connection) {
        (Some((kind, _)), Some(connection)) => {
            Some(server(*kind, "Redis ", info(connection, "redis_version").await))
        }
        _ => None,
    };
    let broker = match &rig.mqtt {
        Some((kind, address)) => Some(server(*kind, "", mqtt::version(address).await)),
        None => None,
    };
    StackInfo { queue, broker }
}

/// The Redis that gives ids and time and keeps the stamps, where there is one.
struct LogServer {
    connection: Option<MultiplexedConnection>,
    clock: ServerClock,
    stamper: Option<Stamper>,
    writer: Option<StampWriter>,
    reader: Option<stages::StampReader>,
    queue: String,
}

impl LogServer {
    async fn open(plan: &Plan, rig: &Rig) -> Result<Self, RunError> {
        let mut server = Self {
            connection: None,
            clock: ServerClock::new(true),
            stamper: None,
            writer: None,
            reader: None,
            queue: plan.pipeline.queue.clone(),
        };
        let Some((_, address)) = &rig.redis else { return Ok(server) };
        let mut connection = connect(address, Use::Commands).await?;
        server.reader = Some(stages::StampReader::new(&mut connection).await?);
        if plan.listens() {
            let (stamper, writer) = stamps::start(address, plan.pipeline.sample).await?;
            (server.stamper, server.writer) = (Some(stamper), Some(writer));
        }
        server.clock = ServerClock::new(address.is_loopback());
        server.connection = Some(connection);
        // Many short trips before the load: the least of them bounds the offset.
        for _ in 0..64 {
            server.compare_clocks().await;
        }
        Ok(server)
    }

    /// Takes the run's ids: from Redis where there is one, else from the time and `--node`.
    async fn lease(&mut self, plan: &Plan, split: &Split) -> Result<IdSpace, RunError> {
        let workers = plan.load.threads as u64;
        let sample = plan.pipeline.sample;
        if let Some(connection) = &mut self.connection {
            return Ok(lease_space(connection, split.most_per_worker(), (workers, sample)).await?);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let node = (plan.request.node.index, plan.request.node.count);
        Ok(IdSpace::from_time(micros, workers, sample, node))
    }

    async fn compare_clocks(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if let Ok((asked, answered, server_us)) = server_time(connection).await {
            self.clock.observe(asked, answered, server_us);
        }
    }

    /// Messages in the queue; `None` where nobody can tell.
    async fn queue_depth(&mut self) -> Option<u64> {
        let connection = self.connection.as_mut()?;
        redis::cmd("LLEN").arg(&self.queue).query_async(connection).await.ok()
    }

    async fn read_stamps(&mut self, join: &mut stages::StageJoin) {
        if let (Some(reader), Some(connection)) = (&mut self.reader, &mut self.connection) {
            // A Redis that is away is noticed elsewhere; stamps are a sample.
            let _ = reader.read(connection, &self.clock, join).await;
        }
    }

    /// Writes our last stamps, reads all last ones, and says what the clock was worth.
    async fn close(mut self, watch: &mut Watch) -> (ClockInfo, u64) {
        let dropped = self.stamper.as_ref().map_or(0, Stamper::dropped);
        self.stamper = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.await;
        }
        self.read_stamps(&mut watch.join).await;
        let bound = self.clock.error_bound(clock::now());
        (ClockInfo { offset_us: self.clock.offset_us(), error_bound: bound }, dropped)
    }
}

/// Arrived so far, by the listener's gauge.
fn arrived(listener: Option<&Listener>) -> u64 {
    listener.map_or(0, |listener| listener.gauges.arrived.load(Relaxed))
}
