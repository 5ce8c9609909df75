//! Pairs of runs to compare: a run with a run, a step of a ramp with the step of the same name.

use super::{CompareError, Run};
use crate::report::{Generator, LoopMode, Report, Saved, Server};

/// The runs of both sides that are compared.
pub(super) struct Pair<'a> {
    pub(super) step: Option<String>,
    pub(super) base: Vec<Run<'a>>,
    pub(super) new: Vec<Run<'a>>,
}

/// All pairs, with notes about them.
pub(super) struct Pairs<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) notes: Vec<String>,
    /// Failed runs, each with its failure.
    pub(super) failed: Vec<String>,
}

type File = (String, Saved);

pub(super) fn pairs<'a>(base: &'a [File], new: &'a [File]) -> Result<Pairs<'a>, CompareError> {
    let all = || base.iter().chain(new);
    let run = all().find(|(_, saved)| matches!(saved, Saved::Run(_)));
    let ramp = all().find(|(_, saved)| matches!(saved, Saved::Ramp(_)));
    let mut found = match (run, ramp) {
        (Some((run, _)), Some((ramp, _))) => {
            return Err(CompareError::Unlike(run.clone(), ramp.clone()));
        }
        (Some(_), None) => Pairs {
            pairs: vec![Pair { step: None, base: of_runs(base), new: of_runs(new) }],
            notes: Vec::new(),
            failed: Vec::new(),
        },
        (None, _) => of_steps(base, new)?,
    };
    for pair in &found.pairs {
        if let Some(error) = loops(pair) {
            return Err(error);
        }
        found.notes.extend(notes(pair));
        found.failed.extend(failures(pair));
    }
    Ok(found)
}

fn of_runs(files: &[File]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for (name, saved) in files {
        if let Saved::Run(report) = saved {
            runs.push((name.as_str(), report.as_ref()));
        }
    }
    runs
}

/// The reports of a step in each of the ramps.
fn named<'a>(files: &'a [File], name: &str) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for (file, saved) in files {
        if let Saved::Ramp(ramp) = saved {
            let steps = ramp.steps.iter().filter(|step| step.name == name);
            runs.extend(steps.filter_map(|step| Some((file.as_str(), step.report.as_ref()?))));
        }
    }
    runs
}

fn of_steps<'a>(base: &'a [File], new: &'a [File]) -> Result<Pairs<'a>, CompareError> {
    let mut names: Vec<&str> = Vec::new();
    for (_, saved) in base.iter().chain(new) {
        if let Saved::Ramp(ramp) = saved {
            for step in &ramp.steps {
                if !names.contains(&step.name.as_str()) {
                    names.push(&step.name);
                }
            }
        }
    }
    let (mut pairs, mut notes) = (Vec::new(), Vec::new());
    for name in names {
        let pair =
            Pair { step: Some(name.to_owned()), base: named(base, name), new: named(new, name) };
        match (pair.base.is_empty(), pair.new.is_empty()) {
            (false, false) => pairs.push(pair),
            (true, _) => notes.push(format!("{name}: the base has no report of it")),
            (false, true) => notes.push(format!("{name}: the new side has no report of it")),
        }
    }
    if pairs.is_empty() {
        return Err(CompareError::NoSteps(first_name(base), first_name(new)));
    }
    Ok(Pairs { pairs, notes, failed: Vec::new() })
}

/// Name of the first file of a side; empty if there is none.
fn first_name(side: &[File]) -> String {
    side.first().map(|(name, _)| name.clone()).unwrap_or_default()
}

fn loops(pair: &Pair<'_>) -> Option<CompareError> {
    let runs = || pair.base.iter().chain(&pair.new);
    let (open, _) = runs().find(|(_, report)| report.run.mode == LoopMode::Open)?;
    let (closed, _) = runs().find(|(_, report)| report.run.mode != LoopMode::Open)?;
    Some(CompareError::Loops((*open).to_owned(), (*closed).to_owned()))
}

/// The failures of the runs, each with its step and its file.
fn failures(pair: &Pair<'_>) -> Vec<String> {
    let prefix = pair.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
    let mut all = Vec::new();
    for (file, report) in pair.base.iter().chain(&pair.new) {
        let failures = report.verdict.failures.iter();
        all.extend(failures.map(|failure| format!("{prefix}{file}: {failure}")));
    }
    all
}

/// Difference of the CPU use of other processes, in percent of all CPUs, that can explain a difference of times.
const UNEVEN_PERCENT: f64 = 15.0;

/// A note on runs in which other processes used the CPUs unevenly.
fn uneven_machines<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<String> {
    let generators = reports.filter_map(|report| report.generator.as_ref());
    let used: Vec<_> = generators.filter_map(|machine| machine.other_cpu_percent).collect();
    let least = used.iter().copied().fold(f64::INFINITY, f64::min);
    let most = used.iter().copied().fold(0.0, f64::max);
    (most - least > UNEVEN_PERCENT).then(|| {
        format!(
            "other processes used {least:.0}% to {most:.0}% of the CPUs in these runs: differences may be their doing"
        )
    })
}

/// Notes on differences between the runs of a pair.
fn notes(pair: &Pair<'_>) -> Vec<String> {
    let prefix = pair.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
    let runs: Vec<_> = pair.base.iter().chain(&pair.new).collect();
    let mut notes = Vec::new();
    let Some((first, rest)) = runs.split_first() else { return notes };
    for (file, report) in rest {
        for (setting, a, b) in differences(first.1, report) {
            notes.push(format!("{prefix}{setting}: {a} in {}, {b} in {file}", first.0));
        }
    }
    for (file, report) in &runs {
        if !report.verdict.generator.is_valid() {
            notes.push(format!("{prefix}the generator of {file} could not hold its plan"));
        }
        if report.run.interrupted || report.run.partial {
            notes.push(format!("{prefix}{file} is not of a whole run"));
        }
    }
    if let Some(note) = uneven_machines(runs.iter().map(|(_, report)| *report)) {
        notes.push(format!("{prefix}{note}"));
    }
    let repeated = repeated(&pair.base).or_else(|| repeated(&pair.new));
    if let Some(Repeated { first, again }) = repeated {
        notes.push(format!(
            "{prefix}{first} and {again} are the same run. It counts twice, so the intervals are too narrow"
        ));
    }
    if let Some(Repeated { first, again }) = across(pair) {
        notes.push(format!("{prefix}{first} and {again}: the same run is compared with itself"));
    }
    if is_newer(&pair.base, &pair.new) {
        notes.push(format!(
            "{prefix}the runs of the base are newer than the new ones. Are the sides swapped? The base comes first"
        ));
    }
    notes
}

/// Two files with the same run.
struct Repeated<'a> {
    first: &'a str,
    again: &'a str,
}

/// A run that is on one side twice.
fn repeated<'a>(side: &[Run<'a>]) -> Option<Repeated<'a>> {
    side.iter().enumerate().find_map(|(n, run)| same_run(run, &side[n + 1..]))
}

/// A run that is on both sides.
fn across<'a>(pair: &Pair<'a>) -> Option<Repeated<'a>> {
    pair.base.iter().find_map(|run| same_run(run, &pair.new))
}

fn same_run<'a>(run: &Run<'a>, others: &[Run<'a>]) -> Option<Repeated<'a>> {
    let (first, report) = run;
    let id = Some(&report.run.id).filter(|id| !id.is_empty())?;
    let (again, _) = others.iter().find(|(_, other)| other.run.id == *id)?;
    Some(Repeated { first, again })
}

/// Returns true if each run of `side` began after all runs of `other`. Times are RFC 3339 in UTC: their text is in order.
fn is_newer(side: &[Run<'_>], other: &[Run<'_>]) -> bool {
    let first = side.iter().map(|(_, report)| &report.run.started_at).min();
    let last = other.iter().map(|(_, report)| &report.run.started_at).max();
    first.zip(last).is_some_and(|(first, last)| !last.is_empty() && first > last)
}

/// Settings and servers that differ between two runs, with both values.
fn differences(a: &Report, b: &Report) -> Vec<(&'static str, String, String)> {
    let (x, y) = (&a.run, &b.run);
    let all = [
        ("rate", or_none(x.rate_target), or_none(y.rate_target)),
        ("arrivals", or_none(x.arrivals), or_none(y.arrivals)),
        ("connections", x.connections.to_string(), y.connections.to_string()),
        ("threads", x.threads.to_string(), y.threads.to_string()),
        ("engine", x.engine.to_string(), y.engine.to_string()),
        ("protocol", x.protocol.to_string(), y.protocol.to_string()),
        ("streams", x.streams.to_string(), y.streams.to_string()),
        ("duration", seconds(a), seconds(b)),
        ("queue", server(&x.stack.queue), server(&y.stack.queue)),
        ("broker", server(&x.stack.broker), server(&y.stack.broker)),
    ];
    let mut found: Vec<_> = all.into_iter().filter(|(_, a, b)| a != b).collect();
    found.extend(machine_differences(a, b));
    found
}

/// Facts on the machines that differ between two runs. A fact that a report does not have is not a difference.
fn machine_differences(a: &Report, b: &Report) -> Vec<(&'static str, String, String)> {
    let (Some(x), Some(y)) = (&a.generator, &b.generator) else { return Vec::new() };
    let cpus = |machine: &Generator| {
        machine.cpu_model.as_ref().map(|model| format!("{} × {model}", machine.cores))
    };
    let all = [
        ("host", x.host.clone(), y.host.clone()),
        ("CPUs", cpus(x), cpus(y)),
        ("kernel", x.kernel.clone(), y.kernel.clone()),
    ];
    let known = all.into_iter().filter_map(|(name, a, b)| Some((name, a?, b?)));
    known.filter(|(_, a, b)| a != b).collect()
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn seconds(report: &Report) -> String {
    format!("{:.0} s", report.run.duration_s)
}

fn server(server: &Option<Server>) -> String {
    or_none(server.as_ref().map(|server| format!("{} {}", server.kind, server.version)))
}
