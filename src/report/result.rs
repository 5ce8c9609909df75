//! The result of the whole, in one line, and the exit code that goes with it. Every form and the command
//! line take it from here, so that all say the same.

use std::fmt;

use super::ramp::{RampReport, RampStep};
use super::remark::sentences;
use super::{Report, Verdict};
use crate::core::units::format_count;

/// The beginning of the last line of a text.
pub(crate) const RESULT_LABEL: &str = "RESULT  ";

/// End of a command, with its exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    /// Done.
    #[default]
    Done,
    /// The run proves nothing, or a step of a ramp was not run to its end.
    Failed,
    /// The generator could not hold the plan.
    Limited,
    /// A `--fail-if` condition held, or a comparison is worse.
    ConditionHeld,
    /// Interrupted, with its report.
    Interrupted,
}

impl CommandOutcome {
    /// The outcome with an exit code; a failure for any other code.
    #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
    pub(crate) fn of_exit_code(code: u8) -> Self {
        let all = [Self::Done, Self::Limited, Self::ConditionHeld, Self::Interrupted];
        all.into_iter().find(|outcome| outcome.exit_code() == code).unwrap_or(Self::Failed)
    }

    /// The exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Limited => 3,
            Self::ConditionHeld => 99,
            Self::Interrupted => 130,
        }
    }
}

/// Faults that the user lets pass: they are shown, and do not decide the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `--allow-limited`
    pub limited: bool,
    /// `--allow-failed`
    pub failed: bool,
}

/// The result of a run or of a ramp: `passed`, or `FAILED (2 of 3 conditions), exit 99`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunResult {
    interrupted: bool,
    /// Faults, in a few words each.
    causes: Vec<String>,
    /// Losses and errors of a run that passed, because no condition was about them.
    shortfalls: Vec<String>,
    /// The flags without which the outcome would be another.
    allowed_by: Vec<&'static str>,
    outcome: CommandOutcome,
}

/// The faults of a run or a ramp, each with its words.
struct Faults {
    interrupted: bool,
    /// Steps that could not be run to their end, which no flag lets pass.
    broken: Option<String>,
    failed: Vec<String>,
    limited: Option<String>,
    conditions: Option<String>,
}

impl RunResult {
    /// The result of a run.
    pub(crate) fn of_run(report: &Report, allowed: Allowed) -> Self {
        let faults = Faults {
            interrupted: report.run.interrupted,
            broken: None,
            failed: report.failure_names(),
            limited: limited(report),
            conditions: conditions(&report.verdict),
        };
        RunResult { shortfalls: shortfalls(report), ..faults.result(allowed) }
    }

    /// The result of a ramp: the worst of its steps decides.
    pub(crate) fn of_ramp(ramp: &RampReport, allowed: Allowed) -> Self {
        let result = ramp_faults(ramp).result(allowed);
        Self { shortfalls: ramp_shortfall(ramp).into_iter().collect(), ..result }
    }

    /// Returns true if nothing is wrong, whatever the user allows.
    pub(crate) fn passed(&self) -> bool {
        !self.interrupted && self.causes.is_empty()
    }

    /// Returns true if it passed although something was lost or refused, and no condition was about that.
    pub(crate) fn falls_short(&self) -> bool {
        self.passed() && !self.shortfalls.is_empty()
    }

    /// Outcome of the command.
    pub(crate) fn outcome(&self) -> CommandOutcome {
        self.outcome
    }
}

/// A run that did not pass: it proves nothing, the generator could not hold the plan, or a condition held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{result}{}", details.iter().map(|detail| format!("\n  {detail}")).collect::<String>())]
pub struct RunFailed {
    result: RunResult,
    /// Failures, reasons and conditions, each a sentence.
    details: Vec<String>,
}

impl Report {
    /// Returns the report if its run passed: it proves something, the generator held the plan, and no condition of
    /// `fail_if` held. The error has all that is wrong. For tests: `report.assert_ok()?`.
    pub fn assert_ok(&self) -> Result<&Self, RunFailed> {
        let result = RunResult::of_run(self, Allowed::default());
        if result.passed() {
            return Ok(self);
        }
        let Verdict { failures, reasons, thresholds, .. } = &self.verdict;
        let held = thresholds.iter().filter(|threshold| !threshold.ok);
        let conditions = held.map(|threshold| match threshold.value {
            Some(value) => format!("{} holds: {value}", threshold.expr),
            None => format!("{} cannot be judged: its number is not known", threshold.expr),
        });
        let mut details = [sentences(failures), sentences(reasons)].concat();
        details.extend(conditions);
        Err(RunFailed { result, details })
    }
}

impl fmt::Display for RunResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed() {
            f.write_str("passed")?;
            if self.falls_short() {
                write!(f, ", but {}", self.shortfalls.join(", and "))?;
            }
            return Ok(());
        }
        f.write_str(if self.interrupted { "INTERRUPTED" } else { "FAILED" })?;
        if !self.causes.is_empty() {
            write!(f, " ({})", self.causes.join("; "))?;
        }
        write!(f, ", exit {}", self.outcome.exit_code())?;
        if !self.allowed_by.is_empty() {
            write!(f, " with {}", self.allowed_by.join(" "))?;
        }
        Ok(())
    }
}

impl Faults {
    /// The first that is not allowed decides: 130, 1, 3, 99.
    fn result(self, allowed: Allowed) -> RunResult {
        let (failed, limited) = (!self.failed.is_empty(), self.limited.is_some());
        let outcome = if self.interrupted {
            CommandOutcome::Interrupted
        } else if self.broken.is_some() || failed && !allowed.failed {
            CommandOutcome::Failed
        } else if limited && !allowed.limited {
            CommandOutcome::Limited
        } else if self.conditions.is_some() {
            CommandOutcome::ConditionHeld
        } else {
            CommandOutcome::Done
        };
        let mut allowed_by = Vec::new();
        if failed && allowed.failed {
            allowed_by.push("--allow-failed");
        }
        if limited && allowed.limited {
            allowed_by.push("--allow-limited");
        }
        let causes =
            self.broken.into_iter().chain(self.failed).chain(self.limited).chain(self.conditions);
        RunResult {
            interrupted: self.interrupted,
            causes: causes.collect(),
            shortfalls: Vec::new(),
            allowed_by,
            outcome,
        }
    }
}

impl Report {
    /// The names of the failures, such as `nothing arrived`, each once.
    pub(crate) fn failure_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for failure in &self.verdict.failures {
            let name = failure.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Losses and errors about which there was no condition. Without a condition the run passes with them.
fn shortfalls(report: &Report) -> Vec<String> {
    let mut shortfalls = Vec::new();
    if let Some(messages) = report.messages.as_ref().filter(|messages| messages.lost > 0)
        && !has_condition_on(report, &["lost"])
    {
        let (lost, accepted) = (messages.lost, messages.accepted);
        shortfalls.push(share_of(
            lost,
            accepted,
            "message",
            if lost == 1 { "was lost" } else { "were lost" },
        ));
    }
    if has_condition_on(report, &["error", "failed", "refused", "status"]) {
        return shortfalls;
    }
    let requests = &report.requests;
    let refused = requests.refused();
    let verb = if refused == 1 { "was refused" } else { "were refused" };
    for (few, verb) in [(refused, verb), (requests.failed, "failed")] {
        if few > 0 {
            shortfalls.push(share_of(few, requests.planned, "request", verb));
        }
    }
    shortfalls
}

/// Returns true if the run has a condition on a number whose name contains one of these words.
fn has_condition_on(report: &Report, words: &[&str]) -> bool {
    let mut conditions = report.verdict.thresholds.iter();
    conditions.any(|condition| words.iter().any(|word| condition.expr.contains(word)))
}

/// `3 of 1,000 messages were lost`
fn share_of(few: u64, all: u64, noun: &str, verb: &str) -> String {
    let plural = if all == 1 { "" } else { "s" };
    format!("{} of {} {noun}{plural} {verb}", format_count(few), format_count(all))
}

fn limited(report: &Report) -> Option<String> {
    if report.verdict.generator.is_valid() {
        return None;
    }
    let why = if report.run.partial { "partial" } else { "generator limited" };
    Some(why.to_owned())
}

fn conditions(verdict: &Verdict) -> Option<String> {
    let held = verdict.thresholds.iter().filter(|threshold| !threshold.ok).count();
    (held > 0).then(|| format!("{held} of {}", condition_count(verdict.thresholds.len())))
}

fn condition_count(count: usize) -> String {
    if count == 1 { "1 condition".to_owned() } else { format!("{count} conditions") }
}

fn ramp_faults(ramp: &RampReport) -> Faults {
    let steps = ramp.steps.len();
    let broken = ramp.steps.iter().filter(|step| step.error.is_some()).count();
    let of_steps = |count: usize| (count > 0).then(|| format!("{count} of {steps} steps"));
    let reports = || ramp.steps.iter().filter_map(|step| step.report.as_ref());
    let failing = reports().filter(|report| conditions(&report.verdict).is_some()).count();
    let limited = ramp.steps.iter().filter(|step| is_limited_result(ramp, step)).count();
    Faults {
        interrupted: !ramp.complete && broken == 0
            || reports().any(|report| report.run.interrupted),
        broken: of_steps(broken).map(|steps| format!("{steps} broke off")),
        failed: of_steps(ramp.failed_steps().len())
            .map(|steps| format!("{steps} prove nothing"))
            .into_iter()
            .collect(),
        limited: of_steps(limited).map(|steps| format!("generator limited in {steps}")),
        conditions: of_steps(failing).map(|steps| format!("conditions in {steps}")),
    }
}

/// The steps that lost messages, in words.
fn ramp_shortfall(ramp: &RampReport) -> Option<String> {
    let (mut lost, mut all) = (0, 0);
    for step in ramp.steps.iter().filter(|step| is_result(ramp, step)) {
        let messages = step.report.as_ref().and_then(|report| report.messages.as_ref());
        lost += usize::from(messages.is_some_and(|messages| messages.lost > 0));
        all += 1;
    }
    (lost > 0).then(|| format!("messages were lost in {lost} of {all} steps"))
}

/// Returns true if the generator was limited in a step that the ramp's result rests on.
fn is_limited_result(ramp: &RampReport, step: &RampStep) -> bool {
    let is_limited =
        step.report.as_ref().is_some_and(|report| !report.verdict.generator.is_valid());
    is_limited && is_result(ramp, step)
}

/// Returns true if the ramp's result rests on a step. A search goes where the generator and the pipeline cannot follow; its
/// result does not rest on that.
fn is_result(ramp: &RampReport, step: &RampStep) -> bool {
    match &ramp.search {
        Some(search) => search.holds.is_some() && step.x == search.holds,
        None => true,
    }
}
