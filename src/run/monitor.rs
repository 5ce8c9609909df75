//! Watching a run: ten times a second it collects rows, looks at the queue and the clock, tells the
//! progress, and finds out when all is sent and all has arrived.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch as signal;
use tokio::time::{MissedTickBehavior, interval};

use super::environment::Environment;
use super::measurements::Totals;
use super::participants::{Participants, RunResults};
use super::redis_log::LogServer;
use super::series::Series;
use super::stages::{JoinedStages, StageJoin};
use crate::config::plan::Plan;
use crate::core::clock::{self, Nanos};
use crate::engine::Gauges;
use crate::engine::shards::LoadShards;
use crate::engine::worker::INTERVAL;
use crate::host::health::MachineWatch;
use crate::host::resources::Sampler;
use crate::message::IdSpace;
use crate::report::{Resource, Row};

/// Phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the time at which all nodes start.
    Waiting,
    /// Sending what is thrown away.
    Warmup,
    /// Sending what counts.
    Measuring,
    /// Waiting for the last answers and arrivals.
    Draining,
}

/// Progress of a run. It is a side channel: if one is lost, no result changes.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Phase of the run.
    pub phase: Phase,
    /// Since the start; while it waits for that, since it began to wait.
    pub elapsed: Duration,
    /// Until sending ends, by plan; until the start while it waits for that.
    pub planned: Option<Duration>,
    /// Requests a second since the last progress.
    pub rate: f64,
    /// Requests sent, warm-up included.
    pub sent: u64,
    /// On the wire or in line.
    pub in_flight: u64,
    /// Slots dropped.
    pub dropped: u64,
    /// Measured messages accepted.
    pub accepted: u64,
    /// Measured messages that arrived; `None` if arrivals are not measured.
    pub arrived: Option<u64>,
    /// Messages in the queue; `None` if it is not known.
    pub queue_depth: Option<u64>,
    /// The last whole second of the measured part.
    pub last_second: Option<Row>,
    /// The measured part so far, up to a second old.
    pub totals: Arc<Totals>,
}

/// Callback that gets the progress.
pub(super) type ProgressFn = Option<Box<dyn FnMut(&Progress) + Send>>;

/// Interval between two looks at the run.
const TICK: Duration = Duration::from_millis(100);
/// The same interval while only the last messages are missing.
const DRAIN_TICK: Duration = Duration::from_millis(5);
/// Time after the drain in which a stamp may still come: services write them ten times a second, and they
/// are read once a second.
const STAMP_PATIENCE: Nanos = Nanos::from_secs(5);

/// Results of a monitor.
pub(super) struct MonitorResults {
    pub(super) interrupted: bool,
    pub(super) series: Vec<Row>,
    pub(super) joined: JoinedStages,
    pub(super) resources: Vec<Resource>,
    pub(super) notes: Vec<String>,
    pub(super) ended_components: Vec<String>,
}

pub(super) struct Monitor {
    pub(super) join: StageJoin,
    notes: Vec<String>,
    ended_components: Vec<String>,
    sampler: Sampler,
    pub(super) machine: MachineWatch,
    resources: Vec<Resource>,
    stop: Option<signal::Receiver<bool>>,
    on_progress: ProgressFn,
    interrupted: bool,
    /// A stop was requested after the end of sending: the run does not wait for the last messages.
    stopped_while_draining: bool,
    /// True after the warm-up.
    measuring: bool,
    series: Series,
    drain: Nanos,
    start: Nanos,
    measure_from: Nanos,
    planned: Option<Duration>,
    /// The clock and the requests sent at the last progress.
    last: (Nanos, u64),
    depth: Option<u64>,
}

/// Parts of a watch that are made before it.
pub(super) struct MonitorInputs {
    /// Begun before the load, so that a stop at its very start is seen.
    pub(super) machine: MachineWatch,
    /// Begun with the load.
    pub(super) sampler: Sampler,
    pub(super) stop: Option<signal::Receiver<bool>>,
    pub(super) on_progress: ProgressFn,
}

impl Monitor {
    pub(super) fn new(
        plan: &Plan,
        shards: &LoadShards,
        start: Nanos,
        space: IdSpace,
        inputs: MonitorInputs,
    ) -> Self {
        let planned =
            shards.measured_span().map(|span| (shards.measure_from() + span).as_duration());
        Self {
            join: StageJoin::new(
                space,
                &plan.pipeline.stages,
                Nanos::from(plan.load.drain) + STAMP_PATIENCE,
            ),
            notes: Vec::new(),
            ended_components: Vec::new(),
            sampler: inputs.sampler,
            machine: inputs.machine,
            resources: Vec::new(),
            stop: inputs.stop,
            on_progress: inputs.on_progress,
            interrupted: false,
            stopped_while_draining: false,
            measuring: false,
            series: Series::new(plan.load.threads, plan.listens()),
            drain: plan.load.drain.into(),
            start,
            measure_from: start + shards.measure_from(),
            planned,
            last: (start, 0),
            depth: None,
        }
    }

    /// Until all workers are done, which includes their own drain.
    pub(super) async fn until_sent(
        &mut self,
        participants: &mut Participants,
        log_server: &mut LogServer,
        environment: &mut Environment,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0u64;
        while !participants.workers.is_done() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop_requested(&mut self.stop) => {
                    self.interrupted = true;
                    self.stopped_while_draining = self.is_time_up(clock::now());
                    participants.workers.control.stop();
                    self.stop = None;
                }
            }
            count += 1;
            self.look(participants, log_server).await;
            self.watch_resources(participants);
            if self.is_half_over(clock::now()) {
                participants.look_at_other_topics();
            }
            if count.is_multiple_of(10) {
                log_server.compare_clocks().await;
                log_server.read_stamps(&mut self.join).await;
                log_server.read_bounds().await;
                self.join.retire(clock::now());
                self.note_ended_components(environment);
            }
        }
    }

    /// Returns true if sending should be over by the plan.
    fn is_time_up(&self, now: Nanos) -> bool {
        self.planned.is_some_and(|planned| now >= self.start + planned.into())
    }

    /// Returns true after half of the sending, or after a second if its end is not known.
    fn is_half_over(&self, now: Nanos) -> bool {
        let half = self.planned.map_or(Duration::from_secs(1), |planned| planned / 2);
        now >= self.measure_from && now >= self.start + half.into()
    }

    /// Samples the resources from the start of measuring to the end of sending: neither the
    /// warm-up nor an idle drain counts. A sample is taken at the end of each row of the series.
    fn watch_resources(&mut self, participants: &Participants) {
        let now = clock::now();
        if !self.measuring && now >= self.measure_from {
            self.measuring = true;
            self.sampler.restart();
            // Without a warm-up it has watched from the start, and a stop since then counts.
            if self.measure_from > self.start {
                self.machine.restart();
            }
            return;
        }
        let waiting =
            participants.workers.gauges.iter().any(|gauges| gauges.waiting.load(Relaxed) > 0);
        if self.is_time_up(now) && !waiting {
            self.close_resources();
        } else if self.row_at(now) > self.row_at(self.sampler.sampled()) {
            self.sample_resources();
        }
    }

    /// The shares belong to the row that most of the time since the last sample is in.
    fn sample_resources(&mut self) {
        let before = self.sampler.sampled();
        let shares = self.sampler.sample();
        let middle = Nanos(before.0.midpoint(self.sampler.sampled().0));
        if self.measuring && !shares.is_empty() {
            self.series.add_cpu(self.row_at(middle), shares);
        }
    }

    fn close_resources(&mut self) {
        if self.resources.is_empty() {
            self.sample_resources();
            self.machine.close();
            self.resources = self.sampler.used();
        }
    }

    /// The row of the series that a moment is in.
    fn row_at(&self, moment: Nanos) -> u64 {
        (moment - self.measure_from).0 / INTERVAL.0
    }

    /// Until every accepted message has arrived, or the drain has passed, or a stop is asked for.
    pub(super) async fn until_arrived(
        &mut self,
        participants: &mut Participants,
        log_server: &mut LogServer,
    ) {
        let begun = clock::now();
        let mut next_look = begun;
        loop {
            let now = clock::now();
            let all_arrived = participants.has_all_arrived(now, begun, self.depth);
            if self.stopped_while_draining || all_arrived || now >= begun + self.drain {
                return;
            }
            if now >= next_look {
                next_look = now + TICK.into();
                self.look(participants, log_server).await;
            }
            tokio::select! {
                () = tokio::time::sleep(DRAIN_TICK) => {}
                () = stop_requested(&mut self.stop) => {
                    self.interrupted = true;
                    return;
                }
            }
        }
    }

    async fn look(&mut self, participants: &mut Participants, log_server: &mut LogServer) {
        self.collect(participants);
        self.depth = log_server.queue_depth().await;
        self.note_depth(clock::now());
        self.report_progress(participants);
    }

    fn note_depth(&mut self, now: Nanos) {
        if let Some(depth) = self.depth.filter(|_| now >= self.measure_from) {
            self.series.add_queue_depth(self.row_at(now), depth);
        }
    }

    /// Takes in the last rows, and what everybody has used, before anything is taken down.
    pub(super) fn collect_last(
        &mut self,
        participants: &mut Participants,
        environment: &mut Environment,
    ) {
        self.collect(participants);
        self.note_ended_components(environment);
        self.close_resources();
    }

    /// Notes children that have ended although they were not stopped.
    fn note_ended_components(&mut self, environment: &mut Environment) {
        for casualty in environment.ended_components() {
            if !self.ended_components.iter().any(|known| known.starts_with(&casualty)) {
                let at = (clock::now() - self.measure_from).as_secs_f64();
                self.ended_components.push(format!("{casualty}, about {at:.0} s into the run"));
            }
        }
    }

    /// Takes in the rows that have come.
    fn collect(&mut self, participants: &mut Participants) {
        while let Ok(mut report) = participants.workers.intervals.try_recv() {
            report.sampled.drain(..).for_each(|own| self.join.add_own(own));
            self.series.add_load(&report);
        }
        if let Some(listener) = &mut participants.listener {
            while let Ok((checkpoint, id, at)) = listener.sampled.try_recv() {
                self.join.add_stamp(checkpoint, id, at);
            }
            while let Ok(interval) = listener.intervals.try_recv() {
                self.series.add_arrivals(&interval);
            }
        }
    }

    /// Takes in what came with the crew's books.
    pub(super) fn add_last(&mut self, results: &RunResults) {
        results.last_intervals.iter().for_each(|interval| self.series.add_arrivals(interval));
        for (checkpoint, id, at) in &results.last_sampled {
            self.join.add_stamp(*checkpoint, *id, *at);
        }
        self.notes.extend(results.notes.iter().cloned());
    }

    fn report_progress(&mut self, participants: &Participants) {
        let now = clock::now();
        let over = self.is_time_up(now);
        let Some(on_progress) = &mut self.on_progress else { return };
        let sum =
            |value: fn(&Gauges) -> u64| participants.workers.gauges.iter().map(|g| value(g)).sum();
        let sent: u64 = sum(|gauges| gauges.sent.load(Relaxed));
        let (then, sent_then) = std::mem::replace(&mut self.last, (now, sent));
        let elapsed = (now - self.start).as_duration();
        on_progress(&Progress {
            phase: match () {
                () if now < self.measure_from => Phase::Warmup,
                () if over || participants.workers.control.is_stopped() => Phase::Draining,
                () => Phase::Measuring,
            },
            elapsed,
            planned: self.planned,
            rate: (sent - sent_then) as f64 / (now - then).as_secs_f64().max(1e-3),
            sent,
            in_flight: sum(Gauges::in_flight),
            dropped: sum(|gauges| gauges.dropped.load(Relaxed)),
            accepted: participants.accepted(),
            arrived: participants.arrived(),
            queue_depth: self.depth,
            last_second: self.series.last().cloned(),
            totals: self.series.totals(),
        });
    }

    /// All that was seen.
    pub(super) fn finish(self) -> MonitorResults {
        MonitorResults {
            interrupted: self.interrupted,
            series: self.series.finish(),
            joined: self.join.finish(),
            resources: self.resources,
            notes: self.notes,
            ended_components: self.ended_components,
        }
    }
}

pub(super) async fn stop_requested(stop: &mut Option<signal::Receiver<bool>>) {
    let asked = match stop {
        Some(stop) => stop.wait_for(|stop| *stop).await.is_ok(),
        None => false,
    };
    if !asked {
        // No stop can be requested, or not any more.
        std::future::pending().await
    }
}
