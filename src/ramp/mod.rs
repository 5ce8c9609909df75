//! A ramp: complete runs one after another, each with a rig, a window and a report of its own. Its
//! steps are known beforehand, or found by a search; never is a number made of two of them.

mod condition;
mod file;
mod first_ids;
mod knee_file;
mod search;
mod steps;

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::analysis::findings::{StepFacts, conclude};
use crate::config::plan::LoadConfig;
use crate::report::ramp::{RampReport, RampStep, Search, Trial};
use crate::report::{Report, SCHEMA_VERSION, Tool};
use crate::run::{Progress, RunError, Runner, Services, clear};

pub use condition::Condition;
pub use file::is_ramp;
pub use knee_file::Axis;
pub use search::{Bracket, KneeSearch, Tried, standing, votes};
pub use steps::{PlannedSearch, PlannedStep, RampPlan, Work};

/// A step that begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepStart<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// Of how many; in a search, of how many at most.
    pub of: usize,
    /// Its name.
    pub name: &'a str,
    /// Until the ramp's end, by plan; in a search, at most. What it takes to bring stacks up is not in it.
    pub left: Option<Duration>,
}

/// Who is told of a run's progress.
pub type Watcher = Box<dyn FnMut(&Progress) + Send>;

/// Follows a ramp. A side channel, but for [`Self::report`].
pub trait RampObserver {
    /// A step begins; whoever is returned is told of its progress.
    fn begins(&mut self, step: &StepStart<'_>) -> Option<Watcher>;

    /// A step has ended: the report so far, to be saved.
    fn report(&mut self, so_far: &RampReport);
}

/// Runs a ramp.
#[derive(Debug)]
pub struct Ramp {
    plan: RampPlan,
    services: Services,
    stop: Option<watch::Receiver<bool>>,
    report: RampReport,
    facts: Vec<StepFacts>,
    tried: Vec<Tried>,
}

/// How a step went, as far as the ramp is concerned.
enum StepEnd {
    On,
    /// Nothing after it can be run either, or somebody asked to stop.
    Over,
}

impl Ramp {
    /// Nothing runs yet.
    pub fn new(plan: RampPlan, services: Services) -> Self {
        let (steps, search) = match &plan.work {
            Work::Steps(steps) => (Some(steps.len() as u64), None),
            Work::Search(planned) => (None, Some(empty_search(planned))),
        };
        let report = RampReport {
            schema_version: SCHEMA_VERSION,
            kind: "ramp".to_owned(),
            tool: Tool {
                name: "loadgen".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            name: plan.name.clone(),
            question: plan.question.clone(),
            command: plan.command.clone(),
            started_at: String::new(),
            axis: plan.axis.clone(),
            planned_steps: steps,
            complete: false,
            steps: Vec::new(),
            search,
            findings: Vec::new(),
        };
        Self { plan, services, stop: None, report, facts: Vec::new(), tried: Vec::new() }
    }

    /// Ends the ramp when `stop` becomes true: the step that runs is drained and reported.
    #[must_use]
    pub fn stop_on(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Runs all steps. What goes wrong in one is in its place in the report.
    pub async fn run(mut self, follower: &mut dyn RampObserver) -> RampReport {
        self.report.started_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        match self.plan.work.clone() {
            Work::Steps(steps) => self.run_steps(&steps, follower).await,
            Work::Search(search) => self.search(&search, follower).await,
        }
        self.conclude();
        follower.report(&self.report);
        self.report
    }

    async fn run_steps(&mut self, steps: &[PlannedStep], follower: &mut dyn RampObserver) {
        for (n, step) in steps.iter().enumerate() {
            let left =
                steps[n..].iter().map(|step| span(&step.plan.load)).sum::<Option<Duration>>();
            let rests = self.plan.rest * (steps.len() - n - 1) as u32;
            let left = left.map(|left| left + rests);
            let ahead = StepStart { number: n + 1, of: steps.len(), name: &step.name, left };
            if let StepEnd::Over = self.step(step, &ahead, follower).await {
                return;
            }
        }
        self.report.complete = true;
    }

    async fn search(&mut self, search: &PlannedSearch, follower: &mut dyn RampObserver) {
        while let Some(value) = search.knee.next(&self.tried) {
            let Ok(step) = search.step(value) else { return };
            let (done, most) = (self.tried.len(), search.knee.runs as usize);
            let each = span(&step.plan.load).map(|span| span + self.plan.rest);
            let left = each.map(|each| each * (most - done) as u32);
            let ahead = StepStart { number: done + 1, of: most, name: &step.name, left };
            let steps_before = self.report.steps.len();
            let went = self.step(&step, &ahead, follower).await;
            if self.report.steps.len() == steps_before {
                return;
            }
            // A step that was not run to its end is no trial.
            let Some(RampStep { error: None, report: Some(report), .. }) = self.report.steps.last()
            else {
                return;
            };
            let because = search.condition.broken_by(report);
            let trial = Trial {
                value,
                step: self.report.steps.len() as u64 - 1,
                held: because.is_none(),
                because,
            };
            self.note(trial, search);
            self.conclude();
            follower.report(&self.report);
            if let StepEnd::Over = went {
                return;
            }
        }
        self.report.complete = true;
    }

    fn note(&mut self, trial: Trial, search: &PlannedSearch) {
        self.tried.push((trial.value, trial.held));
        let Bracket { holds, fails } = standing(&self.tried);
        let found = self.report.search.get_or_insert_with(|| empty_search(search));
        found.trials.push(trial);
        (found.holds, found.fails) = (holds, fails);
        found.confirmed = holds.map_or((0, 0), |holds| votes(&self.tried, holds));
    }

    async fn step(
        &mut self,
        step: &PlannedStep,
        ahead: &StepStart<'_>,
        follower: &mut dyn RampObserver,
    ) -> StepEnd {
        let is_first = self.report.steps.is_empty();
        if !is_first && self.rest().await {
            return StepEnd::Over;
        }
        let watcher = follower.begins(ahead);
        let result = self.run_one(step, watcher).await;
        if matches!(result, Err(RunError::Stopped)) {
            // It was stopped before it began: it is not a step that broke off.
            return StepEnd::Over;
        }
        let stack_is_away = matches!(result, Err(RunError::Stack(_)));
        let (report, error) = match result {
            Ok((report, error)) => (Some(report), error),
            Err(error) => (None, Some(error.to_string())),
        };
        let interrupted = report.as_ref().is_some_and(|report| report.run.interrupted);
        self.facts.push(facts(step));
        self.report.steps.push(RampStep {
            name: step.name.clone(),
            x: step.x,
            settings: step.settings.clone(),
            error,
            report,
        });
        self.conclude();
        follower.report(&self.report);
        // Where not even the first stack comes up, none will.
        if interrupted || self.is_stopped() || is_first && stack_is_away {
            return StepEnd::Over;
        }
        StepEnd::On
    }

    async fn run_one(
        &self,
        step: &PlannedStep,
        watcher: Option<Watcher>,
    ) -> Result<(Report, Option<String>), RunError> {
        if self.plan.clear {
            clear(&step.plan).await?;
        }
        let mut runner = Runner::new().services(self.services.clone());
        if let Some(stop) = &self.stop {
            runner = runner.stop_on(stop.clone());
        }
        if let Some(watcher) = watcher {
            runner = runner.on_progress(watcher);
        }
        let seen = runner.run(&step.plan).await?;
        let error = match seen.casualties.as_slice() {
            [] if seen.interrupted => Some("interrupted".to_owned()),
            [] => None,
            casualties => Some(casualties.join("; ")),
        };
        let report = Report::from(&seen);
        // A script may take its time, and whoever waits for it must hear a Ctrl-C.
        let last_word = tokio::task::spawn_blocking(move || seen.finish_script()).await;
        last_word.map_err(|_| RunError::Lost("the script's done"))??;
        Ok((report, error))
    }

    /// Waits between two steps; whether a stop was asked for.
    async fn rest(&mut self) -> bool {
        let rest = tokio::time::sleep(self.plan.rest);
        match &mut self.stop {
            Some(stop) => tokio::select! {
                () = rest => false,
                asked = stop.wait_for(|stop| *stop) => asked.is_ok(),
            },
            None => {
                rest.await;
                false
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    fn conclude(&mut self) {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        self.report.findings = conclude(&self.report, &self.facts, cores);
    }
}

/// Settings of a step that its report does not have.
fn facts(step: &PlannedStep) -> StepFacts {
    let pipeline = &step.plan.pipeline;
    StepFacts {
        group: step.group.clone(),
        api_threads: pipeline.api_threads,
        push_threads: pipeline.push_threads,
        push_limit: pipeline.push_limit.map(|limit| limit.as_f64()),
    }
}

fn empty_search(planned: &PlannedSearch) -> Search {
    Search {
        axis: planned.axis.key().to_owned(),
        condition: planned.condition.to_string(),
        trials: Vec::new(),
        holds: None,
        fails: None,
        confirmed: (0, 0),
    }
}

/// How long a step sends, where time ends it.
fn span(load: &LoadConfig) -> Option<Duration> {
    load.duration.map(|duration| load.warmup + duration)
}
