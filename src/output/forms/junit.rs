//! JUnit XML: for a run a test case for the run itself, one for the generator and one for each `--fail-if`;
//! for a ramp one for each step.

use std::fmt::Write as _;

use crate::analysis::compare::{self, Comparison};
use crate::output::comparison;
use crate::report::lookup::it_is;
use crate::report::ramp::{RampReport, RampStep};
use crate::report::{GeneratorState, Report};

/// What a test case came to.
enum Outcome {
    Passed,
    /// It ran, and is not good enough: why.
    Failed(String),
    /// It did not come to a result: why.
    Broke(String),
    /// It cannot be told.
    Skipped(String),
}

struct Case {
    name: String,
    seconds: f64,
    outcome: Outcome,
}

pub(super) fn run(report: &Report) -> String {
    let seconds = report.run.duration_s;
    let mut cases = vec![
        Case { name: "the run as a whole".to_owned(), seconds, outcome: whole(report) },
        Case { name: "the generator held its plan".to_owned(), seconds, outcome: held(report) },
    ];
    cases.extend(report.verdict.thresholds.iter().map(|threshold| Case {
        name: format!("fail if {}", threshold.expr),
        seconds,
        outcome: if threshold.ok { Outcome::Passed } else { Outcome::Failed(it_is(threshold)) },
    }));
    suite(&report.run.target, &report.run.started_at, &cases)
}

pub(super) fn ramp(ramp: &RampReport) -> String {
    let mut cases: Vec<_> = ramp.steps.iter().map(step).collect();
    if !ramp.complete {
        let why = "the ramp broke off before its end".to_owned();
        cases.push(Case { name: "all steps".into(), seconds: 0.0, outcome: Outcome::Broke(why) });
    }
    suite(&ramp.name, &ramp.started_at, &cases)
}

/// A test case for each figure that decides.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut cases = Vec::new();
    if !comparison.failed.is_empty() {
        let outcome = Outcome::Failed(comparison.failed.join("; "));
        cases.push(Case { name: "the runs as a whole".to_owned(), seconds: 0.0, outcome });
    }
    for part in &comparison.parts {
        let step = part.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
        for figure in &part.figures {
            let Some(outcome) = figure.outcome else { continue };
            let why = || {
                let [low, high] = figure.interval_percent.unwrap_or_default();
                let unit = if figure.name.ends_with("_percent") { " points" } else { "%" };
                let value = |value| comparison::value(figure, value);
                format!(
                    "changed by {low}{unit} to {high}{unit}, from {} to {}",
                    value(figure.base),
                    value(figure.new)
                )
            };
            let outcome = match outcome {
                compare::Outcome::Worse => Outcome::Failed(why()),
                _ => Outcome::Passed,
            };
            cases.push(Case { name: format!("{step}{}", figure.name), seconds: 0.0, outcome });
        }
    }
    cases.extend(comparison.undecided.iter().map(|name| Case {
        name: name.clone(),
        seconds: 0.0,
        outcome: Outcome::Skipped("too few answers or whole seconds to tell".to_owned()),
    }));
    suite("compare", &comparison.started_at, &cases)
}

fn step(step: &RampStep) -> Case {
    let seconds = step.report.as_ref().map_or(0.0, |report| report.run.duration_s);
    let outcome = match (&step.error, &step.report) {
        (Some(error), _) => Outcome::Broke(error.clone()),
        (None, None) => Outcome::Broke("it has no report".to_owned()),
        (None, Some(report)) => {
            let held_back = report.verdict.thresholds.iter().filter(|threshold| !threshold.ok);
            let mut why: Vec<_> =
                held_back.map(|t| format!("fail if {}: {}", t.expr, it_is(t))).collect();
            if let Outcome::Failed(late) = held(report) {
                why.insert(0, late);
            }
            why.splice(..0, report.verdict.failures.iter().cloned());
            if why.is_empty() { Outcome::Passed } else { Outcome::Failed(why.join("; ")) }
        }
    };
    Case { name: step.name.clone(), seconds, outcome }
}

/// Outcome of the run itself: it came to its end and proves something.
fn whole(report: &Report) -> Outcome {
    if report.run.interrupted {
        return Outcome::Broke("interrupted: the numbers are of the part that was run".to_owned());
    }
    if report.verdict.failures.is_empty() {
        return Outcome::Passed;
    }
    Outcome::Failed(report.verdict.failures.join("; "))
}

fn held(report: &Report) -> Outcome {
    match report.verdict.generator {
        GeneratorState::Valid => Outcome::Passed,
        _ => Outcome::Failed(report.verdict.reasons.join("; ")),
    }
}

fn suite(name: &str, started_at: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|c| matches!(c.outcome, Outcome::Failed(_))).count();
    let errors = cases.iter().filter(|c| matches!(c.outcome, Outcome::Broke(_))).count();
    let skipped = cases.iter().filter(|c| matches!(c.outcome, Outcome::Skipped(_))).count();
    let seconds: f64 = match cases {
        // The cases of one run are of the same seconds.
        [first, rest @ ..] if rest.iter().all(|case| case.seconds == first.seconds) => {
            first.seconds
        }
        cases => cases.iter().map(|case| case.seconds).sum(),
    };
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\"",
        cases.len()
    );
    // JUnit's dates have neither fractions nor a zone.
    let date = started_at.get(..19).unwrap_or(started_at);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"loadgen\" {counts}>\n  \
         <testsuite name=\"{}\" timestamp=\"{}\" {counts} skipped=\"{skipped}\">\n",
        escape(name),
        escape(date),
    );
    cases.iter().for_each(|case| out += &element(case));
    out + "  </testsuite>\n</testsuites>\n"
}

fn element(case: &Case) -> String {
    let mut out = format!(
        "    <testcase classname=\"loadgen\" name=\"{}\" time=\"{:.3}\"",
        escape(&case.name),
        case.seconds
    );
    let inside = match &case.outcome {
        Outcome::Passed => None,
        Outcome::Failed(why) => Some(("failure", why)),
        Outcome::Broke(why) => Some(("error", why)),
        Outcome::Skipped(why) => Some(("skipped", why)),
    };
    let _ = match inside {
        None => writeln!(out, "/>"),
        Some((kind, why)) => {
            writeln!(out, ">\n      <{kind} message=\"{}\"/>\n    </testcase>", escape(why))
        }
    };
    out
}

/// Text inside an attribute. What XML 1.0 cannot hold is shown as the replacement character.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            // A bare one would be read as a space.
            '\n' | '\t' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_document_is_escaped() {
        assert_eq!(escape("a<b & \"c\">\n\u{1b}"), "a&lt;b &amp; &quot;c&quot;&gt;&#10;\u{fffd}");
    }
}
