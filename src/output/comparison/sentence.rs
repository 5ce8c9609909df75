//! The verdict of a comparison in a sentence or two.

use std::fmt;

use super::figures::{change, short_label};
use crate::analysis::compare::share::TOLERATED_POINTS;
use crate::analysis::compare::verdict::ComparisonVerdict;
use crate::analysis::compare::{Comparison, Figure, Noise, Outcome, Part};
use crate::core::units::format_some;
use crate::output::style::Tone;
use crate::report::{Allowed, CommandOutcome};

/// Most steps of a ramp whose changes are listed in the verdict.
const MOST_STEPS: usize = 3;
/// Runs of each side that usually show how much runs differ.
const ENOUGH_RUNS: usize = 3;

/// The verdict as text: `SAME: …`, `WORSE: …`, `BETTER: …` or `INCONCLUSIVE: …`; `FAILED: …` or `LIMITED: …` if the figures
/// prove nothing.
#[derive(Debug, Clone, Copy)]
pub(in crate::output) struct VerdictSentence<'a> {
    pub(in crate::output) comparison: &'a Comparison,
    pub(in crate::output) allowed: Allowed,
}

impl VerdictSentence<'_> {
    /// Returns true if no figure is worse and the figures prove something.
    pub(in crate::output) fn passed(&self) -> bool {
        self.comparison.outcome(self.allowed) == CommandOutcome::Done
    }

    /// Meaning of the verdict.
    pub(super) fn tone(&self) -> Tone {
        match (self.comparison.outcome(self.allowed), self.comparison.verdict) {
            (CommandOutcome::Failed | CommandOutcome::Limited, _)
            | (_, ComparisonVerdict::Worse) => Tone::Bad,
            (_, ComparisonVerdict::Inconclusive) => Tone::Warning,
            (_, ComparisonVerdict::Better | ComparisonVerdict::Same) => Tone::Good,
        }
    }
}

impl fmt::Display for VerdictSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.comparison.outcome(self.allowed) {
            CommandOutcome::Failed => f.write_str(
                "FAILED: a run proves nothing, so the comparison proves nothing. Repeat that run, or pass --allow-failed.",
            ),
            CommandOutcome::Limited => f.write_str(
                "LIMITED: a generator could not hold its plan, so its figures are not those of the target. Repeat that \
                 run with a lower load, or pass --allow-limited.",
            ),
            _ => f.write_str(&of_figures(self.comparison)),
        }
    }
}

fn of_figures(comparison: &Comparison) -> String {
    match comparison.verdict {
        ComparisonVerdict::Worse => {
            let steps = in_steps(comparison, |figure| figure.outcome == Some(Outcome::Worse));
            let changes = changes(comparison, Outcome::Worse);
            format!("WORSE{steps}: {changes}.{}", few_runs(comparison))
        }
        ComparisonVerdict::Better => {
            let steps = in_steps(comparison, |figure| figure.outcome == Some(Outcome::Better));
            let changes = changes(comparison, Outcome::Better);
            format!("BETTER{steps}: {changes}. No figure is worse.{}", few_runs(comparison))
        }
        ComparisonVerdict::Same => same(comparison),
        ComparisonVerdict::Inconclusive => inconclusive(comparison),
    }
}

/// A warning where too few runs decided; else empty. The noise within runs says nothing of the noise between them.
fn few_runs(comparison: &Comparison) -> String {
    let runs = comparison.base.len().min(comparison.new.len());
    if runs >= ENOUGH_RUNS {
        return String::new();
    }
    let shown = format_some(runs as u64, "run a side does", "runs a side do");
    format!(
        " {shown} not show how much whole runs differ by chance: give {ENOUGH_RUNS} a side to be sure."
    )
}

/// The number of steps with such a figure; empty if runs are compared.
fn in_steps(comparison: &Comparison, has: impl Fn(&Figure) -> bool) -> String {
    let steps = comparison.parts.len();
    if comparison.parts.iter().all(|part| part.step.is_none()) {
        return String::new();
    }
    let count = comparison.parts.iter().filter(|part| part.figures.iter().any(&has)).count();
    format!(" in {count} of {steps} steps")
}

/// Changes of the figures with an outcome, each with its step.
fn changes(comparison: &Comparison, outcome: Outcome) -> String {
    let mut parts = Vec::new();
    for part in &comparison.parts {
        let figures: Vec<_> =
            part.figures.iter().filter(|figure| figure.outcome == Some(outcome)).collect();
        if figures.is_empty() {
            continue;
        }
        let (mut texts, mut before) = (Vec::new(), None);
        for figure in figures {
            texts.push(format!("{} {}", short_label(&figure.name, before), change(figure)));
            before = Some(figure.name.as_str());
        }
        let step = part.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
        parts.push(format!("{step}{}", texts.join(", ")));
    }
    let more = parts.len().saturating_sub(MOST_STEPS);
    parts.truncate(MOST_STEPS);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}

fn same(comparison: &Comparison) -> String {
    let steps = if comparison.parts.iter().all(|part| part.step.is_none()) {
        String::new()
    } else {
        format!(" in all {} steps", comparison.parts.len())
    };
    let tolerance = comparison.tolerance_percent;
    let better = names(comparison, |_, figure| figure.outcome == Some(Outcome::Unclear));
    if !better.is_empty() {
        let better = figure_list(&better);
        return format!(
            "SAME{steps}: no figure is worse by more than {tolerance}%; {better} may be better."
        );
    }
    let shares = names(comparison, |_, figure| !figure.is_time_or_rate());
    let shares = if shares.is_empty() {
        String::new()
    } else {
        format!(", {} within ±{TOLERATED_POINTS} points", figure_list(&shares))
    };
    format!("SAME{steps}: every figure is within ±{tolerance}%{shares}.")
}

/// Reasons why a figure cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// The noise is too large for the tolerance of a time or a rate.
    Change(Noise),
    /// The noise is too large for the tolerance of a share.
    Share(Noise),
    /// The noise is not known, or one side does not have the figure.
    Undecided,
}

const DOUBTS: [Doubt; 6] = [
    Doubt::Change(Noise::Runs),
    Doubt::Change(Noise::Seconds),
    Doubt::Change(Noise::Values),
    Doubt::Share(Noise::Runs),
    Doubt::Share(Noise::Values),
    Doubt::Undecided,
];

impl Doubt {
    /// The reason for these figures, as a clause.
    fn clause(self, names: &[&str], tolerance_percent: f64) -> String {
        let list = figure_list(names);
        let is_one = names.len() == 1;
        let vary = if is_one && self != Self::Share(Noise::Runs) { "varies" } else { "vary" };
        let have = if is_one { "has" } else { "have" };
        let tolerance = format!("to tell ±{tolerance_percent}%");
        match self {
            Self::Change(Noise::Runs) => format!("{list} {vary} too much between runs {tolerance}"),
            Self::Change(Noise::Seconds) => {
                format!("{list} {vary} too much between seconds {tolerance}")
            }
            Self::Change(Noise::Values) => format!("{list} {have} too few values {tolerance}"),
            Self::Share(Noise::Runs) => {
                format!("{list} {vary} too much between runs to tell ±{TOLERATED_POINTS} points")
            }
            Self::Share(_) => {
                format!("too few requests to tell {list} to ±{TOLERATED_POINTS} points")
            }
            Self::Undecided => format!("too few answers or whole seconds for {list}"),
        }
    }

    /// Returns true if more runs show how large the noise is.
    fn is_variation(self) -> bool {
        matches!(self, Self::Change(Noise::Runs | Noise::Seconds) | Self::Share(Noise::Runs))
    }
}

fn doubt(comparison: &Comparison, part: &Part, figure: &Figure) -> Option<Doubt> {
    if comparison.is_undecided(part, &figure.name) {
        return Some(Doubt::Undecided);
    }
    let noise = figure.noise.filter(|_| figure.is_unclear(comparison.tolerance_percent))?;
    Some(if figure.is_time_or_rate() { Doubt::Change(noise) } else { Doubt::Share(noise) })
}

fn inconclusive(comparison: &Comparison) -> String {
    let mut clauses = Vec::new();
    let is_ramp = comparison.parts.iter().any(|part| part.step.is_some());
    for (outcome, word) in [(Outcome::Better, "better"), (Outcome::Same, "same")] {
        let names = names(comparison, |_, figure| figure.outcome == Some(outcome));
        if !names.is_empty() && !is_ramp {
            clauses.push(format!("{} {word}", figure_list(&names)));
        }
    }
    let mut has_variation = false;
    for kind in DOUBTS {
        let mut of =
            names(comparison, |part, figure| doubt(comparison, part, figure) == Some(kind));
        if kind == Doubt::Undecided {
            of.extend(absent(comparison));
        }
        if !of.is_empty() {
            has_variation |= kind.is_variation();
            clauses.push(kind.clause(&of, comparison.tolerance_percent));
        }
    }
    let steps = if is_ramp { steps_in_doubt(comparison) } else { String::new() };
    format!("INCONCLUSIVE{steps}: {}. {}", clauses.join("; "), advice(comparison, has_variation))
}

fn steps_in_doubt(comparison: &Comparison) -> String {
    let is_in_doubt = |part: &&Part| comparison.verdict_on(part) == ComparisonVerdict::Inconclusive;
    let count = comparison.parts.iter().filter(is_in_doubt).count();
    format!(" in {count} of {} steps", comparison.parts.len())
}

/// Names of undecided figures that one side does not have at all.
fn absent(comparison: &Comparison) -> Vec<&str> {
    let mut names = Vec::new();
    for undecided in &comparison.undecided {
        let name = undecided.rsplit(' ').next().unwrap_or_default();
        let is_shown = comparison.parts.iter().any(|part| {
            comparison.is_undecided(part, name) && part.figures.iter().any(|f| f.name == name)
        });
        if !is_shown && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn advice(comparison: &Comparison, has_variation: bool) -> String {
    let runs = comparison.base.len().min(comparison.new.len());
    if !has_variation {
        "Run longer.".to_owned()
    } else if runs < ENOUGH_RUNS {
        format!("Give {ENOUGH_RUNS} runs a side.")
    } else {
        "Give more runs a side, or use a quieter machine.".to_owned()
    }
}

/// Names of the figures of all parts that fit, each once.
fn names(comparison: &Comparison, fits: impl Fn(&Part, &Figure) -> bool) -> Vec<&str> {
    let mut names = Vec::new();
    for part in &comparison.parts {
        for figure in part.figures.iter().filter(|figure| fits(part, figure)) {
            if !names.contains(&figure.name.as_str()) {
                names.push(&figure.name);
            }
        }
    }
    names
}

/// Names of figures for people: `arrival p50, p99 and throughput`.
pub(super) fn figure_list(names: &[&str]) -> String {
    let (mut labels, mut before) = (Vec::new(), None);
    for name in names {
        labels.push(short_label(name, before));
        before = Some(name);
    }
    listed(&labels)
}

/// A list of words: `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
