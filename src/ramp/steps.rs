//! Profile → planned steps. Each step is a complete plan, and all are checked before the first one runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::condition::Condition;
use super::file::{Changes, RampFile, StepChanges, SweepKey};
use super::first_ids::check_first_ids;
use super::knee_file::{SearchFile, settings_at};
use super::search::KneeSearch;
use crate::config::plan::{Plan, PlanError};
use crate::config::settings::Settings;
use crate::core::units::format_count;
use crate::report::check_conditions;
use crate::report::ramp::SearchAxis;

/// The plan of a ramp.
#[derive(Debug, Clone)]
pub(crate) struct RampPlan {
    /// The profile's file name without its ending.
    pub(super) name: String,
    /// The comment at the top of the profile.
    pub(super) question: Option<String>,
    /// The command that repeats the ramp, without secrets.
    pub(crate) command: String,
    /// Pause between two steps.
    pub(super) rest: Duration,
    /// True if the queue and the stamps of an external Redis are deleted before each step.
    pub(super) clear: bool,
    /// The setting that steps differ in, if it is one number.
    pub(super) axis: Option<String>,
    /// Settings that all steps have in common.
    pub(crate) base: Settings,
    pub(super) work: Work,
}

/// Steps that are known, or that a search finds.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Steps in the order they run.
    Steps(Vec<PlannedStep>),
    /// A search, which plans each step from the results of the earlier ones.
    Search(Box<PlannedSearch>),
}

/// One step.
#[derive(Debug, Clone)]
pub(super) struct PlannedStep {
    pub(super) name: String,
    /// Name that it shares with the steps on the same curve; empty if there is one curve only.
    pub(super) curve: String,
    /// Value of the axis.
    pub(super) x: Option<f64>,
    /// Settings that it changes, without secrets.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) plan: Plan,
}

/// A search for the highest value that holds a condition.
#[derive(Debug, Clone)]
pub(super) struct PlannedSearch {
    pub(super) base: Settings,
    /// The setting that is varied.
    pub(super) axis: SearchAxis,
    pub(super) knee: KneeSearch,
    pub(super) condition: Condition,
}

impl PlannedSearch {
    /// The step that tries `value`.
    pub(super) fn step(&self, value: f64) -> Result<PlannedStep, PlanError> {
        let key = self.axis.key();
        let mut plan = Plan::new(settings_at(self.axis, value).layered_on(self.base.clone()))?;
        self.condition.add_stages(&mut plan)?;
        Ok(PlannedStep {
            name: format!("{key} {}", format_count(value as u64)),
            curve: String::new(),
            x: Some(value),
            settings: BTreeMap::from([(key.to_owned(), format!("{value}"))]),
            plan,
        })
    }
}

impl RampPlan {
    /// Reads the profile `text` of `file`. The settings `typed` on the command line win over those that the profile
    /// has for all steps. `command` is the command line without secrets.
    pub(crate) fn new(
        file: &Path,
        text: &str,
        typed: Settings,
        command: String,
    ) -> Result<Self, PlanError> {
        let place = file.display();
        let profile = RampFile::parse(text).map_err(|e| PlanError::new(format!("{place}: {e}")))?;
        let base = typed.layered_on(profile.base.clone());
        let axis = match &profile.search {
            Some(search) => Some(search.axis.key().to_owned()),
            None => axis(&profile),
        };
        let work = match &profile.search {
            Some(search) => Work::Search(Box::new(planned_search(search, base.clone())?)),
            None => Work::Steps(planned_steps(&profile, &base, axis.as_deref())?),
        };
        check_first_ids(&work).map_err(|e| PlanError::new(format!("{place}: {e}")))?;
        let has_redis = work.first().is_some_and(|plan| {
            plan.pipeline.redis.is_some() || plan.pipeline.log_server.is_some()
        });
        if profile.clear && !has_redis {
            return Err(PlanError::new(format!(
                "{place}: clear needs a Redis of your own: set redis = \"redis://HOST\". The Redis that \
                 loadgen starts is new for each step"
            )));
        }
        Ok(Self {
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            question: profile.question,
            command,
            rest: profile.rest,
            clear: profile.clear,
            axis,
            base,
            work,
        })
    }

    /// The plans of all steps; those of both ends of its range if they are found by a search.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        match &self.work {
            Work::Steps(steps) => steps.iter().map(|step| step.plan.clone()).collect(),
            Work::Search(search) => {
                let ends = [search.knee.low, search.knee.high];
                ends.into_iter().filter_map(|end| Some(search.step(end).ok()?.plan)).collect()
            }
        }
    }

    /// The warning of the first step, see [`Plan::warning`].
    pub(crate) fn warning(&self) -> Option<&'static str> {
        self.work.first().and_then(|plan| plan.warning())
    }
}

impl Work {
    fn first(&self) -> Option<Plan> {
        match self {
            Self::Steps(steps) => steps.first().map(|step| step.plan.clone()),
            Self::Search(search) => search.step(search.knee.low).ok().map(|step| step.plan),
        }
    }
}

/// Plans a search and checks the steps at both ends of its range, so that no later step is refused.
fn planned_search(search: &SearchFile, base: Settings) -> Result<PlannedSearch, PlanError> {
    let SearchFile { axis, knee, condition } = search.clone();
    let search = PlannedSearch { base, axis, knee, condition };
    for end in [knee.low, knee.high] {
        check_conditions(&search.base.fail_if)?;
        let plan = search.step(end)?.plan;
        search.condition.check(&plan)?;
    }
    Ok(search)
}

fn planned_steps(
    profile: &RampFile,
    base: &Settings,
    axis: Option<&str>,
) -> Result<Vec<PlannedStep>, PlanError> {
    let steps = profile.all_steps();
    let numbered = steps.iter().enumerate();
    numbered.map(|(index, changes)| planned_step(index + 1, changes, base, axis)).collect()
}

/// The step `number`, counted from 1. Errors name the step.
fn planned_step(
    number: usize,
    changes: &StepChanges,
    base: &Settings,
    axis: Option<&str>,
) -> Result<PlannedStep, PlanError> {
    let name = step_name(number, changes);
    let plan = plan_of(changes, base).map_err(|e| PlanError::new(format!("step '{name}': {e}")))?;
    let settings: Vec<_> = changes.written().cloned().collect();
    let on_axis = settings.iter().rfind(|(key, _)| Some(key.as_str()) == axis);
    Ok(PlannedStep {
        curve: curve_name(changes, axis),
        x: on_axis.and_then(|(_, value)| as_number(value)),
        settings: settings.iter().cloned().collect(),
        name,
        plan,
    })
}

fn plan_of(changes: &StepChanges, base: &Settings) -> Result<Plan, PlanError> {
    let changed = changes.point.settings.clone().layered_on(changes.step.settings.clone());
    let settings = changed.layered_on(base.clone());
    check_conditions(&settings.fail_if)?;
    Plan::new(settings)
}

/// The name in the profile, or else the settings that the step changes; then the values of the sweep.
fn step_name(number: usize, changes: &StepChanges) -> String {
    let named = changes.step.name.clone().into_iter();
    let parts: Vec<_> = named.chain(changes.unnamed().map(key_and_value)).collect();
    if parts.is_empty() { format!("step {number}") } else { parts.join(", ") }
}

/// The step's name without the axis; empty if the step differs from the others in the axis alone.
fn curve_name(changes: &StepChanges, axis: Option<&str>) -> String {
    let off_axis = changes.unnamed().filter(|(key, _)| Some(key.as_str()) != axis);
    let named = changes.step.name.clone().filter(|_| !changes.point.written.is_empty());
    named.into_iter().chain(off_axis.map(key_and_value)).collect::<Vec<_>>().join(", ")
}

fn key_and_value(setting: &(String, String)) -> String {
    format!("{} {}", setting.0, setting.1)
}

/// The setting that is the axis: the first of a sweep that has two numbers; else rate, connections or the only other
/// setting that steps differ in by numbers.
fn axis(profile: &RampFile) -> Option<String> {
    if !profile.sweep.is_empty() {
        let axis = profile.sweep.iter().find(|key| count_numbers(key) > 1);
        return axis.map(|key| key.key.clone());
    }
    let mut keys: Vec<_> =
        profile.steps.iter().flat_map(|step| step.written.iter().map(|(key, _)| key)).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| differs_in_numbers(profile, key));
    let preferred = ["rate", "connections"].into_iter().find(|name| keys.iter().any(|k| k == name));
    match (preferred, keys.as_slice()) {
        (Some(name), _) => Some(name.to_owned()),
        (None, [only]) => Some((*only).clone()),
        (None, _) => None,
    }
}

/// Values of a sweep's key that are numbers.
fn count_numbers(key: &SweepKey) -> usize {
    let numbers =
        key.values.iter().filter(|value| value.written.iter().all(|(_, v)| as_number(v).is_some()));
    numbers.count()
}

/// Returns true if all steps set the key to a number, and not all to the same one.
fn differs_in_numbers(profile: &RampFile, key: &str) -> bool {
    let values: Vec<_> = profile.steps.iter().map(|step| written_value(step, key)).collect();
    values.iter().any(|value| *value != values[0])
        && values.iter().all(|value| value.is_some_and(|value| as_number(value).is_some()))
}

fn written_value<'a>(changes: &'a Changes, key: &str) -> Option<&'a str> {
    let (_, value) = changes.written.iter().find(|(own, _)| own == key)?;
    Some(value)
}

/// A value that is one number, as rates and counts are.
fn as_number(value: &str) -> Option<f64> {
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<RampPlan, String> {
        let file = Path::new("profiles/some.toml");
        RampPlan::new(file, text, Settings::default(), String::new()).map_err(|e| e.to_string())
    }

    fn steps(text: &str) -> (Option<String>, Vec<PlannedStep>) {
        let plan = plan(text).expect("valid");
        match plan.work {
            Work::Steps(steps) => (plan.axis, steps),
            Work::Search(_) => panic!("no search"),
        }
    }

    #[test]
    fn a_sweep_gives_names_an_axis_and_curves() {
        let (axis, all) = steps("[sweep]\ncoupling = ['channel', 'direct']\nrate = ['1k', '2k']\n");
        assert_eq!(axis.as_deref(), Some("rate"));
        let seen: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.curve.as_str(), s.x)).collect();
        assert_eq!(
            seen[1..3],
            [
                ("coupling channel, rate 2000", "coupling channel", Some(2_000.0)),
                ("coupling direct, rate 1000", "coupling direct", Some(1_000.0))
            ]
        );
    }

    #[test]
    fn steps_are_named_and_have_the_axis_they_vary() {
        let (axis, all) = steps(
            "[[step]]\nname = 'one'\nthreads = 1\nconnections = 4\n[[step]]\nthreads = 2\nconnections = 8\n",
        );
        assert_eq!(axis.as_deref(), Some("connections"));
        assert_eq!((all[0].name.as_str(), all[0].x), ("one", Some(4.0)));
        assert_eq!(all[1].name, "connections 8, threads 2");
        assert_eq!((all[0].plan.load.threads, all[1].plan.load.threads), (1, 2));
        let (axis, all) = steps("connections = 3\n");
        assert_eq!(
            (axis, all.len(), all[0].name.as_str(), all[0].curve.as_str()),
            (None, 1, "step 1", "")
        );
    }

    #[test]
    fn the_command_line_wins_over_the_base_and_a_step_over_both() {
        let typed = Settings {
            seed: Some(9),
            threads: Some(1),
            connections: Some(5),
            ..Settings::default()
        };
        let text = "seed = 2\nthreads = 3\n[sweep]\nconnections = [4]\n";
        let plan = RampPlan::new(Path::new("x.toml"), text, typed, String::new()).expect("valid");
        let Work::Steps(steps) = plan.work else { panic!("steps") };
        assert_eq!((steps[0].plan.load.threads, steps[0].plan.load.connections), (1, 4));
    }

    #[test]
    fn an_invalid_step_is_refused_before_any_step_runs() {
        for (text, part) in [
            (
                "[sweep]\nconnections = [1, 0]\n",
                "step 'connections 0': --connections must be from 1",
            ),
            ("fail-if = ['lots>0']\n", "step 'step 1': --fail-if"),
            (
                "[search]\nconnections = '1..9'\nholds = 'lost == 0'\nthreads = 4\n",
                "unknown key 'threads'",
            ),
            ("threads = 4\n[search]\nconnections = '1..9'\nholds = 'lost == 0'\n", "--threads 4"),
            ("clear = true\n", "clear needs a Redis of your own"),
            (
                "duration = '3s'\n[search]\nrate = '100..9k'\nholds = 'arrival.p99 < 5ms'\n",
                "holds 'arrival.p99 < 5ms': p99 needs at least 1,000 values; this run plans 300",
            ),
            (
                "duration = '1s'\n[search]\nrate = '1k..9k'\nholds = 'queue not growing'\n",
                "holds 'queue not growing' needs at least 2 s; this run sends for 1 s",
            ),
            (
                "requests = 1000\n[search]\nrate = '1k..9k'\nholds = 'queue not growing'\n",
                "sends for 1 s",
            ),
            (
                "[search]\nrate = '1k..9k'\nholds = 'stages.nosuch.p50 < 1ms'\n",
                "'nosuch' is not a stage; write FROM-TO",
            ),
            (
                "[search]\nrate = '1k..9k'\nholds = 'stages.sent-nosuch.p50 < 1ms'\n",
                "'nosuch' is not a checkpoint; there are due, sent, api",
            ),
            (
                "url = 'http://host/'\n[search]\nrate = '1k..9k'\nholds = 'queue not growing'\n",
                "this run does not watch a queue",
            ),
        ] {
            let error = plan(text).map(|_| ()).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(plan("clear = true\nredis = 'redis://host'\n").is_ok());
    }

    #[test]
    fn secrets_are_not_shown() {
        let (_, all) = steps(
            "[[step]]\nredis = 'redis://me:secret@host/1'\nheader = ['A: secret']\nbody = 'secret'\n",
        );
        let shown = format!("{} {} {:?}", all[0].name, all[0].curve, all[0].settings);
        assert!(!shown.contains("secret") && shown.contains("host/1"), "{shown}");
    }

    #[test]
    fn every_profile_of_the_repository_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let files: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().collect();
        assert!(files.len() >= 7);
        for file in files {
            let text = std::fs::read_to_string(file.path()).expect("a file");
            let plan = RampPlan::new(&file.path(), &text, Settings::default(), String::new());
            let plan = plan.unwrap_or_else(|e| panic!("{e}"));
            let question = plan.question.unwrap_or_default();
            assert!(
                question.contains('?'),
                "{file:?} opens with the question it answers: {question}"
            );
        }
    }
}
