//! Worker threads: each connects before the start, and all start together.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::by_request::Mixture;
use super::control::{Control, Gauges};
use super::load::Mode;
use super::recorder::{IntervalReport, LoadResult, Recorder};
use super::request::{RequestSet, RequestSource, source_of};
use super::shards::LoadShards;
use super::slot_source::WorkerConfig;
use super::transport::config::{Engine, TransportConfig};
use super::transport::http1::hooks::ConnectionHooks;
use super::transport::http1::{Http1Config, Http1Transport};
use super::transport::link::{TargetEndpoint, TargetLink};
use super::transport::reqwest::ReqwestTransport;
use super::transport::{ConnectError, Traffic, Transport};
use super::worker::Worker;
use crate::core::clock::Nanos;
use crate::message::{DueTable, IdSpace, IdWriter};

/// Configuration that all workers of a pool share.
#[derive(Debug)]
pub(crate) struct PoolConfig {
    /// Division of the load among the workers.
    pub(crate) shards: LoadShards,
    /// Engine, protocol and route.
    pub(crate) transport: TransportConfig,
    /// Requests to send, unless a worker has a source of its own.
    pub(crate) requests: RequestSet,
    /// Route to the target; `None` if the client and its proxy find it.
    pub(crate) link: Option<TargetLink>,
    /// Ids of the messages.
    pub(crate) space: IdSpace,
    /// Table of due times for the subscriber, if arrivals are measured.
    pub(crate) due_times: Option<Arc<DueTable>>,
    /// Sampling interval: the times of one message in `sample` are kept.
    pub(crate) sample: u64,
    /// Requests of a mix by slot and id; `None` if there is only one.
    pub(crate) mixture: Option<Mixture>,
    /// True if the only request carries its id, so that it is a message.
    pub(crate) carries_id: bool,
}

/// Request source of one worker alone, such as a script. It needs the raw engine.
#[derive(Debug)]
pub(crate) struct OwnSource {
    pub(crate) source: Box<dyn RequestSource>,
    /// Hooks that see responses and hold connections back, if there are any.
    pub(crate) hooks: Option<Box<dyn ConnectionHooks>>,
    /// Endpoint to which the worker sends.
    pub(crate) endpoint: TargetEndpoint,
}

/// Failure of a pool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// A worker could not connect.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system refused a thread.
    #[error("cannot create a thread: {0}")]
    Thread(std::io::Error),
    /// A worker ended without a result: a defect.
    #[error("a worker ended without a result")]
    Lost,
}

/// Workers that are connected and wait for the start, or that send.
pub(crate) struct WorkerPool {
    pub(crate) control: Arc<Control>,
    pub(crate) gauges: Vec<Arc<Gauges>>,
    pub(crate) intervals: mpsc::UnboundedReceiver<IntervalReport>,
    starts: Vec<std_mpsc::Sender<Nanos>>,
    threads: Vec<JoinHandle<Option<(LoadResult, Traffic)>>>,
}

impl WorkerPool {
    /// Starts the threads and returns when all connections of all workers are open. `own_sources` has one
    /// entry per worker, or none.
    pub(crate) async fn connect(
        config: PoolConfig,
        own_sources: Vec<OwnSource>,
    ) -> Result<Self, PoolError> {
        let threads = config.shards.load().threads;
        let (interval_sender, intervals) = mpsc::unbounded_channel();
        let mut pool = Self {
            control: Arc::default(),
            gauges: Vec::new(),
            intervals,
            starts: Vec::new(),
            threads: Vec::new(),
        };
        let config = Arc::new(config);
        let (connected_sender, mut connected) = mpsc::channel(threads);
        let mut own_sources = own_sources.into_iter();
        for worker in 0..threads {
            let (start_sender, start) = std_mpsc::channel();
            let gauges = Arc::new(Gauges::default());
            let worker_thread = WorkerThread {
                worker,
                config: Arc::clone(&config),
                own_source: own_sources.next(),
                control: Arc::clone(&pool.control),
                gauges: Arc::clone(&gauges),
                intervals: interval_sender.clone(),
                connected: connected_sender.clone(),
                start,
            };
            let thread = std::thread::Builder::new().name(format!("load-{worker}"));
            let thread = thread.spawn(move || worker_thread.run()).map_err(PoolError::Thread)?;
            pool.threads.push(thread);
            pool.gauges.push(gauges);
            pool.starts.push(start_sender);
        }
        drop(connected_sender);
        for _ in 0..threads {
            connected.recv().await.ok_or(PoolError::Lost)??;
        }
        Ok(pool)
    }

    /// Starts all workers. `at` is the time of the schedule's zero on the clock.
    pub(crate) fn start(&self, at: Nanos) {
        for start in &self.starts {
            // If a worker has ended, `finish` reports it.
            let _ = start.send(at);
        }
    }

    /// Returns true if all workers have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Returns the sum of all workers' results. Blocks until they have ended.
    pub(crate) fn finish(mut self) -> Result<(LoadResult, Traffic), PoolError> {
        let mut total = LoadResult::default();
        let mut traffic = Traffic::default();
        for thread in self.threads.drain(..) {
            let result = thread.join().ok().flatten();
            let (load, own_traffic) = result.ok_or(PoolError::Lost)?;
            total.absorb(load);
            traffic.absorb(own_traffic);
        }
        Ok((total, traffic))
    }
}

impl Drop for WorkerPool {
    /// Stops the workers, so that an aborted run does not go on sending.
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// One worker thread from its start to its result.
struct WorkerThread {
    worker: usize,
    config: Arc<PoolConfig>,
    own_source: Option<OwnSource>,
    control: Arc<Control>,
    gauges: Arc<Gauges>,
    intervals: mpsc::UnboundedSender<IntervalReport>,
    connected: mpsc::Sender<Result<(), ConnectError>>,
    start: std_mpsc::Receiver<Nanos>,
}

impl WorkerThread {
    fn run(mut self) -> Option<(LoadResult, Traffic)> {
        let own_source = self.own_source.take();
        let config = &*self.config;
        let load = config.shards.load();
        let connections = config.shards.own_share(load.connections as u64, self.worker) as usize;
        match (config.transport.engine, &config.link) {
            (Engine::Raw, Some(link)) => {
                let mut link = link.clone();
                let (source, hooks) = match own_source {
                    Some(own) => {
                        link.endpoint = own.endpoint;
                        (own.source, own.hooks)
                    }
                    None => (source_of(&config.requests), None),
                };
                let timeout = load.timeout.into();
                let rests = load.mode != Mode::Closed;
                let raw = Http1Config {
                    link,
                    connections,
                    timeout,
                    rests,
                    shows_refusal: config.transport.shows_refusal,
                };
                let raw = Http1Transport::connect_with_hooks(&config.requests, raw, hooks);
                self.send(source, raw, Http1Transport::begin)
            }
            // A raw engine without a link is impossible: only a proxy finds the target itself.
            (Engine::Reqwest | Engine::Raw, link) => {
                let PoolConfig { requests, transport, .. } = config;
                let link = link.as_ref();
                let source = source_of(requests);
                let reqwest =
                    ReqwestTransport::new(requests, transport, link, connections, load.timeout);
                self.send(source, reqwest, |_, _| ())
            }
        }
    }

    /// Reports that the transport is connected, waits for the start, and sends. `begin` prepares the transport
    /// for the time of the start. Returns `None` if there was no start.
    fn send<T: Transport>(
        self,
        source: Box<dyn RequestSource>,
        transport: Result<T, ConnectError>,
        begin: impl FnOnce(&mut T, Nanos),
    ) -> Option<(LoadResult, Traffic)> {
        let mut transport = match transport {
            Ok(transport) => transport,
            Err(error) => {
                let _ = self.connected.blocking_send(Err(error));
                return None;
            }
        };
        let _ = self.connected.blocking_send(Ok(()));
        // The sender is gone if the run was aborted.
        let start = self.start.recv().ok()?;
        begin(&mut transport, start);
        let config = &*self.config;
        let (shards, load) = (&config.shards, config.shards.load());
        let measure_from = start + shards.measure_from();
        let mut recorder = Recorder::new(config.space, config.sample, measure_from);
        if load.mode != Mode::Closed {
            recorder = recorder.of_open_loop();
        }
        recorder = match &config.mixture {
            Some(mixture) => recorder.of_mix(mixture.clone()),
            None => recorder.of_one(config.carries_id),
        };
        let worker = Worker {
            config: WorkerConfig {
                index: shards.index(self.worker),
                start,
                measure_from,
                drain: load.drain.into(),
                pace: load.own_pace(),
                load: shards.worker_load(self.worker, start),
            },
            source,
            transport,
            ids: IdWriter::new(config.space, self.worker as u64, config.due_times.clone()),
            recorder,
            control: self.control,
            gauges: self.gauges,
            intervals: self.intervals,
        };
        Some(worker.run())
    }
}
