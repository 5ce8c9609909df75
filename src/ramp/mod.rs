//! A ramp: complete runs one after another, each with its own servers, measured part and report. The steps are
//! known before the first run, or a search finds them. No number combines two runs.

mod condition;
mod file;
mod first_ids;
mod knee_file;
mod search;
mod shared_steps;
mod steps;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::analysis::findings::conclude;
use crate::config::plan::LoadConfig;
use crate::report::Remark;
use crate::report::ramp::{RampReport, RampStep, Search, Trial};
use crate::report::{Report, SCHEMA_VERSION, Tool};
use crate::run::{Progress, RunError, Runner, Services, clear, wait_for_empty_queue};

pub(crate) use file::is_ramp;
pub(crate) use shared_steps::SharedSteps;
pub(crate) use steps::RampPlan;

use search::{Bracket, TriedValue, bracket, tally};
use steps::{PlannedSearch, PlannedStep, Work};

/// An event of a ramp.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RampEvent<'a> {
    /// A step starts.
    StepStart(StepStart<'a>),
    /// Progress of the step's run, several times a second.
    Progress(&'a Progress),
    /// A step or a trial has ended: the report so far, to be saved.
    Report(&'a RampReport),
}

/// A step that starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepStart<'a> {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// Number of steps; in a search, the most there can be.
    pub(crate) of: usize,
    pub(crate) name: &'a str,
    /// Planned time until the ramp's end, without the start of servers; in a search, the most it can be.
    /// `None` if a step has no planned duration.
    pub(crate) left: Option<Duration>,
}

/// Callback for the events of a ramp.
type OnEvent = Arc<Mutex<dyn FnMut(RampEvent<'_>) + Send>>;

/// The loop over the runs of a ramp.
pub(crate) struct Ramp<'a> {
    plan: RampPlan,
    shared: Option<&'a mut dyn SharedSteps>,
    services: Services,
    stop: Option<watch::Receiver<bool>>,
    on_event: Option<OnEvent>,
    report: RampReport,
    tried: Vec<TriedValue>,
}

/// Continuation of a ramp after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterStep {
    Continue,
    /// No later step can run either, or a stop was requested.
    Stop,
}

/// A run that was made, with its report.
struct RunDone {
    report: Report,
    /// The reason if it broke off.
    error: Option<String>,
}

impl<'a> Ramp<'a> {
    /// A ramp that has not begun.
    pub(crate) fn new(plan: RampPlan, services: Services) -> Self {
        let (planned_steps, search) = match &plan.work {
            Work::Steps(steps) => (Some(steps.len() as u64), None),
            Work::Search(planned) => (None, Some(empty_search(planned))),
        };
        let report = RampReport {
            schema_version: SCHEMA_VERSION,
            kind: "ramp".to_owned(),
            tool: Tool::own(),
            name: plan.name.clone(),
            question: plan.question.clone(),
            command: plan.command.clone(),
            axis: plan.axis.clone(),
            planned_steps,
            search,
            ..RampReport::default()
        };
        Self { plan, shared: None, services, stop: None, on_event: None, report, tried: Vec::new() }
    }

    /// Runs each step together with other nodes.
    #[must_use]
    pub(crate) fn sharing(mut self, steps: &'a mut dyn SharedSteps) -> Self {
        self.shared = Some(steps);
        self
    }

    /// Ends the ramp when `stop` becomes true: the running step is drained and reported.
    #[must_use]
    pub(crate) fn stop_on(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Sets the callback for events.
    #[must_use]
    pub(crate) fn on_event(mut self, callback: impl FnMut(RampEvent<'_>) + Send + 'static) -> Self {
        self.on_event = Some(Arc::new(Mutex::new(callback)));
        self
    }

    /// Runs all steps. The report contains the error of a step that failed.
    pub(crate) async fn run(mut self) -> RampReport {
        self.report.started_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        match self.plan.work.clone() {
            Work::Steps(steps) => self.run_steps(&steps).await,
            Work::Search(search) => self.run_search(&search).await,
        }
        self.publish_report();
        self.report
    }

    async fn run_steps(&mut self, steps: &[PlannedStep]) {
        for (n, step) in steps.iter().enumerate() {
            let left = steps[n..]
                .iter()
                .map(|step| sending_time(&step.plan.load))
                .sum::<Option<Duration>>();
            let pauses = self.plan.rest * (steps.len() - n - 1) as u32;
            let left = left.map(|left| left + pauses);
            let start = StepStart { number: n + 1, of: steps.len(), name: &step.name, left };
            if self.run_step(step, start).await == AfterStep::Stop {
                return;
            }
        }
        self.report.complete = true;
    }

    async fn run_search(&mut self, search: &PlannedSearch) {
        while let Some(value) = search.knee.next(&self.tried) {
            let Ok(step) = search.step(value) else { return };
            let (done, most) = (self.tried.len(), search.knee.runs as usize);
            let each = sending_time(&step.plan.load).map(|time| time + self.plan.rest);
            let left = each.map(|each| each * (most - done) as u32);
            let start = StepStart { number: done + 1, of: most, name: &step.name, left };
            let steps_before = self.report.steps.len();
            let after = self.run_step(&step, start).await;
            if self.report.steps.len() == steps_before {
                return;
            }
            // A step that did not run to its end is not a trial.
            let Some(RampStep { error: None, report: Some(report), .. }) = self.report.steps.last()
            else {
                return;
            };
            let reasons = search.condition.unmet_reasons(report);
            self.add_trial(Trial::new(value, self.report.steps.len() as u64 - 1, reasons), search);
            self.publish_report();
            if after == AfterStep::Stop {
                return;
            }
        }
        self.report.complete = true;
    }

    fn add_trial(&mut self, trial: Trial, search: &PlannedSearch) {
        self.tried.push(TriedValue { value: trial.value, held: trial.held() });
        let Bracket { holds, fails } = bracket(&self.tried);
        let found = self.report.search.get_or_insert_with(|| empty_search(search));
        found.trials.push(trial);
        (found.holds, found.fails) = (holds, fails);
        found.confirmed = holds.map_or((0, 0), |holds| {
            let tally = tally(&self.tried, holds);
            (tally.held, tally.all)
        });
    }

    async fn run_step(&mut self, step: &PlannedStep, start: StepStart<'_>) -> AfterStep {
        let is_first = self.report.steps.is_empty();
        let rest = if is_first { Duration::ZERO } else { self.plan.rest };
        if self.unless_stopped(tokio::time::sleep(rest)).await.is_none() {
            return AfterStep::Stop;
        }
        self.emit(RampEvent::StepStart(start));
        let result = self.run_once(step).await;
        if let (Err(error), Some(shared)) = (&result, &mut self.shared) {
            shared.abandon(error).await;
        }
        let is_stopped = self.shared.is_some() && self.is_stopped();
        if matches!(result, Err(RunError::Stopped)) || result.is_err() && is_stopped {
            // Stopped before it began: not a step that broke off.
            return AfterStep::Stop;
        }
        let no_stack = matches!(result, Err(RunError::Stack(_)));
        let (report, error) = match result {
            Ok(done) => (Some(done.report), done.error),
            Err(error) => (None, Some(error.to_string())),
        };
        // Nodes that have failed, or are lost, do not come back for the next step.
        let has_fewer_nodes = self.shared.is_some() && error.is_some();
        let interrupted = report.as_ref().is_some_and(|report| report.run.interrupted);
        self.report.steps.push(RampStep {
            name: step.name.clone(),
            x: step.x,
            settings: step.settings.clone(),
            curve: Some(step.curve.clone()),
            error,
            report,
        });
        self.publish_report();
        // If the first servers do not start, later ones will not either.
        if interrupted || self.is_stopped() || has_fewer_nodes || is_first && no_stack {
            AfterStep::Stop
        } else {
            AfterStep::Continue
        }
    }

    async fn run_once(&mut self, step: &PlannedStep) -> Result<RunDone, RunError> {
        if self.plan.clear {
            clear(&step.plan).await?;
        }
        let empty_queue = wait_for_empty_queue(&step.plan);
        self.unless_stopped(empty_queue).await.ok_or(RunError::Stopped)?;
        let mut runner = Runner::new().services(self.services.clone());
        if let Some(stop) = &self.stop {
            runner = runner.stop_on(stop.clone());
        }
        if let Some(on_event) = self.on_event.clone() {
            let callback =
                move |progress: &Progress| call(&on_event, RampEvent::Progress(progress));
            runner = runner.on_progress(callback);
        }
        let mut plan = step.plan.clone();
        if let Some(shared) = &mut self.shared {
            let begun = unless_stopped(self.stop.clone(), shared.begin(&mut plan, runner)).await;
            runner = begun.ok_or(RunError::Stopped)??;
        }
        let finished = runner.run_until_done(&plan).await?;
        let mut report = finished.report.clone();
        if let Some(shared) = &mut self.shared {
            report = shared.conclude(report).await?;
        }
        let ended = report.verdict.failures.iter().filter(|failure| failure.is_ended_component());
        let lost = report.nodes.iter().filter(|node| node.lost_at_s.is_some());
        let lost = lost.map(|node| format!("{} was lost", node.name()));
        let error = match &ended.map(Remark::to_string).chain(lost).collect::<Vec<_>>()[..] {
            [] if report.run.interrupted => Some("interrupted".to_owned()),
            [] => None,
            reasons => Some(reasons.join("; ")),
        };
        // The script's `done` may take long; on a thread of its own it does not delay a Ctrl-C.
        let script_done = tokio::task::spawn_blocking(move || finished.call_done()).await;
        script_done.map_err(|_| RunError::Lost("the script's done"))??;
        Ok(RunDone { report, error })
    }

    /// Waits for a future; `None` if a stop is requested before its end.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        unless_stopped(self.stop.clone(), future).await
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// Hands the report so far to the callback, with its findings.
    fn publish_report(&mut self) {
        self.report.findings = conclude(&self.report);
        self.emit(RampEvent::Report(&self.report));
    }

    fn emit(&self, event: RampEvent<'_>) {
        if let Some(on_event) = &self.on_event {
            call(on_event, event);
        }
    }
}

impl fmt::Debug for Ramp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ramp").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// Waits for a future; `None` if `stop` becomes true before its end.
async fn unless_stopped<T>(
    stop: Option<watch::Receiver<bool>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let Some(mut stop) = stop else { return Some(future.await) };
    let requested = async move {
        if stop.wait_for(|stop| *stop).await.is_err() {
            // Without a sender no stop can be requested any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        output = future => Some(output),
        () = requested => None,
    }
}

fn call(on_event: &OnEvent, event: RampEvent<'_>) {
    // A callback that panicked once is called again: losing progress must not end the ramp.
    let mut callback = on_event.lock().unwrap_or_else(PoisonError::into_inner);
    (*callback)(event);
}

fn empty_search(planned: &PlannedSearch) -> Search {
    Search { axis: planned.axis, condition: planned.condition.to_string(), ..Search::default() }
}

/// Planned sending time of a run, warm-up included; `None` if only a number of requests ends it.
fn sending_time(load: &LoadConfig) -> Option<Duration> {
    load.duration.map(|duration| load.warmup + duration)
}
