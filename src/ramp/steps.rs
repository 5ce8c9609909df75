//! Profile → planned steps: each is a whole plan, checked before the first one runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::condition::Condition;
use super::file::{Changes, RampFile, SweepKey};
use super::first_ids::check_first_ids;
use super::knee_file::{Axis, SearchFile};
use super::search::KneeSearch;
use crate::config::plan::{Plan, PlanError};
use crate::config::settings::Settings;
use crate::core::units::format_count;
use crate::report::check_conditions;

/// What a ramp will do.
#[derive(Debug, Clone)]
pub(crate) struct RampPlan {
    /// The profile's file name without its ending.
    pub(crate) name: String,
    /// The comment that opens it.
    pub(crate) question: Option<String>,
    /// What repeats it, without secrets.
    pub(crate) command: String,
    /// Between two steps.
    pub(crate) rest: Duration,
    /// Whether the queue and the stamps of a Redis that is not ours are deleted before each step.
    pub(crate) clear: bool,
    /// The setting that steps differ in, if it is one number.
    pub(crate) axis: Option<String>,
    /// The steps.
    pub(crate) work: Work,
}

/// Steps that are known, or to be found.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// One after another.
    Steps(Vec<PlannedStep>),
    /// As the search goes.
    Search(Box<PlannedSearch>),
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct PlannedStep {
    /// Its name.
    pub(crate) name: String,
    /// What it shares with other steps on the same curve; empty where there is one curve only.
    pub(crate) group: String,
    /// The axis's setting in it.
    pub(crate) x: Option<f64>,
    /// What it changes, without secrets.
    pub(crate) settings: BTreeMap<String, String>,
    /// What it does.
    pub(crate) plan: Plan,
}

/// A search for the highest value that holds a condition.
#[derive(Debug, Clone)]
pub(crate) struct PlannedSearch {
    pub(super) base: Settings,
    /// What is varied.
    pub(crate) axis: Axis,
    /// Where and how.
    pub(crate) knee: KneeSearch,
    /// What must hold.
    pub(crate) condition: Condition,
}

impl PlannedSearch {
    /// The step that tries `value`.
    pub(super) fn step(&self, value: f64) -> Result<PlannedStep, PlanError> {
        let key = self.axis.key();
        let mut plan = Plan::new(self.axis.settings(value).over(self.base.clone()))?;
        self.condition.add_stages(&mut plan)?;
        Ok(PlannedStep {
            name: format!("{key} {}", format_count(value as u64)),
            group: String::new(),
            x: Some(value),
            settings: BTreeMap::from([(key.to_owned(), format!("{value}"))]),
            plan,
        })
    }
}

impl RampPlan {
    /// Reads the profile `text` of `file`. `typed` is what was given on the command line, which wins
    /// over what the profile says for all steps, and `command` is that line.
    pub(crate) fn new(
        file: &Path,
        text: &str,
        typed: Settings,
        command: String,
    ) -> Result<Self, PlanError> {
        let place = file.display();
        let profile = RampFile::parse(text).map_err(|e| PlanError::new(format!("{place}: {e}")))?;
        let base = typed.over(profile.base.clone());
        let axis = match &profile.search {
            Some(search) => Some(search.axis.key().to_owned()),
            None => axis(&profile),
        };
        let work = match &profile.search {
            Some(search) => Work::Search(Box::new(planned_search(search, base)?)),
            None => Work::Steps(planned_steps(&profile, &base, axis.as_deref())?),
        };
        check_first_ids(&work).map_err(|e| PlanError::new(format!("{place}: {e}")))?;
        let has_redis = work.first().is_some_and(|plan| {
            plan.pipeline.redis.is_some() || plan.pipeline.log_server.is_some()
        });
        if profile.clear && !has_redis {
            return Err(PlanError::new(format!(
                "{place}: clear is for a Redis of yours: name it with redis = \"redis://HOST\"; what \
                 loadgen brings up is new for each step"
            )));
        }
        Ok(Self {
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            question: profile.question,
            command,
            rest: profile.rest,
            clear: profile.clear,
            axis,
            work,
        })
    }
}

impl RampPlan {
    /// The warning of the first step, see [`Plan::warning`].
    pub(crate) fn warning(&self) -> Option<String> {
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

/// Both ends are tried on paper, so that a search does not end in a refusal.
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
    let plan = |(number, (step, point)): (usize, (Changes, Changes))| {
        let name = name(number + 1, &step, &point);
        let changed = point.settings.clone().over(step.settings.clone());
        let wrong = |e: PlanError| PlanError::new(format!("step '{name}': {e}"));
        let settings = changed.over(base.clone());
        check_conditions(&settings.fail_if).map_err(wrong)?;
        let plan = Plan::new(settings).map_err(wrong)?;
        let written = || step.written.iter().chain(&point.written);
        let mut of_axis = written().filter(|(key, _)| Some(key.as_str()) == axis);
        Ok(PlannedStep {
            group: group(&step, &point, axis),
            x: of_axis.next_back().and_then(|(_, value)| as_number(value)),
            settings: written().cloned().collect(),
            name,
            plan,
        })
    };
    profile.all_steps().into_iter().enumerate().map(plan).collect()
}

/// Its own name, or what it changes; then where in the sweep it is.
fn name(number: usize, step: &Changes, point: &Changes) -> String {
    let own = step.name.clone().into_iter();
    let unnamed = step.written.iter().filter(|_| step.name.is_none());
    let parts: Vec<_> = own.chain(unnamed.chain(&point.written).map(words)).collect();
    if parts.is_empty() { format!("step {number}") } else { parts.join(", ") }
}

/// As [`name`], without the axis.
fn group(step: &Changes, point: &Changes, axis: Option<&str>) -> String {
    let off_axis = |(key, _): &&(String, String)| Some(key.as_str()) != axis;
    let unnamed = step.written.iter().filter(|_| step.name.is_none());
    let rest = unnamed.chain(&point.written).filter(off_axis).map(words);
    let named = step.name.clone().filter(|_| !point.written.is_empty());
    named.into_iter().chain(rest).collect::<Vec<_>>().join(", ")
}

fn words((key, value): &(String, String)) -> String {
    format!("{key} {value}")
}

/// The key that is varied in numbers: the first of the sweep that has two; else rate, connections or the only
/// other key that steps differ in.
fn axis(profile: &RampFile) -> Option<String> {
    let is_number = |value: &&Changes| value.written.iter().all(|(_, v)| as_number(v).is_some());
    let numbers = |key: &SweepKey| key.values.iter().filter(is_number).count();
    let swept = profile.sweep.iter().find(|key| numbers(key) > 1);
    if swept.is_some() || !profile.sweep.is_empty() {
        return swept.map(|key| key.key.clone());
    }
    let of = |key: &str| -> Vec<Option<&str>> {
        (profile.steps.iter())
            .map(|step| step.written.iter().find(|(own, _)| own == key).map(|(_, v)| v.as_str()))
            .collect()
    };
    let varies = |key: &&String| {
        let values = of(key);
        values.iter().any(|value| *value != values[0])
            && values.iter().all(|value| value.is_some_and(|value| as_number(value).is_some()))
    };
    let mut keys: Vec<_> =
        profile.steps.iter().flat_map(|step| step.written.iter().map(|(key, _)| key)).collect();
    keys.sort();
    keys.dedup();
    let varied: Vec<_> = keys.into_iter().filter(varies).collect();
    let first = |name: &str| varied.iter().find(|key| key.as_str() == name).copied();
    let only = || varied.first().copied().filter(|_| varied.len() == 1);
    first("rate").or(first("connections")).or_else(only).cloned()
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
        let seen: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.group.as_str(), s.x)).collect();
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
            (axis, all.len(), all[0].name.as_str(), all[0].group.as_str()),
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
    fn a_step_that_makes_no_sense_is_refused_before_any_runs() {
        for (text, part) in [
            ("[sweep]\nconnections = [1, 0]\n", "step 'connections 0': --connections is from"),
            ("fail-if = ['lots>0']\n", "step 'step 1': --fail-if"),
            (
                "[search]\nconnections = '1..9'\nholds = 'lost == 0'\nthreads = 4\n",
                "unknown key 'threads'",
            ),
            ("threads = 4\n[search]\nconnections = '1..9'\nholds = 'lost == 0'\n", "--threads 4"),
            ("clear = true\n", "clear is for a Redis of yours"),
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
        let shown = format!("{} {} {:?}", all[0].name, all[0].group, all[0].settings);
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
