//! The condition of a search: `arrival.p99 < 5ms and lost == 0 and queue not growing and generator valid`.

use std::fmt;

use super::queue::growth;
use crate::plan::{Plan, PlanError, Threshold};
use crate::report::{Report, check_name, number, numbers_ending_in};
use crate::units::format_count;

/// Where the parts of a condition come from, for errors.
const PLACE: &str = "holds";

/// What must hold of a report: all of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Number(Threshold),
    QueueNotGrowing,
    GeneratorValid,
}

impl Condition {
    /// Parts joined by `and`: comparisons of the report's numbers, which may go by the end of their
    /// name where only one ends so, `queue not growing`, and `generator valid`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = words.split(" and ").map(part).collect::<Result<_, _>>()?;
        Ok(Self { text: words, parts })
    }

    /// Refuses what a run of this plan cannot tell.
    pub fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Number(threshold) => plan.check_values(PLACE, threshold),
            Part::QueueNotGrowing | Part::GeneratorValid => Ok(()),
        })
    }

    /// The parts that do not hold, with their numbers; `None` when all do. What cannot be judged does
    /// not hold.
    pub fn broken_by(&self, report: &Report) -> Option<String> {
        let broken: Vec<_> = self.parts.iter().filter_map(|part| part.broken_by(report)).collect();
        (!broken.is_empty()).then(|| broken.join("; "))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn part(text: &str) -> Result<Part, PlanError> {
    match text {
        "queue not growing" => return Ok(Part::QueueNotGrowing),
        "generator valid" => return Ok(Part::GeneratorValid),
        _ => {}
    }
    let threshold = Threshold::parse(PLACE, text)?;
    let Err(why) = check_name(threshold.name()) else { return Ok(Part::Number(threshold)) };
    match numbers_ending_in(threshold.name()).as_slice() {
        [only] => Ok(Part::Number(threshold.named(only))),
        _ => Err(PlanError::new(format!("{PLACE}: {why}"))),
    }
}

impl Part {
    fn broken_by(&self, report: &Report) -> Option<String> {
        match self {
            Self::Number(threshold) => match number(report, threshold.name()) {
                Some(value) if threshold.holds(value) => None,
                Some(value) => Some(format!("{} is {value}", threshold.name())),
                None => Some(format!("{} is not known", threshold.name())),
            },
            Self::QueueNotGrowing => match growth(report) {
                None => Some("how the queue grew is not known".to_owned()),
                Some(growth) => growth.is_growing().then(|| {
                    format!("the queue grew by {}/s", format_count(growth.per_s.round() as u64))
                }),
            },
            Self::GeneratorValid => (report.verdict.generator != "valid")
                .then(|| format!("the generator is {}", report.verdict.generator)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn all_parts_must_hold() {
        let report = example::report(1_000.0);
        let broken = |text: &str| Condition::parse(text).expect(text).broken_by(&report);
        let all = "arrival.p99 < 5ms  and lost == 0 and queue not growing and generator valid";
        assert_eq!(broken(all), None);
        assert_eq!(broken("arrival.p99 < 1us").as_deref(), Some("arrival.p99 is 2000"));
        let both = broken("lost > 0 and arrival.p99_99 < 1s").expect("broken");
        assert_eq!(both, "messages.lost is 0; arrival.p99_99 is not known");
    }

    #[test]
    fn a_queue_that_grows_and_a_generator_that_is_late_break_it() {
        let mut report = example::report(1_000.0);
        for (second, row) in report.series.iter_mut().enumerate() {
            row.queue_depth = Some(200 * second as u64);
        }
        report.verdict.generator = "limited".to_owned();
        let condition = Condition::parse("queue not growing and generator valid").expect("valid");
        let broken = condition.broken_by(&report);
        assert_eq!(broken.as_deref(), Some("the queue grew by 200/s; the generator is limited"));
        report.series.iter_mut().for_each(|row| row.queue_depth = None);
        assert!(condition.broken_by(&report).is_some_and(|why| why.contains("not known")));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, part) in [
            ("", "no comparison"),
            ("queue growing", "no comparison"),
            ("p99 < 5ms", "has no number 'p99'; did you mean"),
            ("arrival.p99 < soon", "no number or duration"),
            ("lost == 0 and", "no number or duration"),
        ] {
            let error = Condition::parse(text).expect_err(text).to_string();
            assert!(error.starts_with("holds") && error.contains(part), "{text}: {error}");
        }
    }
}
