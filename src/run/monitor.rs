//! Monitor of a run. Ten times a second it collects the workers' and the listener's intervals, reads the queue
//! depth and reports progress; it finds out when all requests are sent and all messages have arrived.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch as signal;
use tokio::time::{MissedTickBehavior, interval};

use super::environment::Environment;
use super::exchange::ArrivalExchange;
use super::measurements::{EndedComponent, QueueDepths};
use super::participants::{Participants, RunResults};
use super::progress::{Phase, Progress, ProgressFn, SecondFn};
use super::redis_log::LogServer;
use super::series::{FinishedSeries, Series};
use super::services::EndedChild;
use super::stages::{JoinedStages, StageJoin};
use crate::config::plan::{Mode, Plan};
use crate::core::clock::{self, Nanos};
use crate::engine::shards::LoadShards;
use crate::engine::worker::INTERVAL;
use crate::host::health::MachineWatch;
use crate::host::resources::Sampler;
use crate::message::IdSpace;
use crate::report::remark::ServerNote;
use crate::report::{Remark, Resource};

/// Interval between two updates of the monitor.
const TICK: Duration = Duration::from_millis(100);
/// Interval between two checks for the last messages, after all requests are sent.
const DRAIN_TICK: Duration = Duration::from_millis(5);
/// Time after the drain in which a stamp may still come: services write them ten times a second, and they
/// are read once a second.
const STAMP_PATIENCE: Nanos = Nanos::from_secs(5);

/// Results of a monitor.
pub(super) struct MonitorResults {
    pub(super) interrupted: bool,
    pub(super) series: FinishedSeries,
    pub(super) joined: JoinedStages,
    pub(super) resources: Vec<Resource>,
    pub(super) notes: Vec<Remark>,
    pub(super) ended_components: Vec<EndedComponent>,
    pub(super) queue: QueueDepths,
}

pub(super) struct Monitor {
    pub(super) join: StageJoin,
    notes: Vec<Remark>,
    ended_components: Vec<EndedComponent>,
    sampler: Sampler,
    pub(super) machine: MachineWatch,
    resources: Vec<Resource>,
    stop: Option<signal::Receiver<bool>>,
    on_progress: ProgressFn,
    on_second: SecondFn,
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
    /// Rates of an open loop, of this process.
    rates: Option<RateSpan>,
    /// State at the last report of progress.
    last_progress: SentSoFar,
    queued_before: Option<u64>,
    queue_depth: Option<u64>,
}

/// Requests a second at the start and at the end of the measured part.
#[derive(Debug, Clone, Copy)]
struct RateSpan {
    from: f64,
    to: f64,
}

/// Number of requests sent up to a time.
#[derive(Debug, Clone, Copy)]
struct SentSoFar {
    at: Nanos,
    sent: u64,
}

/// Parts of a monitor that are made before it.
pub(super) struct MonitorInputs {
    /// Started before the load, so that a suspension of the process at its very start is seen.
    pub(super) machine: MachineWatch,
    /// Started with the load.
    pub(super) sampler: Sampler,
    pub(super) stop: Option<signal::Receiver<bool>>,
    pub(super) on_progress: ProgressFn,
    pub(super) on_second: SecondFn,
    /// Messages in the queue before the load.
    pub(super) queued_before: Option<u64>,
}

impl Monitor {
    pub(super) fn new(
        plan: &Plan,
        shards: &LoadShards,
        start: Nanos,
        space: IdSpace,
        inputs: MonitorInputs,
    ) -> Self {
        let mut series = Series::new(plan.load.threads, plan.listens());
        if inputs.on_second.is_some() {
            series.keep_seconds();
        }
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
            on_second: inputs.on_second,
            interrupted: false,
            stopped_while_draining: false,
            measuring: false,
            series,
            drain: plan.load.drain.into(),
            start,
            measure_from: start + shards.measure_from(),
            planned,
            rates: rate_span(plan),
            last_progress: SentSoFar { at: start, sent: 0 },
            queued_before: inputs.queued_before,
            queue_depth: None,
        }
    }

    /// Monitors the run until all workers are done, which includes their drain.
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
            self.update(participants, log_server).await;
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
            // Without a warm-up the machine has been watched since before the start, and that counts.
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

    /// Samples the CPU shares. They belong to the row that holds most of the time since the last sample.
    fn sample_resources(&mut self) {
        let before = self.sampler.sampled();
        let shares = self.sampler.sample();
        let middle = Nanos(before.0.midpoint(self.sampler.sampled().0));
        if self.measuring && !shares.is_empty() {
            self.series.add_cpu(self.row_at(middle), shares);
        }
    }

    /// Takes the last sample. Later calls do nothing.
    fn close_resources(&mut self) {
        if self.resources.is_empty() {
            self.sample_resources();
            self.machine.close();
            self.resources = self.sampler.used();
        }
    }

    /// Index of the row of the series that contains a time.
    fn row_at(&self, at: Nanos) -> u64 {
        (at - self.measure_from).0 / INTERVAL.0
    }

    /// Monitors the run until every accepted message has arrived, the drain is over, or a stop is requested. Returns the
    /// time of that. A shared subscription stays until no node expects messages any more: those of others come to it, too.
    pub(super) async fn until_arrived(
        &mut self,
        participants: &mut Participants,
        log_server: &mut LogServer,
        exchange: Option<&dyn ArrivalExchange>,
    ) -> Nanos {
        self.collect(participants);
        self.series.end_load();
        self.wait_for_messages(participants, log_server).await;
        self.queue_depth = log_server.queue_depth().await;
        let drained_at = clock::now();
        if let Some(exchange) = exchange {
            tokio::select! {
                () = exchange.until_all_drained() => {}
                () = stop_requested(&mut self.stop) => self.interrupted = true,
            }
        }
        drained_at
    }

    async fn wait_for_messages(
        &mut self,
        participants: &mut Participants,
        log_server: &mut LogServer,
    ) {
        let begun = clock::now();
        let mut next_update = begun;
        loop {
            let now = clock::now();
            let all_arrived = participants.has_all_arrived(now, begun, self.queue_depth);
            if self.stopped_while_draining || all_arrived || now >= begun + self.drain {
                return;
            }
            if now >= next_update {
                next_update = now + TICK.into();
                self.update(participants, log_server).await;
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

    /// Collects intervals, reads the queue depth and reports progress.
    async fn update(&mut self, participants: &mut Participants, log_server: &mut LogServer) {
        self.collect(participants);
        self.queue_depth = log_server.queue_depth().await;
        self.record_queue_depth(clock::now());
        self.report_seconds();
        self.report_progress(participants);
    }

    fn report_seconds(&mut self) {
        let Some(on_second) = &mut self.on_second else { return };
        self.series.take_seconds().into_iter().for_each(on_second);
    }

    fn record_queue_depth(&mut self, now: Nanos) {
        if let Some(depth) = self.queue_depth.filter(|_| now >= self.measure_from) {
            self.series.add_queue_depth(self.row_at(now), depth);
        }
    }

    /// Collects the last intervals and resources, before the environment is stopped.
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
        for component in environment.ended_children() {
            let EndedChild { name, status } = component;
            if !self.ended_components.iter().any(|ended| ended.name == name) {
                let (status, at) = (status.to_string(), clock::now() - self.measure_from);
                self.ended_components.push(EndedComponent { name, status, at });
            }
        }
    }

    /// Collects the intervals and sampled messages that workers and listener have sent.
    fn collect(&mut self, participants: &mut Participants) {
        while let Ok(mut report) = participants.workers.intervals.try_recv() {
            report.sampled.drain(..).for_each(|sampled| self.join.add_own(sampled));
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

    /// Adds the intervals, sampled messages and notes of the participants' results.
    pub(super) fn add_last(&mut self, results: &RunResults) {
        results.last_intervals.iter().for_each(|interval| self.series.add_arrivals(interval));
        for (checkpoint, id, at) in &results.last_sampled {
            self.join.add_stamp(*checkpoint, *id, *at);
        }
        self.notes.extend(results.notes.iter().cloned());
    }

    fn report_progress(&mut self, participants: &Participants) {
        let now = clock::now();
        let is_over = self.is_time_up(now);
        let target_rate = self.target_rate(now);
        let Some(on_progress) = &mut self.on_progress else { return };
        let gauges = &participants.workers.gauges;
        let sent = gauges.iter().map(|gauges| gauges.sent.load(Relaxed)).sum();
        let last = std::mem::replace(&mut self.last_progress, SentSoFar { at: now, sent });
        let elapsed = (now - self.start).as_duration();
        on_progress(&Progress {
            // The start is a moment ahead; without a warm-up there is none.
            phase: if now < self.measure_from && self.measure_from > self.start {
                Phase::Warmup
            } else if is_over || participants.workers.control.is_stopped() {
                Phase::Draining
            } else {
                Phase::Measuring
            },
            elapsed,
            planned: self.planned,
            rate: (sent - last.sent) as f64 / (now - last.at).as_secs_f64().max(1e-3),
            target_rate,
            sent,
            in_flight: gauges.iter().map(|gauges| gauges.in_flight()).sum(),
            dropped: gauges.iter().map(|gauges| gauges.dropped.load(Relaxed)).sum(),
            accepted: participants.accepted(),
            arrived: participants.arrived(),
            queue_depth: self.queue_depth,
            last_second: self.series.last().cloned(),
            totals: self.series.totals(),
        });
    }

    /// Requests a second that are planned at a time.
    fn target_rate(&self, now: Nanos) -> Option<f64> {
        let RateSpan { from, to } = self.rates?;
        let end = self.planned.map(|planned| self.start + planned.into());
        let length = end.map_or(0.0, |end| (end - self.measure_from).as_secs_f64());
        let share =
            if length > 0.0 { (now - self.measure_from).as_secs_f64() / length } else { 0.0 };
        Some(from + (to - from) * share.min(1.0))
    }

    /// Notes processes of `--process` that ended during the run.
    fn note_ended_processes(&mut self) {
        for ended in self.sampler.ended() {
            let (component, pid) = (ended.component.to_string(), ended.pid);
            let at_s = (ended.at - self.measure_from).as_secs_f64();
            self.notes.push(ServerNote::ProcessEnded { component, pid, at_s }.into());
        }
    }

    /// Ends the series and the stages, and returns all results.
    pub(super) fn finish(mut self) -> MonitorResults {
        self.note_ended_processes();
        let mut series = self.series.finish();
        if let Some(on_second) = &mut self.on_second {
            series.seconds.drain(..).for_each(on_second);
        }
        MonitorResults {
            interrupted: self.interrupted,
            series,
            joined: self.join.finish(),
            resources: self.resources,
            notes: self.notes,
            ended_components: self.ended_components,
            queue: QueueDepths { before: self.queued_before, after: self.queue_depth },
        }
    }
}

/// The rates of the plan, of which this process has its share.
fn rate_span(plan: &Plan) -> Option<RateSpan> {
    let Mode::Open { rate, .. } = &plan.load.mode else { return None };
    let own = |rate: f64| plan.load.node.part_of(rate, plan.load.threads);
    Some(RateSpan { from: own(rate.from.as_f64()), to: own(rate.to.as_f64()) })
}

/// Waits until a stop is requested; forever if none can be.
pub(super) async fn stop_requested(stop: &mut Option<signal::Receiver<bool>>) {
    let is_requested = match stop {
        Some(stop) => stop.wait_for(|stop| *stop).await.is_ok(),
        None => false,
    };
    if !is_requested {
        // There is no sender, or it is gone.
        std::future::pending().await
    }
}
