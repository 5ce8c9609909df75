//! JUnit XML. A run has a test case for itself, one for the generator and one for each `--fail-if`. A ramp has one for each
//! step, a comparison one for each figure of the verdict.

use std::fmt::Write as _;

use crate::analysis::compare::{Comparison, Figure, Outcome};
use crate::output::comparison::{change_and_interval, value};
use crate::report::lookup::it_is;
use crate::report::ramp::{RampReport, RampStep};
use crate::report::remark::sentences;
use crate::report::{GeneratorState, Report};

/// Result of a test case, with the reason.
enum CaseResult {
    Passed,
    /// It ran, and the numbers are not good enough.
    Failed(String),
    /// It did not run to its end.
    Broke(String),
    /// The result is not known.
    Skipped(String),
}

struct Case {
    name: String,
    seconds: f64,
    result: CaseResult,
}

pub(super) fn run(report: &Report) -> String {
    let seconds = report.run.duration_s;
    let mut cases = vec![
        Case { name: "the run as a whole".to_owned(), seconds, result: whole(report) },
        Case { name: "the generator held its plan".to_owned(), seconds, result: held(report) },
    ];
    cases.extend(report.verdict.thresholds.iter().map(|threshold| Case {
        name: format!("fail if {}", threshold.expr),
        seconds,
        result: if threshold.ok {
            CaseResult::Passed
        } else {
            CaseResult::Failed(it_is(threshold))
        },
    }));
    suite(&report.run.target, &report.run.started_at, &cases)
}

pub(super) fn ramp(ramp: &RampReport) -> String {
    let mut cases: Vec<_> = ramp.steps.iter().map(step).collect();
    if !ramp.complete {
        let why = "the ramp broke off before its end".to_owned();
        cases.push(Case { name: "all steps".into(), seconds: 0.0, result: CaseResult::Broke(why) });
    }
    suite(&ramp.name, &ramp.started_at, &cases)
}

/// A test case for each figure of the verdict.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut cases = Vec::new();
    if !comparison.failed.is_empty() {
        let result = CaseResult::Failed(comparison.failed.join("; "));
        cases.push(Case { name: "the runs as a whole".to_owned(), seconds: 0.0, result });
    }
    for part in &comparison.parts {
        let step = part.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
        for figure in &part.figures {
            let Some(result) = judged(comparison, figure) else { continue };
            cases.push(Case { name: format!("{step}{}", figure.name), seconds: 0.0, result });
        }
    }
    cases.extend(comparison.undecided.iter().map(|name| Case {
        name: name.clone(),
        seconds: 0.0,
        result: CaseResult::Skipped("too few answers or whole seconds to tell".to_owned()),
    }));
    suite("compare", &comparison.started_at, &cases)
}

/// Result of a figure; `None` if the verdict does not depend on it.
fn judged(comparison: &Comparison, figure: &Figure) -> Option<CaseResult> {
    let changed = format!(
        "changed by {}: {} before, {} now",
        change_and_interval(figure),
        value(figure, figure.base),
        value(figure, figure.new)
    );
    Some(match figure.outcome? {
        Outcome::Worse => CaseResult::Failed(changed),
        Outcome::Unclear if figure.is_unclear(comparison.tolerance_percent) => {
            CaseResult::Skipped(format!("too noisy to tell: {changed}"))
        }
        _ => CaseResult::Passed,
    })
}

fn step(step: &RampStep) -> Case {
    let seconds = step.report.as_ref().map_or(0.0, |report| report.run.duration_s);
    let result = match (&step.error, &step.report) {
        (Some(error), _) => CaseResult::Broke(error.clone()),
        (None, None) => CaseResult::Broke("it has no report".to_owned()),
        (None, Some(report)) => {
            let held_back = report.verdict.thresholds.iter().filter(|threshold| !threshold.ok);
            let mut why: Vec<_> =
                held_back.map(|t| format!("fail if {}: {}", t.expr, it_is(t))).collect();
            if let CaseResult::Failed(late) = held(report) {
                why.insert(0, late);
            }
            why.splice(..0, sentences(&report.verdict.failures));
            if why.is_empty() { CaseResult::Passed } else { CaseResult::Failed(why.join("; ")) }
        }
    };
    Case { name: step.name.clone(), seconds, result }
}

/// Result of the run itself: it ran to its end and did not fail.
fn whole(report: &Report) -> CaseResult {
    if report.run.interrupted {
        return CaseResult::Broke(
            "interrupted: the numbers are of the part that was run".to_owned(),
        );
    }
    if report.verdict.failures.is_empty() {
        return CaseResult::Passed;
    }
    CaseResult::Failed(sentences(&report.verdict.failures).join("; "))
}

fn held(report: &Report) -> CaseResult {
    match report.verdict.generator {
        GeneratorState::Valid => CaseResult::Passed,
        GeneratorState::Limited => {
            CaseResult::Failed(sentences(&report.verdict.reasons).join("; "))
        }
    }
}

fn suite(name: &str, started_at: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|c| matches!(c.result, CaseResult::Failed(_))).count();
    let errors = cases.iter().filter(|c| matches!(c.result, CaseResult::Broke(_))).count();
    let skipped = cases.iter().filter(|c| matches!(c.result, CaseResult::Skipped(_))).count();
    let seconds: f64 = match cases {
        // All cases of one run have the time of that run.
        [first, rest @ ..] if rest.iter().all(|case| case.seconds == first.seconds) => {
            first.seconds
        }
        cases => cases.iter().map(|case| case.seconds).sum(),
    };
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\"",
        cases.len()
    );
    // JUnit's dates have no fractions and no time zone.
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
    let inside = match &case.result {
        CaseResult::Passed => None,
        CaseResult::Failed(why) => Some(("failure", why)),
        CaseResult::Broke(why) => Some(("error", why)),
        CaseResult::Skipped(why) => Some(("skipped", why)),
    };
    let _ = match inside {
        None => writeln!(out, "/>"),
        Some((kind, why)) => {
            writeln!(out, ">\n      <{kind} message=\"{}\"/>\n    </testcase>", escape(why))
        }
    };
    out
}

/// Escapes text for an attribute. Characters that XML 1.0 does not allow become the replacement character.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            // XML reads an unescaped one as a space.
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
    fn special_characters_are_escaped() {
        assert_eq!(escape("a<b & \"c\">\n\u{1b}"), "a&lt;b &amp; &quot;c&quot;&gt;&#10;\u{fffd}");
    }
}
