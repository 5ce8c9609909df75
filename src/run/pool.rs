//! The workers: a thread each, connected before the start, started together.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::RunError;
use crate::config::plan::{LoadPlan, Mode, Plan, Request, RequestPlan};
use crate::config::settings::{Engine, Node};
use crate::core::clock::Nanos;
use crate::engine::recorder::Recorder;
use crate::engine::transport::http1::Http1Transport;
use crate::engine::transport::link::TargetLink;
use crate::engine::transport::request::Requests;
use crate::engine::transport::request_source::{RequestSource, composer};
use crate::engine::transport::reqwest::ReqwestTransport;
use crate::engine::transport::{ConnectError, Traffic, Transport};
use crate::engine::{
    Control, Gauges, IntervalReport, LoadResult, Mixture, Schedule, Worker, WorkerConfig,
    WorkerLoad,
};
use crate::message::{Assignment, DueTable, IdSpace, IdWriter};
use crate::script::{Writer, id_lanes, ids_each};

/// More messages a second than one worker can send on any machine: what bounds a closed loop's ids.
const MOST_PER_SECOND: f64 = 1_000_000.0;

/// The load of a plan, spread over its workers. They are numbered over all nodes: slot n is sent by
/// worker n mod their number, whichever node that is on, so that the nodes together send every slot once.
#[derive(Debug, Clone)]
pub(super) struct LoadShards {
    load: LoadPlan,
    node: Node,
    scripted: bool,
    schedule: Option<Arc<Schedule>>,
}

/// The part of worker `number` of `workers` in something that is counted.
fn share(of: u64, number: usize, workers: usize) -> u64 {
    let (number, workers) = (number as u64, workers as u64);
    of / workers + u64::from(number < of % workers)
}

impl LoadShards {
    pub(super) fn new(plan: &Plan) -> Self {
        let (load, node) = (&plan.load, plan.request.node);
        let schedule = match load.mode {
            Mode::Closed => None,
            Mode::Open { rate, arrivals, seed } => {
                let end = (load.duration.map(Nanos::from), load.requests);
                Some(Arc::new(Schedule::new(rate, (arrivals, seed), load.warmup.into(), end)))
            }
        };
        Self { load: load.clone(), node, scripted: plan.script.is_some(), schedule }
    }

    /// The workers of all nodes: each node has as many as this one.
    fn workers(&self) -> usize {
        self.load.threads * self.node.count as usize
    }

    /// The number of one of this node's workers among those of all nodes.
    fn number(&self, worker: usize) -> usize {
        self.load.threads * self.node.index as usize + worker
    }

    /// Which request of a mix each message is; `None` where there is but one.
    pub(super) fn assignment(&self, request: &RequestPlan, space: IdSpace) -> Option<Assignment> {
        let numbers = (self.number(0) as u64, self.workers() as u64);
        request.is_mix().then(|| Assignment::new(Arc::clone(&request.mix), space, numbers))
    }

    /// A worker's part of what is this node's own.
    fn own_share(&self, of: u64, worker: usize) -> u64 {
        share(of, worker, self.load.threads)
    }

    /// A worker's part of what all nodes do together.
    fn common_share(&self, of: u64, worker: usize) -> u64 {
        share(of, self.number(worker), self.workers())
    }

    /// Messages one worker may come to send.
    fn most_per_worker(&self) -> u64 {
        if let Some(schedule) = &self.schedule {
            return schedule.total_slots() / self.workers() as u64 + 1;
        }
        let seconds =
            |d: std::time::Duration| (d.as_secs_f64() * MOST_PER_SECOND).ceil() as u64 + 1;
        let counted = self.load.requests.map_or(u64::MAX, |n| self.common_share(n, 0));
        let timed = self.load.duration.map_or(u64::MAX, seconds);
        counted.min(timed).saturating_add(seconds(self.load.warmup))
    }

    /// Workers among which the ids are laid out.
    pub(super) fn id_lanes(&self) -> u64 {
        let threads = self.load.threads as u64;
        if self.scripted { id_lanes(threads) } else { threads }
    }

    /// How many ids each of them has.
    pub(super) fn ids_each(&self) -> u64 {
        let messages = self.most_per_worker();
        if self.scripted { ids_each(messages) } else { messages }
    }

    /// When measuring begins, from the start.
    pub(super) fn measure_from(&self) -> Nanos {
        self.schedule.as_ref().map_or(self.load.warmup.into(), |schedule| schedule.measure_from())
    }

    /// How long the measured part takes by plan, where time or a schedule says so.
    pub(super) fn measured_span(&self) -> Option<Nanos> {
        match &self.schedule {
            Some(schedule) => Some(schedule.end() - schedule.measure_from()),
            None => self.load.duration.map(Nanos::from),
        }
    }

    fn work(&self, worker: usize, start: Nanos) -> WorkerLoad {
        match &self.schedule {
            Some(schedule) => WorkerLoad::Open {
                schedule: Arc::clone(schedule),
                max_in_flight: self.load.max_in_flight.map(|most| self.own_share(most, worker)),
            },
            None => WorkerLoad::Closed {
                until: self.load.end().map(|end| start + end),
                requests: self.load.requests.map(|n| self.common_share(n, worker)),
            },
        }
    }
}

/// What the workers need beside the plan.
pub(super) struct Supplies {
    pub(super) requests: Requests,
    /// How to connect; `None` leaves it to the client and its proxy.
    pub(super) link: Option<TargetLink>,
    pub(super) space: IdSpace,
    /// Where due times go, if somebody listens for arrivals.
    pub(super) table: Option<Arc<DueTable>>,
}

/// Connected workers that wait for the start, or are at work.
pub(super) struct WorkerPool {
    pub(super) control: Arc<Control>,
    pub(super) gauges: Vec<Arc<Gauges>>,
    pub(super) intervals: mpsc::UnboundedReceiver<IntervalReport>,
    starts: Vec<std_mpsc::Sender<Nanos>>,
    threads: Vec<JoinHandle<Option<(LoadResult, Traffic)>>>,
}

impl WorkerPool {
    /// Starts the threads and waits until all connections of all workers stand.
    pub(super) async fn muster(
        plan: &Plan,
        split: &LoadShards,
        supplies: Supplies,
        writers: Vec<Writer>,
    ) -> Result<Self, RunError> {
        let (rows, intervals) = mpsc::unbounded_channel();
        let mut fleet = Self {
            control: Arc::default(),
            gauges: Vec::new(),
            intervals,
            starts: Vec::new(),
            threads: Vec::new(),
        };
        let supplies = Arc::new(supplies);
        let (up, mut all_up) = mpsc::channel(plan.load.threads);
        let mut writers = writers.into_iter();
        for worker in 0..plan.load.threads {
            let (start, started) = std_mpsc::channel();
            let gauges = Arc::new(Gauges::default());
            let post = WorkerThread {
                worker,
                plan: plan.clone(),
                split: split.clone(),
                supplies: Arc::clone(&supplies),
                writer: writers.next(),
                control: Arc::clone(&fleet.control),
                gauges: Arc::clone(&gauges),
                rows: rows.clone(),
                up: up.clone(),
                started,
            };
            let thread = std::thread::Builder::new().name(format!("load-{worker}"));
            fleet.threads.push(thread.spawn(move || post.man()).map_err(RunError::Thread)?);
            fleet.gauges.push(gauges);
            fleet.starts.push(start);
        }
        drop(up);
        for _ in 0..plan.load.threads {
            match all_up.recv().await {
                Some(result) => result?,
                None => return Err(RunError::Lost("a worker")),
            }
        }
        Ok(fleet)
    }

    /// Gives the starting signal: the schedule's zero on the clock.
    pub(super) fn start(&self, at: Nanos) {
        for start in &self.starts {
            // A worker that has ended shows at the finish.
            let _ = start.send(at);
        }
    }

    /// Whether no worker is at work any more.
    pub(super) fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// All workers' results in one, once they are done.
    pub(super) fn finish(mut self) -> Result<(LoadResult, Traffic), RunError> {
        let mut total = LoadResult::default();
        let mut traffic = Traffic::default();
        for thread in self.threads.drain(..) {
            let result = thread.join().ok().flatten();
            let (load, bytes) = result.ok_or(RunError::Lost("a worker"))?;
            total.absorb(load);
            traffic.absorb(bytes);
        }
        Ok((total, traffic))
    }
}

impl Drop for WorkerPool {
    /// A run that is given up leaves no thread sending.
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// One worker's post on its thread.
struct WorkerThread {
    worker: usize,
    plan: Plan,
    split: LoadShards,
    supplies: Arc<Supplies>,
    /// What writes the requests, where a script does.
    writer: Option<Writer>,
    control: Arc<Control>,
    gauges: Arc<Gauges>,
    rows: mpsc::UnboundedSender<IntervalReport>,
    up: mpsc::Sender<Result<(), ConnectError>>,
    started: std_mpsc::Receiver<Nanos>,
}

impl WorkerThread {
    fn man(mut self) -> Option<(LoadResult, Traffic)> {
        let writer = self.writer.take();
        let load = &self.plan.load;
        let connections = self.split.own_share(load.connections as u64, self.worker) as usize;
        let requests = &self.supplies.requests;
        match (load.engine, &self.supplies.link) {
            (Engine::Raw, Some(link)) => {
                let (timeout, rests) = (load.timeout.into(), load.mode != Mode::Closed);
                let mut link = link.clone();
                if let Some(writer) = &writer {
                    link.endpoint = writer.endpoint();
                }
                let composer: Box<dyn RequestSource> = match writer {
                    Some(writer) => Box::new(writer),
                    None => composer(requests),
                };
                let raw = Http1Transport::connect(composer, link, connections, timeout, rests);
                self.work(raw)
            }
            (_, link) => {
                let transport = &self.plan.transport;
                let way = (transport, link.as_ref());
                let full = ReqwestTransport::new(requests, way, connections, load.timeout);
                self.work(full)
            }
        }
    }

    fn work<T: Transport>(
        self,
        transport: Result<T, ConnectError>,
    ) -> Option<(LoadResult, Traffic)> {
        let transport = match transport {
            Ok(transport) => transport,
            Err(error) => {
                let _ = self.up.blocking_send(Err(error));
                return None;
            }
        };
        let _ = self.up.blocking_send(Ok(()));
        // No start: the run was given up.
        let start = self.started.recv().ok()?;
        let measure_from = start + self.split.measure_from();
        let space = self.supplies.space;
        let mut recorder = Recorder::new(space, self.plan.pipeline.sample, measure_from);
        if self.plan.load.mode != Mode::Closed {
            recorder = recorder.of_open_loop();
        }
        let request = &self.plan.request;
        let carries_id: Vec<_> = request.requests.iter().map(Request::carries_id).collect();
        if let Some(assignment) = self.split.assignment(request, space) {
            recorder = recorder.of_mix(Mixture { assignment, carries_id });
        } else if self.plan.script.is_none() {
            // What a script writes shows when it has written it.
            recorder = recorder.of_one(carries_id.first().is_none_or(|carries| *carries));
        }
        let worker = Worker {
            brief: WorkerConfig {
                worker: self.split.number(self.worker),
                workers: self.split.workers(),
                start,
                measure_from,
                drain: self.plan.load.drain.into(),
                pace: self.plan.load.pace,
                work: self.split.work(self.worker, start),
            },
            transport,
            ids: IdWriter::new(space, self.worker as u64, self.supplies.table.clone()),
            recorder,
            control: self.control,
            gauges: self.gauges,
            intervals: self.rows,
        };
        Some(worker.run())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::Plan;
    use crate::config::settings::{ArrivalProcess, Settings};

    const NODES: u64 = 3;

    fn splits(change: impl Fn(&mut Settings)) -> Vec<LoadShards> {
        let split = |index| {
            let mut settings = Settings {
                threads: Some(2),
                node: Some(Node { index, count: NODES }),
                ..Settings::default()
            };
            change(&mut settings);
            let plan = Plan::new(settings).expect("valid");
            LoadShards::new(&plan)
        };
        (0..NODES).map(split).collect()
    }

    #[test]
    fn the_nodes_slots_together_are_the_schedule() {
        for arrivals in [ArrivalProcess::Constant, ArrivalProcess::Poisson] {
            let splits = splits(|s| {
                s.rate = "1000".parse().ok();
                s.warmup = Some(std::time::Duration::from_millis(50));
                s.requests = Some(1_000);
                s.arrivals = Some(arrivals);
            });
            let schedule =
                |split: &LoadShards| Arc::clone(split.schedule.as_ref().expect("open loop"));
            let of = |split: &LoadShards, worker| {
                let slots = schedule(split);
                let own = slots.slots(split.number(worker) as u64, split.workers() as u64);
                own.collect::<Vec<_>>()
            };
            let mut sent: Vec<_> =
                splits.iter().flat_map(|split| [of(split, 0), of(split, 1)].concat()).collect();
            sent.sort_by_key(|slot| slot.number);
            let all: Vec<_> = schedule(&splits[0]).slots(0, 1).collect();
            assert_eq!((all.len(), sent == all), (1_050, true), "{arrivals:?}");
            let most = of(&splits[0], 0).len() as u64;
            assert!(splits.iter().all(|split| split.most_per_worker() >= most));
        }
    }

    #[test]
    fn a_number_of_requests_is_that_of_all_nodes_and_connections_are_each_ones_own() {
        let splits = splits(|s| (s.requests, s.connections) = (Some(17), Some(5)));
        let all = || splits.iter().flat_map(|split| [(split, 0), (split, 1)]);
        let requests = |(split, worker): (&LoadShards, _)| match split.work(worker, Nanos::ZERO) {
            WorkerLoad::Closed { requests, .. } => requests.expect("a number"),
            WorkerLoad::Open { .. } => panic!("a closed loop"),
        };
        assert_eq!(all().map(requests).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 2]);
        let connections = all().map(|(split, worker)| split.own_share(5, worker));
        assert_eq!(connections.collect::<Vec<_>>(), [3, 2, 3, 2, 3, 2]);
    }
}
